"""Conversion to and from the frame of saliency maps."""

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foveal.sampler import saliency_mask, to_lattice
from foveal.sampler.frames import cell_means, even_edges
from tests.checks import check_close, unhooked
from tests.reference import means_over_cells

COUNT = st.integers(1, 9)


def ramp(rows, cols):
    """Return cells that tile the image, with the value 3 y - 2 x at (y, x)."""
    y, x = ((np.arange(n) + 0.5) / n for n in (rows, cols))
    return torch.from_numpy(3 * y[:, None] - 2 * x)[None, None]


@given(COUNT, COUNT, COUNT, COUNT)
def test_what_is_linear_is_read_where_it_is(rows, cols, height, width):
    """A linear map is read exactly at every inner node, whether cells or nodes are finer."""
    found = to_lattice(ramp(height, width), (rows, cols))[0, 0].numpy()
    y, x = (np.linspace(0, 1, n) if n > 1 else np.array([0.5]) for n in (rows, cols))
    margins = (0.5 / cells + 1 / max(nodes - 1, 1) for cells, nodes in ((height, rows), (width, cols)))
    inside_y, inside_x = ((at >= m) & (at <= 1 - m) for at, m in zip((y, x), margins, strict=True))
    off = np.abs(found - (3 * y[:, None] - 2 * x))

    assert off[inside_y[:, None] & inside_x].max(initial=0) < 1e-12


@pytest.mark.parametrize(("cells", "nodes"), [(64, 31), (31, 31), (16, 31), (40, 31), (9, 3)])
def test_a_lone_cell_is_seen_where_it_is(cells, nodes):
    """The centroid of a single bright cell is the cell's centre, if it is at least two nodes from the edges."""
    place = np.linspace(0, 1, nodes)
    for k in range(cells):
        centre = (k + 0.5) / cells
        if not 2 / (nodes - 1) < centre < 1 - 2 / (nodes - 1):
            continue
        found = to_lattice(torch.eye(cells)[k].double()[None, None, None], (1, nodes))[0, 0, 0].numpy()
        assert abs(found @ place / found.sum() - centre) < 0.002, k


@given(COUNT, COUNT)
def test_finer_than_the_map_is_numpys_interpolation(cells, nodes):
    """If cells are no finer than nodes, a row is NumPy's interpolation between the cells' centres."""
    nodes += cells
    row = np.random.default_rng(cells).random(cells)
    found = to_lattice(torch.from_numpy(row)[None, None, None], (1, nodes))[0, 0, 0]

    check_close(found, np.interp(np.linspace(0, 1, nodes), (np.arange(cells) + 0.5) / cells, row), 1e-12)


@given(COUNT, COUNT, COUNT, COUNT)
def test_it_is_mirrored_as_its_input_is(rows, cols, height, width):
    """A mirrored input gives the mirrored map, to rounding."""
    features = torch.rand(1, 2, height, width, dtype=torch.float64)
    mirrored = to_lattice(features.flip(3).flip(2), (rows, cols)).flip(3).flip(2)

    check_close(mirrored, to_lattice(features, (rows, cols)), 1e-12)


@given(COUNT, COUNT)
def test_what_is_even_stays_even(rows, cols):
    """The weights of each node sum to one."""
    check_close(
        to_lattice(torch.full((1, 1, 5, 70), 0.3), (rows, cols)), torch.full((1, 1, rows, cols), 0.3), 1e-6
    )


def test_cells_may_lie_anywhere():
    """Cells may be placed as a convolution places them: stride 4, centred on every fourth of 16 pixels from the first one."""
    row = torch.tensor([0.0, 1.0, 2.0, 3.0])
    found = to_lattice(row[None, None, None], (1, 5), first=(0.5, 0.5 / 16), step=(1.0, 4 / 16))

    check_close(found[0, 0, 0], np.interp(np.linspace(0, 1, 5), (4 * np.arange(4) + 0.5) / 16, row), 1e-6)


@pytest.mark.parametrize("size", [(0, 3), (3, 0)])
def test_no_nodes(size):
    """A map without nodes is refused."""
    with (
        unhooked(),
        pytest.raises(ValueError, match=re.escape(f"map_size must be at least (1, 1), got {size!r}.")),
    ):
        to_lattice(torch.zeros(1, 1, 2, 2), size)


@given(COUNT, COUNT, COUNT, COUNT, st.integers(0, 99))
def test_means_are_those_of_a_fine_sum(rows, cols, down, across, seed):
    """Means over cells that tile the image equal a fine sum over the map, which is linear between nodes."""
    weights = np.random.default_rng(seed).random((rows, cols))
    found = cell_means(torch.from_numpy(weights)[None, None], even_edges(down), even_edges(across))

    check_close(found[0, 0], means_over_cells(weights, (down, across)), 1e-12)


def test_the_check_of_means_can_fail():
    """Means of a map that is read as cells differ."""
    weights = np.random.default_rng(0).random((4, 4))
    tiled = weights.reshape(2, 2, 2, 2).mean((1, 3))

    assert np.abs(tiled - means_over_cells(weights, (2, 2))).max() > 0.02


def test_equal_values_have_equal_means():
    """Equal values have bit-identical means, so that ties are broken by position."""
    means = cell_means(torch.full((1, 1, 31, 17), 1 / 527), even_edges(13), even_edges(7))

    assert means.unique().numel() == 1


@given(st.integers(1, 7), st.integers(1, 7), st.integers(2, 12), st.integers(2, 12))
def test_blocks_that_are_cut_off_count_as_far_as_they_are_there(rows, cols, height, width):
    """For a mask's last block, which may reach beyond the image, the mean is over the part inside."""
    saliency = np.random.default_rng(rows + 10 * cols).random((rows, cols))
    mask = saliency_mask(torch.from_numpy(saliency)[None, None].float(), (height, width), keep=0.5)[
        0, 0, ::2, ::2
    ]
    by_cell = means_over_cells(saliency, (height, width))
    blocks = np.array(
        [
            [by_cell[2 * r : 2 * r + 2, 2 * c : 2 * c + 2].mean() for c in range(math.ceil(width / 2))]
            for r in range(math.ceil(height / 2))
        ]
    )
    fine, coarse = blocks[mask.numpy() == 0], blocks[mask.numpy() == 1]

    assert fine.min(initial=1) >= coarse.max(initial=0) - 1e-6
