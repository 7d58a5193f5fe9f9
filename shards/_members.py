"""The members of a sample, read from its tar."""

from collections.abc import Iterator, Sequence

from foveal.shards._descriptor import Descriptor
from foveal.shards._error import RemoteError, SampleError, ShardError
from foveal.shards.index import UNREADABLE, Member
from foveal.shards.remote import Ranged


def check_members(url: str, number_in_shard: int, members: Sequence[Member]) -> None:
    """Raise if a member's content is ambiguous or cannot be read in one piece, before anything is read.

    Raises:
        SampleError: The tar has one of them twice (names that differ only in case count as equal), or not in one piece.
    """
    seen: set[str] = set()
    for member in members:
        ext = member.ext.lower()
        reason = UNREADABLE.get(member.offset)
        if reason is not None:
            raise SampleError(url, member.key, f"{ext} member {reason}", ext, number_in_shard)
        if ext in seen:
            reason = f"has two members {ext!r}: pack it again with one – tar --append adds to a tar, it replaces nothing"
            raise SampleError(url, member.key, reason, ext, number_in_shard)
        seen.add(ext)


def read_members(url: str, tar: Descriptor | Ranged, members: Sequence[Member]) -> dict[str, bytes]:
    """Return the content of a sample's members by lower-case extension. Members that lie close together are read at once.

    Raises:
        ShardError: One cannot be read, or is truncated.
    """
    content: dict[Member, bytes] = {}
    for run in _runs(sorted(members, key=lambda member: member.offset), tar.gap):
        start, end = run[0].offset, max(member.offset + member.size for member in run)
        data = _read(url, tar, run[0], end - start)
        for member in run:
            content[member] = _cut_out(url, data, member, start)
    return {member.ext.lower(): content[member] for member in members}


def _runs(members: Sequence[Member], gap: int) -> Iterator[list[Member]]:
    """Yield the members in runs without a gap longer than ``gap``; a link has the position of its content."""
    run: list[Member] = []
    end = 0
    for member in members:
        if run and member.offset - end > gap:
            yield run
            run = []
        run.append(member)
        end = max(end, member.offset + member.size)
    if run:
        yield run


def _read(url: str, tar: Descriptor | Ranged, first: Member, size: int) -> bytes:
    try:
        return tar.read(first.offset, size)
    except RemoteError as error:
        raise type(error)(url, first.key, error.reason) from error
    except OSError as error:
        raise ShardError(url, first.key, f"{first.ext} member cannot be read: {error.strerror}") from error


def _cut_out(url: str, data: bytes, member: Member, start: int) -> bytes:
    begin = member.offset - start
    part = data if len(data) == member.size else data[begin : begin + member.size]
    if len(part) < member.size:
        reason = f"{member.ext} member is truncated: {len(part)} of {member.size} bytes"
        raise ShardError(url, member.key, reason)
    return part
