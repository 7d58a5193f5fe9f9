"""How far a grid may magnify and how far it may shrink: a blend with the identity by the least that it takes.

Of a grid g and the identity, ``r g + (1 - r) id`` has the Jacobian ``r J + (1 - r) I``. The extreme place alone decides r,
so the bound holds exactly, and the same rule serves every family of grids.

Along the axes that is simple: a step of d uniform steps becomes ``r d + 1 - r``. A ridge of saliency that runs diagonally is
magnified across it, though, which only the singular values of the Jacobian tell (:func:`most_kept`). Grids that are drawn
along each axis alone have a diagonal Jacobian, for which the axes say all.
"""

import functools

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.frames import pixel_centres
from foveal.sampler.grids._axes import Axes
from foveal.sampler.grids._grid_settings import GridSettings
from foveal.sampler.grids._jacobian import most_kept, telling
from foveal.sampler.grids._kept import Bounds
from foveal.sampler.grids._kernel_grid import read_nodes

Lines = tuple[Float[Tensor, "batch _rows width"], Float[Tensor, "batch _cols height"]]
"""x along rows, and y along columns."""


def bounded(
    nodes: Float[Tensor, "batch 2 rows cols"], out_size: tuple[int, int], settings: GridSettings
) -> Float[Tensor, "batch 2 rows cols"]:
    """Blend the nodes of "kernel" grids with the identity's until the grids that are read from them pass no bound.

    The larger of the shares that the two bounds take holds both. A grid that is read from blended nodes is the blend of grids.
    """
    if not settings.is_bounded:
        return nodes
    rows, cols = nodes.shape[2:]
    if min(out_size) < 2:  # no cell of four points
        grid = read_nodes(nodes, out_size)
        share = _share_of((grid[..., 0], grid[..., 1].mT), settings)
    else:
        share = _share_of_cells(nodes, out_size, settings)
    y, x = (torch.linspace(-1, 1, n, dtype=nodes.dtype, device=nodes.device) for n in (rows, cols))
    even = torch.stack([x.expand(rows, cols), y[:, None].expand(rows, cols)])
    return torch.lerp(nodes, even, share[:, None, None, None])


def _share_of_cells(
    nodes: Float[Tensor, "batch 2 rows cols"], out_size: tuple[int, int], settings: GridSettings
) -> Float[Tensor, " batch"]:
    pixels, cells = telling((nodes.shape[2], nodes.shape[3]), out_size, nodes.device)
    points = read_nodes(nodes, out_size, pixels)
    bounds = Bounds(settings.shortest_step, settings.longest_step, singular=settings.bound != "axes")
    share = 1 - most_kept(points, cells, out_size, bounds)
    if settings.longest_step is None:
        return share
    gap = _longest_gap((points[..., 0], points[..., 1].mT), (out_size[1], out_size[0]))
    return torch.maximum(share, _share(gap - 1, settings.longest_step - 1))


def bounded_axes(axes: Axes, settings: GridSettings) -> Axes:
    """Do the same for grids that are drawn along each axis alone, whose Jacobian is diagonal."""
    if not settings.is_bounded:
        return axes
    x, y = axes
    share = _share_of((x[:, None], y[:, None]), settings)[:, None]
    even = (pixel_centres(line.shape[1]).to(line) for line in axes)
    return torch.lerp(x, next(even), share), torch.lerp(y, next(even), share)


def _share_of(lines: Lines, settings: GridSettings) -> Float[Tensor, " batch"]:
    """Return the share of the identity with which the steps along the lines, of x and of y, keep within the bounds."""
    share = lines[0].new_zeros(lines[0].shape[0])
    if settings.shortest_step is not None:
        share = torch.maximum(share, _share(1 - _shortest_step(lines), 1 - settings.shortest_step))
    if settings.longest_step is not None:
        share = torch.maximum(share, _share(_longest_step(lines) - 1, settings.longest_step - 1))
    return share


def _share(excess: Float[Tensor, " batch"], allowed: float) -> Float[Tensor, " batch"]:
    """The least a in [0, 1] for which ``(1 - a) * excess <= allowed``."""
    # The guard is for steps that are all uniform, where nothing is wanted.
    least = torch.finfo(excess.dtype).eps
    share: Tensor = ((excess - allowed).clamp(min=0) / excess.clamp(min=least)).clamp(max=1)
    return share


def _shortest_step(lines: Lines) -> Float[Tensor, " batch"]:
    """The shortest step in x between columns or in y between rows, in uniform steps; never above one."""
    steps = [line.diff(dim=2).amin(dim=(1, 2)) * (line.shape[2] / 2) for line in lines if line.shape[2] > 1]
    return functools.reduce(torch.minimum, steps, lines[0].new_ones(lines[0].shape[0]))


def _longest_step(lines: Lines) -> Float[Tensor, " batch"]:
    """The longest step likewise, never below one, or way from an edge of the image to the first point, in halves of them."""
    steps = [line.diff(dim=2).amax(dim=(1, 2)) * (line.shape[2] / 2) for line in lines if line.shape[2] > 1]
    return functools.reduce(torch.maximum, steps, _longest_gap(lines, (lines[0].shape[2], lines[1].shape[2])))


def _longest_gap(lines: Lines, pixels: tuple[int, int]) -> Float[Tensor, " batch"]:
    """The longest way from an edge of the image to the first point, never below one; half a uniform step counts as one."""
    gaps = [
        gap.amax(dim=1) * count
        for line, count in zip(lines, pixels, strict=True)
        for gap in (1 + line[:, :, 0], 1 - line[:, :, -1])
    ]
    return functools.reduce(torch.maximum, gaps, lines[0].new_ones(lines[0].shape[0]))
