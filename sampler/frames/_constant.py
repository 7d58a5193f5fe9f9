"""Caches small tensors that depend on sizes and settings alone."""

import functools
from collections.abc import Callable
from typing import TypeVarTuple

import torch
from torch import Tensor

from foveal.sampler.frames._is_recorded import is_recorded
from foveal.sampler.frames._is_transformed import is_transformed

Ts = TypeVarTuple("Ts")


def constant(build: Callable[[*Ts], Tensor]) -> Callable[[*Ts], Tensor]:
    """Cache the result of ``build`` for the same arguments. It must not be modified.

    While a graph is recorded, the tensor is built anew: a compiler folds it as a constant, and could not trace a cache. So it is in a transform
    of ``torch.func``, whose tensors are of no use after it.
    """

    @functools.lru_cache(maxsize=64)
    def kept(*args: *Ts) -> Tensor:
        # A tensor that is created in inference mode could never be used in training.
        with torch.inference_mode(mode=False):
            return build(*args)

    @functools.wraps(build)
    def look_up(*args: *Ts) -> Tensor:
        return build(*args) if is_recorded() or is_transformed() else kept(*args)

    return look_up
