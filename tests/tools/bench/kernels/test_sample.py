import json

import pytest
import torch

from foveal.sampler import sample
from foveal.tools.bench.kernels.sample import (
    bench_sample,
    check_samplings,
    example_grid,
    off_the_lattice,
    sample_by_hand,
    sample_dense,
    sample_points,
)

SIZE = (30, 40)


@pytest.fixture
def inputs():
    torch.manual_seed(0)
    images = [torch.randint(256, (*SIZE, 3), dtype=torch.uint8) for _ in range(3)]
    return images, off_the_lattice(example_grid(9), SIZE).repeat(3, 1, 1, 1), torch.randn(3, 3, 9, 9)


def test_small_run(tmp_path, capsys):
    """A small run prints its table and writes its file."""
    ratio = bench_sample(repeats=1, size=16, image_size=(60, 80), json_path=tmp_path / "sample.json")

    assert json.loads((tmp_path / "sample.json").read_text())["times_as_fast"] == ratio
    printed = capsys.readouterr().out
    assert "points, batch of 8" in printed
    assert "Anti-aliased takes" in printed


def test_agreement(inputs):
    """The operator agrees with grid_sample in outputs and gradients."""
    assert max(check_samplings(sample_points, sample_by_hand, *inputs)) < 1e-5


def test_agreement_of_the_anti_aliased(inputs):
    """Anti-aliased, kernel and plain torch agree in float64."""
    images, grid, weights = inputs

    assert max(check_samplings(sample, sample_dense, images, grid.double(), weights.double())) < 1e-9


def test_wrong_outputs_are_noticed(inputs):
    """Sampling with slightly wrong outputs is not timed."""
    with pytest.raises(ValueError, match=r"outputs must agree to 0.0001, got a difference of 0\.0"):
        check_samplings(lambda images, grid: 1.001 * sample_points(images, grid), sample_by_hand, *inputs)


def test_wrong_gradients_are_noticed(inputs):
    """Sampling with right outputs and wrong gradients is not timed."""

    def skewed(images, grid):
        output = sample_points(images, grid)
        return output.detach() + 1.01 * (output - output.detach())

    with pytest.raises(ValueError, match=r"gradients must agree to 0.0001, got a difference of 0\.0"):
        check_samplings(skewed, sample_by_hand, *inputs)


def test_off_the_lattice():
    """No point is near a pixel centre's row or column, and none was moved by more than 0.05 pixels."""
    grid = example_grid(224)
    moved = off_the_lattice(grid, SIZE)
    scale = torch.tensor([SIZE[1], SIZE[0]]) / 2
    position = ((moved + 1) * scale - 0.5).double()

    assert ((moved - grid) * scale).abs().max() < 0.0501
    assert (position - position.round()).abs().min() > 0.0499
