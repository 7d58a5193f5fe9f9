"""The grid of Recasens et al. 2018, section 3.2 ("Learning to Zoom"), folded exactly into small matrix products.

A node at X is drawn to the mean position of the saliency around it, weighted with a Gaussian k:

    u = sum(S k X) / sum(S k),    v = sum(S k Y) / sum(S k)

over the map S padded on every side by p = n - 1 cells, with positions running on linearly beyond the border. The
kernel is separable, so with K (n x (n + 2p)) its Toeplitz matrix along one axis, R ((n + 2p) x n) the padding and
U = diag(positions), the constants M = K R and N = K U R hold all of it:

    D = M S M^T,    u = (M S N^T) / D,    v = (N S M^T) / D
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler._constant import constant

Padding = Literal["reflect", "replicate"]
PADDINGS: tuple[Padding, ...] = ("reflect", "replicate")

# Added to every cell of a map of sum one. It keeps a node that all mass is too far from (the kernel underflows) finite:
# left to this floor alone it stays where it is. Nothing else is changed that float64 could show.
_FLOOR = 1e-20


def kernel_nodes(
    weights: Float[Tensor, "batch 1 rows cols"], fwhm_cells: float, padding: Padding
) -> Float[Tensor, "batch 2 rows cols"]:
    """Return where each node of the lattice is drawn to: (x, y) in [-1, 1], nodes at ``linspace(-1, 1, n)``.

    ``weights`` sum to one per map. The map that sends each lattice position to its node never folds over: its
    Jacobian is Cov(x, y) / sigma^2 under the weights S k, which is symmetric and positive.
    """
    weights = weights[:, 0] + _FLOOR
    by_row = _axis_matrices(weights.shape[1], fwhm_cells, padding, weights.dtype, weights.device)
    by_col = _axis_matrices(weights.shape[2], fwhm_cells, padding, weights.dtype, weights.device)
    (mass_r, moment_r), (mass_c, moment_c) = by_row.unbind(0), by_col.unbind(0)
    drawn = mass_r @ weights
    total = drawn @ mass_c.T
    u = drawn @ moment_c.T / total
    v = moment_r @ weights @ mass_c.T / total
    return torch.stack([u, v], dim=1).clamp(-1, 1)


@constant
def _axis_matrices(
    n: int, fwhm_cells: float, padding: Padding, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "2 n n"]:
    """M and N of one axis, computed in float64."""
    reach = n - 1
    padded = torch.arange(-reach, n + reach)
    distance = (padded - torch.arange(n)[:, None]).double()
    kernel = torch.exp(-4 * math.log(2) * (distance / fwhm_cells) ** 2) * (distance.abs() <= reach)
    source = _reflected(padded, reach) if padding == "reflect" else padded.clamp(0, reach)
    pad = (source[:, None] == torch.arange(n)).double()
    position = 2 * padded.double() / reach - 1
    return torch.stack([kernel @ pad, (kernel * position) @ pad]).to(device, dtype)


def _reflected(index: Tensor, last: int) -> Tensor:
    return last - (last - index.abs()).abs()
