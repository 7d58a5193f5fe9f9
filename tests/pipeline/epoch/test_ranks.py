"""Real processes under torchrun, over gloo."""

import textwrap

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from foveal.pipeline import ZoomLoader
from foveal.pipeline.epoch import may_drift
from foveal.pipeline.epoch._ranks import send_no_buffers
from foveal.sampler import SaliencyNet, SaliencySampler
from tests.torchrun import on_two_ranks

SCRIPT = """
import sys
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from foveal.pipeline import ZoomLoader
from foveal.pipeline.epoch import _micro_batch
from foveal.sampler import SaliencyNet, SaliencySampler

_micro_batch.TRAINED_TOGETHER = 2  # so that the network sees a batch of 3 in two parts
out, *urls = sys.argv[1:]
dist.init_process_group("gloo")
torch.manual_seed(0)
zoom = SaliencySampler(16, saliency=SaliencyNet())  # all of its weights have a gradient in the first step
wrapped = DistributedDataParallel(zoom)
fields = ("image", "__key__", "__valid__")
with ZoomLoader(urls, wrapped, batch_size=3, fields=fields, shuffle=True, last_batch="pad") as loader:
    keys, grads = [], None
    for images, key, valid in loader:
        if grads is None:
            images.square().mean().backward()
            grads = [p.grad.clone() for p in zoom.parameters()]
        keys.append([k for k, v in zip(key, valid.tolist()) if v])
gathered = [None] * dist.get_world_size()
dist.all_gather_object(gathered, keys)
if dist.get_rank() == 0:
    torch.save({"keys": gathered, "grads": grads, "length": len(loader)}, out)
dist.destroy_process_group()
"""


UNEVEN = """
import sys
from datetime import timedelta
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from foveal.pipeline import ZoomLoader
from foveal.pipeline.epoch import _micro_batch
from foveal.sampler import FixedSaliency, PriorSaliency, SaliencySampler

dist.init_process_group("gloo", timeout=timedelta(seconds=60))
_micro_batch.TRAINED_TOGETHER = 1 + 2 * dist.get_rank()
saliency = PriorSaliency(prior=FixedSaliency(torch.rand(31, 31)))
wrapped = DistributedDataParallel(SaliencySampler(16, saliency=saliency))

class Around(torch.nn.Module):  # as Fabric's
    def __init__(self):
        super().__init__()
        self.wrapped, self.lowres_size = wrapped, wrapped.module.lowres_size
    def forward(self, images, lowres=None):
        return self.wrapped(images, lowres)

how, *urls = sys.argv[1:]
zooms = {"alone": lambda: wrapped, "compiled": lambda: torch.compile(wrapped, backend="eager"), "in a module": Around}
with ZoomLoader(urls, zooms[how](), batch_size=3) as loader:
    for images, _ in loader:
        images.mean().backward()
dist.destroy_process_group()
"""


@pytest.fixture
def under_torchrun(small_shards, tmp_path):
    """Return what two ranks found in one epoch."""
    script, out = tmp_path / "script.py", tmp_path / "out.pt"
    script.write_text(textwrap.dedent(SCRIPT))
    on_two_ranks(script, out, *small_shards)
    return torch.load(out, weights_only=True)


@pytest.mark.slow
def test_two_ranks_are_one_loader(small_shards, under_torchrun):
    """Each sample comes once in the common order, and the saliency network has the gradients of a single process."""
    torch.manual_seed(0)
    zoom = SaliencySampler(16, saliency=SaliencyNet())
    with ZoomLoader(small_shards, zoom, batch_size=6, fields=("image", "__key__"), shuffle=True) as loader:
        batches = list(loader)
    batches[0][0].square().mean().backward()

    first, second = under_torchrun["keys"]
    assert [a + b for a, b in zip(first, second, strict=True)] == [keys for _, keys in batches]
    assert under_torchrun["length"] == len(first) == len(second) == 3
    for ours, theirs in zip(zoom.parameters(), under_torchrun["grads"], strict=True):
        assert torch.allclose(ours.grad, theirs, rtol=1e-3, atol=1e-7)
        assert ours.grad.abs().sum() > 0


@pytest.mark.slow
@pytest.mark.parametrize("how", ["alone", "compiled", "in a module"])
def test_ranks_with_different_numbers_of_micro_batches(small_shards, tmp_path, how):
    """A zoom that has buffers is trained, although one rank zooms its batches in three parts and the other at once."""
    script = tmp_path / "script.py"
    script.write_text(UNEVEN)
    on_two_ranks(script, how, *small_shards)


class Averaging(DistributedDataParallel):
    """A wrapper as torch's, in a single process and without a group."""

    def __init__(self, module: nn.Module) -> None:
        nn.Module.__init__(self)
        self.module = module
        self.require_forward_param_sync = True


@pytest.mark.parametrize("around", [lambda zoom: zoom, nn.Sequential], ids=["alone", "in a module"])
def test_a_wrapper_wherever_it_is(around):
    """A zoom that averages its gradients itself, or a module in it does, takes the buffers that it has, and does not drift."""
    wrapper = Averaging(SaliencySampler(8))
    zoom = around(wrapper)
    send_no_buffers(zoom)

    assert not wrapper.require_forward_param_sync
    assert not may_drift(zoom, 2)


def test_a_part_that_is_not_wrapped():
    """A zoom of which a part is trained without a wrapper may drift."""
    assert may_drift(nn.Sequential(Averaging(SaliencySampler(8)), nn.Linear(1, 1)), 2)
    assert not may_drift(nn.Sequential(Averaging(SaliencySampler(8)), nn.ReLU()), 2)
