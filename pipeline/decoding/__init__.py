"""Decoding: the only folder that knows DALI."""

from foveal._choices import Color, DecodeMode
from foveal.pipeline.decoding._copy_frame import frame_of, trimmed
from foveal.pipeline.decoding._decode_error import Avoidable, DecodeError, DecodeFault, NeedsWindowError
from foveal.pipeline.decoding._decode_mode import as_decode_mode
from foveal.pipeline.decoding._encoded_image import EncodedImage
from foveal.pipeline.decoding._label_image import LabelImage, label_image
from foveal.pipeline.decoding._opened import encoded_of, levels_of_array, levels_of_picture
from foveal.pipeline.decoding._peek import MAX_PIXELS, peek
from foveal.pipeline.decoding._pixel_rule import (
    PLAIN,
    Bands,
    Bits,
    PixelRule,
    Window,
    parse_bands,
    parse_window,
)
from foveal.pipeline.decoding._scale import ByLibjpeg, by_libjpeg
from foveal.pipeline.decoding.decoders import (
    Decoder,
    Decoding,
    decode,
    default_num_threads,
    describe_decoder,
)
from foveal.pipeline.decoding.formats import describe_formats

__all__ = [
    "MAX_PIXELS",
    "PLAIN",
    "Avoidable",
    "Bands",
    "Bits",
    "ByLibjpeg",
    "Color",
    "DecodeError",
    "DecodeFault",
    "DecodeMode",
    "Decoder",
    "Decoding",
    "EncodedImage",
    "LabelImage",
    "NeedsWindowError",
    "PixelRule",
    "Window",
    "as_decode_mode",
    "by_libjpeg",
    "decode",
    "default_num_threads",
    "describe_decoder",
    "describe_formats",
    "encoded_of",
    "frame_of",
    "label_image",
    "levels_of_array",
    "levels_of_picture",
    "parse_bands",
    "parse_window",
    "peek",
    "trimmed",
]
