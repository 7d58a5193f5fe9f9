"""The samples of a tar as its headers tell, and as an index file tells that agrees with them."""

from typing import BinaryIO

from foveal.shards._error import RemoteError, ShardError
from foveal.shards.index._idx_format import Entry, format_line, parse_entries, parse_line
from foveal.shards.index._tar import BLOCK, Cut, Member, group, split_name, walk


class UnusableError(Exception):
    """An index file does not fit its tar; the message says why."""


def scan(url: str, tar: BinaryIO) -> tuple[list[bytes], Cut | None]:
    """Return the line of each sample, read from the tar's headers, and where the tar was cut if it was."""
    lines: list[bytes] = []
    try:
        lines.extend(format_line(sample) for sample in group(url, walk(url, tar)))
    except Cut as cut:
        return lines, cut
    except OSError as error:
        raise ShardError(url, None, f"cannot be read: {error.strerror}") from error
    return lines, None


def agreed(url: str, text: bytes, tar: BinaryIO) -> list[bytes]:
    """Return the line of each sample by the text of an index file, of which v1.1 has no names.

    Raises:
        UnusableError: It does not agree with the tar.
    """
    try:
        entries = [entry for line in parse_entries(text) for entry in line]
    except ValueError as error:
        raise UnusableError(f"is unreadable: {error}") from error
    members = _members(entries)
    if members:
        _check_ends(url, members, tar)
        return [format_line(sample) for sample in group(url, members)]
    lines, cut = scan(url, tar)
    if cut is not None or [m[1:] for line in lines for m in parse_line(line)] != [e[:3] for e in entries]:
        raise UnusableError("does not agree with its tar")
    return lines


def _members(entries: list[Entry]) -> list[Member] | None:
    r"""Return the members of the tar where the entries alone tell: each has a name, and they lie end to end.

    In a gap may be what DALI's tool skips and webdataset does not. A backslash is its way to write a byte that is
    not ASCII, as ``tar --list`` does: \303\244.
    """
    members, end = [], 0
    for entry in entries:
        split = None if entry.name is None or "\\" in entry.name else split_name(entry.name)
        if split is None or entry.offset != end + BLOCK:
            return None
        members.append(Member(*split, entry.offset, entry.size))
        end = entry.offset + -(-entry.size // BLOCK) * BLOCK
    return members


def _check_ends(url: str, members: list[Member], tar: BinaryIO) -> None:
    """Compare with the tar where a change shows: at the first member, at the last, and in what follows it."""
    first, last = members[0], members[-1]
    try:
        agrees = next(walk(url, tar), None) == first and list(walk(url, tar, last.offset - BLOCK)) == [last]
    except RemoteError:
        raise
    except (Cut, ShardError):
        agrees = False
    if not agrees:
        raise UnusableError("does not agree with its tar")
