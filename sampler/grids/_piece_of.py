"""Which piece of a piecewise function each point lies in."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from foveal.sampler.frames import is_transformed


def piece_of(
    wanted: Float[Tensor, "batch points"], ends: Float[Tensor, "batch pieces"]
) -> Int[Tensor, "batch points"]:
    """Return how many of the ascending ``ends`` each wanted value has reached; beyond the last end, all of them.

    In a graph by comparing with each: ONNX has no search, and torch.vmap repeats it for each member.
    """
    if torch.compiler.is_compiling() or is_transformed():
        return (wanted[:, :, None] >= ends.detach()[:, None]).sum(dim=2)
    return torch.searchsorted(ends.detach().contiguous(), wanted.contiguous(), right=True)
