"""The loader: shards in, zoomed batches out."""

import functools
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, NoReturn, Self

import torch
from torch import nn
from torch.utils.data import get_worker_info

from foveal._outside import outside
from foveal.pipeline.dataloader import (
    DataLoaderAttributes,
    Source,
    WorkerPasses,
    reported_to_accelerate,
)
from foveal.pipeline.decoding import (
    MAX_PIXELS,
    Bands,
    Bits,
    Color,
    DecodeMode,
    PixelRule,
    Window,
    as_decode_mode,
)
from foveal.pipeline.epoch import (
    AtWork,
    Augment,
    Batch,
    BatchPlan,
    Chain,
    EpochIterator,
    EpochPlace,
    LastBatch,
    LoaderOptions,
    Position,
    Ranks,
    RankWarning,
    check_augment,
    identity,
    make_state,
    may_drift,
    read_state,
)
from foveal.pipeline.faults import BadSample, BadSamples, OnBad
from foveal.pipeline.fields import Field, guide_of, map_guide_of, parse_fields
from foveal.pipeline.flow import LoaderStats, choose_device
from foveal.sampler import ZoomNeeds
from foveal.sampler.frames import whole
from foveal.sampler.zooms import unwrapped
from foveal.shards import Shards
from foveal.shards.naming import parse_size


class ZoomLoader(DataLoaderAttributes):
    """Batches of zoomed images out of WebDataset shards.

    Reads, decodes, computes the saliency at low resolution and samples in the background, and delivers tuples in the
    order of ``fields``. Iterate it as often as you like; each complete pass is an
    epoch, which is over when its last batch has been delivered. When gradients are enabled and the zoom has parameters that
    require them, zooming runs in the foreground with the current weights, and the batch carries the graph:
    ``loss.backward()`` reaches the saliency network. Otherwise zooming runs ahead as well, with the weights that it finds: do not
    change those of a zoom that does not train while a pass is running. A zoom may be frozen or unfrozen during a pass.

    Iterators are independent of each other, like those of a ``DataLoader``: ``next(iter(loader))`` inside a loop returns
    a batch and does not affect the loop. With ``shuffle``, each iterator of an epoch has a different order, so a loop
    that leaves early and begins again sees other batches. On several ranks all iterators of an epoch have the same order,
    as with a ``DistributedSampler``. At most two iterators prepare batches ahead at a time; further ones pause until
    their next batch is requested, unless several threads request batches at the same time.

    If a zoom trains on several ranks, its gradients must be averaged: give the loader ``DistributedDataParallel(zoom)``,
    or make the zoom a part of the model that is wrapped. If a dataset iterates this loader inside the workers of a
    ``DataLoader``, the workers take its batches in turns. Each pass over that ``DataLoader`` has a different order; the
    first one after ``set_epoch`` has the order of the epoch. This holds for persistent workers as well, whose next pass begins
    where ``set_epoch`` or ``load_state_dict`` of the loader says, provided that the dataset iterates the loader once in each pass.

    Equal arguments give equal batches, bit for bit on one device, whatever ``num_threads`` and ``prefetch_factor``
    are. With another batch size images may differ by rounding, because torch's convolutions may compute a single image
    differently from several; while the zoom trains, also with another ``torch.get_num_threads()``. A zoom in training mode with
    random layers of torch's, such as ``Dropout``, zooms when a batch is asked for, because it takes its numbers from the generator that the
    script uses (``torch.manual_seed``); so does one with batch norm, whose statistics then are those of the batches that were delivered. If code
    of your own draws numbers or keeps statistics, call ``zoom.eval()``, unless the zoom trains.

    The memory of decoded images, and of batches that are no longer referenced, is used again, also in the next epoch;
    ``close`` frees it.

    After a fork the child may use the loader, but not an epoch that was already running. If the zoom trains in the
    child, call ``torch.set_num_threads(1)`` there first, as for any training with torch. Loaders do not pickle.

    Args:
        urls: Shards, as :func:`foveal.shards.expand_urls` takes them.
        zoom: A sampler, such as :class:`foveal.sampler.SaliencySampler`. The loader neither moves it nor changes its
            mode. A zoom with an attribute ``boxes_from``, such as ``"json:boxes"``, gets the ``boxes`` of that field, as
            fractions of each original. A zoom with an attribute ``maps_from``, such as ``"attention.npy"``, gets the
            ``maps`` of that field (:class:`Saliency`). A zoom with an attribute ``condition``, a tuple of member
            extensions, gets a tuple of these fields as they are in a batch.
        batch_size: Images of a batch, on this rank.
        fields: What a batch consists of: ``"image"``, member extensions (``"cls"``, ``"json"``, ``"txt"``,
            ``"npy"``; others arrive as bytes), alternatives (``"cls;txt"``), ``"__key__"``, ``"__url__"``,
            ``"__index__"`` (its number in the order of the shards), ``"__members__"`` (all of its members, a dict of
            bytes by extension), ``"__size__"`` (height and width in pixels of the upright original), ``"__valid__"``,
            ``"__grid__"``,
            ``"__saliency__"``, ``"__view__"`` (what ``augment`` drew, (2, 3) for each image); and labels that follow the
            zoom: :class:`Boxes`, :class:`Points`, :class:`Mask`, :class:`InstanceMasks`, :class:`Saliency`. Batches are tuples in this order, or dicts if names are given:
            ``{"pixel_values": "image", "labels": "cls"}``.
        shuffle: Whether each epoch visits the samples in another order.
        seed: The seed of the orders, together with the epoch.
        last_batch: ``"partial"`` delivers the samples that are left at the end as a smaller batch (an empty one if fewer
            samples than ranks are left), ``"drop"`` leaves them out, ``"pad"`` fills the batch with the epoch's first
            samples, for which ``"__valid__"`` is False, so that an evaluation can count every sample once.
        device: The device that decodes and zooms. By default that of the zoom's parameters and buffers; for a zoom
            without any, a CUDA device if there is one.
        num_threads: Threads that decode. By default one for each processor that this process may use, shared with the
            other ranks of this machine.
        prefetch_factor: Batches that are ready ahead, or decoded micro-batches if they are zoomed when a batch is asked for.
        rank: This process among those that share an epoch. By default it is read when iterating begins and when ``len``
            is called: from ``torch.distributed``, or else from the variables ``RANK`` and ``WORLD_SIZE`` that torchrun sets.
        world_size: How many processes share an epoch; by default as for ``rank``.
        cache_dir: Folder for copies of remote shards, and for the indexes of shards that have none beside them.
        cache_size: Room for copies of remote shards, such as ``"200GB"``; None to read remote samples by ranges.
        storage_options: For remote shards, as :class:`foveal.shards.Shards` takes them.
        on_bad: What to do with a sample that cannot be read, parsed or decoded, or is too large. ``"substitute"`` puts
            another sample in its place, which is chosen by the seed and for which ``"__valid__"`` is False; ``"drop"``
            makes the batch smaller; ``"raise"`` raises. In each case the sample is listed in ``bad_samples``.
        max_bad_fraction: The largest share of an epoch's samples on this rank that may turn out bad.
        quarantine: A JSON-lines file to which bad samples are written. Later epochs, later runs and other ranks read it,
            and replace or drop these samples without trying them (``"raise"`` also replaces them), as long as they have the
            bytes that were bad. Lines of earlier versions hold for the shard and key that they name.
        max_pixels: The largest number of pixels of an image, by its header; None for no limit.
        decode: Which decoder to use. ``"auto"`` decodes JPEGs on the CPU with libjpeg-turbo, which is faster than DALI
            and gives the same pixels. If the zoom has a bound (its ``source_px``), a JPEG is decoded
            at 1/2, 1/4 or 1/8 of its size whenever such a copy holds all that the zoom can show; grids, labels and
            ``"__size__"`` stay in the frame of the original, to within half a pixel of the copy. A JPEG that is large
            enough for the zoom, but for no smaller copy, keeps its size, and its subsampled colours are not interpolated.
            DALI decodes all
            other files, JPEGs that are damaged, have four colours or unusual headers, and everything on a GPU.
            ``"dali"`` decodes every file with DALI, at full size.
        memory_budget: Memory that decoded images may take at once, such as ``"2GB"``, computed from their headers. It
            includes the images that are prepared ahead while the zoom trains. An image that would take more alone is bad.
            By default 75 MB a thread, at least 375 MB if DALI decodes; on a GPU a sixteenth of its memory, at least
            1.2 GB; or one image that is larger. Images that are decoded a second time because one was refused, the substitute
            for a bad image and the decoder's own memory come on top. A zoom whose batch norm takes its
            statistics from the batch, or that is sharded (FSDP), gets whole batches, which must fit.
        augment: Random flips, crops and rotations, as part of the zoom; None for none. The zoom's ``forward`` must take
            ``views``.
        window: Which stored values become black and white, ``(low, high)``, for CT, sensors of 12 bits in 16, elevation or
            reflectance: applied before rounding to 8 bits, in the units in which samples are stored (of DICOM after its
            rescale slope; of up to 8 bits 0 to 255). ``"auto"`` takes percentiles 1 and 99 of each image. None: from 0 to
            what the header calls white, of any depth; or the window that a DICOM file states. Signed integers, and
            floating point outside [0, 1], then are bad samples that "need a window". If the header says that 0 is white,
            it is shown as white.
        bands: Which three bands of a TIFF, JPEG 2000 or ``npy`` image are red, green and blue, counted from 0: ``(3, 2, 1)``.
            None for the first three, or the first if there are fewer than three.
        color: ``"srgb"`` converts by the colour profile that is embedded in an image, if one is. None does not, whatever
            the profile says.
        bits: 16 samples images of more than 8 bits at 16, in twice the time and four times the memory; others, and those
            whose colours are converted, at 8.

    Raises:
        ValueError: An argument is invalid; the message has its value.
        TypeError: The zoom is not a module, or takes no views although ``augment`` is given.
        ShardError: While iterating: a shard cannot be read, or, with ``on_bad="raise"``, a sample is bad; the message has
            shard, key and reason. The epoch ends there; ``load_state_dict(state_dict())`` continues it, behind a sample that
            ``quarantine`` lists. Without that file it is tried, and raised, again.
        RuntimeError: While iterating: the loader was closed by another thread.
        TooManyBadSamplesError: While iterating: more samples are bad than ``max_bad_fraction`` allows.

    Warns:
        ShardWarning: With the last batch of an epoch in which samples turned out bad.
        RankWarning: While iterating: the ranks train different zooms; or ranks do not share an epoch, or share an order again.

    Example:
        >>> loader = ZoomLoader("train-{000000..000146}.tar", SaliencySampler(224), batch_size=64, shuffle=True)
        >>> for images, labels in loader:  # (64, 3, 224, 224) float32 in [0, 1], (64,) int64
        ...     loss(model(images), labels).backward()
    """

    def __init__(
        self,
        urls: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        zoom: nn.Module,
        *,
        batch_size: int,
        fields: Sequence[Field] | Mapping[str, Field] = ("image", "cls"),
        shuffle: bool = False,
        seed: int = 0,
        last_batch: LastBatch = "partial",
        device: torch.device | str | None = None,
        num_threads: int | None = None,
        prefetch_factor: int = 2,
        rank: int | None = None,
        world_size: int | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        cache_size: int | str | None = None,
        storage_options: Mapping[str, Any] | None = None,
        on_bad: OnBad = "substitute",
        max_bad_fraction: float = 0.1,
        quarantine: str | os.PathLike[str] | None = None,
        max_pixels: int | None = MAX_PIXELS,
        decode: DecodeMode = "auto",
        memory_budget: int | str | None = None,
        augment: Augment | None = None,
        window: Window | None = None,
        bands: Bands | None = None,
        color: Color | None = None,
        bits: Bits = 8,
    ) -> None:
        needs = ZoomNeeds.of(zoom)
        if augment is not None:
            check_augment(augment, needs)
        self._options = LoaderOptions(
            batch_size=batch_size,
            last_batch=last_batch,
            shuffle=shuffle,
            seed=seed,
            num_threads=num_threads,
            prefetch_factor=prefetch_factor,
            max_pixels=max_pixels,
            decode=as_decode_mode(decode),
            memory_budget=None if memory_budget is None else parse_size("memory_budget", memory_budget),
            augment=augment,
            rule=PixelRule(window, bands, color, bits),
        )
        self._zoom = zoom
        self.device = choose_device(device, zoom)
        self.fields = parse_fields(
            fields, guide=guide_of(needs), map_guide=map_guide_of(needs), condition=needs.condition
        )
        self.stats = LoaderStats()
        self._bad = BadSamples(
            on_bad,
            max_bad_fraction,
            quarantine,
            asked=self.fields.asked,
        )
        self._position = Position(EpochPlace())
        self._at_work = AtWork()
        self._passes = WorkerPasses()
        self._ranks = Ranks(rank, world_size)
        self._plan_of(0)  # refuses bad arguments before shards are opened
        self._shards = Shards(
            urls, cache_dir=cache_dir, cache_size=cache_size, storage_options=storage_options
        )
        self._chain = Chain(
            shards=self._shards,
            zoom=zoom,
            device=self.device,
            fields=self.fields,
            stats=self.stats,
            bad=self._bad,
            options=self._options,
        )

    @property
    def zoom(self) -> nn.Module:
        """The zoom. Train, freeze or load it in place: for another one make another loader."""
        return self._zoom

    def __len__(self) -> int:
        """Return the number of batches of an epoch on this rank, for the present number of ranks. It is the same on all ranks."""
        return len(self._plan)

    def __repr__(self) -> str:
        options, plan = self._options, self._plan
        return (
            f"ZoomLoader(samples={plan.samples}, shards={len(self._shards.urls)}, batch_size={plan.batch_size}, "
            f"zoom={_outline(self.zoom)}, decode={options.decode!r} on {self.device}, rank {plan.rank} of {plan.world_size})"
        )

    def __iter__(self) -> Iterator[Batch]:
        """Begin the epoch, or continue it after ``load_state_dict``. Other iterators are not affected."""
        return reported_to_accelerate(self._iterate())

    def _iterate(self) -> EpochIterator:
        return EpochIterator(self._chain, self._begin, self._ranks, self._at_work)

    def _begin(self) -> tuple[BatchPlan, Position]:
        """Return this rank's batches of a whole epoch, and the position at which an iterator begins now."""
        self._settle()
        plan = self._plan
        self._warn_of_ranks(plan)
        if (worker := get_worker_info()) is not None:
            plan = replace(plan, worker=worker.id, workers=worker.num_workers)
            self._position, number = self._passes.begin(worker.seed - worker.id, self._position)
            self._settle()
            self._position = self._position.of_pass(number)
        return plan, self._position

    def _source(self) -> Source:
        return Source(
            loader=self,
            counts=self._shards.counts,
            options=self._options,
            plan=lambda: self._plan,
            first_place=self._first_place,
            iterate=self._iterate,
        )

    def _first_place(self) -> EpochPlace:
        self._settle()
        return self._position.first_place

    @property
    def bad_samples(self) -> list[BadSample]:
        """The bad samples that this loader has found, each once."""
        return self._bad.all()

    @property
    def epoch(self) -> int:
        """The epoch that the loader is in and that iterating begins. After an epoch's last batch it is the next epoch."""
        self._settle()
        return self._position.place.epoch

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iterator begins, and thereby its order.

        For the present epoch the next iterator has its first order again, or after ``load_state_dict`` begins at the
        loaded position. Running iterators continue, but those of another epoch no longer move the loader's position. An iterator
        of another epoch that has delivered nothing yet begins the chosen one.
        """
        if (number := whole(epoch, "epoch", 0)) != self.epoch:
            self._go_to(Position(EpochPlace(number)))
        self._position.begin_again()
        self._passes.choose(self._position)

    def state_dict(self) -> dict[str, Any]:
        """Return the position after the last batch that was delivered, as plain JSON.

        Batches that are prepared ahead do not count. After an epoch's last batch it is the beginning of the next epoch.
        Ranks that have received the same number of batches have the same state.

        If several iterators are running, it is the position of one of them. A single batch from another iterator leaves
        it at the loop's position; a second batch in a row moves it to the iterator that delivered both.
        """
        self._settle()
        return make_state(self._position.place, of=self._identity)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state: the next iterator begins with the sample that would have come next.

        The number of ranks and the batch size may differ from those of the loader that was saved: the order of the
        samples is the same. ``len`` remains that of a whole epoch. Running iterators continue, but no longer move the
        loader's position; those that have delivered nothing yet begin at it.

        Raises:
            ValueError: The state belongs to other shards, another seed or order, or a newer version.
        """
        self._go_to(Position(read_state(state, of=self._identity), resume=True))
        self._passes.choose(self._position)

    def _go_to(self, position: Position) -> None:
        self._position.is_replaced = True
        self._position = position

    def _settle(self) -> None:
        """Move on to the next epoch if no batch of this one is left, as after loading a state with another batch size."""
        place = self._position.place
        if place.position and not len(replace(self._plan, start=place.position)):
            self._position.finished(place.epoch)

    @property
    def _plan(self) -> BatchPlan:
        """The batches of an epoch for the present ranks."""
        return self._plan_of(len(self._shards))

    def _plan_of(self, samples: int) -> BatchPlan:
        return BatchPlan(samples, self._options.batch_size, *self._ranks.now(), self._options.last_batch)

    def _warn_of_ranks(self, plan: BatchPlan) -> None:
        self._ranks.warn_of_others()
        if may_drift(self.zoom, plan.world_size) and self._ranks.are_without_group:
            warnings.warn(
                f"the zoom trains on {plan.world_size} ranks, but there is no process group that averages its gradients – "
                "call torch.distributed.init_process_group, and give ZoomLoader DistributedDataParallel(zoom).",
                RankWarning,
                stacklevel=outside(),
            )
        more_than_one_batch = self._position.place.position > plan.place_after(1)
        if plan.world_size > 1 and self._options.shuffle and self._position.is_left and more_than_one_batch:
            warnings.warn(
                f"epoch {self._position.place.epoch} was left early and begins again in the same order, which the iterators of "
                f"{plan.world_size} ranks share – call set_epoch on every rank before each pass.",
                RankWarning,
                stacklevel=outside(),
            )

    @functools.cached_property
    def _identity(self) -> dict[str, Any]:
        """Computed once, because a state may be saved after every batch."""
        return identity(self._shards, self._options)

    def close(self) -> None:
        """End all iterators, close the shards and free memory. It may be called again.

        Loops in other threads do not end as if the epoch were over: they raise RuntimeError.
        """
        self._at_work.close()
        self._chain.release_memory()
        self._shards.close()

    def __getstate__(self) -> NoReturn:
        raise TypeError(
            "a ZoomLoader must be made in the process that uses it, got one to be copied or pickled – pass its arguments, "
            "and its state_dict() to continue."
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _outline(zoom: nn.Module) -> str:
    """Return a zoom's class, its output size, and the classes of its parts, without what they are wrapped in."""
    zoom = unwrapped(zoom)
    size = [f"out_size={zoom.out_size}"] if hasattr(zoom, "out_size") else []
    parts = [f"{name}={type(unwrapped(part)).__name__}" for name, part in zoom.named_children()]
    return f"{type(zoom).__name__}({', '.join(size + parts)})"
