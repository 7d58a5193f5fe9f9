"""The measurements of ``foveal doctor``: the verdict and the advice follow from these numbers alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from foveal._choices import MAX_ZOOM
from foveal.tools.bench.way import Way

READ, DECODE, LOWRES, SALIENCY, GRID, SAMPLE = (
    "reading",
    "decoding",
    "low-resolution copy",
    "saliency",
    "grid",
    "sampling",
)
STAGES = (READ, DECODE, LOWRES, SALIENCY, GRID, SAMPLE)
"""The stages of each image with the loader's defaults, in order."""

_BUSY = 0.1  # share of all processors: more than the system itself takes


DEFAULT = Way("auto", MAX_ZOOM)
"""A loader with its defaults, and the default zoom."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The measurements.

    Attributes:
        images: Number of good images that were measured.
        pixels: Pixels of all of these images.
        bytes: Encoded bytes of all of these images.
        bad: Number of other images, which could not be decoded.
        bad_reason: What is wrong with the first bad image.
        by_pillow: Number of images that DALI refused and Pillow decoded.
        samples: Number of samples in all shards.
        shards: Number of shards.
        remote: Number of shards on other machines.
        without_index: Number of local shards without an up-to-date index beside them.
        opening_seconds: Seconds to open all shards.
        out_size: Height and width of the zoomed images, in pixels.
        processors: Number of processors that this process may use.
        busy: How many of them, on average, other processes kept busy while this was measured.
        stages: Seconds an image of each of ``STAGES`` alone.
        decoding: Seconds an image of decoding alone, by way.
        loaders: Seconds an image of the whole loader, reading a local copy of the images, by way.
        threads: Seconds an image of decoding alone, by number of threads.
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
    decoding: Mapping[Way, float]
    loaders: Mapping[Way, float]
    threads: Mapping[int, float]

    @property
    def is_busy(self) -> bool:
        """Whether other processes took more than a tenth of the processors."""
        return self.busy > _BUSY * self.processors

    @property
    def loader_seconds(self) -> float:
        """Seconds an image of a loader with the defaults. Reading runs beside it, and limits it if reading is slower."""
        return max(self.loaders[DEFAULT], self.stages[READ])

    @property
    def limit(self) -> str:
        """The stage that limits the speed: reading if it alone is slower than the loader, else the stage that works longest."""
        if self.stages[READ] > self.loaders[DEFAULT]:
            return READ
        return max(STAGES, key=lambda stage: self.stages[stage])
