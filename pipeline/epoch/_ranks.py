"""Which of the processes that share an epoch this one is."""

import torch


def place_among_ranks(rank: int | None, world_size: int | None) -> tuple[int, int]:
    """Return this process's rank and how many there are, by ``torch.distributed`` where nobody said."""
    group = torch.distributed.is_available() and torch.distributed.is_initialized()
    if rank is None:
        rank = torch.distributed.get_rank() if group else 0
    if world_size is None:
        world_size = torch.distributed.get_world_size() if group else 1
    return rank, world_size
