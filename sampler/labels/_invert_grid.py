"""Converts grids and feature maps of a zoomed image back to its source."""

from collections.abc import Sequence
from typing import cast, overload

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

from foveal.sampler.frames import Views, check_tensor, height_and_width
from foveal.sampler.labels._grid_inverse import Size, inverse_of

Maps = Float[Tensor, "batch channel _height _width"]
Grid = Float[Tensor, "batch height width 2"]


def invert_grid(
    grid: Float[Tensor, "batch height width 2"], size: int | tuple[int, int], *, views: Views | None = None
) -> Float[Tensor, "batch rows cols 2"]:
    """Return where each pixel of the source lies in the zoomed image.

    The exact inverse of the map that is bilinear between the grid's points and continues linearly beyond the outermost
    (like LZU's inverse, CVPR 2023, with the equation of each cell solved in float64). No gradient flows into ``grid``.

    Args:
        grid: A grid of :func:`zoom_grid`, or any other whose x grows along the width and y along the height, and that does
            not turn over: three quarters of its cells of four neighbours must not be mirrored.
        size: (height, width) of a lattice laid over the source, in pixels: its own size, or any coarser one; or one number for both.
        views: The views that the images were sampled with, if any: (batch, 2, 3), as :func:`compose` takes them.

    Returns:
        (x, y) at the lattice's pixel centres: [-1, 1] is the zoomed image, ``align_corners=False``; points beyond are not
        shown by the zoomed image. float64 if the grid is, else float32.

    Raises:
        ValueError: The grid has another shape, is not finite, or folds or turns over; or the size is below one pixel.
        TypeError: The size is neither a whole number nor two of them.

    Example:
        >>> invert_grid(zoom_grid(torch.ones(1, 1, 31, 31), (224, 224)), (300, 400)).shape
        torch.Size([1, 300, 400, 2])
    """
    return inverse_of(grid, views)(height_and_width(size, "size"))


@overload
def unzoom(features: Maps, grid: Grid, size: int | Size, *, views: Views | None = None) -> Maps: ...
@overload
def unzoom(
    features: Sequence[Maps], grid: Grid, size: Sequence[Size], *, views: Views | None = None
) -> list[Maps]: ...
def unzoom(
    features: Maps | Sequence[Maps],
    grid: Grid,
    size: int | Size | Sequence[Size],
    *,
    views: Views | None = None,
) -> Maps | list[Maps]:
    """Return feature maps of the zoomed images in the frame of their sources (Thavamani et al. 2023, LZU).

    Each lattice point reads the features bilinearly at its position in the zoomed image; a point that the zoomed image
    does not show reads the nearest border. Differentiable in the features. Where the zoom magnifies, points are further
    apart than features, and some features are skipped: blur them first if that matters.

    Args:
        features: (batch, channel, _rows, _cols), at any resolution of the zoomed images; or the levels of a feature
            pyramid, a list of such maps. The grid is then inverted once for all of them.
        grid: The grid that the images were sampled with.
        size: (height, width) of the result, in pixels of a lattice laid over the source, or one number for both; of levels, one (height, width) for each.
        views: Those that the images were sampled with, if any: (batch, 2, 3), as :func:`compose` has them.

    Returns:
        (batch, channel, height, width), or a list of them; float64 if the features are, else float32, also under autocast.

    Raises:
        ValueError: As :func:`invert_grid`; or the features are not four-dimensional, or not as many as the grids; or
            there is not one size to a level.
        TypeError: The features are not floating point, or a size is no whole number.

    Example:
        >>> grid = zoom_grid(torch.ones(1, 1, 31, 31), (256, 256))
        >>> levels = [torch.zeros(1, 8, 64, 64), torch.zeros(1, 8, 32, 32)]
        >>> fine, coarse = unzoom(levels, grid, [(75, 100), (38, 50)])
        >>> fine.shape, coarse.shape
        (torch.Size([1, 8, 75, 100]), torch.Size([1, 8, 38, 50]))
    """
    if isinstance(features, Tensor):
        return unzoom([features], grid, [height_and_width(cast("int | Size", size), "size")], views=views)[0]
    sizes = cast("Sequence[Size]", size)
    if isinstance(size, int) or len(sizes) != len(features) or any(isinstance(each, int) for each in sizes):
        raise ValueError(
            f"size must be {len(features)} pairs (height, width), one for each level, got {sizes!r}."
        )
    for level in features:
        _check_features(level, len(grid))
    wanted = [height_and_width(each, "size") for each in sizes]
    inverse = inverse_of(grid, views)
    return [_read(level, inverse(each)) for level, each in zip(features, wanted, strict=True)]


def _read(features: Maps, points: Float[Tensor, "batch rows cols 2"]) -> Maps:
    wide = features.to(torch.promote_types(features.dtype, torch.float32))
    with torch.autocast(features.device.type, enabled=False):
        back: Tensor = grid_sample(wide, points.to(wide.dtype), padding_mode="border", align_corners=False)
    return back


def _check_features(features: Maps, batch: int) -> None:
    check_tensor(features, "features")
    if features.ndim != 4 or len(features) != batch or 0 in features.shape[2:]:
        raise ValueError(
            f"features must be ({batch}, channel, height, width) for as many grids, "
            f"got shape {tuple(features.shape)!r}."
        )
    if not features.is_floating_point():
        raise TypeError(
            f"features must be floating point, got {features.dtype!r}: use unwarp_masks for labels."
        )
