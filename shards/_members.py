"""The members of a sample, read from its tar."""

from collections.abc import Iterator, Sequence

from foveal.shards._descriptor import Descriptor
from foveal.shards._error import RemoteError, ShardError
from foveal.shards.index import Member
from foveal.shards.remote import Ranged


def read_members(url: str, tar: Descriptor | Ranged, members: Sequence[Member]) -> dict[str, bytes]:
    """Return the content of a sample's members by lower-case extension, those that lie close together read at once.

    Raises:
        ShardError: One cannot be read, or is cut.
    """
    content: dict[str, bytes] = {}
    for run in _runs(members, tar.gap):
        start, end = run[0].offset, run[-1].offset + run[-1].size
        data = _read(url, tar, run[0], end - start)
        for member in run:
            content[member.ext.lower()] = _cut_out(url, data, member, start)
    return content


def _runs(members: Sequence[Member], gap: int) -> Iterator[list[Member]]:
    """Yield the members in runs, within which there is no gap longer than ``gap``."""
    run: list[Member] = []
    for member in members:
        if run and member.offset - (run[-1].offset + run[-1].size) > gap:
            yield run
            run = []
        run.append(member)
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
