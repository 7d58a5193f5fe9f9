"""What travels together at full resolution: a few images of a batch."""

from dataclasses import dataclass

from torch import Tensor, nn

from foveal.pipeline.epoch._reader import EncodedSample
from foveal.pipeline.epoch._zoom_copies import Copies

# Images that are decoded, zoomed and released together. Fewer leave DALI's threads idle at the end of each
# micro-batch, more cost memory.
MICRO_BATCH = 8

# Micro-batches that are being decoded while one is zoomed: small images finish faster than a large one among them.
AHEAD = 3


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Samples that were read, to be decoded together.

    Attributes:
        samples: The samples; none only where a batch has nothing to deliver.
        ends_batch: Whether they are the last of their batch.
    """

    samples: list[EncodedSample]
    ends_batch: bool


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """A micro-batch at full resolution: what a zoom is given to see.

    Attributes:
        samples: What the images belong to.
        ends_batch: Whether they are the last of their batch.
        copies: The images, upright, perhaps smaller than the originals.
        sizes: Height and width of the originals in pixels.
        views: Which view of each to zoom, None for whole images.
        lowres: Copies to look at, None where the zoom wants none.
        share: Bytes that the images take of the budget, to be given back with them.
    """

    samples: list[EncodedSample]
    ends_batch: bool
    copies: Copies
    sizes: list[tuple[int, int]]
    views: Tensor | None
    lowres: Tensor | None
    share: int


def micro_batch_size(zoom: nn.Module, batch_size: int) -> int:
    """Return how many images a micro-batch has at most."""
    return batch_size if needs_whole_batch(zoom) else MICRO_BATCH


def needs_whole_batch(zoom: nn.Module) -> bool:
    """Say whether a zoom takes statistics over the batch, as batch norm does in training."""
    norms = (m for m in zoom.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))  # noqa: SLF001
    return any(norm.training for norm in norms)
