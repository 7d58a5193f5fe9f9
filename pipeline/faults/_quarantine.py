"""A file of bad samples that later epochs and runs, and other processes, read and skip."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from foveal.pipeline.faults._bad_sample import BadSample


class Quarantine:
    """Bad samples in a file, one JSON object a line, to which any number of processes may add.

    Args:
        path: The file. It is made with the first sample; its folder must be there.

    Raises:
        ValueError: There is no such folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.parent.is_dir():
            raise ValueError(f"quarantine must be a file in a folder that exists, got {str(path)!r}.")

    def read(self) -> list[BadSample]:
        """Return the samples in the order in which they were added, none where there is no file.

        Raises:
            ValueError: A line is none of ours.
        """
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        samples = (self._parse(line, number) for number, line in enumerate(lines, 1))
        return [sample for sample in samples if sample is not None]

    def add(self, samples: Iterable[BadSample]) -> None:
        """Append samples, in one write, so that lines of several processes do not mix."""
        lines = [json.dumps(sample._asdict()) + "\n" for sample in samples]
        if lines:  # the first line end is for a line that a killed process left without one
            with self.path.open("ab", buffering=0) as file:
                file.write(("\n" * self._is_torn() + "".join(lines)).encode())

    def _is_torn(self) -> bool:
        with self.path.open("rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return False
            file.seek(-1, os.SEEK_END)
            return file.read() != b"\n"

    def _parse(self, line: bytes, number: int) -> BadSample | None:
        try:
            return BadSample(**json.loads(line))
        except (ValueError, TypeError) as error:
            if b'{"url": '.startswith(line[:8]):  # nothing, or what a killed process began
                return None
            raise ValueError(
                f"quarantine must be a JSON-lines file of bad samples, got {line[:80]!r} in line {number} of "
                f"{str(self.path)!r} – name another file."
            ) from error
