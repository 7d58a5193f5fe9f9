"""What travels together at full resolution: a few images of a batch."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from foveal.pipeline.copies import Copies
from foveal.pipeline.decode import EncodedImage
from foveal.pipeline.epoch._reader import EncodedSample
from foveal.pipeline.fields import SpatialField
from foveal.sampler import PerturbedTopK, Zoomed

# Images that are decoded, zoomed and released together. Fewer leave DALI's threads idle at the end of each
# micro-batch, and are little work for as many steps in Python; more cost memory.
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

    @property
    def images(self) -> list[EncodedImage]:
        """The samples' images."""
        return [sample.image for sample in self.samples]


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
        share: Bytes that the images take of the budget, if who zooms them is to give those back; else 0.
    """

    samples: list[EncodedSample]
    ends_batch: bool
    copies: Copies
    sizes: list[tuple[int, int]]
    views: Tensor | None
    lowres: Tensor | None
    share: int


@dataclass(frozen=True, slots=True)
class ZoomedBatch:
    """A micro-batch after the zoom: nothing of it has full resolution.

    Attributes:
        samples: What the images belong to.
        ends_batch: Whether they are the last of their batch.
        zoomed: What the zoom returned.
        labels: Those that follow the zoom, in its frame.
        sizes: Height and width of the originals in pixels.
        views: Which view of each was zoomed, None for whole images.
    """

    samples: list[EncodedSample]
    ends_batch: bool
    zoomed: Zoomed
    labels: dict[SpatialField, Any]
    sizes: list[tuple[int, int]]
    views: Tensor | None


def may_zoom_in_threads(zoom: nn.Module) -> bool:
    """Say whether several threads may call a zoom at once, and in any order, without a change of what it returns.

    In evaluation mode a module computes, and changes nothing. Of modules in training mode this is known of torch's and
    Foveal's alone, unless they draw at random or take statistics. What is wrapped, compiled or hooked is called in order.
    """
    return not any(map(_needs_order, zoom.modules()))


def _needs_order(module: nn.Module) -> bool:
    kind = type(module)
    hooked = module._forward_hooks or module._forward_pre_hooks or module._compiled_call_impl  # noqa: SLF001 - no public way
    if hooked or kind.__module__.startswith(_WRAPPERS):
        return True
    return module.training and (isinstance(module, _CHANGING) or not kind.__module__.startswith(_KNOWN))


_WRAPPERS = ("torch._dynamo", "torch.nn.parallel", "torch.distributed")
_KNOWN = ("torch.nn.modules", "foveal.")
_CHANGING = (
    nn.modules.batchnorm._NormBase,  # noqa: SLF001 - what all of them have in common
    nn.modules.dropout._DropoutNd,  # noqa: SLF001 - as above
    nn.RReLU,
    nn.FractionalMaxPool2d,
    PerturbedTopK,
)


def micro_batch_size(zoom: nn.Module, batch_size: int) -> int:
    """Return how many images a micro-batch has at most."""
    return batch_size if needs_whole_batch(zoom) else MICRO_BATCH


def needs_whole_batch(zoom: nn.Module) -> bool:
    """Say whether a zoom takes statistics over the batch, as batch norm does in training."""
    norms = (m for m in zoom.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))  # noqa: SLF001
    return any(norm.training for norm in norms)
