import json
import re

import pytest
import torch

from foveal.tools.bench.kernels._agreement import check_agreement
from foveal.tools.bench.kernels.layer import PUBLISHED, TOLERANCE, bench_layer, make_layers


def test_small_run(tmp_path, capsys):
    """A small run prints its table and writes its file."""
    timings = bench_layer(repeats=1, cases=[(1, 60, 80)], json_path=tmp_path / "layer.json")

    assert json.loads((tmp_path / "layer.json").read_text())["cases"].keys() == timings.keys()
    assert len(timings) == 6
    assert "default, anti-aliased, 1 of 60 × 80, backward too" in capsys.readouterr().out


def test_other_pixels_are_noticed():
    """The default layer is not accepted as the published one."""
    torch.manual_seed(0)
    layers = make_layers(torch.float32)
    images = torch.rand(1, 3, 60, 80)

    with pytest.raises(ValueError, match=re.escape("pixels must agree to 1e-09, got a difference of")):
        check_agreement(
            "pixels", layers["default, anti-aliased"](images), layers[PUBLISHED](images), TOLERANCE
        )


def test_the_published_form_learns():
    """Gradients reach the network and the Gaussian, as in the published code."""
    layer = make_layers(torch.float32)[PUBLISHED]
    layer(torch.rand(1, 3, 60, 80)).sum().backward()

    assert all(weight.grad is not None for weight in layer.parameters())
