"""The second decoder: libraries of the extra ``foveal[formats]``, and nvImageCodec, in separate processes.

It only imports NumPy and the standard library, because the helper process imports it without the packages above it.
"""

from foveal.pipeline.decoding.formats._helper import (
    FormatError,
    FormatRefusedError,
    close_helpers,
    decode_by_helper,
    describe_formats,
    missing,
    profile_by_helper,
    size_by_helper,
)
from foveal.pipeline.decoding.formats._samples import (
    Range,
    RefusedError,
    Samples,
    as_bands,
    white_of,
)

__all__ = [
    "FormatError",
    "FormatRefusedError",
    "Range",
    "RefusedError",
    "Samples",
    "as_bands",
    "close_helpers",
    "decode_by_helper",
    "describe_formats",
    "missing",
    "profile_by_helper",
    "size_by_helper",
    "white_of",
]
