"""Random masks, and what the nodes of a mask are by a loop over its cells in plain Python."""

import numpy as np
import torch
from hypothesis import strategies as st


def coarsest(wanted):
    """Return the coarsest mask that is nowhere coarser than wanted, by splitting blocks into four: (rows, cols), NumPy."""
    mask = np.zeros_like(wanted)
    _cut(wanted, mask, 0, 0, int(wanted.max(initial=0)))
    return mask


def _cut(wanted, mask, row, col, level):
    rows, cols = wanted.shape
    side = 2**level
    for top in range(row, rows if level == wanted.max() else min(row + 2 * side, rows), side):
        for left in range(col, cols if level == wanted.max() else min(col + 2 * side, cols), side):
            block = slice(top, top + side), slice(left, left + side)
            if wanted[block].min() >= level:
                mask[block] = level
            else:
                _cut(wanted, mask, top, left, level - 1)


def nodes_of(levels, strides):
    """Return (sample, row, col) of each node after this many strides, in order, and their numbers: levels (batch, rows, cols)."""
    capped = np.minimum(levels, strides)
    places = sorted(
        (sample, level, row, col)
        for (sample, row, col), level in np.ndenumerate(capped)
        if row % 2**level == 0 and col % 2**level == 0
    )
    order = [(sample, row, col) for sample, _, row, col in places]
    return order, {place: number for number, place in enumerate(order)}


def node_at(levels, strides, sample, row, col):
    """Return the node of a cell; None beyond the edge."""
    if not (0 <= row < levels.shape[1] and 0 <= col < levels.shape[2]):
        return None
    side = 2 ** min(levels[sample, row, col], strides)
    return sample, row // side * side, col // side * side


def conv_by_hand(features, levels, strides, weight, bias, *, stride=1, dilation=1):
    """Convolve on nodes by the definition, tap by tap, in float64: features (nodes, in), weight (out, in, size, size)."""
    _, numbers = nodes_of(levels, strides)
    targets, _ = nodes_of(levels, strides + stride - 1)
    size, apart = weight.shape[-1], dilation * 2**strides
    made = np.tile(bias, (len(targets), 1))
    for number, (sample, row, col) in enumerate(targets):
        for i, j in np.ndindex(size, size):
            place = row + apart * (i - size // 2), col + apart * (j - size // 2)
            node = node_at(levels, strides, sample, *place)
            if node is not None:
                made[number] += weight[:, :, i, j] @ features[numbers[node]]
    return made


@st.composite
def any_levels(draw, most=2, largest=9):
    """Draw masks as integers (batch, rows, cols) of any size, some uniform, some of blocks that the edge cuts off."""
    shape = draw(st.integers(1, 2)), draw(st.integers(1, largest)), draw(st.integers(1, largest))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    levels = rng.choice(
        most + 1, shape, p=draw(st.sampled_from([(0.1, 0.2, 0.7), (0, 0, 1), (0.02, 0.03, 0.95)]))
    )
    return np.stack([coarsest(each) for each in levels])


def as_mask(levels):
    return torch.from_numpy(np.asarray(levels))[:, None]
