import json

import pytest
import torch

from foveal.sampler import PerturbedTopK
from foveal.tools.bench.kernels.topk import SIGMA, bench_topk, check_choices, one_hot_choice


def test_bench_topk(tmp_path, capsys):
    """A run checks both, and prints and writes both times and their ratio."""
    ratio = bench_topk(repeats=1, positions=50, k=3, samples=20, json_path=tmp_path / "topk.json")
    printed = capsys.readouterr().out
    report = json.loads((tmp_path / "topk.json").read_text())

    assert "3 of 50 positions, 20 draws" in printed
    assert "one-hot draws, written out" in printed
    assert report["times_as_fast"] == ratio > 0
    assert report["positions"] == 50


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 40, generator=generator), torch.randn(2, 3, 40, generator=generator)


def test_both_agree(inputs):
    """The definition with one-hot arrays and the operator agree."""
    ours = PerturbedTopK(3, sigma=SIGMA, samples=30)

    assert max(check_choices(ours, one_hot_choice(3, 30), *inputs)) < 1e-5


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("weights", PerturbedTopK(3, sigma=2 * SIGMA, samples=30)),
        ("gradients", PerturbedTopK(3, sigma=SIGMA, samples=30, gradient="full")),
    ],
)
def test_wrong_answers_are_noticed(name, wrong, inputs):
    """Other noise has other weights, another estimate other gradients: neither is timed."""
    with pytest.raises(ValueError, match=f"{name} must agree to 0.0001, got a difference of"):
        check_choices(wrong, one_hot_choice(3, 30), *inputs)
