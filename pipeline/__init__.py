"""The loader: encoded images out of shards, decoded by DALI, looked at, zoomed and collated."""

from foveal.pipeline._augment import Augment
from foveal.pipeline._bad_sample import BadSample
from foveal.pipeline._bad_samples import TooManyBadSamplesError
from foveal.pipeline._boxes import Boxes, WarpedBoxes
from foveal.pipeline._decode import Decoder, decode
from foveal.pipeline._decode_error import DecodeError
from foveal.pipeline._loader import ZoomLoader
from foveal.pipeline._mask import Mask
from foveal.pipeline._peek import EncodedImage, peek
from foveal.pipeline._points import Points
from foveal.pipeline._quarantine import Quarantine
from foveal.pipeline._stats import LoaderStats
from foveal.pipeline._zoom_collate import ZoomCollate

__all__ = [
    "Augment",
    "BadSample",
    "Boxes",
    "DecodeError",
    "Decoder",
    "EncodedImage",
    "LoaderStats",
    "Mask",
    "Points",
    "Quarantine",
    "TooManyBadSamplesError",
    "WarpedBoxes",
    "ZoomCollate",
    "ZoomLoader",
    "decode",
    "peek",
]
