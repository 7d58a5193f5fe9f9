"""`lowres` on CUDA: box means by Triton for large images, torch for small ones."""

from collections.abc import Sequence

from jaxtyping import Float, UInt8
from torch import Tensor

from foveal.sampler.kernels.plain import BOX_FROM, is_large, shrink_into


def fill_lowres_on_cuda(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], small: Float[Tensor, "batch 3 height width"]
) -> None:
    """Fill ``small``, in [0, 1]."""
    from foveal.sampler.kernels.cuda._box_means import box_means_into  # noqa: PLC0415 - Triton is loaded by the first call

    box_means_into(images, small, BOX_FROM)
    for image, target in zip(images, small, strict=True):
        if not is_large(image, small):
            shrink_into(image, target)
