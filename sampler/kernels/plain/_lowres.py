"""The low-resolution copy in plain torch."""

from collections.abc import Sequence

from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from foveal.sampler.frames import identity_grid
from foveal.sampler.kernels._footprint import footprints
from foveal.sampler.kernels.plain._antialias import mean_over


def fill_lowres_plainly(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], small: Float[Tensor, "batch 3 height width"]
) -> None:
    """Fill ``small``, in [0, 1], with the mean over each cell."""
    grid = identity_grid((small.shape[2], small.shape[3]), small.dtype, small.device)
    for image, target in zip(images, small, strict=True):
        dense = image.permute(2, 0, 1)[None].to(small.dtype) / 255
        target.copy_(mean_over(dense, footprints(grid, (image.shape[0], image.shape[1])))[0].clamp(max=1))


def shrink(
    dense: Float[Tensor, "batch channel _height _width"], size: tuple[int, int]
) -> Float[Tensor, "batch channel height width"]:
    """Return copies of this (height, width), bilinear and anti-aliased, of the images' dtype."""
    # torch repeats the first row of a result of one column, but not the first column of one row.
    if size[1] == 1 < size[0]:
        return shrink(dense.mT.contiguous(), (1, size[0])).mT
    small: Tensor = interpolate(dense, size, mode="bilinear", align_corners=False, antialias=True)
    return small
