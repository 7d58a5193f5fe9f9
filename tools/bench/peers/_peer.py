"""What another loader is, to this benchmark."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Peer:
    """Another loader that decodes images and resizes them uniformly.

    Attributes:
        read: Returns one file as the loader has it, (3, size, size) in [0, 1]; raises an error of any kind where it cannot.
        batches: Returns the epoch of some shards, (batch, 3, size, size) in [0, 1], which may be iterated again and again.
    """

    read: Callable[[bytes], Float[Tensor, "3 size size"]]
    batches: Callable[[list[str]], Iterable[Float[Tensor, "batch 3 size size"]]]
