"""The size of a source beyond which a larger one shows no more."""

import math

PX_PER_PX = 2
"""Source pixels along each side of an output pixel's footprint from which on the output hardly changes.

A copy with one pixel for each output pixel would hold all frequencies that the output can show, but averaging it again
between its pixels would cost up to two thirds of the contrast of the highest. A copy with two keeps nine tenths and more.
"""


def source_px_for(
    out_size: tuple[int, int], magnified: float | None, *, antialias: bool
) -> tuple[int, int] | None:
    """Return the height and width in pixels beyond which a larger source (or view of it) shows no more.

    Args:
        out_size: Height and width of the output in pixels.
        magnified: The largest local magnification of the output; None for no bound.
        antialias: Whether output pixels are means over footprints. Without it there is no bound, because a point may fall
            on any pixel of the source.
    """
    if magnified is None or not antialias:
        return None
    height, width = (math.ceil(PX_PER_PX * magnified * side) for side in out_size)
    return height, width
