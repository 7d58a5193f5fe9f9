"""Noticing that ranks train different zooms.

A zoom that trains is called by the loader, outside of the model. On several ranks its gradients are averaged if the loader
was given ``DistributedDataParallel(zoom)``, or if the zoom is a part of the model that is wrapped. Otherwise each rank
trains a zoom of its own, and no error tells.

So the first two ranks compare their zooms' weights after 1, 2, 4, 8, ... batches of an epoch. Each leaves a digest in the
store of the process group. Neither waits for the other.
"""

import hashlib
import itertools
import warnings
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from foveal.pipeline.epoch._plan import BatchPlan
from foveal.pipeline.epoch._position import Place
from foveal.pipeline.epoch._ranks import RankWarning

_numbers = itertools.count()  # of the loaders that train, so that each has its own keys


class DriftWatch:
    """Compares the zoom of this rank with that of another one.

    Args:
        zoom: What the loader calls.
    """

    def __init__(self, zoom: nn.Module) -> None:
        self._zoom = zoom
        self._told = False
        self._number: int | None = None
        self._digests: dict[str, str] = {}
        self._open: dict[
            str, int
        ] = {}  # keys that the other rank has not been seen to have, and after how many batches

    def look(self, plan: BatchPlan, place: Place, batches: int, *, stacklevel: int) -> None:
        """Leave a digest if it is time to, and warn if an earlier one is not that of the other rank.

        Args:
            plan: The batches of this rank.
            place: Where the rank is in the epoch.
            batches: How many batches it has had of this pass.
            stacklevel: Of the warning, as ``warnings.warn`` has it in the caller.

        Warns:
            RankWarning: The ranks have different zooms.
        """
        if self._told or plan.rank > 1 or not may_drift(self._zoom, plan.world_size):
            return
        store = store_of(plan)
        if store is None:
            return
        if batches.bit_count() == 1:
            self._leave_digest(store, plan.rank, place, batches)
        if plan.rank == 0:
            self._compare(store, stacklevel + 1)

    def _leave_digest(self, store: Any, rank: int, place: Place, batches: int) -> None:
        self._number = next(_numbers) if self._number is None else self._number
        key = f"foveal/zoom/{self._number}/{place.epoch}/{place.iterator}/{place.position}"
        if key not in self._digests:  # another pass, later on, has other weights
            self._digests[key] = _digest(self._zoom)
            self._open[key] = batches
            store.set(f"{key}/{rank}", self._digests[key])

    def _compare(self, store: Any, stacklevel: int) -> None:
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
                    stacklevel=stacklevel + 1,
                )


def may_drift(zoom: nn.Module, world_size: int) -> bool:
    """Say whether ranks that call this zoom may come to train different ones."""
    if world_size == 1 or not torch.is_grad_enabled() or isinstance(zoom, DistributedDataParallel):
        return False
    trained = [parameter for parameter in zoom.parameters() if parameter.requires_grad]
    return bool(trained) and not any(
        hasattr(each, "device_mesh") for each in trained
    )  # sharded: each has a part


def store_of(plan: BatchPlan) -> Any:
    """Return the store of the process group whose ranks share the batches, None where there is no such group."""
    if not (dist.is_available() and dist.is_initialized()):
        return None
    if (dist.get_rank(), dist.get_world_size()) != (plan.rank, plan.world_size):
        return None
    return dist.distributed_c10d._get_default_store()  # noqa: SLF001 - torch has no other way to it


def _digest(zoom: nn.Module) -> str:
    """Return a short name of the weights, which says whether they are equal bit for bit."""
    digest = hashlib.blake2b(digest_size=16)
    for parameter in zoom.parameters():
        if parameter.requires_grad:
            digest.update(parameter.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
