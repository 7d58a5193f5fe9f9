"""Holds the bounds on magnification and shrinking by blending the whole grid with the identity grid, as little as is necessary.

The blend ``r g + (1 - r) id`` of a grid g and the identity has the Jacobian ``r J + (1 - r) I``. The share r is the largest
with which the most extreme place is within the bounds; all other places then are, too. This works for every family of grids.

Along the axes, the blend turns a step of d uniform steps into ``r d + 1 - r``. Steps along the axes are not enough for
"kernel" grids: a diagonal ridge of saliency is magnified across the ridge, and only the singular values of the Jacobian show
this (:func:`most_kept`). "separable" and "cdf" grids have a diagonal Jacobian, so for them steps along the axes are enough.
"""

import functools

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.frames import constant, pixel_centres
from foveal.sampler.grids._axes import Axes
from foveal.sampler.grids._grid_settings import GridSettings
from foveal.sampler.grids._jacobian import most_kept, places_to_examine
from foveal.sampler.grids._kept import Bounds
from foveal.sampler.grids._kernel_grid import between_nodes, read_nodes

Lines = tuple[Float[Tensor, "batch _rows width"], Float[Tensor, "batch _cols height"]]
"""x along rows, and y along columns."""


def bounded(
    nodes: Float[Tensor, "batch 2 rows cols"], out_size: tuple[int, int], settings: GridSettings
) -> Float[Tensor, "batch 2 rows cols"]:
    """Blend the nodes of "kernel" grids with those of the identity, so that the grids interpolated from them are within the bounds.

    Each bound needs a share of the identity, and the larger of the two shares holds both bounds. Interpolation is linear, so
    blending the nodes blends the grids.
    """
    if not settings.is_bounded:
        return nodes
    rows, cols = nodes.shape[2:]
    if min(out_size) < 2:  # there is no cell of four points
        grid = read_nodes(nodes, out_size)
        share = _share_of((grid[..., 0], grid[..., 1].mT), settings)
    else:
        share = _share_of_cells(nodes, out_size, settings)
    even = _even_nodes(rows, cols, nodes.dtype, nodes.device)
    return torch.lerp(nodes, even, share[:, None, None, None])


@constant
def _even_nodes(
    rows: int, cols: int, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "2 rows cols"]:
    y, x = (torch.linspace(-1, 1, n, dtype=dtype, device=device) for n in (rows, cols))
    return torch.stack([x.expand(rows, cols), y[:, None].expand(rows, cols)])


def _share_of_cells(
    nodes: Float[Tensor, "batch 2 rows cols"], out_size: tuple[int, int], settings: GridSettings
) -> Float[Tensor, " batch"]:
    size = nodes.shape[2], nodes.shape[3]
    weights, cells = places_to_examine(size, out_size, nodes.dtype, nodes.device)
    points = between_nodes(nodes, *weights)
    bounds = Bounds(settings.shortest_step, settings.longest_step, singular=settings.bound != "axes")
    share = 1 - most_kept(points, cells, out_size, bounds)
    if settings.longest_step is None:
        return share
    gap = _longest_gap((points[..., 0], points[..., 1].mT), (out_size[1], out_size[0]))
    return torch.maximum(share, _share(gap - 1, settings.longest_step - 1))


def bounded_axes(axes: Axes, settings: GridSettings) -> Axes:
    """Blend "separable" and "cdf" grids, whose Jacobian is diagonal, likewise."""
    if not settings.is_bounded:
        return axes
    x, y = axes
    share = _share_of((x[:, None], y[:, None]), settings)[:, None]
    even = (pixel_centres(line.shape[1]).to(line) for line in axes)
    return torch.lerp(x, next(even), share), torch.lerp(y, next(even), share)


def _share_of(lines: Lines, settings: GridSettings) -> Float[Tensor, " batch"]:
    """Return the least share of the identity with which all steps along the lines are within the bounds."""
    share = lines[0].new_zeros(lines[0].shape[0])
    if settings.shortest_step is not None:
        share = torch.maximum(share, _share(1 - _shortest_step(lines), 1 - settings.shortest_step))
    if settings.longest_step is not None:
        share = torch.maximum(share, _share(_longest_step(lines) - 1, settings.longest_step - 1))
    return share


def _share(excess: Float[Tensor, " batch"], allowed: float) -> Float[Tensor, " batch"]:
    """Return the least a in [0, 1] for which ``(1 - a) * excess <= allowed``."""
    # If all steps are uniform, the excess is zero; this avoids 0 / 0.
    least = torch.finfo(excess.dtype).eps
    share: Tensor = ((excess - allowed).clamp(min=0) / excess.clamp(min=least)).clamp(max=1)
    return share


def _shortest_step(lines: Lines) -> Float[Tensor, " batch"]:
    """Return the shortest step in x between columns or in y between rows, in uniform steps; at most one."""
    steps = [line.diff(dim=2).amin(dim=(1, 2)) * (line.shape[2] / 2) for line in lines if line.shape[2] > 1]
    return functools.reduce(torch.minimum, steps, lines[0].new_ones(lines[0].shape[0]))


def _longest_step(lines: Lines) -> Float[Tensor, " batch"]:
    """Return the longest step in uniform steps, or the longest gap at an edge in halves of them if that is more; at least one."""
    steps = [line.diff(dim=2).amax(dim=(1, 2)) * (line.shape[2] / 2) for line in lines if line.shape[2] > 1]
    return functools.reduce(torch.maximum, steps, _longest_gap(lines, (lines[0].shape[2], lines[1].shape[2])))


def _longest_gap(lines: Lines, pixels: tuple[int, int]) -> Float[Tensor, " batch"]:
    """Return the longest distance from an edge of the image to the point next to it, in halves of a uniform step; at least one.

    In a uniform grid, the first point is half a step away from the edge.
    """
    gaps = [
        gap.amax(dim=1) * count
        for line, count in zip(lines, pixels, strict=True)
        for gap in (1 + line[:, :, 0], 1 - line[:, :, -1])
    ]
    return functools.reduce(torch.maximum, gaps, lines[0].new_ones(lines[0].shape[0]))
