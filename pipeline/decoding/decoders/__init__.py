"""The decoders: images to full-resolution pixels, a batch at a time."""

from foveal.pipeline.decoding.decoders._decode import decode
from foveal.pipeline.decoding.decoders._decoder import Decoder, describe_decoder
from foveal.pipeline.decoding.decoders._decoding import Decoding
from foveal.pipeline.decoding.decoders._default_num_threads import default_num_threads

__all__ = ["Decoder", "Decoding", "decode", "default_num_threads", "describe_decoder"]
