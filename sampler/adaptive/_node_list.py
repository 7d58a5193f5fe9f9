"""The node list of a mask: which cells of a fine lattice are kept, and which node represents each cell.

A mask says for each cell how many times its neighbourhood is to be halved: where it is m, the upper left cell of each
block of 2^m by 2^m is kept, which is the one that a strided convolution keeps. (Hesse et al. 2023 place it in the middle
of its block, half a cell off.) After k of the network's strides no block has been halved more than k times, so the list
after k strides is that of ``min(mask, k)``.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Int
from torch import Tensor

from foveal.sampler.adaptive._levels import levels_of


@dataclass(frozen=True, slots=True, eq=False)
class NodeList:
    """The kept cells of all samples, one sample after the other: within a sample by level, finest first, and then in raster order.

    There is no padding: sample b has nodes [offsets[b], offsets[b + 1]).
    """

    sample: Int[Tensor, " nodes"]
    """The sample of each node."""

    row: Int[Tensor, " nodes"]
    """The node's row on the finest lattice: the top row of its block."""

    col: Int[Tensor, " nodes"]
    """Its column on the finest lattice: the left one of its block."""

    offsets: list[int]
    """The first node of each sample, and the end of the last one."""

    lookup: Int[Tensor, "batch rows cols"]
    """The node that represents each cell."""

    def __len__(self) -> int:
        """Number of nodes."""
        return self.offsets[-1]

    def neighbours(self, of: "NodeList", steps: Int[Tensor, "taps 2"]) -> Int[Tensor, "nodes taps"]:
        """Return the nodes of this list at given offsets (rows, cols) from the nodes of another; ``len(self)`` beyond the edge."""
        _, rows, cols = self.lookup.shape
        row, col = of.row[:, None] + steps[:, 0], of.col[:, None] + steps[:, 1]
        inside = (row >= 0) & (row < rows) & (col >= 0) & (col < cols)
        found = self.lookup[of.sample[:, None], row.clamp(0, rows - 1), col.clamp(0, cols - 1)]
        return found.where(inside, len(self))


def node_list(levels: Int[Tensor, "batch rows cols"]) -> NodeList:
    """Return the list of a mask that has been checked."""
    batch, rows, cols = levels.shape
    side = 2**levels
    row, col = (torch.arange(n, device=levels.device) for n in (rows, cols))
    top, left = row[:, None] // side * side, col // side * side
    kept = (top == row[:, None]) & (left == col)
    sample, own_row, own_col = kept.nonzero(as_tuple=True)
    depth = int(levels.max()) + 1 if levels.numel() else 1
    order = (sample * depth + levels[sample, own_row, own_col]).argsort(stable=True)
    sample, own_row, own_col = sample[order], own_row[order], own_col[order]
    number = torch.zeros_like(levels)
    number[sample, own_row, own_col] = torch.arange(len(order), device=levels.device)
    lookup = number[torch.arange(batch, device=levels.device)[:, None, None], top, left]
    offsets = [0, *kept.flatten(1).sum(dim=1).cumsum(dim=0).tolist()]
    return NodeList(sample, own_row, own_col, offsets, lookup)


@dataclass(frozen=True, slots=True, eq=False)
class NodeLists:
    """The lists of one mask after 0, 1, 2, ... strides, and their neighbours; each is computed once, when it is first needed."""

    levels: Int[Tensor, "batch rows cols"]
    _lists: dict[int, NodeList] = field(default_factory=dict)
    _taps: dict[tuple[int, int, int, int], Int[Tensor, "nodes taps"]] = field(default_factory=dict)

    def after(self, strides: int) -> NodeList:
        """Return the list after a number of strides."""
        if strides not in self._lists:
            self._lists[strides] = node_list(self.levels.clamp(max=strides))
        return self._lists[strides]

    def taps(self, source: int, target: int, size: int, spacing: int) -> Int[Tensor, "nodes taps"]:
        """Return the inputs of a convolution for each node after ``target`` strides, among the nodes after ``source``.

        Args:
            source: Strides before the convolution.
            target: Strides after it.
            size: Side of the kernel in taps, odd.
            spacing: Cells of the finest lattice between two taps.
        """
        key = (source, target, size, spacing)
        if key not in self._taps:
            reach = spacing * (torch.arange(size, device=self.levels.device) - size // 2)
            steps = torch.cartesian_prod(reach, reach).view(-1, 2)
            self._taps[key] = self.after(source).neighbours(self.after(target), steps)
        return self._taps[key]


def node_lists(mask: Tensor) -> NodeLists:
    """Check a mask (batch, 1, rows, cols), and return its lists.

    Raises:
        ValueError: It is not a valid mask: another shape, other values than whole numbers from 0 on, or blocks that are
            not whole.
    """
    return NodeLists(levels_of(mask))
