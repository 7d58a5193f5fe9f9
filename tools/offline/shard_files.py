"""The files of a zoomed shard, and how they show that it is finished.

photos-000000.tar              the samples
photos-000000.idx              where each lies, for DALI's reader and ours
photos-000000_samples.jsonl    the result of every sample of the original shard, one JSON object per line
photos-000000_stats.json       written last: the shard is done if its tar and its table are there, too
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from foveal.pipeline import FaultKind
from foveal.shards.naming import PACKED, is_remote, local_path, path_of
from foveal.shards.store import Store, StoreError

OK: Final = "ok"
RECORD: Final = "zoom.json"  # the member that says how its sample was zoomed
Status = FaultKind | Literal["ok", "duplicate_key"]
_STATS_VERSION = 1


@dataclass(frozen=True, slots=True)
class SampleRow:
    """The result of one sample.

    Attributes:
        key: Its key.
        status: ``ok``, or why it is not in the zoomed shard.
        reason: What is wrong, in words; None for ``ok``.
        size: (height, width) of the upright original in pixels; None if it is unknown.
        sha256: SHA-256 of the original image file; None if there is none.
        zoom: The largest and the smallest local magnification of lengths, 1 for none; None if the sample failed.
        bytes: Size of the zoomed image file.
        members_sha256: SHA-256 of the names of the original's members, and of the content of all but the image; None if an
            earlier version wrote this.
    """

    key: str
    status: Status
    reason: str | None = None
    size: tuple[int, int] | None = None
    sha256: str | None = None
    zoom: tuple[float, float] | None = None
    bytes: int = 0
    members_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class ShardStats:
    """The result of a shard. Runs over the same files give equal results; in a copy of these, ``original`` may differ.

    Attributes:
        shard: The name of its tar.
        fingerprint: The short name of everything that decided how it came out.
        samples: Number of samples of the original.
        ok: Number of samples that were zoomed.
        failed: Number of the others, by status.
        pixels: Pixels of the originals that were zoomed.
        bytes_in: Bytes of the images and other members that were read.
        bytes_out: Size of its tar.
        sha256: SHA-256 of its tar.
        samples_sha256: SHA-256 of the table of its samples.
        cut: Whether the original was not read to its end, so that it may have had more samples.
        original: The state in which the original was found, as ``Shards.states`` has it; None if an earlier version wrote this.
        indexed: False if its tar can have no index.
    """

    shard: str
    fingerprint: str
    samples: int
    ok: int
    pixels: int
    bytes_in: int
    bytes_out: int
    sha256: str
    samples_sha256: str
    failed: dict[str, int] = field(default_factory=dict)
    cut: bool = False
    original: str | None = None
    indexed: bool = True

    def to_json(self) -> bytes:
        """Return the text of its file."""
        content = {"version": _STATS_VERSION, **asdict(self)}
        for name, usual in (("cut", False), ("original", None), ("indexed", True)):
            if content[name] == usual:  # earlier versions know no such entries
                del content[name]
        return (json.dumps(content, indent=1) + "\n").encode()


def name_of_zoomed(url: str) -> str:
    """Return the name of a shard's zoomed tar: its own name, ending with ``.tar``."""
    name = path_of(url) if is_remote(url) else local_path(url)
    name = name.rpartition("/")[2]
    for ending in (*PACKED, ".tar"):
        name = name.removesuffix(ending)
    return f"{name}.tar"


def table_name(shard: str) -> str:
    """Return where the table of a shard's samples is."""
    return shard.removesuffix(".tar") + "_samples.jsonl"


def stats_name(shard: str) -> str:
    """Return where its stats are."""
    return shard.removesuffix(".tar") + "_stats.json"


def index_name(shard: str) -> str:
    """Return where its index is."""
    return shard.removesuffix(".tar") + ".idx"


def files_of(shard: str) -> tuple[str, ...]:
    """Return the names of all its files."""
    return shard, index_name(shard), table_name(shard), stats_name(shard)


def format_table(rows: Sequence[SampleRow]) -> bytes:
    """Return the text of a table."""
    return "".join(json.dumps(_entries(row)) + "\n" for row in rows).encode()


def _entries(row: SampleRow) -> dict[str, Any]:
    entries = asdict(row)
    if row.members_sha256 is None:
        del entries["members_sha256"]
    return entries


def parse_table(text: bytes) -> list[SampleRow]:
    """Return what :func:`format_table` wrote."""
    rows = (json.loads(line) for line in text.splitlines())
    return [
        SampleRow(
            **{**row, "size": row["size"] and tuple(row["size"]), "zoom": row["zoom"] and tuple(row["zoom"])}
        )
        for row in rows
    ]


def read_stats(store: Store, shard: str) -> ShardStats | None:
    """Return a shard's stats; None if this version cannot read them, or another process has removed them meanwhile."""
    try:
        return parse_stats(store.read(stats_name(shard)))
    except StoreError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        return None


def parse_stats(text: bytes) -> ShardStats | None:
    """Return the stats that ``to_json`` wrote; None for any other text."""
    try:
        stats: Mapping[str, Any] = json.loads(text)
        if stats["version"] != _STATS_VERSION:
            return None
        return ShardStats(**{name: value for name, value in stats.items() if name != "version"})
    except (ValueError, KeyError, TypeError):
        return None


def count_failures(rows: Sequence[SampleRow]) -> dict[str, int]:
    """Return how many failed, by status."""
    return dict(sorted(Counter(row.status for row in rows if row.status != OK).items()))
