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

from foveal.sampler.frames import identity_grid, pixel_centres
from foveal.sampler.grids._axes import Axes
from foveal.sampler.grids._grid_settings import GridSettings
from foveal.sampler.grids._jacobian import most_kept

Lines = tuple[Float[Tensor, "batch _rows width"], Float[Tensor, "batch _cols height"]]
"""x along rows, and y along columns."""


def bounded(
    grid: Float[Tensor, "batch height width 2"], nodes: tuple[int, int], settings: GridSettings
) -> Float[Tensor, "batch height width 2"]:
    """Blend each grid, read from a lattice of so many nodes, with the identity until nothing passes the bounds.

    The larger of the shares that the two bounds take holds both.
    """
    if not settings.is_bounded:
        return grid
    shortest, longest = settings.shortest_step, settings.longest_step
    share = _share_of((grid[..., 0], grid[..., 1].mT), settings)
    if settings.bound != "axes":
        share = torch.maximum(share, 1 - most_kept(grid, nodes, shortest=shortest, longest=longest))
    identity = identity_grid((grid.shape[1], grid.shape[2]), grid.dtype, grid.device)
    return torch.lerp(grid, identity, share[:, None, None, None])


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
    """The longest step likewise, never below one; from the image's edge to the first point is half a uniform step."""
    steps = []
    for line in lines:
        count = line.shape[2]
        steps += [gap.amax(dim=1) * count for gap in (1 + line[:, :, 0], 1 - line[:, :, -1])]
        if count > 1:
            steps.append(line.diff(dim=2).amax(dim=(1, 2)) * (count / 2))
    return functools.reduce(torch.maximum, steps, lines[0].new_ones(lines[0].shape[0]))
