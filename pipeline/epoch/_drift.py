"""Detects that ranks train different zooms.

A zoom that trains is called by the loader, outside of the model. On several ranks its gradients are averaged if the
loader was given ``DistributedDataParallel(zoom)``, or if the zoom is a part of the model that is wrapped. Otherwise each
rank trains a different zoom, without any error.

Therefore the first two ranks compare the weights of their zooms after 1, 2, 4, 8, ... batches of an epoch. Each writes a
digest to the store of the process group if its weights have changed since the pass began; a pass that only one rank makes
and that trains nothing is not compared. Neither rank waits for the other.
"""

import hashlib
import itertools
import warnings
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from foveal._outside import outside
from foveal.pipeline.epoch._plan import BatchPlan
from foveal.pipeline.epoch._position import EpochPlace
from foveal.pipeline.epoch._ranks import RankWarning, averaging, is_sharded

# Numbers of the loaders that train, by samples and batch size, so that each loader has different keys.
_numbers: defaultdict[tuple[int, int], Iterator[int]] = defaultdict(itertools.count)


class DriftWatch:
    """Compares the zoom of this rank with that of another one.

    Args:
        zoom: The zoom that the loader calls.
    """

    def __init__(self, zoom: nn.Module) -> None:
        self._zoom = zoom
        self._told = False
        self._before = ""  # the digest of the weights with which the pass began
        self._name: str | None = None
        self._digests: dict[str, str] = {}
        # Keys to compare as soon as rank 1 has written them, and the number of batches until then.
        self._open: dict[str, int] = {}

    def look(self, plan: BatchPlan, place: EpochPlace, batches: int) -> None:
        """Write a digest if it is time to, and warn if an earlier one differs from the other rank's.

        Args:
            plan: The batches of this rank.
            place: Where the rank is in the epoch.
            batches: Number of batches that it has received in this pass.

        Warns:
            RankWarning: The ranks have different zooms.
        """
        if self._told or plan.rank > 1 or not may_drift(self._zoom, plan.world_size):
            return
        store = store_of(plan)
        if store is None:
            return
        if batches == 0:
            self._before = _digest(self._zoom)
        elif batches.bit_count() == 1:
            self._leave_digest(store, plan, place, batches)
        if plan.rank == 0:
            self._compare(store)

    def _leave_digest(self, store: Any, plan: BatchPlan, place: EpochPlace, batches: int) -> None:
        if self._name is None:
            loader = (plan.samples, plan.batch_size)
            self._name = f"foveal/zoom/{plan.samples}/{plan.batch_size}/{next(_numbers[loader])}"
        key = f"{self._name}/{place.epoch}/{place.iterator}/{place.position}"
        digest = _digest(self._zoom)
        if digest != self._before and key not in self._digests:  # a later pass has other weights
            self._digests[key] = digest
            self._open[key] = batches
            store.set(f"{key}/{plan.rank}", digest)

    def _compare(self, store: Any) -> None:
        for key, batches in list(self._open.items()):
            if self._told or not store.check([f"{key}/1"]):
                continue
            del self._open[key]
            self._told = store.get(f"{key}/1").decode() != self._digests[key]
            if self._told:
                warnings.warn(
                    f"the zooms of ranks 0 and 1 have different weights after {batches} batch(es): each rank trains its own "
                    "– give foveal.pipeline.ZoomLoader the wrapped zoom, DistributedDataParallel(zoom), or make the zoom a "
                    "part of the model that is wrapped.",
                    RankWarning,
                    stacklevel=outside(),
                )


def may_drift(zoom: nn.Module, world_size: int) -> bool:
    """Return whether ranks that call this zoom may train different ones."""
    if world_size == 1 or not torch.is_grad_enabled():
        return False
    averaged = {id(parameter) for wrapper in averaging(zoom) for parameter in wrapper.parameters()}
    trained = any(each.requires_grad and id(each) not in averaged for each in zoom.parameters())
    return trained and not is_sharded(zoom)


def store_of(plan: BatchPlan) -> Any:
    """Return the store of the process group whose ranks share the batches; None if there is no such group."""
    if not (dist.is_available() and dist.is_initialized()):
        return None
    if (dist.get_rank(), dist.get_world_size()) != (plan.rank, plan.world_size):
        return None
    return dist.distributed_c10d._get_default_store()  # noqa: SLF001 - torch has no other way to it


def _digest(zoom: nn.Module) -> str:
    """Return a digest of the weights, which is equal if and only if they are equal bit for bit."""
    digest = hashlib.blake2b(digest_size=16)
    for parameter in zoom.parameters():
        if parameter.requires_grad:
            digest.update(parameter.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
