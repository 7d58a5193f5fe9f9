"""The inverse of a grid, computed once for lattices of any sizes."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.frames import Views, into_views, inverse, outer_grid, pixel_centres
from foveal.sampler.labels._inverse_map import along_axis, is_outer, to_output
from foveal.sampler.labels._warp_map import Nodes, ascending_axis, check_shape, warp_nodes

Size = tuple[int, int]
Axes = tuple[Float[Tensor, "batch width_2"], Float[Tensor, "batch height_2"]]
"""The nodes of a separable map, along x and along y."""


def inverse_of(
    grid: Float[Tensor, "batch height width 2"], views: Views | None
) -> Callable[[Size], Float[Tensor, "batch rows cols 2"]]:
    """Return the same as :func:`invert_grid` for a size. Everything that does not depend on the size is computed once.

    A separable grid ("separable" and "cdf" grids) is inverted along each axis alone.

    Raises:
        ValueError: As :func:`invert_grid`, except for the size.
    """
    check_shape(grid)
    back = None if views is None else inverse(views)
    axes = _axes(grid.detach(), back)
    if axes is None:
        places = partial(_among_nodes, warp_nodes(grid, views), views)
    else:
        places = partial(_along_axes, axes, back)
    return lambda size: places(size).to(torch.promote_types(grid.dtype, torch.float32))


def _axes(grid: Float[Tensor, "batch height width 2"], back: Views | None) -> Axes | None:
    """Return the nodes along each axis, if the map from the views is separable and the grid is valid."""
    if back is not None and bool(back[:, [0, 1], [1, 0]].any()):
        return None
    if not is_outer(grid):
        return None
    lines = grid[:, 0, :, 0].double(), grid[:, :, 0, 1].double()
    x, y = (ascending_axis(_in_view(line, back, axis)) for axis, line in enumerate(lines))
    return None if x is None or y is None else (x, y)


def _along_axes(axes: Axes, back: Views | None, size: Size) -> Float[Tensor, "batch rows cols 2"]:
    batch, device = len(axes[0]), axes[0].device
    places = []
    for axis, (nodes, pixels) in enumerate(zip(axes, reversed(size), strict=True)):
        wanted = pixel_centres(pixels).to(device).expand(batch, -1)
        zoomed = nodes.shape[1] - 2
        places.append(2 * along_axis(nodes, _in_view(wanted, back, axis)) / zoomed - 1)
    return outer_grid(*places)


def _among_nodes(nodes: Nodes, views: Views | None, size: Size) -> Float[Tensor, "batch rows cols 2"]:
    y, x = (pixel_centres(length).to(nodes.device) for length in size)
    columns = torch.stack(torch.meshgrid(x, y, indexing="ij"), dim=-1).expand(len(nodes), -1, -1, -1)
    points = _to_output(nodes, into_views(columns, views)).transpose(1, 2)
    zoomed = points.new_tensor([nodes.shape[2] - 2, nodes.shape[1] - 2])
    return 2 * points / zoomed - 1


def _to_output(
    nodes: Nodes, columns: Float[Tensor, "batch cols rows 2"]
) -> Float[Tensor, "batch cols rows 2"]:
    x, y = columns.unbind(dim=-1)
    if bool((x == x[..., :1]).all()):  # columns are upright; in a rotated view they are not
        return to_output(nodes, x[..., 0], y)
    return to_output(nodes, x.flatten(1), y.flatten(1)[..., None]).view(columns.shape)


def _in_view(
    line: Float[Tensor, "batch points"], back: Views | None, axis: int
) -> Float[Tensor, "batch points"]:
    """Convert x (axis 0) or y (axis 1) of the source to that of upright views, if there are any."""
    return line if back is None else back[:, axis, axis, None] * line + back[:, axis, 2, None]
