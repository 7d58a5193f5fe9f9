"""`lowres` on CUDA: the mean over each cell, by Triton."""

from collections.abc import Sequence

from jaxtyping import Float, UInt8
from torch import Tensor


def fill_lowres_on_cuda(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], small: Float[Tensor, "batch 3 height width"]
) -> None:
    """Fill ``small``, in [0, 1]."""
    from foveal.sampler.kernels.cuda._box_means import box_means_into  # noqa: PLC0415 - Triton is loaded by the first call

    box_means_into(images, small)
