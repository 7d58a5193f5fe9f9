"""The loader: encoded images out of shards, decoded by DALI, looked at, zoomed and collated."""

from foveal.pipeline._loader import ZoomLoader
from foveal.pipeline._zoom_collate import ZoomCollate
from foveal.pipeline.decode import (
    Bands,
    Bits,
    Color,
    DecodeError,
    DecodeMode,
    Decoder,
    EncodedImage,
    PixelRule,
    Window,
    decode,
    peek,
)
from foveal.pipeline.epoch import Augment, LastBatch, RankWarning
from foveal.pipeline.faults import BadSample, FaultKind, OnBad, Quarantine, TooManyBadSamplesError
from foveal.pipeline.fields import (
    Boxes,
    BoxFormat,
    Field,
    Frame,
    LabelledBoxes,
    LabelName,
    LabelReader,
    Mask,
    PointFormat,
    Points,
    Saliency,
    SaliencyKind,
    SpatialField,
    WarpedBoxes,
)
from foveal.pipeline.flow import LoaderStats
from foveal.shards import DataError

__all__ = [
    "Augment",
    "BadSample",
    "Bands",
    "Bits",
    "BoxFormat",
    "Boxes",
    "Color",
    "DataError",
    "DecodeError",
    "DecodeMode",
    "Decoder",
    "EncodedImage",
    "FaultKind",
    "Field",
    "Frame",
    "LabelName",
    "LabelReader",
    "LabelledBoxes",
    "LastBatch",
    "LoaderStats",
    "Mask",
    "OnBad",
    "PixelRule",
    "PointFormat",
    "Points",
    "Quarantine",
    "RankWarning",
    "Saliency",
    "SaliencyKind",
    "SpatialField",
    "TooManyBadSamplesError",
    "WarpedBoxes",
    "Window",
    "ZoomCollate",
    "ZoomLoader",
    "decode",
    "peek",
]
