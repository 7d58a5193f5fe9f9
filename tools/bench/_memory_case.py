"""One case of ``foveal bench memory``, in a process of its own: ``python -m foveal.tools.bench._memory_case '{...}'``.

The process is at rest when everything is imported and one tiny batch has gone through loader and network, so that kernels
are compiled, threads started and libraries loaded. From then on the operating system records a new peak.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any, Self

from torch import Tensor

from foveal.pipeline import ZoomLoader
from foveal.sampler import SaliencySampler
from foveal.tools.bench.timing import peak_memory_mb, restart_peak_memory
from foveal.tools.bench.way import Way


@dataclass(frozen=True, slots=True)
class MemoryCase:
    """What to load, and how.

    Attributes:
        tiny: A shard of at least one small image.
        shard: The shard whose images count.
        batch_size: Images of a batch.
        way: How to decode and zoom.
        trains: Whether ``backward`` is called for each batch.
        memory_budget: As ``ZoomLoader`` has it.
    """

    tiny: str
    shard: str
    batch_size: int
    way: Way
    trains: bool
    memory_budget: str | None

    def to_json(self) -> str:
        """Return what :meth:`from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the case that was written."""
        named = json.loads(text)
        return cls(**{**named, "way": Way(**named["way"])})


def peak_of(case: MemoryCase) -> dict[str, Any]:
    """Return the peak above rest in 2^20 bytes, the number of images, and the largest gradient (0 if nothing trains)."""
    zoom = case.way.trainable_zoom(224).requires_grad_(case.trains)
    images, gradient = 0, 0.0
    for _ in _batches(case.tiny, zoom, case):
        pass
    zoom.zero_grad()  # so that a gradient at the end is of the shard that counts
    restart_peak_memory()
    rest = peak_memory_mb()
    for batch in _batches(case.shard, zoom, case):
        images += batch.shape[0]
        gradient = max(
            [float(p.grad.abs().max()) for p in zoom.parameters() if p.grad is not None], default=0.0
        )
    return {"images": images, "gradient": gradient, "peak_mb": peak_memory_mb() - rest}


def _batches(shard: str, zoom: SaliencySampler, case: MemoryCase) -> Iterator[Tensor]:
    """Yield each batch, after ``backward`` if the case trains."""
    loader = ZoomLoader(
        shard,
        zoom,
        batch_size=case.batch_size,
        fields=("image",),
        decode=case.way.decode,
        memory_budget=case.memory_budget,
    )
    with closing(loader):
        for (batch,) in loader:
            if case.trains:
                batch.square().mean().backward()
            yield batch


if __name__ == "__main__":
    print(json.dumps(peak_of(MemoryCase.from_json(sys.argv[1]))))
