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
from foveal.sampler.grids._kernel_grid import axis_nodes, between_nodes, kernel_nodes
from foveal.sampler.kernels import is_exporting


def published_grid(
    weights: Float[Tensor, "batch 1 rows cols"], out_size: tuple[int, int], settings: GridSettings
) -> Float[Tensor, "batch height width 2"]:
    """Return the grid that ``settings.compat`` names, for ``grid_sample`` as that code calls it."""
    wide = weights.double()
    nodes = _separable_nodes(wide, settings) if settings.family == "separable" else _nodes(wide, settings)
    on_edges = settings.compat == "align_corners"
    enlarge = _by_products if is_exporting() else _by_torch
    return enlarge(nodes, out_size, on_edges).to(weights.dtype)


def _by_torch(
    nodes: Float[Tensor, "batch 2 rows cols"], out_size: tuple[int, int], on_edges: bool
) -> Float[Tensor, "batch height width 2"]:
    upsampled: Tensor = interpolate(nodes, out_size, mode="bilinear", align_corners=on_edges)
    return upsampled.permute(0, 2, 3, 1).contiguous()


def _by_products(
    nodes: Float[Tensor, "batch 2 rows cols"], out_size: tuple[int, int], on_edges: bool
) -> Float[Tensor, "batch height width 2"]:
    """Do the same by matrix products: ONNX Runtime cannot enlarge float64."""
    down, across = (
        _weights(count, pixels, on_edges).to(nodes)
        for count, pixels in zip(nodes.shape[2:], out_size, strict=True)
    )
    return between_nodes(nodes, down, across)


def _weights(count: int, pixels: int, on_edges: bool) -> Float[Tensor, "{pixels} {count}"]:
    """Row j: the weights of an axis' nodes for pixel j, as ``interpolate`` has them with ``align_corners=on_edges``."""
    last = count - 1
    if on_edges:
        position = torch.arange(pixels, dtype=torch.float64) * (last / max(pixels - 1, 1))
    else:
        centre = torch.arange(pixels, dtype=torch.float64) + 0.5
        position = (centre * (count / pixels) - 0.5).clamp(0, last)
    return (1 - (position[:, None] - torch.arange(count)).abs()).clamp(min=0)


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
