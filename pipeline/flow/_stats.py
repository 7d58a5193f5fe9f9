"""What a loader has done, and where its time went."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import torch

_ADDING = threading.Lock()

STAGES = ("read", "decode", "lowres", "zoom", "wait")


@dataclass(slots=True)
class LoaderStats:
    """Counts and seconds since the loader was made.

    The stages run side by side, each perhaps in several threads at once, so their seconds add up to more than the time that
    passed. The one with the most is the one that limits, as long as ``wait`` is large; where ``wait`` is small, the training
    script is what limits. With a CUDA device each stage is an NVTX range as well.

    Attributes:
        batches: Batches delivered.
        images: Images zoomed.
        pixels: Pixels of their originals.
        bytes: Bytes of encoded images and labels that went into them.
        substituted: Images that stand in for bad ones.
        pillow: Images that DALI refused and Pillow decoded.
        seconds: By stage: ``read``, ``decode`` (decoding, or waiting for DALI), ``lowres``, ``zoom`` (saliency, grid and
            sampling), and ``wait``, which the training script spent waiting for a batch.
    """

    batches: int = 0
    images: int = 0
    pixels: int = 0
    bytes: int = 0
    substituted: int = 0
    pillow: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time that the block takes to a stage. Any thread may be timed."""
        start = time.perf_counter()
        try:
            with _shown_to_profilers(stage):
                yield
        finally:
            taken = time.perf_counter() - start
            with _ADDING:
                self.seconds[stage] += taken


def _shown_to_profilers(stage: str) -> AbstractContextManager[None]:
    """An NVTX range, which Nsight shows beside what the device does meanwhile."""
    if not torch.cuda.is_available():
        return nullcontext()
    ranged: AbstractContextManager[None] = torch.cuda.nvtx.range(f"foveal: {stage}")
    return ranged
