"""Points along each axis in exact proportion to the saliency: the inverse of its cumulative distribution.

The map is read as a density that is linear between its nodes, which are evenly spaced from edge to edge, so a marginal is
the trapezoidal sum over the other axis. Between two nodes at distance h the cumulative distribution is the parabola
``F(x) = F0 + p0 x + (p1 - p0) x^2 / (2 h)``. The point at which it reaches t, in the form without cancellation, is

    x = 2 (t - F0) / (p0 + p),    p = sqrt(p0^2 + 2 (t - F0) (p1 - p0) / h),

where p is the density at x. A uniform map gives the identity; the whole image is always shown.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.frames import constant, pixel_centres
from foveal.sampler.grids._axes import Axes, along_axes, marginals
from foveal.sampler.grids._grid_settings import Marginal
from foveal.sampler.grids._piece_of import piece_of

# Added to a density of mean one. Points jump over a part where the map is zero; this makes the jump steep instead of a
# division by zero. It changes less than the precision of float32.
_FLOOR = 1e-9


def cdf_axes(
    weights: Float[Tensor, "batch 1 rows cols"], out_size: tuple[int, int], marginal: Marginal
) -> Axes:
    """Invert both marginals' cumulative distributions at the output's pixel centres; always computed in float64."""
    if marginal == "max":
        return along_axes(_axis, marginals(weights, "max"), out_size)
    wide = weights[:, 0].double()
    rows, cols = (_trapezoid(n, weights.device) for n in wide.shape[1:])
    return along_axes(_axis, (rows @ wide, wide @ cols), out_size)


def _axis(marginal: Float[Tensor, "batch nodes"], pixels: int) -> Float[Tensor, "batch pixels"]:
    """Return where the distribution on [-1, 1] with this density at its nodes reaches each pixel's share."""
    share = _trapezoid(marginal.shape[1], marginal.device)
    density = (marginal / (marginal @ share)[:, None] + _FLOOR) / (1 + _FLOOR)
    h = 1 / (density.shape[1] - 1)
    reached = ((density[:, :-1] + density[:, 1:]) * (h / 2)).cumsum(dim=1)
    wanted = ((pixel_centres(pixels) + 1) / 2).to(marginal.device).expand(marginal.shape[0], pixels)
    # The last sum is 1 up to rounding: values beyond it belong to the last piece, too.
    piece = piece_of(wanted, reached[:, :-1])
    before = torch.cat([torch.zeros_like(reached[:, :1]), reached[:, :-1]], dim=1).gather(1, piece)
    start, end = density[:, :-1].gather(1, piece), density[:, 1:].gather(1, piece)
    rest = wanted - before
    local = (start.square() + 2 * rest * (end - start) / h).clamp(min=(_FLOOR / 2) ** 2).sqrt()
    return 2 * (piece.double() * h + (2 * rest / (start + local)).clamp(0, h)) - 1


@constant
def _trapezoid(nodes: int, device: torch.device) -> Float[Tensor, " nodes"]:
    """The weights of values at evenly spaced nodes for an integral over [0, 1]."""
    weights = torch.ones(nodes, dtype=torch.float64)
    weights[0] = weights[-1] = 0.5
    return (weights / (nodes - 1)).to(device)
