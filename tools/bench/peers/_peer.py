"""The interface of another loader to this benchmark."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Peer:
    """Another loader that decodes images and resizes them uniformly.

    Attributes:
        read: Returns one file as the loader delivers it, (3, size, size) in [0, 1]; raises any exception if it cannot.
        batches: Returns an iterable over the batches of some shards, (batch, 3, size, size) in [0, 1], which can be
            iterated repeatedly.
    """

    read: Callable[[bytes], Float[Tensor, "3 size size"]]
    batches: Callable[[list[str]], Iterable[Float[Tensor, "batch 3 size size"]]]
