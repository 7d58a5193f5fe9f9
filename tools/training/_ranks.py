"""The processes that train together: those that ``torchrun`` started, or only this one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from foveal.sampler.saliency.training import learns


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that train together.

    Attributes:
        rank: Its number.
        world_size: How many there are.
        device: Where it trains.
    """

    rank: int
    world_size: int
    device: torch.device

    def share(self, module: nn.Module) -> nn.Module:
        """Wrap a module so that its gradients are averaged over the ranks, if there are several and the module trains."""
        return DistributedDataParallel(module) if self.world_size > 1 and learns(module) else module

    def own_seed(self, seed: int) -> int:
        """Return a seed that is different on every rank and for every argument."""
        return seed * self.world_size + self.rank

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over all ranks."""
        if self.world_size > 1:
            dist.all_reduce(values)
        return values

    def gather(self, values: Tensor) -> Tensor:
        """Return each rank's values, as rows."""
        rows = values.new_zeros(self.world_size, *values.shape)
        rows[self.rank] = values
        return self.sum(rows)

    def own(self, rows: Tensor) -> Tensor:
        """Return this rank's row; of sums that another number of ranks gathered, the first rank has all."""
        if len(rows) == self.world_size:
            return rows[self.rank]
        return rows.sum(0) if self.rank == 0 else torch.zeros_like(rows[0])

    def wait(self) -> None:
        """Wait until every rank has called this."""
        if self.world_size > 1:
            dist.barrier()


@contextmanager
def in_ranks() -> Iterator[Ranks]:
    """Join the other processes of ``torchrun``, over NCCL if there are GPUs, else over gloo."""
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    ours = "WORLD_SIZE" in os.environ and not dist.is_initialized()
    if ours:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        there = dist.is_available() and dist.is_initialized()
        yield Ranks(dist.get_rank() if there else 0, dist.get_world_size() if there else 1, device)
    finally:
        if ours:
            dist.destroy_process_group()
