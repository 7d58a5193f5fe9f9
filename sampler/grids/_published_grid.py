"""Grids as published code makes them, including the upsampling of node maps.

Learning to Zoom (Recasens et al. 2018), FOVEA (Thavamani et al. 2021) and LZU (Thavamani et al. 2023) pad the map on every
side by one cell less than its shorter side has, compute the nodes as :func:`kernel_nodes` does, and enlarge the node map
with
``torch.nn.functional.interpolate``. Learning to Zoom enlarges it as if nodes were pixels (``align_corners=False``). FOVEA
and LZU keep the outermost nodes at the edges (``align_corners=True``).
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from foveal.sampler.grids._grid_settings import GridSettings
from foveal.sampler.grids._kernel_grid import axis_nodes, kernel_nodes


def published_grid(
    weights: Float[Tensor, "batch 1 rows cols"], out_size: tuple[int, int], settings: GridSettings
) -> Float[Tensor, "batch height width 2"]:
    """Return the grid that ``settings.compat`` names, for ``grid_sample`` as that code calls it."""
    wide = weights.double()
    nodes = _separable_nodes(wide, settings) if settings.family == "separable" else _nodes(wide, settings)
    upsampled: Tensor = interpolate(
        nodes, out_size, mode="bilinear", align_corners=settings.compat == "align_corners"
    )
    return upsampled.permute(0, 2, 3, 1).contiguous().to(weights.dtype)


def _nodes(
    weights: Float[Tensor, "batch 1 rows cols"], settings: GridSettings
) -> Float[Tensor, "batch 2 rows cols"]:
    return kernel_nodes(weights, *settings.attraction, reach=min(weights.shape[2:]) - 1)


def _separable_nodes(
    weights: Float[Tensor, "batch 1 rows cols"], settings: GridSettings
) -> Float[Tensor, "batch 2 rows cols"]:
    reach = min(weights.shape[2:]) - 1
    x, y = (axis_nodes(weights[:, 0].sum(dim=axis), *settings.attraction, reach=reach) for axis in (1, 2))
    shape = (weights.shape[0], *weights.shape[2:])
    return torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], dim=1)
