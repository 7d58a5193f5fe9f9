"""Points through the zoom, in both directions."""

import math
from collections.abc import Sequence

from jaxtyping import Bool, Float, Real
from torch import Tensor

from foveal.sampler.frames import (
    SourceSize,
    Views,
    as_given,
    into_views,
    out_of_views,
    padded,
    widths_and_heights,
)
from foveal.sampler.labels._inverse_map import to_output
from foveal.sampler.labels._warp_map import to_source, warp_nodes


def warp_points(
    points: Sequence[Real[Tensor, "_count 2"]],
    grid: Float[Tensor, "batch height width 2"],
    source_size: SourceSize,
    *,
    views: Views | None = None,
) -> list[Float[Tensor, "_count 2"]]:
    """Return where points of the source images lie in the zoomed images.

    Args:
        points: For each image its own (n, 2) tensor of (x, y) in pixels of the source, (0, 0) being the upper left
            corner of the image and (0.5, 0.5) the centre of its first pixel. n may be zero.
        grid: The grid that the images were sampled with.
        source_size: (height, width) of the source images in pixels: one for all, or one for each.
        views: Those that the images were sampled with, if any: (batch, 2, 3), as :func:`compose` has them.

    Returns:
        For each image (n, 2), (x, y) in pixels of the zoomed image, in the same convention. A point that it does not show
        lies outside of [0, width] x [0, height]; both numbers of a point are NaN if one of the source's is not finite.
        float64 if the points are, else float32; on the points' device. No gradient.

    Raises:
        ValueError: Grid, points or sizes have another shape or do not go together; or the grid is not finite, or folds
            or turns over.
        TypeError: The grid, or the points of an image, are no tensor.

    Example:
        >>> grid = zoom_grid(torch.ones(1, 1, 31, 31), (200, 100))
        >>> warp_points([torch.tensor([[300.0, 30.0]])], grid, (400, 600))
        [tensor([[50.0000, 15.0000]])]
    """
    nodes, size = warp_nodes(grid, views), widths_and_heights(source_size, grid)
    given, absent = _without_absent(padded(points, grid, columns=2, name="points"))
    x, y = into_views(2 * given / size - 1, views).unbind(dim=-1)
    return as_given(to_output(nodes, x, y[..., None])[:, :, 0].masked_fill(absent, math.nan), points)


def unwarp_points(
    points: Sequence[Real[Tensor, "_count 2"]],
    grid: Float[Tensor, "batch height width 2"],
    source_size: SourceSize,
    *,
    views: Views | None = None,
) -> list[Float[Tensor, "_count 2"]]:
    """Return where points of the zoomed images lie in the source images: the inverse of :func:`warp_points`.

    Arguments and errors are the same with the frames exchanged, and gradients flow into the points.
    """
    nodes, size = warp_nodes(grid, views), widths_and_heights(source_size, grid)
    given, absent = _without_absent(padded(points, grid, columns=2, name="points"))
    found = (out_of_views(to_source(nodes, given), views) + 1) / 2 * size
    return as_given(found.masked_fill(absent, math.nan), points)


def _without_absent(
    points: Float[Tensor, "batch count 2"],
) -> tuple[Float[Tensor, "batch count 2"], Bool[Tensor, "batch count 1"]]:
    """Return the points with zeros for those with a coordinate that is not finite, and which these are."""
    absent = ~points.isfinite().all(dim=-1, keepdim=True)
    return points.masked_fill(absent, 0.0), absent
