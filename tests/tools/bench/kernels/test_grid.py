import json
import re

import pytest
import torch

from foveal.sampler import zoom_grid
from foveal.tools.bench.kernels.grid import FWHM_CELLS, bench_grid, check_cdf, check_grids, convolution_grid
from tests import reference


@pytest.fixture
def maps():
    return torch.rand(2, 1, 31, 31, generator=torch.Generator().manual_seed(0)) + 0.01


def test_small_run(tmp_path, capsys):
    """A small run prints its table and writes its file."""
    timings = bench_grid(repeats=1, size=16, batch_sizes=(1, 2), json_path=tmp_path / "grid.json")

    assert json.loads((tmp_path / "grid.json").read_text())["cases"].keys() == timings.keys()
    assert len(timings) == 16
    assert "kernel, batch 2, backward too" in capsys.readouterr().out


def test_the_convolution_is_the_papers(maps):
    """The convolution agrees with the formula in float64 at the nodes."""
    nodes = reference.kernel_nodes(maps[0, 0].numpy(), FWHM_CELLS, "replicate")
    # an odd number of pixels has one in the middle, where the middle node lies
    grid = convolution_grid(maps, size=31)[0, 15, 15]

    assert grid.tolist() == pytest.approx(nodes[:, 15, 15].tolist(), abs=1e-5)


def test_a_wrong_grid_is_noticed(maps):
    """A grid of another kernel, or one that is off by a ten-thousandth of the image, is not timed."""
    published = convolution_grid(maps, size=20)
    options = {"padding": "replicate"}
    assert check_grids("kernel", zoom_grid(maps, (20, 20), **options), published) < 1e-5
    for wrong in (zoom_grid(maps, (20, 20), fwhm_cells=13.0, padding="replicate"), published + 1e-4):
        with pytest.raises(
            ValueError, match=re.escape("kernel grids must agree to 1e-05, got a difference of")
        ):
            check_grids("kernel", wrong, published)


def test_a_wrong_distribution_is_noticed(maps):
    """The cdf family is compared with its definition along both axes."""
    grid = zoom_grid(maps, (20, 20), family="cdf")
    assert check_cdf(grid, maps) < 1e-5
    for axis in (0, 1):
        moved = grid.clone()
        moved[..., axis] += 1e-4
        with pytest.raises(ValueError, match="cdf grids must agree"):
            check_cdf(moved, maps)
    with pytest.raises(ValueError, match="cdf grids must agree"):
        check_cdf(zoom_grid(maps, (20, 20), family="separable"), maps)
