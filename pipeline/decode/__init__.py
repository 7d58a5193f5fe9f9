"""Decoding: the only folder that knows DALI."""

from foveal._choices import DecodeMode
from foveal.pipeline.decode._decode_error import DecodeError
from foveal.pipeline.decode._decoder import (
    Decoder,
    Decoding,
    decode,
    default_num_threads,
    describe_decoder,
)
from foveal.pipeline.decode._peek import MAX_PIXELS, EncodedImage, peek
from foveal.pipeline.decode._pillow import class_ids_with_pillow
from foveal.pipeline.decode._scale import ByLibjpeg

__all__ = [
    "MAX_PIXELS",
    "ByLibjpeg",
    "DecodeError",
    "DecodeMode",
    "Decoder",
    "Decoding",
    "EncodedImage",
    "class_ids_with_pillow",
    "decode",
    "default_num_threads",
    "describe_decoder",
    "peek",
]
