"""COCO's run-length encoding of binary masks: alternating lengths of runs of 0 and 1, column by column."""

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from foveal.pipeline.fields._members import MemberError, shown

_MOST_RUNS = 2**24
_FIRST, _CONTINUED, _SIGN, _BITS = 48, 0x20, 0x10, 5


class Runs(NamedTuple):
    """A binary mask."""

    ends: Any
    """(n,) int64, the end of each run; every second run is of ones."""

    size: tuple[int, int]
    """Its (height, width)."""

    def paint(self, canvas: Any, value: int) -> None:
        """Set the mask's pixels in a contiguous canvas (width, height)."""
        flat = canvas.reshape(-1)
        ends = self.ends.tolist()
        for start, end in zip(ends[::2], ends[1::2], strict=False):
            flat[start:end] = value


def runs_of(value: Mapping[str, Any], name: str) -> Runs:
    """Return a mask in the form of COCO's files, compressed or not.

    Args:
        value: ``{"size": [height, width], "counts": [...]}``, or its counts as a string.
        name: Its name in messages.

    Raises:
        MemberError: It is not a mask.
    """
    size, counts = value.get("size"), value.get("counts")
    if not _is_size(size):
        raise MemberError(f"{name} has run lengths without a size (height, width): {shown(value)}")
    if isinstance(counts, str):
        counts = _decompressed(counts)
    if not isinstance(counts, list) or not all(type(each) is int and each >= 0 for each in counts):
        raise MemberError(f"{name} has counts that are no run lengths: {shown(value)}")
    height, width = size
    if sum(counts) != height * width:
        raise MemberError(
            f"{name} has run lengths of another sum than its size: {sum(counts)} and {height} × {width} (height × width)"
        )
    return Runs(np.cumsum(np.array(counts, np.int64)), (height, width))


def runs_in_polygon(polygon: Any, size: tuple[int, int]) -> Runs:
    """Return the pixels that a polygon (n, 2) of (x, y) covers, as COCO's own tools count them.

    Args:
        polygon: At least three corners, not far outside of the image.
        size: (height, width) of the mask in pixels.

    Raises:
        ModuleNotFoundError: pycocotools is not installed.
    """
    try:
        coco = importlib.import_module("pycocotools.mask")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "masks of polygons need pycocotools, which is not installed – pip install 'foveal[coco]'."
        ) from error
    [encoded] = coco.frPyObjects([polygon.ravel().tolist()], *size)
    counts = _decompressed(encoded["counts"].decode()) or []
    return Runs(np.cumsum(np.array(counts, np.int64)), size)


def run_lengths(mask: Any) -> dict[str, Any]:
    """Return a binary mask (height, width) in the compressed form of COCO's files."""
    flat = np.concatenate([[0], mask.T.ravel() != 0, [2]])  # runs begin with one of zeros, which may be empty
    counts = np.diff(np.flatnonzero(np.diff(flat)), prepend=0)
    return {"size": list(mask.shape), "counts": _compressed(counts.tolist())}


def _compressed(counts: list[int]) -> str:
    """Return counts as a string: the inverse of :func:`_decompressed`."""
    text = []
    for k, count in enumerate(counts):
        number = count - counts[k - 2] if k > 2 else count
        more = True
        while more:
            digit = number & 0x1F
            number >>= _BITS
            more = number != (-1 if digit & _SIGN else 0)
            text.append(chr(_FIRST + (digit | _CONTINUED if more else digit)))
    return "".join(text)


def _decompressed(text: str) -> list[int] | None:
    """Return the counts in a string; None if it is invalid.

    Digits of five bits, the least first, of signed numbers; from the fourth on they are differences to the last but one.
    """
    counts: list[int] = []
    number = shift = 0
    for character in text:
        digit = ord(character) - _FIRST
        if not 0 <= digit < 64 or shift > 60 or len(counts) > _MOST_RUNS:
            return None
        number |= (digit & 0x1F) << shift
        shift += _BITS
        if digit & _CONTINUED:
            continue
        if digit & _SIGN:
            number -= 1 << shift
        counts.append(number + counts[-2] if len(counts) > 2 else number)
        number = shift = 0
    return None if shift else counts


def _is_size(size: Any) -> TypeGuard[list[int]]:
    return isinstance(size, list) and len(size) == 2 and all(type(each) is int and each > 0 for each in size)
