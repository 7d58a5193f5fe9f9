"""The settings of a loader on which its epochs depend."""

from dataclasses import dataclass

from foveal.pipeline.decoding import DecodeMode, PixelRule
from foveal.pipeline.epoch._augment import Augment
from foveal.pipeline.epoch._plan import LastBatch
from foveal.sampler.frames import whole


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderOptions:
    """Arguments of :class:`ZoomLoader` under the same names. ``memory_budget`` is in bytes, and ``rule`` replaces four of them."""

    batch_size: int
    last_batch: LastBatch
    shuffle: bool
    seed: int
    num_threads: int | None
    prefetch_factor: int
    max_pixels: int | None
    decode: DecodeMode
    memory_budget: int | None
    augment: Augment | None
    rule: PixelRule

    def __post_init__(self) -> None:
        for name in ("num_threads", "prefetch_factor", "max_pixels"):
            value = getattr(self, name)
            if value is not None:
                whole(value, name)
        whole(self.seed, "seed", 0)
