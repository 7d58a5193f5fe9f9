"""The local bound of "separable" and "cdf" grids: along each axis, densities are clipped to the allowed range.

The density is the number of output pixels per length of the image. Between two neighbouring points it is one pixel over
their distance; between an edge and the first point, half a pixel over that distance. After clipping, the densities no longer
add up to all pixels, so one number is first added to every density, chosen so that the clipped densities do add up. If only
magnification is bounded, this number is positive: places below the bound lose no magnification. The new points are read off
the inverse of the cumulative density. Zheng et al. 2019 (TASN, equation 6) approximate this in five rounds.
"""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.frames import constant
from foveal.sampler.grids._axes import Axes, along_axes
from foveal.sampler.grids._grid_settings import GridSettings
from foveal.sampler.grids._piece_of import piece_of

_HALVINGS = 70
# The largest density, as a multiple of the uniform one: points at the same place would have an infinite density.
_MOST = 1e6


def capped_axes(axes: Axes, settings: GridSettings) -> Axes:
    """Return the positions along each axis, moved so that they are within the bounds; in float64."""
    x, y = axes
    return along_axes(partial(_axis, settings), axes, (y.shape[1], x.shape[1]))


def _axis(
    settings: GridSettings, points: Float[Tensor, "lines pixels"], pixels: int
) -> Float[Tensor, "lines pixels"]:
    """Move the points so that all densities are within the bounds; densities are multiples of the uniform one."""
    least, most = settings.densities
    most = min(most, _MOST)
    edge = torch.ones_like(points[:, :1])
    knots = torch.cat([-edge, points, edge], dim=1) / 2
    ways = knots.diff(dim=1)
    reached = _reached(pixels, points.device)
    # Points at the same place have the largest density. Their distance is zero, so they add nothing to any sum.
    density = (reached.diff() / ways.clamp(min=1 / _MOST)).clamp(max=_MOST)
    # ``most`` applies to intervals between two points only, not to those at the edges.
    passes = (density < least).any(dim=1, keepdim=True) | (density[:, 1:-1] > most).any(dim=1, keepdim=True)
    moved = _inverse(knots, _spread(density, ways, least, most), reached[1:-1])
    return torch.where(passes, 2 * moved, points)


def _spread(
    density: Float[Tensor, "batch ways"], ways: Float[Tensor, "batch ways"], least: float, most: float
) -> Float[Tensor, "batch ways"]:
    """Return ``(density + number).clamp(least, most)`` for the number with which its integral is one."""
    with torch.no_grad():
        low, high = torch.full_like(ways[:, :1], -most), torch.full_like(ways[:, :1], most)
        low = low - density.amax(dim=1, keepdim=True)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            over = ((density + middle).clamp(least, most) * ways).sum(dim=1, keepdim=True) > 1
            low, high = torch.where(over, low, middle), torch.where(over, middle, high)
        found = density + high
        below, above = found <= least, found >= most
    cut = below.to(ways.dtype) * least + above.to(ways.dtype) * most
    free = ~(below | above)
    # What the clipped densities leave to the others; if all are clipped, the number is not used.
    left = 1 - (cut * ways).sum(dim=1, keepdim=True) - (density * ways * free).sum(dim=1, keepdim=True)
    length = (ways * free).sum(dim=1, keepdim=True)
    number = left / torch.where(length > 0, length, 1.0)
    return torch.where(free, density + number, cut).clamp(least, most)


def _inverse(
    knots: Float[Tensor, "batch knots"],
    density: Float[Tensor, "batch ways"],
    wanted: Float[Tensor, " points"],
) -> Float[Tensor, "batch points"]:
    """Return the positions at which the integral of a density reaches the wanted values; the density is constant between knots."""
    reached = (density * knots.diff(dim=1)).cumsum(dim=1)
    at = wanted.expand(knots.shape[0], -1)
    piece = piece_of(at, reached[:, :-1])
    before = torch.cat([torch.zeros_like(reached[:, :1]), reached], dim=1).gather(1, piece)
    return knots.gather(1, piece) + (at - before) / density.gather(1, piece)


@constant
def _reached(pixels: int, device: torch.device) -> Float[Tensor, " pixels_2"]:
    """Return 0, the centres of the output's pixels, and 1: positions in the output as shares of its length."""
    inner = (torch.arange(pixels, dtype=torch.float64) + 0.5) / pixels
    return torch.cat([torch.zeros(1).double(), inner, torch.ones(1).double()]).to(device)
