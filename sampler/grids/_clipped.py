"""The local bound of "kernel" grids: the saliency map is clipped at the height at which the grid is within the bounds.

Saliency below this height is unchanged, whereas a blend with the identity would reduce the zoom everywhere. The height is
found by bisection and Newton's method; only the nodes of the grid are computed for it. It has a derivative by the implicit
function theorem: the margin m(map, height) is zero, so ``d height = - (dm / d map) d map / (dm / d height)``. A map that no
height brings within the bounds, such as one cell over zeros, is left as it is, for the blend.
"""

import functools
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.grids._grid_settings import GridSettings
from foveal.sampler.grids._jacobian import singular_extremes
from foveal.sampler.grids._kernel_grid import kernel_nodes

Map = Float[Tensor, "batch 1 rows cols"]
Height = Float[Tensor, "batch 1 1 1"]

_HALVINGS = 14
_NEWTON = 3
# The step of the finite difference, as a share of the height.
_NUDGE = 1e-6
_LEAST = 1e-30


def clipped(weights: Map, settings: GridSettings) -> Map:
    """Return each map, clipped so that its grid is within the bounds if that is possible, and scaled to a sum of one."""
    wide = weights.double()
    with torch.no_grad():
        # no_grad() alone would leave the tangents of forward-mode differentiation.
        margin = functools.partial(_margin, wide.detach(), settings)
        highest = wide.detach().amax(dim=(2, 3), keepdim=True)
        # Clipped at its minimum, a map is uniform, except where it is zero.
        lowest = wide.detach().amin(dim=(2, 3), keepdim=True).clamp(min=_LEAST)
        # Where no height holds, as with a few cells over zeros, the map is left to the blend: cut at the least height, it
        # would have derivatives beyond float32.
        clips = (margin(highest) < 0) & (margin(lowest) >= 0)
        found, above = _halved(margin, lowest, highest)
        for _ in range(_NEWTON):
            step = margin(found) / _slope(margin, found)
            found = torch.minimum(torch.maximum(found - step, lowest), above)
        slope = _slope(margin, found)
    now = _margin(wide, settings, found)
    # This adds zero to the value; it gives the height its derivative.
    height = found - (now - now.detach()) / slope
    cut = torch.where(clips, torch.minimum(wide, height), wide)
    return (cut / cut.sum(dim=(2, 3), keepdim=True)).to(weights.dtype)


def _slope(margin: Callable[[Height], Height], height: Height) -> Height:
    """Return the derivative of the margin by the height; minus infinity if it is not negative, so that Newton's step is zero."""
    slope = (margin(height) - margin(height * (1 - _NUDGE))) / (height * _NUDGE)
    return torch.where(slope < 0, slope, -torch.inf)


def _halved(margin: Callable[[Height], Height], lowest: Height, highest: Height) -> tuple[Height, Height]:
    """Return two heights close to each other: at the lower one the bounds hold, if they do at any, and at the higher one not."""
    low, high = lowest, highest
    for _ in range(_HALVINGS):
        middle = (low * high).sqrt()
        holds = margin(middle) >= 0
        low, high = torch.where(holds, middle, low), torch.where(holds, high, middle)
    return low, high


def _margin(weights: Map, settings: GridSettings, height: Height) -> Height:
    """Return how far the nodes' extreme steps are from the nearest bound, in uniform steps, for maps clipped at a height; negative if it is exceeded."""
    cut = torch.minimum(weights, height)
    share = cut / cut.sum(dim=(2, 3), keepdim=True)
    nodes = kernel_nodes(share, *settings.attraction).permute(0, 2, 3, 1)
    least, most = singular_extremes(nodes)
    margins = []
    if settings.shortest_step is not None:
        margins.append(least - settings.shortest_step)
    if settings.longest_step is not None:
        margins.append(settings.longest_step - most)
    return torch.stack(margins).amin(dim=0).view(-1, 1, 1, 1)
