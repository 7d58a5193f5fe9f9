"""A training on a processor: torch leaves threads to the loader, and a number format without instructions for it is said."""

from dataclasses import replace

import pytest
import torch

from foveal.tools.training import train as _train
from foveal.tools.training._is_emulated import is_emulated
from foveal.tools.training._threads import room_for_the_loader
from tests.tools.training.runs import SMALL

CPU = torch.device("cpu")


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("device", "asked", "inside"), [("cpu", None, 2), ("cpu", "4", 4), ("cuda", None, 4)]
)
def test_how_many(device, asked, inside, four_threads, monkeypatch):
    """torch uses half of the threads on the CPU unless the environment sets them, and all again afterwards."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    with room_for_the_loader(torch.device(device)):
        found = torch.get_num_threads()

    assert found == inside
    assert torch.get_num_threads() == 4


def test_one_is_not_halved(monkeypatch):
    """torch always has at least one thread."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with room_for_the_loader(torch.device("cpu")):
        found = torch.get_num_threads()
    torch.set_num_threads(before)

    assert found == 1


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
