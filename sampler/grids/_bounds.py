"""How far a grid may magnify and how far it may shrink: a blend with the identity by the least that it takes.

Of a grid g and the identity, ``r g + (1 - r) id`` has the Jacobian ``r J + (1 - r) I``. The extreme place alone decides r,
so the bound holds exactly, and the same rule serves every family of grids.

Along the axes that is simple: a step of d uniform steps becomes ``r d + 1 - r``. A ridge of saliency that runs diagonally is
magnified across it, though, which only the singular values of the Jacobian tell (:func:`most_kept`). Grids that are drawn
along each axis alone have a diagonal Jacobian, for which the axes say all.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.frames import identity_grid
from foveal.sampler.grids._grid_settings import GridSettings
from foveal.sampler.grids._jacobian import most_kept


def bounded(
    grid: Float[Tensor, "batch height width 2"], nodes: tuple[int, int], settings: GridSettings
) -> Float[Tensor, "batch height width 2"]:
    """Blend each grid, read from a lattice of so many nodes, with the identity until nothing passes the bounds.

    The larger of the shares that the two bounds take holds both.
    """
    shortest, longest = settings.shortest_step, settings.longest_step
    if shortest is None and longest is None:
        return grid
    share = grid.new_zeros(grid.shape[0])
    if shortest is not None:
        share = torch.maximum(share, _share(1 - _shortest_step(grid), 1 - shortest))
    if longest is not None:
        share = torch.maximum(share, _share(_longest_step(grid) - 1, longest - 1))
    if settings.family == "kernel" and settings.bound != "axes":
        share = torch.maximum(share, 1 - most_kept(grid, nodes, shortest=shortest, longest=longest))
    identity = identity_grid((grid.shape[1], grid.shape[2]), grid.dtype, grid.device)
    return torch.lerp(grid, identity, share[:, None, None, None])


def _share(excess: Float[Tensor, " batch"], allowed: float) -> Float[Tensor, " batch"]:
    """The least a in [0, 1] for which ``(1 - a) * excess <= allowed``."""
    # The guard is for steps that are all uniform, where nothing is wanted.
    least = torch.finfo(excess.dtype).eps
    share: Tensor = ((excess - allowed).clamp(min=0) / excess.clamp(min=least)).clamp(max=1)
    return share


def _shortest_step(grid: Float[Tensor, "batch height width 2"]) -> Float[Tensor, " batch"]:
    """The shortest step in x between columns or in y between rows, in uniform steps; never above one."""
    _, height, width, _ = grid.shape
    shortest = grid.new_ones(grid.shape[0])
    if width > 1:
        shortest = torch.minimum(shortest, grid[..., 0].diff(dim=2).amin(dim=(1, 2)) * (width / 2))
    if height > 1:
        shortest = torch.minimum(shortest, grid[..., 1].diff(dim=1).amin(dim=(1, 2)) * (height / 2))
    return shortest


def _longest_step(grid: Float[Tensor, "batch height width 2"]) -> Float[Tensor, " batch"]:
    """The longest step likewise, never below one; from the image's edge to the first point is half a uniform step."""
    _, height, width, _ = grid.shape
    x, y = grid.unbind(dim=-1)
    longest = grid.new_ones(grid.shape[0])
    for gap in (1 + x[:, :, 0], 1 - x[:, :, -1]):
        longest = torch.maximum(longest, gap.amax(dim=1) * width)
    for gap in (1 + y[:, 0], 1 - y[:, -1]):
        longest = torch.maximum(longest, gap.amax(dim=1) * height)
    if width > 1:
        longest = torch.maximum(longest, x.diff(dim=2).amax(dim=(1, 2)) * (width / 2))
    if height > 1:
        longest = torch.maximum(longest, y.diff(dim=1).amax(dim=(1, 2)) * (height / 2))
    return longest
