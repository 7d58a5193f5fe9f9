"""A bound that acts where it is exceeded: densities that are too high or too low are cut, the rest spread evenly.

On grids that are drawn along each axis alone (Zheng et al. 2019, TASN, equation 6, whose five rounds come close to this). Along
an axis the output has a density over the image: between two neighbouring points, one pixel on the way between them; from
an edge to the first point, half a pixel. To all densities one number is added, and they are cut to what is allowed, the
number being the one at which they make up all pixels again. What is magnified less than the bound keeps at least its
magnification where magnification is bounded: the number is positive. Points are then the inverse of the cumulative density.
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
# In uniform densities, so that ways of no length have one.
_MOST = 1e6


def capped_axes(axes: Axes, settings: GridSettings) -> Axes:
    """Return the axes, in float64, with the bounds held along each."""
    x, y = axes
    return along_axes(partial(_axis, settings), axes, (y.shape[1], x.shape[1]))


def _axis(
    settings: GridSettings, points: Float[Tensor, "lines pixels"], pixels: int
) -> Float[Tensor, "lines pixels"]:
    """Move the points so that all densities are within the bounds, in uniform densities."""
    least, most = settings.densities
    most = min(most, _MOST)
    edge = torch.ones_like(points[:, :1])
    knots = torch.cat([-edge, points, edge], dim=1) / 2
    ways = knots.diff(dim=1)
    reached = _reached(pixels, points.device)
    # What has no length is as dense as can be, and has no part in any sum.
    density = (reached.diff() / ways.clamp(min=1 / _MOST)).clamp(max=_MOST)
    # Between an edge and the first point nothing is magnified that is between two points.
    passes = (density < least).any(dim=1, keepdim=True) | (density[:, 1:-1] > most).any(dim=1, keepdim=True)
    moved = _inverse(knots, _spread(density, ways, least, most), reached[1:-1])
    return torch.where(passes, 2 * moved, points)


def _spread(
    density: Float[Tensor, "batch ways"], ways: Float[Tensor, "batch ways"], least: float, most: float
) -> Float[Tensor, "batch ways"]:
    """Return the densities plus one number, cut to [least, most], that number being such that their integral is one."""
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
    # What the cut ones leave to the others; if there are none, every density is as it must be.
    left = 1 - (cut * ways).sum(dim=1, keepdim=True) - (density * ways * free).sum(dim=1, keepdim=True)
    length = (ways * free).sum(dim=1, keepdim=True)
    number = left / torch.where(length > 0, length, 1.0)
    return torch.where(free, density + number, cut).clamp(least, most)


def _inverse(
    knots: Float[Tensor, "batch knots"],
    density: Float[Tensor, "batch ways"],
    wanted: Float[Tensor, " points"],
) -> Float[Tensor, "batch points"]:
    """Return where the integral of a density that is constant between knots reaches what is wanted."""
    reached = (density * knots.diff(dim=1)).cumsum(dim=1)
    at = wanted.expand(knots.shape[0], -1)
    piece = piece_of(at, reached[:, :-1])
    before = torch.cat([torch.zeros_like(reached[:, :1]), reached], dim=1).gather(1, piece)
    return knots.gather(1, piece) + (at - before) / density.gather(1, piece)


@constant
def _reached(pixels: int, device: torch.device) -> Float[Tensor, " pixels_2"]:
    """Return the share of the output before its edges and the centres of its pixels."""
    inner = (torch.arange(pixels, dtype=torch.float64) + 0.5) / pixels
    return torch.cat([torch.zeros(1).double(), inner, torch.ones(1).double()]).to(device)
