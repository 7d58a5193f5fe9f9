"""Decoding: the only folder that knows DALI."""

from foveal._choices import DecodeMode
from foveal.pipeline.decode._decode_error import DecodeError
from foveal.pipeline.decode._decode_mode import as_decode_mode
from foveal.pipeline.decode._decoder import (
    Decoder,
    Decoding,
    decode,
    default_num_threads,
    describe_decoder,
)
from foveal.pipeline.decode._encoded_image import EncodedImage
from foveal.pipeline.decode._peek import MAX_PIXELS, peek
from foveal.pipeline.decode._pillow import class_ids_with_pillow
from foveal.pipeline.decode._pixel_rule import Bands, Color, PixelRule, Window, parse_bands, parse_window
from foveal.pipeline.decode._scale import ByLibjpeg, by_libjpeg

__all__ = [
    "MAX_PIXELS",
    "Bands",
    "ByLibjpeg",
    "Color",
    "DecodeError",
    "DecodeMode",
    "Decoder",
    "Decoding",
    "EncodedImage",
    "PixelRule",
    "Window",
    "as_decode_mode",
    "by_libjpeg",
    "class_ids_with_pillow",
    "decode",
    "default_num_threads",
    "describe_decoder",
    "parse_bands",
    "parse_window",
    "peek",
]
