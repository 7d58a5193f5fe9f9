"""``foveal zoom``: zooms shards. When it is run again, finished shards are kept unless their originals have changed."""

import json
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any, TextIO

import torch
from rich.console import Console
from torch import nn

from foveal.pipeline.flow import named_device
from foveal.shards import DataError, ShardError, Shards
from foveal.shards.store import Store, open_store
from foveal.tools.console.choose_zoom import choose_patches, choose_zoom
from foveal.tools.console.progress import progress_bar
from foveal.tools.console.quiet_codecs import quiet_codecs
from foveal.tools.offline._card import CARD, write_card
from foveal.tools.offline._check_out import check_out
from foveal.tools.offline._done import Original, find_finished
from foveal.tools.offline._finish import (
    SHEET,
    SIZES,
    mend_indexes,
    print_summary,
    print_unwarped,
    tell_of_losses,
    unwarped_in,
    write_sheet,
    write_sizes,
)
from foveal.tools.offline._unchanged import done_already, done_by_all
from foveal.tools.offline.manifest import MANIFEST, claim
from foveal.tools.offline.recipe import Recipe
from foveal.tools.offline.shard import Job, zoom_here
from foveal.tools.offline.shard_files import ShardStats, files_of, name_of_zoomed, stats_name
from foveal.tools.packing.class_list import list_classes
from foveal.tools.packing.common_classes import classes_of_shards
from foveal.tools.packing.without_index import print_without_index

Engine = Callable[[Job, Sequence[str], Store, Callable[[int], object]], Generator[ShardStats]]


class TooManyFailuresError(DataError, RuntimeError):
    """More samples failed than ``max_bad_fraction`` allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How shards are zoomed: settings that the output does not depend on.

    Attributes:
        device: Where images are decoded and zoomed; None for a CUDA device if there is one.
        num_threads: Threads that decode, and as many that encode; None for one for each available processor.
        max_bad_fraction: The largest share of samples that may fail.
        retry_failed: Whether to zoom the shards again in which samples failed.
        overwrite: Whether to zoom all shards again, even if those in the folder were made with other settings.
        rank: The part of the shards that this process zooms: every ``world_size``-th, beginning with this number.
        world_size: How many processes share the work.
        storage_options: For remote shards, in and out.
        license_name: License of the images, for the card of the folder; None leaves it out.
        engine: The function that zooms shards and yields the stats of each.
        lines: File for one JSON object per finished shard, such as standard output, to which nothing else is then
            printed; None for no such lines.

    Raises:
        ValueError: An option is out of range.
    """

    device: str | None = None
    num_threads: int | None = None
    max_bad_fraction: float = 0.1
    retry_failed: bool = False
    overwrite: bool = False
    rank: int = 0
    world_size: int = 1
    storage_options: Mapping[str, Any] = field(default_factory=dict)
    license_name: str | None = None
    engine: Engine = zoom_here
    lines: TextIO | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank must be in [0, world_size={self.world_size}), got {self.rank!r}.")
        if not 0 <= self.max_bad_fraction <= 1:
            raise ValueError(f"max_bad_fraction must be in [0, 1], got {self.max_bad_fraction!r}.")


def zoom_shards(urls: Sequence[str], recipe: Recipe, *, out: str, options: RunOptions) -> None:
    """Zoom every image of some shards, and write shards of the same names.

    Args:
        urls: Shards, as ``expand_urls`` understands them.
        recipe: The settings that the output depends on.
        out: The folder to write to, local or on an object store; it is created if it does not exist.
        options: The settings that the output does not depend on.

    Raises:
        ShardError: A shard cannot be read; or one is damaged or cut, or has changed since the run began, which is raised after
            all others, and what is whole of it, are finished.
        StoreError: The folder cannot be written.
        TooManyFailuresError: More samples failed than is allowed.
        ValueError: The folder holds the shards themselves, or shards with other settings that are not made anew, or of these
            names that foveal zoom did not write, or of other classes; two shards have the same name, or number their classes otherwise.
    """
    console = Console(stderr=options.lines is not None, soft_wrap=True, highlight=False, markup=False)
    shards = Shards(urls, storage_options=options.storage_options)
    damaged = shards.damaged
    if damaged:
        whole = [url for url in shards.urls if url not in damaged]
        shards = Shards(whole, storage_options=options.storage_options)
    originals = _by_name(shards)
    store = open_store(out, options.storage_options)
    classes = classes_of_shards([each.url for each in originals.values()])
    check_out(
        store, {name: each.url for name, each in originals.items()}, classes, overwrite=options.overwrite
    )
    if options.world_size == 1:  # other ranks may be writing these just now
        store.sweep([MANIFEST, SIZES, SHEET, CARD])
    job = _job(recipe, options, store, originals)
    if classes:
        list_classes(store, classes)  # before the first shard, whose numbers need it
    mine = dict(list(originals.items())[options.rank :: options.world_size])
    done = {} if options.overwrite else done_already(console, job, mine, store, again=options.retry_failed)
    new, seconds = _zoom_left(console, job, mine, done, store, options=options)
    finished = find_finished(store, job.fingerprint)
    all_done = done_by_all(console, job, originals, store, finished=finished, mine=mine)
    changed = [each.url for name, each in mine.items() if name not in all_done]
    others = len(originals) - len(all_done) - len(changed)
    complete = len(all_done) == len(originals)
    if complete:
        mend_indexes(finished, store)
    left = unwarped_in(job, finished, store)
    if others:
        console.print(f"{others:,} shards are left to the other ranks.")
    if complete:
        write_sizes(finished, store)
        if new or SHEET not in store.names():
            write_sheet(console, job, shards, all_done, store)
        unread = [name_of_zoomed(url) for url in damaged]
        if not write_card(job, finished, store, left, damaged=unread, license_name=options.license_name):
            console.print(f"{CARD} is left as it is: foveal zoom did not write it.")
    print_summary(console, new, seconds, store.url)
    print_without_index(console, list(all_done), store.names())
    print_unwarped(console, left, recipe)
    tell_of_losses(shards, damaged, finished, changed)


def _by_name(shards: Shards) -> dict[str, Original]:
    named: dict[str, Original] = {}
    for url, samples, state in zip(shards.urls, shards.counts.tolist(), shards.states, strict=True):
        name = name_of_zoomed(url)
        if name in named:
            raise ValueError(
                f"urls must be of shards with different names, got {named[name].url!r} and {url!r} – zoom them into two folders."
            )
        named[name] = Original(url, samples, url in shards.cut, state)
    return named


def _job(recipe: Recipe, options: RunOptions, store: Store, originals: Mapping[str, Original]) -> Job:
    device = named_device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    zoom = _sampler(recipe)
    # Other ranks may be about to write the first shards with the settings that are in the folder.
    begun = options.world_size > 1 or _holds_shards(store)
    anew = originals if options.overwrite or not begun else None
    fingerprint = claim(store, recipe.fingerprint(zoom, device.type), anew=anew)
    return Job(recipe, zoom, device, fingerprint, options.storage_options, options.num_threads)


def _holds_shards(store: Store) -> bool:
    """Return whether the folder holds a shard, or the stats of one."""
    return any(name.endswith((".tar", stats_name(".tar"))) for name in store.names())


def _sampler(recipe: Recipe) -> nn.Module:
    if recipe.patches is not None:
        return choose_patches(recipe.out_size, recipe.saliency, recipe.patches)
    return choose_zoom(
        recipe.out_size,
        recipe.saliency,
        recipe,
        boxes_from=next(iter(recipe.boxes), None),
        maps_from=recipe.saliency_member,
    )


def _zoom_left(
    console: Console,
    job: Job,
    mine: Mapping[str, Original],
    done: Mapping[str, ShardStats],
    store: Store,
    *,
    options: RunOptions,
) -> tuple[list[ShardStats], float]:
    """Zoom the unfinished shards; return their stats, and the seconds that it took."""
    left = {name: original for name, original in mine.items() if name not in done}
    store.sweep([file for name in left for file in files_of(name)])
    counts = _Counts(sum(original.samples for original in mine.values()), options.max_bad_fraction)
    for stats in done.values():
        counts.add(stats)
    new: list[ShardStats] = []
    start = time.perf_counter()
    try:
        with quiet_codecs(), progress_bar(console, unit="images") as progress:
            task = progress.add_task("Zooming", total=sum(original.samples for original in left.values()))
            urls = [original.url for original in left.values()]
            with closing(options.engine(job, urls, store, lambda k: progress.advance(task, k))) as zoomed:
                for stats in zoomed:
                    new.append(stats)
                    if options.lines is not None:
                        print(_line(stats, time.perf_counter() - start), file=options.lines, flush=True)
                    counts.add(stats)
    except BaseException as error:
        finished = f"{len(done) + len(new):,} of {len(mine):,} shards are done"
        # What was interrupted, or could not be read or written for now; other errors would come again.
        may_pass = isinstance(error, OSError | ShardError) or not isinstance(error, Exception)
        goes_on = "; the same command continues from there" if may_pass else ""
        console.print(f"{finished}{goes_on}.")
        raise
    store.sweep([file for name in left for file in files_of(name)])
    return new, time.perf_counter() - start


class _Counts:
    """Counts failures, and raises when there are too many."""

    def __init__(self, samples: int, most: float) -> None:
        self._samples, self._most = samples, most
        self._failed: Counter[str] = Counter()

    def add(self, stats: ShardStats) -> None:
        self._failed.update(stats.failed)
        if self._failed.total() > self._most * self._samples:
            kinds = ", ".join(f"{count} × {status}" for status, count in self._failed.most_common())
            raise TooManyFailuresError(
                f"{self._failed.total()} of {self._samples} samples are bad, more than max_bad_fraction={self._most} allows: "
                f"{kinds}; the last in {stats.shard}, see its _samples.jsonl – or raise --max-bad-fraction."
            )


def _line(stats: ShardStats, seconds: float) -> str:
    """Return a shard's line for logs: its stats, and when it was done in seconds from the beginning."""
    return json.dumps({**asdict(stats), "seconds": round(seconds, 3)})
