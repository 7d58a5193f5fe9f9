"""A position in an epoch as plain JSON, and the checks before a loader continues from it.

The order of an epoch is a function of seed, epoch and the iterator's number in the epoch, and all ranks together go
through it once. So a position is three numbers, for any number of ranks and any batch size.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from foveal.pipeline.epoch._loader_options import LoaderOptions
from foveal.pipeline.epoch._position import EpochPlace
from foveal.shards import Shards
from foveal.shards.naming import identity_of

VERSION = 1
_NUMBERS = ("version", "epoch", "position", "seed")


def identity(shards: Shards, options: LoaderOptions) -> dict[str, Any]:
    """Return everything that decides the order of every epoch. A state belongs to loaders for which it is equal.

    Shards are identified by their names without folders and signatures, and by their numbers of samples, so they may move
    to another folder or store between two runs.
    """
    digest = hashlib.sha256()
    for url, count in zip(shards.urls, shards.counts.tolist(), strict=True):
        digest.update(f"{identity_of(url).rpartition('/')[2]}\0{count}\0".encode())
    order = {"seed": options.seed, "shuffle": options.shuffle}
    return {**order, "samples": len(shards), "shards": digest.hexdigest()}


def make_state(place: EpochPlace, *, of: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state: plain JSON, a few hundred bytes. ``of`` is the loader's :func:`identity`."""
    return {"version": VERSION, **asdict(place), **of}


def read_state(state: Mapping[str, Any], *, of: Mapping[str, Any]) -> EpochPlace:
    """Check a state against the :func:`identity` of the loader that is to continue from it, and return its position.

    Raises:
        ValueError: The state is from a newer version, of other shards or another order, or not a state at all.
    """
    if not isinstance(state, Mapping) or not _has_numbers(state):
        raise ValueError(f"state must be what state_dict() returned, got {state!r}.")
    if state["version"] > VERSION:
        raise ValueError(
            f"state must be of version {VERSION} or older, got {state['version']!r} – update foveal."
        )
    _check_same(state, of)
    samples, place = of["samples"], EpochPlace(state["epoch"], state["position"], state.get("iterator", 0))
    if not 0 <= place.position <= samples or place.epoch < 0 or place.iterator < 0:
        raise ValueError(f"state must lie within an epoch of {samples} samples, got {dict(state)!r}.")
    return place


def _check_same(state: Mapping[str, Any], of: Mapping[str, Any]) -> None:
    for name in ("seed", "shuffle"):
        if state.get(name) != of[name]:
            raise ValueError(
                f"state must be of a loader with {name} {of[name]!r}, got {state.get(name)!r} – make the loader with "
                "the same shards, seed and shuffle as the one that was saved."
            )
    before, now = state.get("samples"), of["samples"]
    if before != now or state.get("shards") != of["shards"]:
        others = f"{now!r} samples where there were {before!r}" if before != now else "others"
        raise ValueError(  # also read by those who resume a training on the command line
            f"shards must be those that the state was saved with, by name, number of samples and order, got {others} – name the "
            "same shards again."
        )


def _has_numbers(state: Mapping[str, Any]) -> bool:
    numbers = [*(state.get(name) for name in _NUMBERS), state.get("iterator", 0)]
    return all(type(number) is int for number in numbers)
