"""Counts what a loader has done, and the time of its stages."""

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

    The stages run at the same time, some in several threads, so their seconds add up to more than the time that has
    passed. If ``wait`` is large, the stage with the most seconds limits the speed; if ``wait`` is small, the training
    script does. With a CUDA device each stage is also an NVTX range.

    Attributes:
        batches: Batches delivered.
        images: Images zoomed.
        pixels: Pixels of their originals.
        bytes: Bytes of their encoded images and labels.
        substituted: Images that replaced bad ones.
        pillow: Images that DALI refused and Pillow decoded.
        seconds: By stage: ``read``, ``decode`` (decoding, or waiting for DALI), ``lowres``, ``zoom`` (saliency, grid and
            sampling), and ``wait``, the time that the training script waited for batches.
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
        """Add the time of the block to a stage. It may be used in any thread."""
        start = time.perf_counter()
        try:
            with _shown_to_profilers(stage):
                yield
        finally:
            taken = time.perf_counter() - start
            with _ADDING:
                self.seconds[stage] += taken


def _shown_to_profilers(stage: str) -> AbstractContextManager[None]:
    """An NVTX range, which Nsight shows along with the device's work."""
    if not torch.cuda.is_available():
        return nullcontext()
    ranged: AbstractContextManager[None] = torch.cuda.nvtx.range(f"foveal: {stage}")
    return ranged
