"""`lowres` on the CPU: box means by numba for large images, torch for small ones."""

from collections.abc import Sequence

from jaxtyping import Float, UInt8
from torch import Tensor

from foveal.sampler.kernels.plain import is_large, shrink_into
from foveal.sampler.threads import spread


def fill_lowres_on_cpu(
    images: Sequence[UInt8[Tensor, "_height _width 3"]], small: Float[Tensor, "batch 3 height width"]
) -> None:
    """Fill ``small``, in [0, 1], an image to a thread."""
    from foveal.sampler.kernels.cpu._box_mean import box_mean_into  # noqa: PLC0415 - numba is loaded by the first call

    whole = [image.contiguous() for image in images]

    def work(k: int) -> None:
        if is_large(whole[k], small):
            box_mean_into(whole[k].numpy(), small[k].numpy())
        else:
            shrink_into(whole[k], small[k])

    spread(work, len(images))
