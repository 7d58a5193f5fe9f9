"""The frame of a saliency map: a lattice whose first and last nodes lie on the image's edges.

Node k of n along an axis lies at ``k / (n - 1)`` of the image's side; a single node is all of the side. Between nodes a
map is linear. All saliency modules return their logits there, and :func:`zoom_grid` reads them there.

Convolutions and resized images have another frame: cell k of n lies at ``(k + 0.5) / n``. Near the edges the two are half
a cell apart, 1.6 % of the side for 31 cells: :func:`to_lattice` and :func:`cell_means` go from one to the other.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.frames._constant import constant
from foveal.sampler.frames._images import check_tensor
from foveal.sampler.frames._size import rows_and_cols

Frame = Literal["nodes", "cells"]

# Number of places at which a mean about a node is taken: they are symmetric, so that linear functions are read exactly.
_PLACES = 32


def to_lattice(
    features: Float[Tensor, "batch channel _rows _cols"],
    map_size: int | tuple[int, int],
    *,
    first: tuple[float, float] | None = None,
    step: tuple[float, float] | None = None,
) -> Float[Tensor, "batch channel rows cols"]:
    """Convert features in cells of an image to values at the nodes of a saliency map.

    Values are interpolated linearly between cells. If cells are finer than the map, they are also averaged over about the
    distance of two nodes. Beyond the outermost cells' centres, their values are repeated.

    Args:
        features: Features of any resolution.
        map_size: (rows, cols) of the map, or one number for both.
        first: Positions of the centres of the first row and the first column, as shares of the image's height and width.
            By default half a cell from the edges, for cells that tile the image.
        step: Distance from one row to the next, and from one column to the next, likewise. By default ``1 / rows`` and
            ``1 / cols``.

    Returns:
        Values at the nodes: the first and last rows and columns lie on the image's edges.

    Raises:
        ValueError: The map has no nodes.
        TypeError: The features are no tensor.

    Example:
        >>> to_lattice(torch.tensor([[[[1.0, 2.0, 3.0]]]]), (1, 4))  # at 0, 1/3, 2/3 and 1; cells at 1/6, 1/2 and 5/6
        tensor([[[[1.0000, 1.5000, 2.5000, 3.0000]]]])
    """
    check_tensor(features, "features")
    size = rows_and_cols(map_size)
    matrices = []
    for axis in (0, 1):
        cells = features.shape[2 + axis]
        each = 1 / cells if step is None else step[axis]
        start = each / 2 if first is None else first[axis]
        matrices.append(_reading(size[axis], cells, (start, each), features.dtype, features.device))
    down, across = matrices
    return down @ features @ across.mT


def cell_means(
    maps: Float[Tensor, "batch 1 _rows _cols"], row_edges: Sequence[float], col_edges: Sequence[float]
) -> Float[Tensor, "batch 1 rows cols"]:
    """Return the mean of each map, linear between its nodes, over each cell of a partition of the image.

    Args:
        maps: Maps on a lattice.
        row_edges: Edges of the cells along the height, ascending, as shares of it: one more than there are rows.
        col_edges: Likewise along the width.
    """
    rows, cols = maps.shape[2:]
    down, across = _means(rows, tuple(row_edges), maps.device), _means(cols, tuple(col_edges), maps.device)
    # Computed in float64 and then rounded, so that equal values have equal means.
    return (down @ maps.double() @ across.mT).to(maps.dtype)


def even_edges(cells: int) -> list[float]:
    """Return the edges of this many equal cells."""
    return [k / cells for k in range(cells + 1)]


@constant
def _reading(
    nodes: int, cells: int, lie: tuple[float, float], dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "nodes cells"]:
    """Row k: the weights of the cells for node k; ``lie`` has the position of the first cell, and the step between cells."""
    first, step = lie
    centre = first + step * torch.arange(cells, dtype=torch.float64)
    place = torch.linspace(0, 1, nodes, dtype=torch.float64) if nodes > 1 else torch.tensor([0.5]).double()
    # Variances add: that of the interpolation and that of the mean about the node together are that of a triangle as wide
    # as the coarser of both lattices.
    reach = math.sqrt(max(1 / max(nodes - 1, 1) ** 2 - step**2, 0.0))
    off = (torch.arange(_PLACES, dtype=torch.float64) + 0.5) / _PLACES * 2 - 1
    about = 1 - (1 - (place[:, None] + reach * off).abs()).abs()  # beyond an edge, the image is mirrored
    about = about.clamp(first, first + step * (cells - 1))
    weight = (1 - (about[..., None] - centre).abs() / step).clamp(min=0)
    share = (1 - off.abs()) / (1 - off.abs()).sum()
    return (share @ weight).to(device, dtype)


@constant
def _means(nodes: int, edges: tuple[float, ...], device: torch.device) -> Float[Tensor, "cells nodes"]:
    """Row c: the weights of the nodes for the mean over cell c."""
    if nodes == 1:
        return torch.ones(len(edges) - 1, 1, dtype=torch.float64, device=device)
    edge = torch.tensor(edges, dtype=torch.float64)
    off = (edge[:, None] * (nodes - 1) - torch.arange(nodes)).clamp(-1, 1)
    # The integral of 1 - |off| from -1 on, for each node, up to each edge.
    integral = torch.where(off <= 0, (off + 1) ** 2 / 2, 1 - (1 - off) ** 2 / 2)
    width = edge.diff()[:, None] * (nodes - 1)
    return (integral.diff(dim=0) / width).to(device)
