"""The grid of Recasens et al. 2018, section 3.2 ("Learning to Zoom"), folded exactly into small matrix products.

A node at X moves to the mean position of the saliency around it, weighted with a Gaussian k:

    u = sum(S k X) / sum(S k),    v = sum(S k Y) / sum(S k)

over the map S padded on every side by p = n - 1 cells, with positions continued linearly beyond the border. The kernel is
separable. With its Toeplitz matrix K (n x (n + 2p)) along one axis, the padding R ((n + 2p) x n) and U = diag(positions),
the constants M = K R and N = K U R give:

    D = M S M^T,    u = (M S N^T) / D,    v = (N S M^T) / D

The step in x from one column to the next is the entry u_x of the Jacobian, and the step in y between rows v_y. The
Jacobian is not diagonal (it is the covariance), so a diagonal ridge of saliency is magnified more across than either step
shows. Therefore bounds of the zoom apply to its singular values.

The continuous map never folds. Read at pixels, x still never decreases along a row nor y along a column, but a cell of
four neighbours may turn over: with "replicate" next to positions that are clamped to the image (up to half a percent of
cells), with "reflect" only if the saliency consists of a few points. With a bound on the zoom neither was observed.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.frames import constant, interpolation
from foveal.sampler.grids._grid_settings import Padding

# Added to every cell of a map of sum one. It keeps a node finite if all mass is so far away that the kernel underflows;
# such a node stays where it is. All other changes are below the precision of float64.
_FLOOR = 1e-20


def read_nodes(
    nodes: Float[Tensor, "batch 2 _rows _cols"], out_size: tuple[int, int]
) -> Float[Tensor, "batch height width 2"]:
    """Read a node map, piecewise bilinear on [-1, 1], at the centres of the output's pixels."""
    down, across = (
        interpolation(n, length, nodes.dtype, nodes.device)
        for n, length in zip(nodes.shape[2:], out_size, strict=True)
    )
    return between_nodes(nodes, down, across)


def between_nodes(
    nodes: Float[Tensor, "batch 2 _rows _cols"],
    down: Float[Tensor, "height _rows"],
    across: Float[Tensor, "width _cols"],
) -> Float[Tensor, "batch height width 2"]:
    """Read a node map by the weights of its nodes, as :func:`interpolation` has them."""
    # x and y are brought side by side while there are few of them: at full size that alone would take most of the time.
    wide = torch.stack((nodes @ across.T).unbind(1), dim=-1)
    return (down @ wide.flatten(2)).view(nodes.shape[0], len(down), len(across), 2)


def kernel_nodes(
    weights: Float[Tensor, "batch 1 rows cols"], fwhm: float, padding: Padding, *, reach: int | None = None
) -> Float[Tensor, "batch 2 rows cols"]:
    """Return where each node of the lattice moves to: (x, y) in [-1, 1], nodes at ``linspace(-1, 1, n)``.

    ``weights`` sum to one per map. The map from lattice positions to nodes never folds: its
    Jacobian is Cov(x, y) / sigma^2 under the weights S k, which is symmetric and positive. ``reach`` is the reach of the
    kernel, and the width of the padding, in cells; by default one less than the number of cells along each axis.
    """
    # CUDA may be set to multiply float32 in TF32, whose ten bits miss by half a pixel of 800. float64 is never cut.
    weights = (weights.double() if weights.is_cuda else weights)[:, 0] + _FLOOR
    by_row, by_col = (
        _axis_matrices((n, n - 1 if reach is None else reach), fwhm, padding, weights.dtype, weights.device)
        for n in weights.shape[1:]
    )
    (mass_r, moment_r), (mass_c, moment_c) = by_row.unbind(0), by_col.unbind(0)
    drawn = mass_r @ weights
    total = drawn @ mass_c.T
    u = drawn @ moment_c.T / total
    v = moment_r @ weights @ mass_c.T / total
    return torch.stack([u, v], dim=1).clamp(-1, 1)


def axis_nodes(
    marginal: Float[Tensor, "batch nodes"], fwhm: float, padding: Padding, *, reach: int | None = None
) -> Float[Tensor, "batch nodes"]:
    """Return where each node of a line moves to: kernel_nodes for a single axis."""
    n = marginal.shape[1]
    extent = (n, n - 1 if reach is None else reach)
    both = _axis_matrices(extent, fwhm, padding, marginal.dtype, marginal.device).flatten(0, 1)
    mass, moment = ((marginal + _FLOOR) @ both.T).chunk(2, dim=1)
    return (moment / mass).clamp(-1, 1)


@constant
def _axis_matrices(
    extent: tuple[int, int], fwhm: float, padding: Padding, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "2 n n"]:
    """M and N of one axis; ``extent`` is the number of nodes and the reach of the kernel in cells. Computed in float64."""
    n, reach = extent
    last = n - 1
    padded = torch.arange(-reach, n + reach)
    distance = (padded - torch.arange(n)[:, None]).double()
    kernel = torch.exp(-4 * math.log(2) * (distance / fwhm) ** 2) * (distance.abs() <= reach)
    source = _reflected(padded, last) if padding == "reflect" else padded.clamp(0, last)
    pad = (source[:, None] == torch.arange(n)).double()
    position = 2 * padded.double() / last - 1
    return torch.stack([kernel @ pad, (kernel * position) @ pad]).to(device, dtype)


def _reflected(index: Tensor, last: int) -> Tensor:
    return last - (last - index.abs()).abs()
