"""Finds the files that all loaders of a comparison can read: a file that one cannot read is left out for all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from foveal.tools.bench.peers._check_resized import WORST, check_resized
from foveal.tools.bench.peers._peer import Peer

MOST = 0.25
"""Largest share of files that a loader may fail to read. If it fails on more, the loader is left out, not the files."""


@dataclass(frozen=True, slots=True)
class SharedFiles:
    """The result.

    Attributes:
        files: The files that all loaders can read.
        refused: How many files each loader cannot read, by its name.
        unusable: The loaders that are left out, and why.
    """

    files: list[bytes]
    refused: dict[str, int]
    unusable: dict[str, str]

    def describe(self, total: int) -> str:
        """Return a sentence about the files that are left out; an empty string if there are none."""
        left_out = total - len(self.files)
        if not left_out:
            return ""
        each = ", ".join(f"{name} cannot read {count}" for name, count in self.refused.items())
        return f"Left out for all: {left_out} of {total} files ({each})."


def find_shared(
    files: Sequence[bytes], peers: Mapping[str, Peer], expected: Sequence[Tensor | None]
) -> SharedFiles:
    """Have every loader read every file.

    Args:
        files: Different image files.
        peers: The loaders, by name.
        expected: The expected image of each file, (3, size, size); None for one that Foveal cannot read.
    """
    left_out = {k for k, image in enumerate(expected) if image is None}
    refused = {"Foveal": len(left_out)} if left_out else {}
    unusable = {}
    for name, peer in peers.items():
        faults = {k: f for k, file in enumerate(files) if (f := _fault(peer, file, expected[k])) is not None}
        if len(faults) > MOST * len(files):
            readable = len(files) - len(faults)
            reason = next(iter(faults.values()))
            unusable[name] = f"not timed, as here it reads {readable} of {len(files)} files: {reason}"
        elif faults:
            refused[name] = len(faults)
            left_out |= faults.keys()
    return SharedFiles([file for k, file in enumerate(files) if k not in left_out], refused, unusable)


def _fault(peer: Peer, file: bytes, expected: Tensor | None) -> str | None:
    if expected is None:
        return None
    try:
        check_resized([peer.read(file)[None]], expected[None], most=WORST)
    except Exception as error:  # noqa: BLE001 - other software may raise anything
        return " ".join(f"{error}".split())[:200] or type(error).__name__
    return None
