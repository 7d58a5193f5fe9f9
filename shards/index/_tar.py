"""What a tar holds, read from its headers alone, and grouped into samples as webdataset groups it.

The member ``dir/photo.left.JPG`` is member ``left.jpg`` of the sample ``dir/photo``: the key ends at the first
dot of the last path component. A sample is a run of members with one key.
"""

import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

from foveal.shards._error import ShardError

BLOCK = 512  # bytes: a tar is made of blocks, each header is one, and data fills whole ones

# Both are webdataset's own, so that every name is split and skipped as there.
_KEY_AND_EXT = re.compile(r"^((?:.*/|)[^.]+)[.]([^/]*)$")
_META = re.compile(r"__[^/]*__($|/)")


class Member(NamedTuple):
    """Where one file of a sample lies: ``size`` bytes from byte ``offset`` of the tar."""

    key: str
    ext: str
    offset: int
    size: int

    @property
    def name(self) -> str:
        """The file's name in the tar."""
        return f"{self.key}.{self.ext}"


class Cut(Exception):  # noqa: N818 - a tar that ends early is no error of the walk, which has yielded what there is
    """The tar ends before its end mark.

    Args:
        reason: Where, and how much is missing.
        key: The key of the member that was cut, None where no name could be read.
    """

    def __init__(self, reason: str, key: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.key = key


def split_name(name: str) -> tuple[str, str] | None:
    """Return (key, extension) of a member's name, None where webdataset skips it."""
    match = _KEY_AND_EXT.match(name)
    return None if match is None or _META.match(name) else (match[1], match[2])


def walk(url: str, file: BinaryIO, start: int = 0) -> Iterator[Member]:
    """Yield the tar's members from byte ``start``, which must be where a header or the end mark is.

    Raises:
        Cut: After the last whole member, when the tar does not end as a tar ends.
        ShardError: It is no tar, or a member is stored in a way that has no single offset.
    """
    size = file.seek(0, os.SEEK_END)
    if start == 0:
        _check_first_header(url, file)
    end = file.seek(start)
    try:
        with tarfile.open(fileobj=file, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
            while (info := tar.next()) is not None and tar.offset > end:
                tar.members = []  # type: ignore[attr-defined] # or all headers stay in memory; webdataset does it too
                if info.isreg():
                    yield from _members(url, info, size)
                end = tar.offset
    except (tarfile.TarError, ValueError, OverflowError):
        pass  # a header that makes no sense: where it stands is judged here
    _check_end(file, end, size)


def _members(url: str, info: tarfile.TarInfo, tar_size: int) -> Iterator[Member]:
    key, ext = split_name(info.name) or (None, "")
    missing = info.offset_data + info.size - tar_size
    if info.issparse():
        raise ShardError(url, key, f"member {info.name!r} is a sparse file: write the tar without --sparse")
    if missing > 0:
        raise Cut(
            f"was cut at byte {tar_size}: {missing} of {info.size} bytes of {info.name!r} are missing", key
        )
    if key is not None:
        yield Member(key, ext, info.offset_data, info.size)


def _check_first_header(url: str, file: BinaryIO) -> None:
    file.seek(0)
    block = file.read(BLOCK)
    if not block:
        raise ShardError(url, None, "is an empty file, not a tar")
    if any(block) and not _is_header(block):
        raise ShardError(url, None, "is not a tar: there is no tar header at its start")


def _check_end(file: BinaryIO, end: int, size: int) -> None:
    file.seek(end)
    block = file.read(BLOCK)
    if block and not any(block):
        return
    if len(block) < BLOCK or _is_header(block):
        raise Cut(f"was cut at byte {size}: its end mark is missing")
    raise Cut(f"is damaged at byte {end}: there is no tar header")


def _is_header(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError, OverflowError):
        return False
    return True


def group(url: str, members: Iterable[Member]) -> Iterator[list[Member]]:
    """Yield each sample's members, in the order of the tar.

    Of a tar that was cut, the last sample is yielded where nothing of it can be missing: the member that was cut
    has another key, or, when its name is lost too, the sample has all that the one before it has.

    Raises:
        Cut: As :func:`walk` raised it, after the last whole sample.
        ShardError: A sample has two members whose extensions differ by no more than case.
    """
    sample: list[Member] = []
    before: set[str] | None = None
    cut = None
    try:
        for member in members:
            if sample and member.key != sample[0].key:
                yield sample
                before, sample = _exts(sample), []
            if member.ext.lower() in _exts(sample):
                raise ShardError(url, member.key, f"has two members {member.ext.lower()!r}")
            sample.append(member)
    except Cut as error:
        cut = error
    if sample and (cut is None or _is_whole(sample, before, cut)):
        yield sample
    if cut is not None:
        raise cut


def _exts(sample: list[Member]) -> set[str]:
    return {member.ext.lower() for member in sample}


def _is_whole(sample: list[Member], before: set[str] | None, cut: Cut) -> bool:
    if cut.key is not None:
        return cut.key != sample[0].key
    return before is not None and _exts(sample) >= before
