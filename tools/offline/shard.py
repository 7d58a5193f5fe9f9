"""One shard in, one shard out: the same keys in the same order, with zoomed images."""

import hashlib
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import nn

from foveal.pipeline import BadSample, ZoomLoader
from foveal.pipeline.decoding import default_num_threads
from foveal.pipeline.epoch import zoomed_together
from foveal.shards import ShardError, Shards, ShardWarning, ShardWriter
from foveal.shards.index import UnindexableError, index_text, tar_stamp
from foveal.shards.store import Store
from foveal.tools.offline._made_of import read_hashes
from foveal.tools.offline._zoomed_sample import OWN_FIELDS, Delivered, apart, encode_sample
from foveal.tools.offline.recipe import Recipe
from foveal.tools.offline.shard_files import (
    OK,
    SampleRow,
    ShardStats,
    count_failures,
    format_table,
    index_name,
    name_of_zoomed,
    stats_name,
    table_name,
)


@dataclass(frozen=True, slots=True)
class Job:
    """What all shards of a run have in common. It pickles.

    Attributes:
        recipe: The settings of the run.
        zoom: The sampler, frozen.
        device: Where images are decoded and zoomed.
        fingerprint: The short name of everything that decides how they come out.
        storage_options: For remote shards.
        num_threads: Threads that decode, and as many that encode; None for one for each available processor.
    """

    recipe: Recipe
    zoom: nn.Module
    device: torch.device
    fingerprint: str
    storage_options: Mapping[str, Any]
    num_threads: int | None


class ShardZoomer:
    """A shard that is being zoomed. Reading, decoding and zooming begin at once, in the background.

    Args:
        job: The settings that all shards of the run share.
        url: The original.

    Raises:
        ShardError: It cannot be read.
    """

    def __init__(self, job: Job, url: str) -> None:
        self._job = job
        with _unwarned():
            # Opened first: if the original is replaced meanwhile, the stats say that it was in the state of before.
            self._shards = Shards(url, storage_options=job.storage_options)
            self._loader = self._load(url)
            self._batches = iter(self._loader)

    def _load(self, url: str) -> ZoomLoader:
        job = self._job
        return ZoomLoader(
            url,
            job.zoom.to(job.device),
            batch_size=zoomed_together(job.device),
            fields=[job.recipe.image, *OWN_FIELDS, *job.recipe.labels],
            on_bad="drop",
            max_bad_fraction=1.0,
            max_pixels=job.recipe.max_pixels,
            decode=job.recipe.decode,
            window=job.recipe.rule.window,
            bands=job.recipe.rule.bands,
            color=job.recipe.rule.color,
            bits=job.recipe.bits,
            device=job.device,
            num_threads=job.num_threads,
            rank=0,
            world_size=1,
            storage_options=job.storage_options,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the work in the background."""
        self._loader.close()
        self._shards.close()

    def write(self, store: Store, advance: Callable[[int], object]) -> ShardStats:
        """Write the zoomed shard and its other files, the stats last.

        Args:
            store: The folder to write to.
            advance: Called with the number of samples that were finished since the last call.

        Raises:
            ShardError: The original can no longer be read.
            StoreError: The zoomed shard cannot be written.
            ValueError: A sample already has a member with the name of one that is to be written.
        """
        name = name_of_zoomed(self._shards.urls[0])
        with store.new_file(name) as path:
            with ShardWriter(path) as writer, _unwarned():
                rows = self._write_samples(writer, advance)
                # Before the new tar takes its name: from here on the shard counts as unfinished, and has no index of another tar.
                store.remove(stats_name(name))
                store.remove(index_name(name))
            sha256, size, index = _digest(path), path.stat().st_size, _index_of(path)
        if index is not None:
            store.write(index_name(name), index)
        table = format_table(rows)
        store.write(table_name(name), table)
        stats = ShardStats(
            shard=name,
            fingerprint=self._job.fingerprint,
            samples=len(rows),
            ok=sum(row.status == OK for row in rows),
            failed=count_failures(rows),
            pixels=sum(row.size[0] * row.size[1] for row in rows if row.size is not None),
            bytes_in=self._loader.stats.bytes,
            bytes_out=size,
            sha256=sha256,
            samples_sha256=hashlib.sha256(table).hexdigest(),
            cut=bool(self._shards.cut),
            original=self._shards.states[0],
            indexed=index is not None,
        )
        store.write(stats_name(name), stats.to_json())
        return stats

    def _write_samples(self, writer: ShardWriter, advance: Callable[[int], object]) -> list[SampleRow]:
        rows: dict[int, SampleRow] = {}
        last_key = None
        with ThreadPoolExecutor(self._job.num_threads or default_num_threads(), "foveal-encode") as pool:
            for batch in self._batches:
                samples = apart(batch, self._job.recipe.labels)
                for delivered, (members, row) in zip(samples, pool.map(self._encoded, samples), strict=True):
                    rows[delivered.ordinal] = row if row.key != last_key else _duplicate(row)
                    if row.key != last_key:
                        writer.write_members(row.key, members)
                    last_key = row.key
                advance(len(batch[0]))
        bad = {sample.number_in_shard: sample for sample in self._loader.bad_samples}
        advance(len(self._shards) - len(rows))
        return [rows.get(k) or self._failed(k, bad.get(k)) for k in range(len(self._shards))]

    def _encoded(self, sample: Delivered) -> tuple[dict[str, Any], SampleRow]:
        return encode_sample(sample, self._job.recipe, self._job.zoom)

    def _failed(self, index: int, bad: BadSample | None) -> SampleRow:
        if bad is None:
            url, key = self._shards.urls[0], self._shards.key(index)
            raise ShardError(url, key, "was neither delivered nor found to be bad")
        hashes = read_hashes(self._shards, index, self._job.recipe.image)
        return SampleRow(bad.key, bad.kind, bad.reason, sha256=hashes.image, members_sha256=hashes.members)


def zoom_here(
    job: Job, urls: Sequence[str], store: Store, advance: Callable[[int], object]
) -> Generator[ShardStats]:
    """Zoom shards in this process, in order; the next is begun while one is written, so that decoding never pauses."""
    waiting: deque[ShardZoomer] = deque()
    try:
        for url in urls:
            waiting.append(ShardZoomer(job, url))
            if len(waiting) > 1:
                with waiting.popleft() as zoomer:
                    yield zoomer.write(store, advance)
        while waiting:
            with waiting.popleft() as zoomer:
                yield zoomer.write(store, advance)
    finally:
        for zoomer in waiting:
            zoomer.close()


@contextmanager
def _unwarned() -> Iterator[None]:
    """Silence ShardWarning: the table lists bad samples, and cut shards were reported when all shards were opened."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShardWarning)
        yield


def _duplicate(row: SampleRow) -> SampleRow:
    """Return the row of a sample that now follows one of the same key, because the samples between them failed."""
    reason = "has the key of the sample before it, and readers would join the two"
    return replace(row, status="duplicate_key", reason=reason, zoom=None, bytes=0)


def _index_of(path: Path) -> bytes | None:
    """Return the text of a tar's index; None if there can be none, which is said at the end."""
    with suppress(UnindexableError), path.open("rb") as tar:
        return index_text(str(path), tar, tar_stamp(str(path)))
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
