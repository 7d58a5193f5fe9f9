"""The members of a tar, read from its headers alone, and grouped into samples as webdataset groups them.

The member ``dir/photo.left.JPG`` is member ``left.jpg`` of the sample ``dir/photo``: the key ends at the first
dot of the last path component. A sample is a run of members with one key. Three things differ from webdataset: hidden
files such as macOS's ``._photo.jpg`` are ignored, a hard link is a member like the one that it links to, and a member
whose content the tar does not hold in one piece is listed, so that errors can name its sample.
"""

import os
import tarfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

from foveal.shards._error import DamagedError
from foveal.shards.index._next_name import NextName, split_name

BLOCK = 512  # bytes: a tar is made of blocks, each header is one, and data fills whole ones

# Used instead of an offset: why the tar does not hold a member's content in one piece.
_SPARSE, _DANGLING, _SYMBOLIC = -1, -2, -3
UNREADABLE = {
    _SPARSE: "is stored as a sparse file: pack it again with tar, without --sparse",
    _DANGLING: "is a hard link to a file that does not stand before it in the tar: pack it again with tar --hard-dereference",
    _SYMBOLIC: "is a symbolic link, without content: pack it again with tar --dereference",
}


class Member(NamedTuple):
    """Where one file of a sample lies: ``size`` bytes from byte ``offset`` of the tar.

    A negative offset is a key of :data:`UNREADABLE`.
    """

    key: str
    ext: str
    offset: int
    size: int

    @property
    def name(self) -> str:
        """The file's name in the tar."""
        return f"{self.key}.{self.ext}"


class Cut(Exception):  # noqa: N818 - an odd end is no error of the walk, which has yielded what there is
    """The tar does not end as a tar should.

    Args:
        reason: Where the tar ends or continues, and how much is missing or not read.
        key: The key of the truncated member, None if no whole name could be read.
        beyond: How many bytes follow the end mark. If there are any, all samples before it are whole.
        following: What could be read of a name in a truncated or damaged header.

    Attributes:
        left_out: The key of the sample before the cut, if it may lack a member and is not read.
        unproven: The key of the sample before the cut, if only those before it suggest that it is whole.
    """

    def __init__(
        self, reason: str, key: str | None = None, beyond: int = 0, following: NextName | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.key = key
        self.beyond = beyond
        self.following = following
        self.left_out: str | None = None
        self.unproven: str | None = None


def goes_on(beyond: int) -> str:
    """Return the message about a tar that continues after its end mark."""
    return (
        f"goes on behind its end mark: its last {beyond:,} bytes are not read – if it was joined from several tars by cat, "
        "join them by tar --concatenate (-A) instead"
    )


def walk(url: str, file: BinaryIO, start: int = 0) -> Iterator[Member]:
    """Yield the tar's members from byte ``start``, where a header or the end mark must be.

    Raises:
        Cut: After the last complete member, if the tar does not end as a tar should.
        DamagedError: It is not a tar.
    """
    size = file.seek(0, os.SEEK_END)
    if start == 0:
        _check_first_header(url, file)
    end = file.seek(start)
    places: dict[str, tuple[int, int]] = {}
    try:
        with tarfile.open(fileobj=file, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
            while (info := tar.next()) is not None and tar.offset > end:
                tar.members = []  # type: ignore[attr-defined] # or all headers stay in memory; webdataset does it too
                yield from _members(info, size, tar.offset, places)
                end = tar.offset
    except (tarfile.TarError, ValueError, OverflowError, IndexError, RecursionError):
        pass  # an invalid header: what it means depends on where it is, which is decided here
    _check_end(file, end, size)


def _members(
    info: tarfile.TarInfo, tar_size: int, end: int, places: dict[str, tuple[int, int]]
) -> Iterator[Member]:
    """Yield the member of a header, if it is one; remember where its content lies, for links that follow."""
    place = _place(info, places)
    if place is None:
        return
    key, ext = split_name(info.name) or (None, "")
    missing = (end if info.issparse() else info.offset_data + info.size) - tar_size
    if info.isreg() and missing > 0:
        raise Cut(
            f"was cut at byte {tar_size}: {missing} of {info.size} bytes of {info.name!r} are missing", key
        )
    places[info.name] = place
    if key is not None:
        yield Member(key, ext, *place)


def _place(info: tarfile.TarInfo, places: dict[str, tuple[int, int]]) -> tuple[int, int] | None:
    """Return offset and size of a file's content; None if the header is not of a file."""
    if info.issparse():
        return _SPARSE, info.size
    if info.isreg():
        return info.offset_data, info.size
    if info.islnk():
        return places.get(info.linkname, (_DANGLING, 0))
    return (_SYMBOLIC, 0) if info.issym() else None


def _check_first_header(url: str, file: BinaryIO) -> None:
    file.seek(0)
    block = file.read(BLOCK)
    if not block:
        raise DamagedError(url, None, "is an empty file, not a tar")
    if any(block) and not _is_header(block):
        raise DamagedError(url, None, "is not a tar: there is no tar header at its start")


def _check_end(file: BinaryIO, end: int, size: int) -> None:
    file.seek(end)
    block, after = file.read(BLOCK), file.read(BLOCK)
    # One block of zeros is half an end mark, and writers that stop there exist; before data it is a header that was lost.
    if block and not any(block) and (not any(after) or _is_header(after)):
        _check_nothing_follows(file, end + BLOCK, size)
    elif len(block) < BLOCK or _is_header(block):
        raise Cut(f"was cut at byte {size}: its end mark is missing", following=NextName.of(block))
    else:
        following = NextName.of(block, is_damaged=True)
        raise Cut(f"is damaged at byte {end}: there is no tar header", following=following)


def _check_nothing_follows(file: BinaryIO, start: int, size: int) -> None:
    """Look after the end mark, where writers leave zeros to fill their last record, as far as the longest possible record."""
    file.seek(start)
    rest = file.read(min(_LONGEST_RECORD, size - start))
    filling = len(rest) - len(rest.lstrip(b"\0"))
    if filling < len(rest):
        beyond = size - (start + filling) // BLOCK * BLOCK
        raise Cut(goes_on(beyond), beyond=beyond)


_LONGEST_RECORD = 1 << 20  # bytes: 2048 blocks; tar writes 20 by default


def _is_header(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError, OverflowError):
        return False
    return True


def group(members: Iterable[Member]) -> Iterator[list[Member]]:
    """Yield each sample's members, in the order of the tar; two may have one extension.

    If the tar is truncated, the last sample is yielded if the name where it was cut has another key, or, if that name
    cannot be read, if all samples before have one set of extensions and this one has it, too.

    Raises:
        Cut: As :func:`walk` raised it, after the last complete sample.
    """
    sample: list[Member] = []
    before: set[tuple[str, ...]] = set()
    try:
        for member in members:
            if sample and member.key != sample[0].key:
                yield sample
                before.add(_exts(sample))
                sample = []
            sample.append(member)
    except Cut as cut:
        if sample and _is_whole(sample, before, cut):
            yield sample
        raise
    if sample:
        yield sample


def _exts(sample: list[Member]) -> tuple[str, ...]:
    return tuple(sorted(member.ext.lower() for member in sample))


def _is_whole(sample: list[Member], before: set[tuple[str, ...]], cut: Cut) -> bool:
    """Return whether a sample before a cut counts as whole, and note in the cut what is to be told of it."""
    key = sample[0].key
    is_whole = _goes_on_elsewhere(key, cut)
    if is_whole is None and before == {_exts(sample)}:
        cut.unproven, is_whole = key, True
    if not is_whole:
        cut.left_out = key
    return bool(is_whole)


def _goes_on_elsewhere(key: str, cut: Cut) -> bool | None:
    """Return whether what follows at a cut is another sample than this; None if that cannot be known."""
    if cut.beyond:
        return True
    if cut.key is not None:
        return cut.key != key
    belongs = None if cut.following is None else cut.following.belongs_to(key)
    return None if belongs is None else not belongs
