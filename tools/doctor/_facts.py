"""What ``foveal doctor`` found out: numbers alone, from which follow what limits and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass

from foveal.pipeline.decode import DecodeMode

READ, DECODE, LOWRES, SALIENCY, GRID, SAMPLE = (
    "reading",
    "decoding",
    "low-resolution copy",
    "saliency",
    "grid",
    "sampling",
)
STAGES = (READ, DECODE, LOWRES, SALIENCY, GRID, SAMPLE)
"""What happens to each image in turn, with the loader's defaults."""

_BUSY = 0.1  # of all processors: more than the system itself takes


@dataclass(frozen=True, slots=True)
class Setting:
    """How a loader decodes, up to which bound it zooms, and where."""

    decode: DecodeMode = "auto"
    max_zoom: float | None = None
    device: str = "cpu"

    def __str__(self) -> str:
        bound = "" if self.max_zoom is None else f", max_zoom {self.max_zoom:g}"
        return f"{self.decode}{bound}" + ("" if self.device == "cpu" else f", {self.device}")


DEFAULT = Setting()


@dataclass(frozen=True, slots=True)
class Facts:
    """What was measured.

    Attributes:
        images: Good images that were measured.
        pixels: Of all of them.
        bytes: Of all of them, encoded.
        bad: How many others could not be decoded; ``bad_reason`` is the first one's.
        bad_reason: What is wrong with the first bad one.
        by_pillow: Images that DALI refused and Pillow decoded.
        samples: In all shards.
        shards: How many there are.
        remote: How many of them are on other machines.
        without_index: Local shards without a fresh index beside them.
        opening_seconds: What it took to open all shards.
        out_size: Height and width of the zoomed images, in pixels.
        processors: That this process may use.
        busy: How many of them, on average, other processes kept busy while this was measured.
        stages: Seconds an image, of each of ``STAGES`` alone.
        decoding: Seconds an image, of decoding alone, by setting.
        loaders: Seconds an image, of the whole loader from a copy of the images on this machine's disk, by setting.
        threads: Seconds an image, of decoding alone with so many threads.
    """

    images: int
    pixels: int
    bytes: int
    bad: int
    bad_reason: str
    by_pillow: int
    samples: int
    shards: int
    remote: int
    without_index: int
    opening_seconds: float
    out_size: int
    processors: int
    busy: float
    stages: Mapping[str, float]
    decoding: Mapping[Setting, float]
    loaders: Mapping[Setting, float]
    threads: Mapping[int, float]

    @property
    def is_busy(self) -> bool:
        """Whether other processes took more than a tenth of the processors."""
        return self.busy > _BUSY * self.processors

    @property
    def loader_seconds(self) -> float:
        """Seconds an image of a loader with defaults: reading goes on beside it, and holds it up where it is slower."""
        return max(self.loaders[DEFAULT], self.stages[READ])

    @property
    def limit(self) -> str:
        """The stage that limits: reading where it alone is slower than the loader, else the one that works longest."""
        if self.stages[READ] > self.loaders[DEFAULT]:
            return READ
        return max(STAGES, key=lambda stage: self.stages[stage])
