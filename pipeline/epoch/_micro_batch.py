"""Micro-batches: the few images of a batch that are at full resolution together."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from foveal.pipeline.copies import Copies
from foveal.pipeline.decoding import EncodedImage
from foveal.pipeline.epoch._ranks import is_sharded
from foveal.pipeline.epoch._reader import EncodedSample
from foveal.pipeline.fields import SpatialField
from foveal.sampler import PerturbedTopK, Zoomed
from foveal.sampler.saliency.training import TrainingHook

# Images that are decoded, zoomed and freed together. With fewer, DALI's threads would be idle at the end of each
# micro-batch, and Python's share of the work would grow; more take more memory.
MICRO_BATCH = 8

# The same while the zoom trains: then decoding goes on beside the training step, whatever is zoomed, and torch's operators on
# few images take little more time for more.
TRAINED_TOGETHER = 32

# The same on a GPU, if there is memory for them. Starting the default zoom's kernels takes the host as long for few images as for
# many: on an H200 3.8 ms for 8 images, of which the device was busy for 0.9, and 5.2 ms for 64.
ON_GPU = 64

# Micro-batches that are decoded while one is zoomed, so that small images need not wait for a large one; on the CPU one for
# each thread if there are more.
AHEAD = 3


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Samples that were read, to be decoded together.

    Attributes:
        samples: The samples; empty only if a batch has nothing to deliver.
        ends_batch: Whether they are the last of their batch.
    """

    samples: list[EncodedSample]
    ends_batch: bool

    @property
    def images(self) -> list[EncodedImage]:
        """The samples' images."""
        return [sample.image for sample in self.samples]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a micro-batch of more than one image may be, by the images' headers.

    Attributes:
        images: Number of images.
        pixels: Pixels that they take in memory while they are decoded.
        original_pixels: Pixels of their originals. Most of the time of decoding goes by them, at whatever scale.
    """

    images: int
    pixels: float
    original_pixels: float

    def hold(self, images: list[EncodedImage]) -> bool:
        """Return whether some images may be a micro-batch, if they are not too many."""
        if len(images) < 2:
            return True
        pixels = sum(image.decoded_pixels for image in images)
        original_pixels = sum(image.height * image.width for image in images)
        return pixels <= self.pixels and original_pixels <= self.original_pixels


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """A micro-batch at full resolution, as it is passed to a zoom.

    Attributes:
        samples: The samples of the images.
        ends_batch: Whether they are the last of their batch.
        copies: The images, upright, perhaps smaller than the originals.
        sizes: Height and width of the originals in pixels.
        views: The view of each image to zoom; None for whole images.
        lowres: Low-resolution copies; None if the zoom needs none.
        share: Bytes of the budget that are to be returned after the zoom; 0 if that is done elsewhere.
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
    """A micro-batch after the zoom, without anything at full resolution.

    Attributes:
        samples: The samples of the images.
        ends_batch: Whether they are the last of their batch.
        zoomed: What the zoom returned.
        labels: The warped labels, in the frame of the zoomed images.
        sizes: Height and width of the originals in pixels.
        views: The view of each image that was zoomed; None for whole images.
    """

    samples: list[EncodedSample]
    ends_batch: bool
    zoomed: Zoomed
    labels: dict[SpatialField, Any]
    sizes: list[tuple[int, int]]
    views: Tensor | None


def may_zoom_in_threads(zoom: nn.Module) -> bool:
    """Return whether several threads may call a zoom at once and in any order without changing its results.

    In evaluation mode a module computes without changing its state. For modules in training mode this is only known of
    torch's and Foveal's, except those that draw random numbers or update statistics. Wrapped, compiled or hooked modules
    are called in order.
    """
    return not any(map(_needs_order, zoom.modules()))


def takes_turns(zoom: nn.Module) -> bool:
    """Return whether a zoom must be called between the script's own steps, as far as its layers tell.

    Its calls draw from torch's generator, which the script uses, too, or update statistics; or the ranks exchange weights in them.
    """
    return is_sharded(zoom) or any(
        module.training and (_draws(module) or _counts(module)) for module in zoom.modules()
    )


def _draws(module: nn.Module) -> bool:
    return isinstance(module, _DRAWING) or (isinstance(module, _DROPPING) and module.dropout > 0)


def _counts(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._NormBase) and module.track_running_stats  # noqa: SLF001 - what all of them have in common


def _needs_order(module: nn.Module) -> bool:
    kind = type(module)
    hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())  # noqa: SLF001 - no public way
    hooked = any(not isinstance(hook, TrainingHook) or (module.training and hook.act) for hook in hooks)
    compiled = module._compiled_call_impl  # noqa: SLF001 - as above
    if hooked or compiled or kind.__module__.startswith(_WRAPPERS):
        return True
    return module.training and (_draws(module) or _counts(module) or not kind.__module__.startswith(_KNOWN))


_WRAPPERS = ("torch._dynamo", "torch.nn.parallel", "torch.distributed")
_KNOWN = ("torch.nn.modules", "foveal.")
_DRAWING = (
    nn.modules.dropout._DropoutNd,  # noqa: SLF001 - what all of them have in common
    nn.RReLU,
    nn.FractionalMaxPool2d,
    nn.FractionalMaxPool3d,
    PerturbedTopK,
)
_DROPPING = (nn.MultiheadAttention, nn.RNNBase)  # which have no layer for it


def micro_batch_size(zoom: nn.Module, batch_size: int, device: torch.device, *, trains: bool = False) -> int:
    """Return the largest number of images of a micro-batch on a device."""
    if needs_whole_batch(zoom):
        return batch_size
    return TRAINED_TOGETHER if trains else zoomed_together(device)


def zoomed_together(device: torch.device) -> int:
    """Return the largest number of images that are zoomed together on a device, without a graph."""
    return ON_GPU if device.type == "cuda" else MICRO_BATCH


def needs_whole_batch(zoom: nn.Module) -> bool:
    """Return whether a zoom must be called once for each batch.

    Batch norm computes statistics over the batch in training, or always if it keeps none. Of a sharded zoom the ranks gather the weights in each
    call, and would wait for each other in vain if they divided their batches into different numbers of micro-batches.
    """
    norms = (m for m in zoom.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))  # noqa: SLF001
    return is_sharded(zoom) or any(norm.training or norm.running_mean is None for norm in norms)
