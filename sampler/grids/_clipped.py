"""A bound that acts where it is exceeded, on "kernel" grids: the map is cut off at the height at which it holds.

What lies lower than this height keeps its saliency, where a blend with the identity would take zoom from all of the image.
The height is found by halving and by Newton's steps, on the nodes alone. Its derivative follows from what it is defined by:
with a margin m(map, height) of zero, ``d height = - (dm / d map) d map / (dm / d height)``.
"""

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
# Of the height, for a difference in the place of its derivative.
_NUDGE = 1e-6
_LEAST = 1e-30


def clipped(weights: Map, settings: GridSettings) -> Map:
    """Return each map, cut off where its grid would pass the bounds, with a sum of one."""
    wide = weights.double()

    def margin(height: Height) -> Height:
        return _margin(torch.minimum(wide, height), settings)

    with torch.no_grad():
        highest = wide.amax(dim=(2, 3), keepdim=True)
        lowest = wide.amin(dim=(2, 3), keepdim=True).clamp(
            min=_LEAST
        )  # at which a map is even where it is not zero
        holds = margin(highest) >= 0
        found, above = _halved(margin, lowest, highest)
        for _ in range(_NEWTON):
            step = margin(found) / _slope(margin, found)
            found = torch.minimum(torch.maximum(found - step, lowest), above)
        slope = _slope(margin, found)
    now = margin(found)
    # Its value is what was found; it is there for the derivative.
    height = found - (now - now.detach()) / slope
    cut = torch.where(holds, wide, torch.minimum(wide, height))
    return (cut / cut.sum(dim=(2, 3), keepdim=True)).to(weights.dtype)


def _slope(margin: Callable[[Height], Height], height: Height) -> Height:
    """Return the margin's derivative by the height; minus infinity where it does not fall."""
    slope = (margin(height) - margin(height * (1 - _NUDGE))) / (height * _NUDGE)
    return torch.where(slope < 0, slope, -torch.inf)


def _halved(margin: Callable[[Height], Height], lowest: Height, highest: Height) -> tuple[Height, Height]:
    """Return a height at which the bounds hold, if there is one, and a higher one close by at which they do not."""
    low, high = lowest, highest
    for _ in range(_HALVINGS):
        middle = (low * high).sqrt()
        holds = margin(middle) >= 0
        low, high = torch.where(holds, middle, low), torch.where(holds, high, middle)
    return low, high


def _margin(weights: Map, settings: GridSettings) -> Height:
    """Return how far the nodes keep from both bounds, in uniform steps; negative where they pass one."""
    share = weights / weights.sum(dim=(2, 3), keepdim=True)
    nodes = kernel_nodes(share, *settings.attraction).permute(0, 2, 3, 1)
    least, most = singular_extremes(nodes)
    margins = []
    if settings.shortest_step is not None:
        margins.append(least - settings.shortest_step)
    if settings.longest_step is not None:
        margins.append(settings.longest_step - most)
    return torch.stack(margins).amin(dim=0).view(-1, 1, 1, 1)
