"""A training says so if the processor has no instructions for the number format."""

from dataclasses import replace

import pytest
import torch

from foveal.tools.training import train as _train
from foveal.tools.training._is_emulated import is_emulated
from tests.tools.training.runs import SMALL

CPU = torch.device("cpu")


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
@pytest.mark.parametrize("supported", [False, True])
def test_what_the_processor_says(amp, supported, monkeypatch):
    """oneDNN's answer decides; float32 and GPUs are never emulated."""
    monkeypatch.setattr(torch.ops.mkldnn, f"_is_mkldnn_{amp}_supported", lambda: supported)
    assert is_emulated(amp, CPU) is not supported
    assert not is_emulated("off", CPU)
    assert not is_emulated(amp, torch.device("cuda"))


def test_without_onednn(monkeypatch):
    """A build of torch without oneDNN has no such instructions at hand."""
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert is_emulated("bf16", CPU)


@pytest.mark.parametrize("emulated", [False, True])
def test_what_the_training_prints(emulated, shards, tmp_path, monkeypatch, capsys):
    """A line before the first epoch, only if it holds."""
    monkeypatch.setattr(_train, "is_emulated", lambda amp, device: emulated)
    _train.train(shards, tmp_path / "run", options=replace(SMALL, epochs=1, amp="bf16"))
    said = (
        "This processor has no instructions for bf16, which takes it several times as long as --amp off does."
    )

    assert (said in capsys.readouterr().out.splitlines()[:1]) is emulated
