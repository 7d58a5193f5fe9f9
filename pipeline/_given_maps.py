"""Saliency maps as data sets give them: entries of samples, parsed or as in a shard."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from foveal.pipeline.fields import MemberError, Saliency, encode_array


class GivenMaps:
    """The maps of a batch.

    Args:
        entries: The samples.
        guide: The field that says which entry is the map, and what it holds.
    """

    def __init__(self, entries: Sequence[Mapping[Any, Any]], guide: Saliency) -> None:
        self._entries = entries
        self._guide = guide

    def __call__(self, first: int, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Return the maps (rows, cols) of some samples.

        Args:
            first: The position of the first sample in the batch.
            sizes: The (height, width) of their upright originals in pixels.

        Raises:
            ValueError: A sample has no such entry, or the entry is not a map.
        """
        return [self._map(first + k, size) for k, size in enumerate(sizes)]

    def _map(self, place: int, size: tuple[int, int]) -> Tensor:
        entry = self._entries[place]
        names = self._guide.extensions or ()
        name = next((each for each in names if each in entry), None)
        if name is None:
            raise ValueError(
                f"samples[{place}] must have the entry {' or '.join(names)!r} that the zoom asks for, got {list(entry)!r} – "
                "give each sample as a dict with its map."
            )
        try:
            return self._read(name, entry[name], size)
        except MemberError as error:
            raise ValueError(f"samples[{place}] must have a saliency map: {error}.") from error

    def _read(self, name: str, value: Any, size: tuple[int, int]) -> Tensor:
        guide, members = self._guide, {}
        if isinstance(value, bytes | bytearray | memoryview):
            members = {name: bytes(value)}
        elif isinstance(value, dict):
            members = {name: json.dumps(value).encode()}
        else:  # an array, whichever member it was parsed from
            guide = Saliency("npy", kind=guide.kind, frame=guide.frame)
            members = {"npy": encode_array(_as_array(name, value))}
        label = guide.read(members, max_pixels=None)
        return guide.as_map(label, size)


def _as_array(name: str, value: Any) -> np.ndarray[Any, Any]:
    try:
        array = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value)
    except ValueError as error:
        raise MemberError(f"{name} is no array: {error}") from error
    if array.dtype.kind not in "biuf":
        raise MemberError(f"{name} is no array of real numbers, but {type(value).__name__}")
    return array
