"""Parses the members of a sample, by webdataset's extensions. Nothing in a shard is ever unpickled."""

import io
import json
import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import numpy as np

from foveal.pipeline.decoding import Avoidable
from foveal.shards.naming import INTEGERS, JSON

_short = reprlib.Repr()  # a label may be long
_short.maxlevel = 3


MemberFault = Literal["bad_label", "missing_member", Avoidable]


class MemberError(Exception):
    """A member is missing or does not hold what its name says. The reader adds shard and key.

    Attributes:
        kind: What is wrong with it, in one word.
        field: The name of the field that it was read for; :class:`Fields` sets it.
        missing: If it is missing, the extensions of which none exists.
    """

    def __init__(
        self, reason: str, kind: MemberFault = "bad_label", *, field: str = "", missing: tuple[str, ...] = ()
    ) -> None:
        super().__init__(reason)
        self.kind: MemberFault = kind
        self.field = field
        self.missing = missing


def alternatives(name: str) -> tuple[str, ...]:
    """Return the extensions in a name such as ``"cls;txt"``, the preferred one first."""
    return tuple(name.lower().split(";"))


def find_member(extensions: Iterable[str], members: Mapping[str, bytes]) -> str:
    """Return the first extension that the sample has.

    Raises:
        MemberError: It has none of them.
    """
    wanted = tuple(extensions)
    for extension in wanted:
        if extension in members:
            return extension
    raise MemberError(
        f"member is missing: there is no {' or '.join(wanted)}", "missing_member", missing=wanted
    )


def kind_of(extension: str) -> str:
    """Return the part of an extension that says what a member holds: its last, as for webdataset's decoders."""
    return extension.rpartition(".")[2]


def is_parsed(extension: str) -> bool:
    """Return whether members with this extension are parsed; others are delivered as bytes."""
    return kind_of(extension) in _PARSERS


def parse_member(name: str, members: Mapping[str, bytes]) -> Any:
    """Return the content of the first of some alternatives, parsed by its extension.

    Raises:
        MemberError: All are missing, or it holds something else.
    """
    extension = find_member(alternatives(name), members)
    return parse_content(extension, members[extension])


def parse_content(extension: str, content: bytes) -> Any:
    """Return the content of a member, parsed by its extension; as bytes for an unknown extension.

    Raises:
        MemberError: It holds something else.
    """
    parse, expected = _PARSERS.get(kind_of(extension), (bytes, "bytes"))
    try:
        return parse(content)
    except OverflowError as error:
        raise MemberError(f"{extension} is not {expected} of 64 bits: {shown(content)}") from error
    except (ValueError, EOFError, RecursionError) as error:
        raise MemberError(f"{extension} is not {expected}: {shown(content)}") from error


def shown(value: Any) -> str:
    """Return the beginning of a value, as a message shows it."""
    if isinstance(value, bytes):
        return repr(value[:40]) + ("..." if len(value) > 40 else "")
    text = _short.repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _integer(content: bytes) -> Any:
    text = _text(content)
    if "_" in text:  # Python's own way to write a number, which no other reader of the shard knows
        raise ValueError(text)
    return np.asarray(int(text), dtype=np.int64)


def _text(content: bytes) -> str:
    return content.decode("utf-8-sig")  # some editors begin a text with a mark


def _array(content: bytes) -> Any:
    try:
        array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # a damaged header: a syntax error, or one that claims too much memory
        raise ValueError(str(error)) from error
    if not is_numeric(array):
        raise ValueError(array.dtype)
    return native(array)


def is_numeric(array: np.ndarray[Any, Any]) -> bool:
    """Return whether there are tensors of such numbers: torch has no long double."""
    return array.dtype.kind in "biufc" and array.dtype.char not in "gG"


def native(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an array in this machine's byte order, and in memory in the order of its axes, as tensors have it."""
    return np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")


def encode_array(array: np.ndarray[Any, Any]) -> bytes:
    """Return a NumPy file, as ``npy`` members hold them. Equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


_PARSERS: dict[str, tuple[Callable[[bytes], Any], str]] = {
    **dict.fromkeys(INTEGERS, (_integer, "an integer")),
    **dict.fromkeys(JSON, (json.loads, "JSON")),
    **dict.fromkeys(("txt", "text", "transcript"), (_text, "UTF-8 text")),
    "npy": (_array, "a NumPy array of numbers"),
}
