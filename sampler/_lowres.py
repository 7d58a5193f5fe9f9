"""The low-resolution copy that a saliency network looks at."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from foveal.sampler._images import Images, as_ragged, check_images, is_dense_float
from foveal.sampler._kernels_for import kernels_for
from foveal.sampler._operator import operator
from foveal.sampler._sample import sample
from foveal.sampler._spread import spread
from foveal.sampler._views import Views, even_grid

# Below four source pixels per cell and side, whole pixels are too coarse a measure, and the exact way costs little.
_BOX_FROM = 4


def lowres(
    images: Images, size: tuple[int, int], views: Views | None = None
) -> Float[Tensor, "batch channel height width"]:
    """Return small copies of the images, or of views of them, averaged, all of one size; the aspect ratio is not kept.

    What is computed: bilinear interpolation with anti-aliasing (a triangle filter as wide as the reduction asks for).
    For uint8 images that are at least four times the size along both axes, on the CPU and on CUDA with Triton, the mean over a box:
    cell (i, j) of (h, w) averages the whole pixels of rows [i*H//h, (i+1)*H//h) and columns [j*W//w, (j+1)*W//w), of
    the rows at most eight, evenly spaced. On photographs the two differ by less than 0.02 on average. Views are
    sampled anti-aliased (:func:`sample`); that of the whole image differs by as little from the copy without a view.

    Args:
        images: (height, width, 3) uint8 tensors of any sizes, or one (batch, channel, height, width) tensor.
        size: (height, width) of the copies, in pixels.
        views: (batch, 2, 3), as :func:`compose` has them. What lies beyond the image is its border. None for whole
            images.

    Returns:
        In [0, 1] from uint8, as float32 and without a gradient; floating-point images stay on their own scale, are at
        least float32, and receive a gradient.

    Raises:
        TypeError: A dtype that is not supported.
        ValueError: A shape that is not supported, an image without pixels, a size below 1, or not one view per image.
    """
    check_images(images)
    if min(size) < 1:
        raise ValueError(f"size must be at least (1, 1), got {size!r}.")
    if views is not None:
        return sample(images, even_grid(images, size, views))
    if is_dense_float(images):
        wide = images.to(torch.promote_types(images.dtype, torch.float32))  # type: ignore[union-attr]
        small: Tensor = _antialiased(wide, size)
        return small
    ragged = as_ragged(images)
    if not ragged:
        return torch.empty(0, 3, *size)
    copies: Tensor = _lowres(ragged, size[0], size[1])
    return copies


def _antialiased(
    dense: Float[Tensor, "batch channel _height _width"] | UInt8[Tensor, "batch channel _height _width"],
    size: tuple[int, int],
) -> Float[Tensor, "batch channel height width"] | UInt8[Tensor, "batch channel height width"]:
    small: Tensor = interpolate(dense, size, mode="bilinear", align_corners=False, antialias=True)
    return small


@operator("foveal::lowres", "(Tensor[] images, int height, int width) -> Tensor")
def _lowres(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], height: int, width: int
) -> Float[Tensor, "batch 3 height width"]:
    small = _empty(images, height, width)
    _FILL[kernels_for(small.device, small.dtype)](images, small)
    return small


def _fill_by_numba(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], small: Float[Tensor, "batch 3 height width"]
) -> None:
    from foveal.sampler._lowres_numba import box_mean_into  # noqa: PLC0415 - numba is loaded by the first call

    whole = [image.contiguous() for image in images]

    def work(k: int) -> None:
        if _is_large(whole[k], small):
            box_mean_into(whole[k].numpy(), small[k].numpy())
        else:
            _exact_into(whole[k], small[k])

    spread(work, len(images))


def _fill_by_triton(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], small: Float[Tensor, "batch 3 height width"]
) -> None:
    from foveal.sampler._lowres_triton import box_means_into  # noqa: PLC0415 - Triton is loaded by the first call

    box_means_into(images, small, _BOX_FROM)
    for image, target in zip(images, small, strict=True):
        if not _is_large(image, small):
            _exact_into(image, target)


def _fill_plainly(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], small: Float[Tensor, "batch 3 height width"]
) -> None:
    for image, target in zip(images, small, strict=True):
        _exact_into(image, target)


_FILL = {"numba": _fill_by_numba, "triton": _fill_by_triton, "torch": _fill_plainly}


@torch.library.register_fake("foveal::lowres")  # type: ignore[untyped-decorator]
def _(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], height: int, width: int
) -> Float[Tensor, "batch 3 height width"]:
    return _empty(images, height, width)


def _is_large(image: UInt8[Tensor, "_height _width 3"], small: Float[Tensor, "batch 3 height width"]) -> bool:
    return image.shape[0] >= _BOX_FROM * small.shape[2] and image.shape[1] >= _BOX_FROM * small.shape[3]


def _empty(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], height: int, width: int
) -> Float[Tensor, "batch 3 height width"]:
    return images[0].new_empty(len(images), 3, height, width, dtype=torch.float32)


def _exact_into(image: UInt8[Tensor, "_height _width 3"], target: Float[Tensor, "3 height width"]) -> None:
    dense = image.permute(2, 0, 1)[None]
    if image.device.type != "cpu":  # the CPU has a fast path for uint8, other devices have none at all
        dense = dense.float()
    target.copy_(_antialiased(dense, (target.shape[1], target.shape[2]))[0])
    target.div_(255)
