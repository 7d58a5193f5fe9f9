"""A file of bad samples that later epochs and runs, and other processes, read and skip."""

import fcntl
import json
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any, get_args

from foveal.pipeline.faults._bad_sample import BadSample, FaultKind
from foveal.shards.naming import place_of
from foveal.shards.store import errors_name

# Reasons in files that were written before lines had a kind and a field.
_OLD_REASON = re.compile(
    r"member is missing: there is no (?P<missing>.+)"
    r"|(?P<member>\S+) is not (an integer|JSON|UTF-8 text|a NumPy array of numbers):"
)


class Quarantine:
    """Bad samples in a file, one JSON object a line, to which any number of processes may add.

    Args:
        path: The file. It is created with the first sample; its folder must exist.

    Raises:
        ValueError: There is no such folder, or this is a folder itself, or on a server.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(place_of("quarantine", path))
        if not self.path.parent.is_dir() or self.path.is_dir():
            raise ValueError(f"quarantine must be a file in a folder that exists, got {str(path)!r}.")

    def read(self) -> list[BadSample]:
        """Return the samples in the order in which they were added, none if there is no file.

        Raises:
            ValueError: A line was not written by a quarantine.
        """
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        samples = (self._parse(line, number) for number, line in enumerate(lines, 1))
        return [sample for sample in samples if sample is not None]

    def add(self, samples: Iterable[BadSample]) -> None:
        """Append samples, while other processes wait, so that lines of several processes do not mix.

        Raises:
            OSError: They cannot be written, or not all of them, because the disk is full. It names the file.
        """
        lines = [json.dumps(sample._asdict()) + "\n" for sample in samples]
        if lines:
            # without a buffer: where nothing can be locked, one write keeps the lines together
            with errors_name(self.path), self.path.open("a+b", buffering=0) as file:
                _lock(file)
                # the first line end completes a line that a killed process, or a full disk, left without one
                _write_all(file, ("\n" * _is_torn(file) + "".join(lines)).encode())

    def _parse(self, line: bytes, number: int) -> BadSample | None:
        try:
            return _sample_of(json.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            # an empty line, one that a killed process or a full disk cut, or a kind that only a newer version knows
            if b'{"url": '.startswith(line[:8]):
                return None
            raise ValueError(
                f"quarantine must be a JSON-lines file of bad samples, got {line[:80]!r} in line {number} of "
                f"{str(self.path)!r} – name another file."
            ) from error


def _lock(file: FileIO) -> None:
    with suppress(OSError):  # a file system without locks
        fcntl.flock(file, fcntl.LOCK_EX)


def _is_torn(file: FileIO) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return file.read() != b"\n"


def _write_all(file: FileIO, content: bytes) -> None:
    """Write all bytes: on a disk that is almost full, a write takes some of them, and only the next one fails."""
    while content:
        content = content[file.write(content) :]


def _sample_of(entry: Mapping[str, Any]) -> BadSample:
    if "kind" not in entry:
        kind, field = _old_kind_and_field(entry["reason"])
        return BadSample(**entry, kind=kind, field=field)
    if entry["kind"] not in get_args(FaultKind):
        raise ValueError(entry["kind"])
    return BadSample(**entry)


def _old_kind_and_field(reason: str) -> tuple[FaultKind, str]:
    """Return kind and field from the reason in an old line; the field is "" if the reason does not say it."""
    match = _OLD_REASON.match(reason)
    if match is not None and match["missing"]:
        return "missing_member", match["missing"].replace(" or ", ";")
    if reason.startswith("image has more pixels than max_pixels"):
        return "too_large", ""
    field = "" if match is None else match["member"]
    return ("corrupt" if reason.startswith("image ") else "bad_label"), field
