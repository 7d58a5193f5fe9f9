"""The samples of a tar, from its headers, or from an index file that agrees with them."""

from typing import BinaryIO

from foveal.shards._error import DamagedError, ShardError
from foveal.shards.index._idx_format import Entry, format_line, parse_entries, parse_line
from foveal.shards.index._next_name import split_name
from foveal.shards.index._tar import BLOCK, Cut, Member, group, walk


class UnusableError(Exception):
    """An index file does not fit its tar; the message says why."""


def scan(url: str, tar: BinaryIO) -> tuple[list[bytes], Cut | None]:
    """Return the line of each sample, read from the tar's headers, and what is unusual about the tar's end, if anything."""
    lines: list[bytes] = []
    try:
        lines.extend(format_line(sample) for sample in group(walk(url, tar)))
    except Cut as cut:
        return lines, cut
    except OSError as error:
        raise ShardError(url, None, f"cannot be read: {error.strerror}") from error
    return lines, None


def agreed(
    url: str, text: bytes, tar: BinaryIO, *, ends_only: bool = False
) -> tuple[list[bytes], Cut | None]:
    """Return the same as :func:`scan`, from the text of an index file of a tar that is not truncated; v1.1 has no names.

    Args:
        url: The shard, for messages.
        text: The text of the index file.
        tar: The tar.
        ends_only: Whether only the first and last headers are compared if the index has all names, because reading each
            header of a remote tar takes long. A change between them is not noticed then if the sizes of all members, rounded
            to blocks, stayed the same.

    Raises:
        UnusableError: It does not agree with the tar.
    """
    try:
        entries = [entry for line in parse_entries(text) for entry in line]
    except ValueError as error:
        raise UnusableError(f"is unreadable: {error}") from error
    members = _members(entries)
    if members and ends_only:
        beyond = _check_ends(url, members, tar)
        return _lines(members), beyond
    lines, cut = scan(url, tar)
    is_cut = cut is not None and not cut.beyond
    places = [m[1:] for line in lines for m in parse_line(line)]
    if is_cut or places != [e[:3] for e in entries] or (members and lines != _lines(members)):
        raise UnusableError("does not agree with its tar")
    return lines, cut


def _lines(members: list[Member]) -> list[bytes]:
    return [format_line(sample) for sample in group(members)]


def _members(entries: list[Entry]) -> list[Member] | None:
    r"""Return the members of the tar if the entries alone show them: each has a name, and there are no gaps between them.

    A gap may hold a member that DALI's tool skips and webdataset does not. DALI's tool writes a byte that is not ASCII
    with a backslash, as ``tar --list`` does: \303\244.
    """
    members, end = [], 0
    for entry in entries:
        split = None if entry.name is None or "\\" in entry.name else split_name(entry.name)
        if split is None or entry.offset != end + BLOCK:
            return None
        members.append(Member(*split, entry.offset, entry.size))
        end = entry.offset + -(-entry.size // BLOCK) * BLOCK
    return members


def _check_ends(url: str, members: list[Member], tar: BinaryIO) -> Cut | None:
    """Compare with the tar at the places where a change would show: the first member, the last one, and what follows it.

    Returns:
        What is unusual about the tar's end: that it continues after its end mark.
    """
    first, last = members[0], members[-1]
    found: list[Member] = []
    end: Cut | None = None
    try:
        agrees = next(walk(url, tar), None) == first
    except (Cut, DamagedError):
        agrees = False
    try:
        found.extend(walk(url, tar, last.offset - BLOCK))
    except Cut as cut:
        end = cut
    if not agrees or found != [last] or (end is not None and not end.beyond):
        raise UnusableError("does not agree with its tar")
    return end
