"""torch uses fewer threads, so that processors are left to the loader."""

import pytest
import torch

from foveal.tools.training._threads import room_for_the_loader


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
