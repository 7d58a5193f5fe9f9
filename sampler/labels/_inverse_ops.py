"""The torch operators of the inverse of a grid on the CPU, because a compiled graph cannot trace kernels."""

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.kernels import operator
from foveal.sampler.kernels.cpu import fill_nodes_on_cpu, find_places_on_cpu


@operator("foveal::fill_nodes", "(Tensor points, Tensor rounding, float least_step) -> (Tensor, Tensor)")
def fill_nodes_op(
    points: Float[Tensor, "batch height width 2"], rounding: Float[Tensor, " batch"], least_step: float
) -> tuple[Float[Tensor, "batch height_2 width_2 2"], Float[Tensor, "batch 3"]]:
    """Return the nodes of grids, and what a check of them needs: see `fill_nodes_on_cpu`."""
    nodes, found = _empty_nodes(points)
    fill_nodes_on_cpu(points, nodes, found, rounding, least_step)
    return nodes, found


@operator("foveal::find_places", "(Tensor nodes, Tensor x, Tensor y) -> Tensor")
def find_places_op(
    nodes: Float[Tensor, "batch height_2 width_2 2"],
    x: Float[Tensor, "batch lines"],
    y: Float[Tensor, "batch lines points"],
) -> Float[Tensor, "batch lines points 2"]:
    """Return the positions of points among nodes: see `find_places_on_cpu`."""
    places = nodes.new_empty(*y.shape, 2)
    find_places_on_cpu(nodes, x, y, places)
    return places


@torch.library.register_fake("foveal::fill_nodes")  # type: ignore[untyped-decorator]
def _(
    points: Float[Tensor, "batch height width 2"], rounding: Float[Tensor, " batch"], least_step: float
) -> tuple[Float[Tensor, "batch height_2 width_2 2"], Float[Tensor, "batch 3"]]:
    del rounding, least_step
    return _empty_nodes(points)


@torch.library.register_fake("foveal::find_places")  # type: ignore[untyped-decorator]
def _(
    nodes: Float[Tensor, "batch height_2 width_2 2"],
    x: Float[Tensor, "batch lines"],
    y: Float[Tensor, "batch lines points"],
) -> Float[Tensor, "batch lines points 2"]:
    del x
    return nodes.new_empty(*y.shape, 2)


def _empty_nodes(
    points: Float[Tensor, "batch height width 2"],
) -> tuple[Float[Tensor, "batch height_2 width_2 2"], Float[Tensor, "batch 3"]]:
    batch, height, width, _ = points.shape
    nodes = points.new_empty(batch, height + 2, width + 2, 2, dtype=torch.float64)
    return nodes, nodes.new_empty(batch, 3)
