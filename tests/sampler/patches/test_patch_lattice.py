"""Where patches are cut for each score of a map."""

import numpy as np
import pytest
import torch

from foveal.sampler import ScoreNet, SpectralSaliency
from foveal.sampler.patches._patch_lattice import cell_centres
from tests.checks import check_close
from tests.sampler.patches.seeing import seen_by


@pytest.mark.parametrize("cell", [(0, 0), (2, 5), (5, 0)])
def test_a_cell_has_seen_what_the_network_says(cell):
    """The support of the gradient is [8i, 8i + 16), and patches are centred on its middle."""
    torch.manual_seed(0)
    size = (59, 64)
    seen = seen_by(ScoreNet(), size, *cell)

    assert seen == [(8 * k, 8 * k + 16) for k in cell]
    for (first, end), k, side in zip(seen, cell, size, strict=True):
        assert cell_centres(ScoreNet(), side, 8)[k] * side == (first + end) / 2


@pytest.mark.parametrize("score", [torch.nn.Identity(), SpectralSaliency(frame="cells")])
def test_cells_of_another_network_tile_the_image(score):
    """If a scorer does not describe its cells, or says that they are cells, they tile the image."""
    check_close(cell_centres(score, 100, 5), np.array([0.1, 0.3, 0.5, 0.7, 0.9]), 1e-12)


def test_nodes_of_a_map_reach_to_the_edges():
    """If a scorer's map is on nodes, the first and last patches are centred on the image's edges."""
    check_close(cell_centres(SpectralSaliency(), 100, 5), np.array([0, 0.25, 0.5, 0.75, 1]), 1e-12)
