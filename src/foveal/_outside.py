"""Where a warning points."""

import sys


def outside() -> int:
    """Return the ``stacklevel`` of a warning of the caller that names the first line outside of Foveal."""
    level, frame = 1, sys._getframe(1)  # noqa: SLF001 - as warnings does
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("foveal."):
        level, frame = level + 1, frame.f_back
    return level
