"""Small tensors that depend on sizes and settings alone: built once, kept."""

import functools
from collections.abc import Callable
from typing import TypeVarTuple

import torch
from torch import Tensor

Ts = TypeVarTuple("Ts")


def constant(build: Callable[[*Ts], Tensor]) -> Callable[[*Ts], Tensor]:
    """Keep what ``build`` returned for the same arguments. Nobody may write to it.

    A graph being compiled builds its own: the compiler folds it, and would not look into a cache.
    """

    @functools.lru_cache(maxsize=64)
    def kept(*args: *Ts) -> Tensor:
        # A tensor born in inference mode could never be trained through.
        with torch.inference_mode(mode=False):
            return build(*args)

    @functools.wraps(build)
    def look_up(*args: *Ts) -> Tensor:
        return build(*args) if torch.compiler.is_compiling() else kept(*args)

    return look_up
