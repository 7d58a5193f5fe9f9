"""Beyond which size a source shows no more."""

import math

PX_PER_PX = 2
"""Source pixels along each side of what an output pixel averages, from which on it hardly changes.

A copy of just one pixel to an output pixel would hold each frequency that the output can show, yet averaging it again,
between its pixels, would cost up to two thirds of the contrast of the finest; a copy of two keeps nine tenths and more.
"""


def source_px_for(
    out_size: tuple[int, int], magnified: float | None, *, antialias: bool
) -> tuple[int, int] | None:
    """Return the height and width in pixels beyond which a larger source (or view of it) shows no more.

    Args:
        out_size: Height and width of the output in pixels.
        magnified: How many times at most the output magnifies any place; None for no bound.
        antialias: Whether output pixels are means; a point may fall on any pixel of the source, so points have no bound.
    """
    if magnified is None or not antialias:
        return None
    height, width = (math.ceil(PX_PER_PX * magnified * side) for side in out_size)
    return height, width
