"""The loader: encoded images out of shards, decoded by DALI, looked at, zoomed and collated."""

from foveal.pipeline._decode import DecodeError as DecodeError
from foveal.pipeline._decode import Decoder as Decoder
from foveal.pipeline._decode import decode as decode
from foveal.pipeline._loader import ZoomLoader as ZoomLoader
from foveal.pipeline._stats import LoaderStats as LoaderStats

__all__ = ["DecodeError", "Decoder", "LoaderStats", "ZoomLoader", "decode"]
