"""The numbers of a tensor of which ``torch.vmap`` shows one at a time."""

import torch
from jaxtyping import Shaped
from torch import Tensor


def underlying(values: Shaped[Tensor, "*_shape"]) -> Shaped[Tensor, "*_more"]:
    """Return the values of the whole batch, which may be read: those of one of its members may not. Outside of a transform, what is given."""
    if torch.compiler.is_compiling():
        return values
    while torch._C._functorch.is_functorch_wrapped_tensor(values):  # noqa: SLF001 - there is no public name
        values = torch._C._functorch.get_unwrapped(values)  # noqa: SLF001
    return values
