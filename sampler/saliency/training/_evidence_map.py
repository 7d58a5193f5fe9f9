"""Where in the source the pixels are that decide a label."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from foveal.sampler.frames import Views, compose, inverse
from foveal.sampler.saliency._log_shares import log_shares

# Cells along each side of the zoomed image in which gradients are added up: about as fine as a classifier tells places apart.
_CELLS = 12
# Cells with less than this share of the largest sum do not count: gradients are never zero.
_LEAST = 0.5
# Standard deviation of what is drawn around each cell that counts, as a fraction of the source's sides; and the share of a
# map that is even.
_BANDWIDTH, _EVEN = 0.06, 1 / 7


def coarse_places(
    grid: Float[Tensor, "batch height width 2"], views: Views | None
) -> Float[Tensor, "batch 2 cells cells"]:
    """Return where each cell of a zoomed image lies, as (x, y) in [-1, 1] of the frame of the saliency: that of the view, if there is one."""
    seen = grid if views is None else compose(inverse(views).to(grid), grid)
    return adaptive_avg_pool2d(seen.float().movedim(-1, 1), _CELLS)


def evidence_map(
    gradient: Float[Tensor, "batch channel height width"],
    places: Float[Tensor, "batch 2 cells cells"],
    nodes: tuple[int, int],
) -> Float[Tensor, "batch 1 rows cols"]:
    """Return the map that lies where the gradient is strong; its sum is 1, and it is even where there is no gradient.

    Args:
        gradient: Derivatives of the loss by the zoomed images, on any scale.
        places: Where the cells lie, as :func:`coarse_places` returns it.
        nodes: Rows and cols of the map, whose first and last lie on -1 and 1.
    """
    strength = adaptive_avg_pool2d(gradient.abs().sum(1, keepdim=True), _CELLS).flatten(1)
    strength = strength / strength.amax(1, keepdim=True).clamp(min=torch.finfo(strength.dtype).tiny)
    strength = torch.where(strength >= _LEAST, strength, 0)
    x, y = places.flatten(2).unbind(1)
    rows, cols = nodes
    drawn = (strength[..., None] * _around(y, rows)).mT @ _around(x, cols)
    return log_shares(drawn[:, None], _EVEN).exp()


def _around(at: Float[Tensor, "batch places"], nodes: int) -> Float[Tensor, "batch places nodes"]:
    """Return a Gaussian around each position in [-1, 1], at the nodes from -1 to 1."""
    distance = torch.linspace(-1, 1, nodes, dtype=at.dtype, device=at.device) - at[..., None]
    return torch.exp(-0.5 * (distance / (2 * _BANDWIDTH)) ** 2)
