import json
import re

import pytest
import torch

from foveal.sampler import SaliencySampler, UniformSampler
from foveal.tools.bench.kernels._patterns import PATTERNS
from foveal.tools.bench.kernels.quality import (
    bench_quality,
    check_truth,
    measure,
    supersampled,
    supersampled_squares,
)
from foveal.tools.bench.kernels.sample import example_grid
from tests import reference
from tests.checks import check_close


@pytest.mark.slow
def test_small_run(tmp_path, capsys):
    """A small run prints its table and writes its file, in which anti-aliasing is closer than points."""
    found = bench_quality([], size=32, scenes=1, json_path=tmp_path / "quality.json")

    assert json.loads((tmp_path / "quality.json").read_text())["decibels"] == found
    zooms = ["uniform", "default zoom", "temperature 1.0", "temperature 0.5", "temperature 0.25"]
    assert list(found) == [*zooms, *(f"{kind}, {zoom}" for kind in ("stripes", "texture") for zoom in zooms)]
    assert all(ways["anti-aliased"][0] > ways["one point"][0] for ways in found.values())
    # No worse than that, but for rounding and what a zoom to 8 pixels has of its own.
    assert all(ways["doubled"][0] > ways["anti-aliased"][0] - 3 for ways in found.values())
    assert "of the worst image / in the median" in capsys.readouterr().out


def test_resized_first_is_right_for_the_uniform_grid():
    """For the uniform grid, resizing first and anti-aliasing give the exact result."""
    image = torch.randint(256, (64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = measure(image, UniformSampler(16), supersampled_squares)

    assert found["one point"] < 20
    assert found["resized first"] == pytest.approx(found["anti-aliased"], abs=0.1)
    assert found["resized first"] > 25


@pytest.mark.parametrize(("settings", "least"), [({}, 40), ({"temperature": 2.0}, 43)])
def test_stripes_and_texture(settings, least):
    """The default zoom shows stripes and texture to 40 dB, a mild one to 43 dB; without anti-aliasing neither would reach 15 dB."""
    zoom = SaliencySampler(56, **settings).requires_grad_(requires_grad=False)
    patterns = [*PATTERNS["stripes"](504)[1::4], *PATTERNS["texture"](504)]
    found = [measure(pattern, zoom, supersampled_squares) for pattern in patterns]

    assert min(ways["anti-aliased"] for ways in found) > least
    assert max(ways["one point"] for ways in found) < 15


def test_the_truth_is_that_of_the_tests():
    """The exact result by torch equals that of NumPy in the tests."""
    image = torch.randint(256, (40, 50, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    grid = example_grid(12)
    expected = reference.supersampled(image.numpy(), grid[0].numpy())

    check_close(supersampled(image.permute(2, 0, 1)[None].float(), grid)[0], expected, 0.05)


def test_a_wrong_truth_is_noticed():
    """An exact result that is off by a hundredth of the image is not used."""
    check_truth(supersampled, example_grid(16))
    with pytest.raises(
        ValueError, match=re.escape("the truth and a ramp must agree to 0.001, got a difference")
    ):
        check_truth(lambda image, grid: supersampled(image, grid + 0.01), example_grid(16))
