"""Back from the zoomed image to its source: for whole grids, and for feature maps."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

from foveal.sampler.frames import Views, into_views, pixel_centres
from foveal.sampler.labels._inverse_map import to_output
from foveal.sampler.labels._warp_map import Nodes, warp_nodes


def invert_grid(
    grid: Float[Tensor, "batch height width 2"], size: tuple[int, int], *, views: Views | None = None
) -> Float[Tensor, "batch rows cols 2"]:
    """Return where each pixel of the source lies in the zoomed image.

    The exact inverse of the map that is bilinear between the grid's points and runs on straight beyond the outermost
    (as LZU's inverse, CVPR 2023, with the equation of each cell solved in float64). No gradient flows into ``grid``.

    Args:
        grid: As :func:`zoom_grid` returns it. Any other will do whose x grows along the width and y along the height.
        size: (height, width) of a lattice laid over the source, in pixels: its own size, or any coarser one.
        views: Those that the images were sampled with, if any: (batch, 2, 3), as :func:`compose` has them.

    Returns:
        (x, y) at the lattice's pixel centres: [-1, 1] is the zoomed image, ``align_corners=False``, and what lies
        beyond is source that the zoomed image does not show. float64 if the grid is, else float32.

    Raises:
        ValueError: The grid has another shape, is not finite, or folds; or the size is below one pixel.

    Example:
        >>> invert_grid(zoom_grid(torch.ones(1, 1, 31, 31), (224, 224)), (300, 400)).shape
        torch.Size([1, 300, 400, 2])
    """
    if min(size) < 1:
        raise ValueError(f"size must be at least (1, 1), got {size!r}.")
    nodes = warp_nodes(grid, views)
    y, x = (pixel_centres(length).to(grid.device) for length in size)
    lattice = torch.stack(torch.meshgrid(x, y, indexing="ij"), dim=-1).expand(len(grid), -1, -1, -1)
    points = _to_output(nodes, into_views(lattice, views)).transpose(1, 2)
    zoomed = torch.tensor([grid.shape[2], grid.shape[1]], dtype=points.dtype, device=grid.device)
    return (2 * points / zoomed - 1).to(torch.promote_types(grid.dtype, torch.float32))


def _to_output(
    nodes: Nodes, lattice: Float[Tensor, "batch cols rows 2"]
) -> Float[Tensor, "batch cols rows 2"]:
    x, y = lattice.unbind(dim=-1)
    if bool((x == x[..., :1]).all()):  # upright columns; in a view that is turned they are not
        return to_output(nodes, x[..., 0], y)
    return to_output(nodes, x.flatten(1), y.flatten(1)[..., None]).view(lattice.shape)


def unzoom(
    features: Float[Tensor, "batch channel _rows _cols"],
    grid: Float[Tensor, "batch height width 2"],
    size: tuple[int, int],
    *,
    views: Views | None = None,
) -> Float[Tensor, "batch channel rows cols"]:
    """Bring feature maps of the zoomed images back to the frame of their sources (Thavamani et al. 2023, LZU).

    Each lattice point reads the features bilinearly where it lies in the zoomed image; one that the zoomed image does
    not show reads its nearest border. Differentiable in the features. Where the zoom had magnified, points are further
    apart than features and some are passed over: blur them first if that matters.

    Args:
        features: At any resolution of the zoomed images.
        grid: The grid that the images were sampled with.
        size: (height, width) of the result, in pixels of a lattice laid over the source.
        views: Those that the images were sampled with, if any: (batch, 2, 3), as :func:`compose` has them.

    Returns:
        (batch, channel, height, width); float64 if the features are, else float32, also under autocast.

    Raises:
        ValueError: As :func:`invert_grid`; or the features are not four-dimensional, or not as many as the grids.
        TypeError: The features are not floating point.
    """
    if features.ndim != 4 or len(features) != len(grid) or 0 in features.shape[2:]:
        raise ValueError(
            f"features must be ({len(grid)}, channel, height, width) for as many grids, "
            f"got shape {tuple(features.shape)!r}."
        )
    if not features.is_floating_point():
        raise TypeError(
            f"features must be floating point, got {features.dtype!r}: use unwarp_masks for labels."
        )
    wide = features.to(torch.promote_types(features.dtype, torch.float32))
    points = invert_grid(grid, size, views=views).to(wide.dtype)
    with torch.autocast(features.device.type, enabled=False):
        back: Tensor = grid_sample(wide, points, padding_mode="border", align_corners=False)
    return back
