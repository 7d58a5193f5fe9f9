"""Masks: how many times the resolution is to be halved at each place of a fine feature map.

0 keeps a cell; m turns a block of 2^m by 2^m cells into one. So a mask must be m on whole blocks of that size, which
begin at multiples of it; at the right and lower edges of the map they may be incomplete.
"""

import torch
from jaxtyping import Bool, Int, Num, Shaped
from torch import Tensor
from torch.nn.functional import max_pool2d


def snapped(wanted: Int[Tensor, "batch 1 rows cols"]) -> Int[Tensor, "batch 1 rows cols"]:
    """Return the coarsest valid mask that is nowhere coarser than wanted: a block is halved if all of its cells may be."""
    mask = torch.zeros_like(wanted)
    for level in range(1, int(wanted.max()) + 1 if wanted.numel() else 1):
        may = ~_any_in_block(wanted < level, 2**level)
        mask = torch.where(may, level, mask)
    return mask


def levels_of(mask: Num[Tensor, "batch 1 rows cols"]) -> Int[Tensor, "batch rows cols"]:
    """Check a mask and return its levels.

    Raises:
        ValueError: Another shape, other values than whole numbers from 0 on, or blocks that are not whole.
    """
    if mask.ndim != 4 or mask.shape[1] != 1:
        raise ValueError(
            f"mask must be (batch, 1, rows, cols), got shape {tuple(mask.shape)!r} – one level for each cell."
        )
    levels = mask.detach().long()
    if mask.numel() and (int(levels.min()) < 0 or not bool((levels == mask.detach()).all())):
        raise ValueError(
            f"mask must be whole numbers from 0 on, got values from {mask.min().item()!r} to {mask.max().item()!r} "
            "– how many times to halve; round it first."
        )
    for level in range(1, int(levels.max()) + 1 if levels.numel() else 1):
        broken = (levels == level) & _any_in_block(levels != level, 2**level)
        if bool(broken.any()):
            place = broken.nonzero()[0, [0, 2, 3]].tolist()
            raise ValueError(
                f"mask must be {level} on whole blocks of {2**level} x {2**level}, got a broken one at (sample, row, col) "
                f"{tuple(place)!r} – saliency_mask, keypoint_mask and edge_mask make whole ones."
            )
    return levels[:, 0]


def _any_in_block(where: Bool[Tensor, "batch 1 rows cols"], side: int) -> Bool[Tensor, "batch 1 rows cols"]:
    """Whether any value in the block around each cell is true."""
    if 0 in where.shape:
        return where
    found = max_pool2d(where.float(), side, ceil_mode=True) > 0
    return spread_blocks(found, side, (where.shape[2], where.shape[3]))


def spread_blocks(
    blocks: Shaped[Tensor, "batch 1 _rows _cols"], side: int, size: tuple[int, int]
) -> Shaped[Tensor, "batch 1 rows cols"]:
    """Return for each cell the value of its block; blocks at the edge may be incomplete."""
    cells = blocks.repeat_interleave(side, dim=2).repeat_interleave(side, dim=3)
    return cells[:, :, : size[0], : size[1]]
