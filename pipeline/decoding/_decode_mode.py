"""The two ways to decode: DALI for every file, or the fastest decoder for each file and device."""

import warnings
from typing import cast, get_args

from foveal._choices import DecodeMode


def as_decode_mode(decode: str) -> DecodeMode:
    """Check the argument ``decode`` of a loader.

    Raises:
        ValueError: It is no decode mode.

    Warns:
        DeprecationWarning: It is ``"full"``, the old name of ``"dali"``.
    """
    if decode == "full":
        warnings.warn(
            'decode="full" is now called "dali"; the old name will be removed in the next release.',
            DeprecationWarning,
            stacklevel=3,
        )
        return "dali"
    if decode not in get_args(DecodeMode):
        raise ValueError(f"decode must be 'dali' or 'auto', got {decode!r}.")
    return cast("DecodeMode", decode)
