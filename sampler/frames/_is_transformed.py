"""Whether torch differentiates or batches in a way that only its own operators know."""

import torch
from torch import Tensor
from torch.autograd import forward_ad


def is_transformed(*tensors: Tensor) -> bool:
    """Whether a transform of ``torch.func`` is at work, or one of the tensors has a tangent (``torch.autograd.forward_ad``).

    Kernels and operators of Foveal's know neither, and would drop tangents without a word: plain torch takes their place.
    """
    if torch.compiler.is_compiling():
        return False
    if torch._C._are_functorch_transforms_active():  # noqa: SLF001 - as torch.autograd.Function asks
        return True
    return any(_tangent(each) is not None for each in tensors)


def _tangent(value: Tensor) -> Tensor | None:
    found: Tensor | None = forward_ad.unpack_dual(value).tangent  # type: ignore[no-untyped-call]
    return found
