"""The name in the header where a tar was cut: it may tell whether the sample before the cut has lost a member.

A header has its name in its first 100 bytes, so that it can often be read though the rest of the header is missing.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

# Both patterns are webdataset's own, so that names are split and skipped in the same way.
_KEY_AND_EXT = re.compile(r"^((?:.*/|)[^.]+)[.]([^/]*)$")
_META = re.compile(r"__[^/]*__($|/)")
_NAME, _KIND = slice(0, 100), slice(156, 157)  # bytes of a header
_OF_MEMBERS = (b"0", b"\0", b"1", b"2")  # files and links; what other headers are named is no member's name


class NextName(NamedTuple):
    """What can be read of a name.

    Attributes:
        text: Its beginning. The folders of a long name may be missing.
        is_whole: Whether it is all of a member's name, but for folders.
    """

    text: str
    is_whole: bool

    @classmethod
    def of(cls, block: bytes, *, is_damaged: bool = False) -> "NextName":
        """Return the name in a header, of which the end may be missing."""
        text = block[_NAME].partition(b"\0")[0].decode("utf-8", "surrogateescape")
        if "PaxHeader" in text:  # GNU tar's is named folder/PaxHeaders/file
            text = text.rpartition("/")[2]
        return cls(text, block[_KIND] in _OF_MEMBERS and not is_damaged)

    def belongs_to(self, key: str) -> bool | None:
        """Return whether this is a member of the sample; None if that cannot be known."""
        if any(self.text.startswith(f"{part}.") for part in _without_folders(key)):
            return True
        return False if self.is_whole and split_name(self.text) is not None else None


def split_name(name: str) -> tuple[str, str] | None:
    """Return (key, extension) of a member's name; None if webdataset ignores it or it is hidden."""
    match = _KEY_AND_EXT.match(name)
    if match is None or _META.match(name) or match[1].endswith("/"):
        return None
    return match[1], match[2]


def _without_folders(key: str) -> Iterator[str]:
    """Yield the key without none, one, two and more of its folders, for USTAR keeps the first ones of long names elsewhere."""
    while key:
        yield key
        key = key.partition("/")[2]
