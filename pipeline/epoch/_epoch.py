"""An epoch: shards, order, reader, decoder and zoom as a chain of generators, some of which run in separate threads."""

import functools
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import nn

from foveal.pipeline.decoding import Decoder, by_libjpeg, default_num_threads
from foveal.pipeline.epoch._budget import Budget
from foveal.pipeline.epoch._drift import DriftWatch
from foveal.pipeline.epoch._examples import Examples
from foveal.pipeline.epoch._join import Batch, Joiner
from foveal.pipeline.epoch._loader_options import LoaderOptions
from foveal.pipeline.epoch._micro_batch import (
    Limits,
    may_zoom_in_threads,
    micro_batch_size,
    needs_whole_batch,
    takes_turns,
)
from foveal.pipeline.epoch._plan import BatchPlan
from foveal.pipeline.epoch._reader import SampleReader
from foveal.pipeline.epoch._steps import Looking, Zooming
from foveal.pipeline.epoch.stages import (
    Stage,
    decode_and_zoom,
    decode_micro_batches,
    join_batches,
    read_micro_batches,
    zoom_micro_batches,
)
from foveal.pipeline.faults import BadSamples, EpochBadSamples
from foveal.pipeline.fields import Fields, Mask
from foveal.pipeline.flow import (
    IMAGE_BYTES,
    Background,
    Buffers,
    LoaderStats,
    Streams,
    memory_of,
    shared_buffers,
    streams_for,
)
from foveal.sampler import ZoomNeeds
from foveal.shards import EpochOrder, Shards
from foveal.shards.naming import is_remote

# Samples that are read at the same time if each waits for a server.
_REMOTE_READS = 32

# DALI gets at least the memory of this many threads: with less it would decode large images in batches of two, and its
# threads would wait for each other.
_DALI_THREADS = 5

# Part of a GPU's memory that images may take, and what they may take of small ones. DALI decodes many images at a time much
# faster than few: on an H200 60 photographs a second in batches of 32, 114 in batches of 64.
_PART_OF_GPU, _LEAST_OF_GPU = 16, 1_200_000_000

# Pixels of the originals that a thread decodes and zooms together, unless one image alone has more: two photographs of 6
# megapixels, which take about 40 ms. With more, threads would be idle at the end of an epoch while one has much left.
_PIXELS_OF_A_THREAD = 12_500_000

T = TypeVar("T")


@dataclass(kw_only=True, eq=False)
class Chain:
    """What all epochs of a loader have in common."""

    shards: Shards
    zoom: nn.Module
    device: torch.device
    fields: Fields
    stats: LoaderStats
    bad: BadSamples
    options: LoaderOptions
    image_memory: Buffers = field(init=False)
    batch_memory: Buffers = field(init=False)
    drift: DriftWatch = field(init=False)
    examples: Examples = field(init=False)

    def __post_init__(self) -> None:
        self.image_memory = shared_buffers(self._kept_bytes())
        self.batch_memory = Buffers(sys.maxsize)  # as many bytes as the batches that exist at one time
        self.drift = DriftWatch(self.zoom)
        self.examples = Examples(self.shards)

    def batches(
        self, number: int, plan: BatchPlan, bad: EpochBadSamples, leave: Callable[[], bool]
    ) -> Stage[Batch]:
        """Begin an epoch, or a part of it.

        If possible, images are zoomed in the threads that decode them. Otherwise micro-batches are decoded in the
        background while the previous one is zoomed, so the two stages can share a thread.

        Args:
            number: The number from which order, substitutes and views are drawn.
            plan: Says which samples belong to which batch.
            bad: The record of the epoch's bad samples.
            leave: Called when the batches are no longer needed; returns whether no other iterator reads.
        """
        self.shards.resume()
        options, streams = self.options, streams_for(self.device)
        order = EpochOrder(self.shards.counts, shuffle=options.shuffle, seed=options.seed, epoch=number)
        trains, in_threads = self.can_train(), self._zooms_in_threads()
        budget = self._budget()
        reader = self._reader(number, order, budget, bad)
        read = read_micro_batches(
            plan,
            reader.take,
            self._limits(plan.batch_size, in_threads=in_threads),
            self.stats,
            at_once=self._reads_at_once(),
        )
        decoder = Decoder(
            self.device,
            num_threads=options.num_threads,
            stream=None if streams is None else streams.decode,
            buffers=self.image_memory,
        )
        looking = Looking(ZoomNeeds.of(self.zoom), self.device, self._view(number), self.stats)
        zooming = Zooming(self.zoom, self.fields, self.stats, trains, self.examples)

        def let_go() -> None:
            """Stop the waiting of the first thread, because threads are closed beginning with the last."""
            budget.close()
            if leave():
                self.shards.interrupt()

        ahead = functools.partial(
            _ahead, streams=streams, count=options.prefetch_factor, kernels=self._threads(), hurry=let_go
        )
        memory = self.batch_memory if self.device.type == "cpu" and not trains else None
        joiner = Joiner(self.fields, plan.batch_size, memory, self.examples)
        source = Background(read, ahead=self._read_ahead(), name="foveal-read")
        stages = (source, decoder, reader.instead_of, looking)
        if in_threads:
            zoomed = decode_and_zoom(*stages, zooming, self.stats, budget=budget)
            return ahead(join_batches(zoomed, joiner, self.stats), name="foveal-zoom")
        decoded = decode_micro_batches(*stages, self.stats, budget=budget)
        zoom = functools.partial(zoom_micro_batches, zooming=zooming, budget=budget, streams=streams)
        # Zooming has to wait for the training step, and to take its turn among what the script draws, saves and changes; decoding has not.
        if trains or takes_turns(self.zoom):
            return join_batches(zoom(ahead(decoded, name="foveal-decode")), joiner, self.stats)
        return ahead(join_batches(zoom(decoded), joiner, self.stats), name="foveal-zoom")

    def release_memory(self) -> None:
        """Free the memory that is kept for later epochs, except that of images which another loader shares."""
        self.image_memory = Buffers(self._kept_bytes())
        self.batch_memory.clear()

    def _reader(self, number: int, order: EpochOrder, budget: Budget, bad: EpochBadSamples) -> SampleReader:
        plan_decoding = by_libjpeg(self.options.decode, self.device, self.zoom, self._view(number))
        return SampleReader(
            self.shards,
            order,
            self.fields,
            bad,
            self.options,
            plan_decoding=plan_decoding,
            budget=budget,
            number=number,
        )

    def _reads_at_once(self) -> int:
        """Number of samples that are read at the same time: remote samples wait for a server, and masks are decoded as they are read."""
        if any(map(is_remote, self.shards.urls)):
            return _REMOTE_READS
        masks = any(isinstance(field, Mask) for field in self.fields.spatial)
        return self._threads() if masks else 1

    def _read_ahead(self) -> int:
        """Number of micro-batches that are read before they are needed; those of a GPU have many images."""
        return 2 if self.device.type == "cuda" else self._threads() + 1

    def _threads(self) -> int:
        return self.options.num_threads or default_num_threads()

    def _kept_bytes(self) -> int:
        """Bytes that may be kept for later images. An image is written into the memory of an earlier one that was not much larger."""
        return self.options.memory_budget or IMAGE_BYTES * max(_DALI_THREADS, self._threads())

    def _image_bytes(self) -> int:
        """Bytes that decoded images may take. A thread may decode one image while it zooms another; DALI needs whole batches."""
        if self.device.type == "cuda":
            return max(_LEAST_OF_GPU, memory_of(self.device) // _PART_OF_GPU)
        return IMAGE_BYTES * max(self._fewest_threads(), self._threads())

    def _fewest_threads(self) -> int:
        """Number of threads on the CPU for which there is memory in any case."""
        return _DALI_THREADS if self.options.decode == "dali" else 2

    def _limits(self, batch_size: int, *, in_threads: bool) -> Limits:
        """Return how much a micro-batch may be. A thread that zooms what it decodes gets little at a time, so that others need not wait for it."""
        pixels, most = self._most_pixels(), _PIXELS_OF_A_THREAD if in_threads else math.inf
        if in_threads:
            pixels = min(pixels, IMAGE_BYTES // 3)  # three bytes each
        size = micro_batch_size(self.zoom, batch_size, self.device, trains=self.can_train())
        return Limits(size, pixels, most)

    def _most_pixels(self) -> float:
        """Largest size of a micro-batch: with a budget, half of it, so that one is decoded while another is zoomed."""
        if needs_whole_batch(self.zoom):
            return math.inf
        # not that of more threads: with other images beside it a network may round an image differently
        on_cpu = IMAGE_BYTES * self._fewest_threads()
        most = self._image_bytes() if self.device.type == "cuda" else on_cpu
        return min(most, self.options.memory_budget or math.inf) / 6

    def _budget(self) -> Budget:
        if self.options.memory_budget is not None:
            return Budget(self.options.memory_budget, strict=True)
        return Budget(math.inf if needs_whole_batch(self.zoom) else self._image_bytes(), strict=False)

    def _view(self, number: int) -> Callable[[int, tuple[int, int]], torch.Tensor] | None:
        """Return the function that returns the view of a sample, given its number and size; None if images are not augmented."""
        augment, seed = self.options.augment, self.options.seed
        if augment is None:
            return None
        return lambda ordinal, size: augment.view(size, (seed, number, ordinal))

    def _zooms_in_threads(self) -> bool:
        """Return whether each image may be zoomed alone, in the thread that decoded it. DALI decodes batches."""
        in_threads = self.device.type == "cpu" and self.options.decode == "auto"
        return in_threads and not self.can_train() and may_zoom_in_threads(self.zoom)

    def can_train(self) -> bool:
        """Return whether gradients reach the zoom now, so that batches have to carry the graph."""
        return torch.is_grad_enabled() and any(p.requires_grad for p in self.zoom.parameters())


def _ahead(
    stage: Stage[T],
    *,
    name: str,
    streams: Streams | None,
    count: int,
    kernels: int,
    hurry: Callable[[], object],
) -> Stage[T]:
    """Run a stage in a separate thread, and on a GPU on a separate stream."""
    if streams is None:
        return Background(stage, ahead=count, name=name, kernels=kernels, hurry=hurry)
    return streams.consume(Background(streams.produce(stage), ahead=count, name=name, hurry=hurry))
