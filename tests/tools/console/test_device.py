"""Names of devices on the command line."""

import pytest
import torch

from foveal.tools.bench.gpu.check import check_gpu
from foveal.tools.console.device import parse_device
from tests.tools.offline.zooming import write_originals, zoom


@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:1"])
def test_devices(name):
    """A device is taken, whether or not this machine has it."""
    assert parse_device(name) == torch.device(name)


@pytest.mark.parametrize("name", ["bogus", "cuda:x", "", "meta"])
def test_what_is_no_device(name):
    """Everything else is refused with what there is."""
    with pytest.raises(
        ValueError, match=f"^device must be 'cpu' or 'cuda', such as 'cuda:1', got {name!r}\\.$"
    ):
        parse_device(name)


def test_the_verbs_say_so(tmp_path):
    """foveal zoom and foveal bench gpu refuse such a device before they write anything."""
    message = r"^device must be 'cpu' or 'cuda', such as 'cuda:1', got 'bogus'\.$"
    with pytest.raises(ValueError, match=message):
        zoom(write_originals(tmp_path / "in", shards=1), tmp_path / "out", device="bogus")
    with pytest.raises(ValueError, match=message):
        check_gpu([], device="bogus")

    assert list((tmp_path / "out").iterdir()) == []
