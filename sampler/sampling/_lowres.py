"""The low-resolution copy for a saliency network."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from foveal.sampler.frames import (
    Images,
    Views,
    as_ragged,
    check_images,
    grid_form,
    height_and_width,
    is_dense_float,
    is_transformed,
)
from foveal.sampler.kernels import kernels_for, operator
from foveal.sampler.kernels.cpu import fill_lowres_on_cpu
from foveal.sampler.kernels.cuda import fill_lowres_on_cuda
from foveal.sampler.kernels.plain import average_dense, average_in_graph, fill_lowres_plainly
from foveal.sampler.sampling._exported import in_exported_program
from foveal.sampler.sampling._halves import are_deep, halves, joined
from foveal.sampler.sampling._pixel_format import PixelFormat
from foveal.sampler.sampling._sample_by_torch import lowres_by_torch
from foveal.sampler.sampling._sample_evenly import sample_evenly
from foveal.sampler.sampling._shrink import shrink_by_triangle


def lowres(
    images: Images, size: int | tuple[int, int], views: Views | None = None
) -> Float[Tensor, "batch channel height width"]:
    """Return small averaged copies of the images, or of views of them, all of one size; the aspect ratio is not kept.

    For integer images, cell (i, j) of (h, w) is the mean of rows [i*H/h, (i+1)*H/h) and columns [j*W/w, (j+1)*W/w); each
    pixel counts by its part that is inside. Along a side that is smaller than the copy, it is interpolated linearly, as :func:`sample`
    magnifies. For floating-point images bilinear interpolation with
    anti-aliasing (a triangle filter as wide as the reduction asks for). On photographs the two differ by less than 0.02 on
    average. Views are sampled with anti-aliasing (:func:`sample`); a view of the whole image differs as little from the
    copy without a view.

    Args:
        images: (height, width, 3) uint8 or uint16 tensors of any sizes, or one (batch, channel, height, width) tensor.
        size: (height, width) of the copies, in pixels, or one number for both.
        views: (batch, 2, 3), as :func:`compose` has them. What lies beyond the image is its border. None for whole
            images.

    Returns:
        In [0, 1] from integers, as float32 and without a gradient; floating-point images stay on their own scale, are at
        least float32, and receive a gradient.

    Raises:
        TypeError: A dtype that is not supported, or a size that is neither a whole number nor two of them.
        ValueError: A shape that is not supported, an image without pixels, a size below 1, or not one view per image.
    """
    check_images(images)
    size = height_and_width(size, "size")
    if are_deep(images):
        return joined(*(lowres(half, size, views) for half in halves(images)))
    if views is not None:
        return sample_evenly(images, size, views, PixelFormat(), antialias=True)[0]
    if is_dense_float(images):
        wide = images.to(torch.promote_types(images.dtype, torch.float32))  # type: ignore[union-attr]
        return shrink_by_triangle(wide, size)
    if in_exported_program(images) or is_transformed():
        return lowres_by_torch(images, size, average_dense if is_transformed() else average_in_graph)
    ragged = as_ragged(images)
    if not ragged:
        return torch.empty(0, 3, *size, device=grid_form(images)[1])
    copies: Tensor = _lowres(ragged, size[0], size[1])
    return copies


@operator("foveal::lowres", "(Tensor[] images, int height, int width) -> Tensor")
def _lowres(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], height: int, width: int
) -> Float[Tensor, "batch 3 height width"]:
    small = _empty(images, height, width)
    _FILL[kernels_for(small.device, small.dtype)](images, small)
    return small


_FILL = {"numba": fill_lowres_on_cpu, "triton": fill_lowres_on_cuda, "torch": fill_lowres_plainly}


@torch.library.register_fake("foveal::lowres")  # type: ignore[untyped-decorator]
def _(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], height: int, width: int
) -> Float[Tensor, "batch 3 height width"]:
    return _empty(images, height, width)


def _empty(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], height: int, width: int
) -> Float[Tensor, "batch 3 height width"]:
    return images[0].new_empty(len(images), 3, height, width, dtype=torch.float32)
