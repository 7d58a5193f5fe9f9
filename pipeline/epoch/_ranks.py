"""Finds the rank of this process among those that share an epoch."""

import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from foveal._outside import outside
from foveal.sampler.saliency import is_shard

# Environment variables in which launchers give the number of processes that they started, and which torch does not read.
_LAUNCHERS = {"mpirun": "OMPI_COMM_WORLD_SIZE", "mpiexec": "PMI_SIZE", "srun": "SLURM_STEP_NUM_TASKS"}


class RankWarning(UserWarning):
    """Ranks do not share an epoch, or the zoom that they train, although they should."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """The rank of this process, which is read when it is needed, because a process group may be created late.

    Attributes:
        rank: The rank that the user gave. None to read it from ``torch.distributed``, or, if there is no process group,
            from the variables ``RANK`` and ``WORLD_SIZE``, which torchrun sets.
        world_size: The number of ranks, likewise.
    """

    rank: int | None
    world_size: int | None

    def now(self) -> tuple[int, int]:
        """Return the rank and the number of ranks.

        Raises:
            ValueError: Only one of the two was given, and there is nothing to take the other one from.
        """
        if self.rank is not None and self.world_size is not None:
            return self.rank, self.world_size
        found = _by_group() or _by_variables()
        if found is None and (self.rank, self.world_size) != (None, None):
            raise ValueError(
                "rank and world_size must be given together if there is no process group, got "
                f"rank={self.rank!r} and world_size={self.world_size!r}."
            )
        rank, world_size = found or (0, 1)
        return (
            rank if self.rank is None else self.rank,
            world_size if self.world_size is None else self.world_size,
        )

    @property
    def are_without_group(self) -> bool:
        """Whether the ranks are only known from environment variables."""
        return self.world_size is None and _by_group() is None

    def warn_of_others(self) -> None:
        """Warn if a launcher started several processes and torch does not know of them."""
        if self.world_size is not None or _by_group() or _by_variables():
            return
        for launcher, variable in _LAUNCHERS.items():
            if (size := _number(variable) or 0) > 1:
                warnings.warn(
                    f"{launcher} started {size} processes ({variable}), but there is no process group, so each of them gets "
                    "all samples – call torch.distributed.init_process_group before iterating, or give rank and world_size.",
                    RankWarning,
                    stacklevel=outside(),
                )
                return

    def warn_of_change(self, begun_with: int) -> bool:
        """Warn and return True if there are now more ranks than when an iterator began."""
        _, world_size = self.now()
        if world_size <= begun_with:
            return False
        warnings.warn(
            f"this iterator was begun with {begun_with} rank(s) and there are {world_size} now: it does not share its samples "
            "with the others – begin another one after torch.distributed.init_process_group.",
            RankWarning,
            stacklevel=outside(),
        )
        return True


def send_no_buffers(zoom: nn.Module) -> None:
    """Have the next call of a wrapped zoom take the buffers that it has.

    After each call with gradients, the next one sends rank 0's buffers to all ranks. But ranks may divide their batches into different numbers of
    micro-batches, and wait for each other in vain. Once in a batch is the same on all ranks.
    """
    for wrapper in averaging(zoom):
        wrapper.require_forward_param_sync = False


def averaging(zoom: nn.Module) -> Iterator[DistributedDataParallel]:
    """Yield the modules that average gradients over ranks. Fabric, ``torch.compile`` and modules of others put them inside their own."""
    return (module for module in zoom.modules() if isinstance(module, DistributedDataParallel))


def is_sharded(zoom: nn.Module) -> bool:
    """Return whether each rank has a part of the weights, as with FSDP and DeepSpeed's ZeRO-3. Then all ranks must call it equally often."""
    if any(is_shard(each) or hasattr(each, "ds_id") for each in zoom.parameters()):
        return True
    fsdp = sys.modules.get("torch.distributed.fsdp")  # importing it takes seconds
    return fsdp is not None and any(
        isinstance(module, fsdp.FullyShardedDataParallel) for module in zoom.modules()
    )


def _by_group() -> tuple[int, int] | None:
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return None


def _by_variables() -> tuple[int, int] | None:
    rank, world_size = _number("RANK"), _number("WORLD_SIZE")
    return None if rank is None or world_size is None else (rank, world_size)


def _number(variable: str) -> int | None:
    value = os.environ.get(variable, "")
    return int(value) if value.isdecimal() else None
