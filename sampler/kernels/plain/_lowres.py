"""The low-resolution copy in plain torch, and the size from which other kernels take whole pixels instead."""

from collections.abc import Sequence

from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

# Below four source pixels per cell and side, whole pixels are too coarse a measure, and the exact way costs little.
BOX_FROM = 4


def fill_lowres_plainly(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], small: Float[Tensor, "batch 3 height width"]
) -> None:
    """Fill ``small``, in [0, 1], with bilinear anti-aliased copies of the images."""
    for image, target in zip(images, small, strict=True):
        shrink_into(image, target)


def is_large(image: UInt8[Tensor, "_height _width 3"], small: Float[Tensor, "batch 3 height width"]) -> bool:
    """Say whether the mean over a box of whole pixels is exact enough for this image."""
    return image.shape[0] >= BOX_FROM * small.shape[2] and image.shape[1] >= BOX_FROM * small.shape[3]


def shrink_into(image: UInt8[Tensor, "_height _width 3"], target: Float[Tensor, "3 height width"]) -> None:
    """Fill ``target``, in [0, 1], with a bilinear anti-aliased copy of one image."""
    dense = image.permute(2, 0, 1)[None]
    if image.device.type != "cpu":  # the CPU has a fast path for uint8, other devices have none at all
        dense = dense.float()
    target.copy_(shrink(dense, (target.shape[1], target.shape[2]))[0])
    target.div_(255)


def shrink(
    dense: Float[Tensor, "batch channel _height _width"] | UInt8[Tensor, "batch channel _height _width"],
    size: tuple[int, int],
) -> Float[Tensor, "batch channel height width"] | UInt8[Tensor, "batch channel height width"]:
    """Return copies of this (height, width), bilinear and anti-aliased, of the images' dtype."""
    small: Tensor = interpolate(dense, size, mode="bilinear", align_corners=False, antialias=True)
    return small
