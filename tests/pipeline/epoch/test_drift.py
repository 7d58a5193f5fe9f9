"""A zoom that trains differently on each rank is reported, and nothing else is."""

import itertools
import re
from collections import defaultdict

import pytest
import torch
import torch.distributed as dist

from foveal.pipeline import RankWarning
from foveal.pipeline.epoch import BatchPlan, EpochPlace, _drift, _micro_batch
from foveal.sampler import SaliencySampler
from tests.torchrun import on_two_ranks

pytestmark = pytest.mark.usefixtures("no_launcher")


class Two:
    """The zooms of a loader on two ranks, with one store."""

    def __init__(self, monkeypatch) -> None:
        self.store = dist.HashStore()
        monkeypatch.setattr(_drift, "store_of", lambda plan: self.store)
        self.monkeypatch = monkeypatch
        self.numbers = [defaultdict(itertools.count), defaultdict(itertools.count)]
        torch.manual_seed(0)
        self.zooms = [SaliencySampler(8), SaliencySampler(8)]
        self.zooms[1].load_state_dict(self.zooms[0].state_dict())
        self.watches = [_drift.DriftWatch(zoom) for zoom in self.zooms]

    def move(self, rank: int, by: float) -> None:
        with torch.no_grad():
            next(self.zooms[rank].parameters()).add_(by)

    def look(self, rank: int, batches: int, samples: int = 100, watch=None) -> None:
        plan = BatchPlan(samples, 1, rank, 2)
        self.monkeypatch.setattr(
            _drift, "_numbers", self.numbers[rank]
        )  # each process counts its own loaders
        watch = watch or self.watches[rank]
        watch.look(plan, EpochPlace(0, plan.place_after(batches)), batches)

    def look_in_turns(self, order: tuple[int, int], counts: tuple[int, ...]) -> None:
        for batches, rank in itertools.product(counts, order):
            self.look(rank, batches)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_zooms_that_drift_apart_are_told_of(monkeypatch, order):
    """Different weights are reported at the first batch that both ranks have reached, and neither rank waits."""
    two = Two(monkeypatch)
    for batches in (0, 1):
        for rank in order:
            two.look(rank, batches)
            two.move(rank, 0.5)
    two.look_in_turns(order, (2,))
    two.move(1, 1e-3)
    message = (
        "the zooms of ranks 0 and 1 have different weights after 4 batch(es): each rank trains its own – give "
        "foveal.pipeline.ZoomLoader the wrapped zoom, DistributedDataParallel(zoom), or make the zoom a part of the model "
        "that is wrapped."
    )
    with pytest.warns(RankWarning, match=f"^{re.escape(message)}$"):
        two.look_in_turns(order, (3, 4, 5))


def test_a_pass_that_one_rank_makes_alone_is_no_drift(monkeypatch):
    """A pass that one rank makes alone, later and with other weights, is not reported."""
    two = Two(monkeypatch)
    for batches in range(4):
        two.look(0, batches)
        two.move(0, 0.5)
    for batches in range(4):
        two.look(0, batches)  # the same batches again
    for batches in range(5):
        two.look(1, batches)
        two.move(1, 0.5)
    two.look(0, 4)


@pytest.mark.parametrize("alone", [0, 1])
def test_a_look_at_some_batches_before_training_is_no_drift(monkeypatch, alone):
    """Drawing some batches on one rank before training is not reported."""
    two = Two(monkeypatch)
    for batches in range(5):
        two.look(alone, batches)
    for batches in range(5):
        for rank in (0, 1):
            two.look(rank, batches)
        for rank in (0, 1):
            two.move(rank, 0.5)
    assert two.store.num_keys() == 6


def test_a_second_loader_of_one_rank_is_not_compared_with_the_other_ranks_first(monkeypatch):
    """Loaders are told apart by their samples and batch size."""
    two = Two(monkeypatch)
    extra = _drift.DriftWatch(two.zooms[0])
    for batches in range(3):
        two.look(0, batches, samples=50, watch=extra)
        two.move(0, 0.5)
    two.zooms[1].load_state_dict(two.zooms[0].state_dict())
    for batches, rank in itertools.product(range(3), (0, 1)):
        two.look(rank, batches)
        two.move(rank, 0.5)
    two.move(1, 0.5)
    with pytest.warns(RankWarning, match=r"different weights after 4 batch\(es\)"):
        two.look_in_turns((1, 0), (4,))


class Sharded(torch.nn.Module):
    """A module as FSDP makes it."""


@pytest.mark.parametrize("mark", ["device_mesh", "ds_id", "FSDP"])
def test_a_zoom_of_which_each_rank_has_a_part(monkeypatch, mark):
    """Sharded weights, as by FSDP and DeepSpeed, are not compared, and gathered once a batch on each rank, in the script's thread."""
    zoom, cpu = SaliencySampler(8), torch.device("cpu")
    assert _drift.may_drift(zoom, 2)
    assert _micro_batch.micro_batch_size(zoom, 100, cpu) < 100
    assert not _micro_batch.takes_turns(zoom)
    if mark == "FSDP":
        monkeypatch.setattr("torch.distributed.fsdp.FullyShardedDataParallel", Sharded)
        zoom.add_module("sharded", Sharded())
    else:
        setattr(next(zoom.parameters()), mark, 0)
    assert not _drift.may_drift(zoom, 2)
    assert _micro_batch.micro_batch_size(zoom, 100, cpu) == 100
    assert _micro_batch.takes_turns(zoom)


@pytest.mark.parametrize("how", ["frozen", "no_grad", "one rank", "third rank"])
def test_what_cannot_drift_is_not_compared(monkeypatch, how):
    """Without gradients, with one rank, and from the third rank on, nothing is written to the store."""
    two = Two(monkeypatch)
    two.zooms[0].requires_grad_(how != "frozen")
    plan = BatchPlan(100, 1, 2 if how == "third rank" else 0, 1 if how == "one rank" else 3)
    with torch.set_grad_enabled(how != "no_grad"):
        two.watches[0].look(plan, EpochPlace(0, 1), 1)
    assert two.store.num_keys() == 0


RANK = """
import os, sys, warnings
from pathlib import Path
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from foveal.pipeline import ZoomLoader
from foveal.sampler import SaliencySampler, UniformSampler

warnings.simplefilter("always")
out = Path(sys.argv.pop(1), os.environ["RANK"] + ".txt").open("w")
fields = ("image", "__index__")
early = ZoomLoader(sys.argv[1:], UniformSampler(4), batch_size=2, fields=fields)
print("early", *(i for _, indices in early for i in indices.tolist()), file=out)
dist.init_process_group("gloo")
print("late", *(i for _, indices in early for i in indices.tolist()), file=out)
torch.manual_seed(0)
zoom = SaliencySampler(8, saliency=torch.nn.Conv2d(3, 1, 8, 8), max_zoom=None)
model = torch.nn.Conv2d(3, 1, 8)
whole = torch.nn.ModuleDict({"model": model, "zoom": zoom})
for name in ("apart", "part", "wrapped"):
    if name == "wrapped":
        zoom = DistributedDataParallel(zoom)
    ours = ZoomLoader(sys.argv[1:], zoom, batch_size=2, fields=fields)
    class Step(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model
            if name == "part":
                self.zoom = zoom
        def forward(self, images):
            return self.model(images)
    step = DistributedDataParallel(Step())
    optimizer = torch.optim.SGD([*model.parameters(), *zoom.parameters()], 1e-3)
    dist.broadcast(next(zoom.parameters()).data, 0)
    for parameter in zoom.parameters():
        dist.broadcast(parameter.data, 0)
    with warnings.catch_warnings(record=True) as caught:
        for images, _ in ours:
            step(images).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    print(name, *(each.category.__name__ for each in caught), file=out)
out.close()
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_under_torchrun(small_shards, tmp_path):
    """Ranks share the samples before and after a group is made; of three ways to train a zoom, only the drifting one is reported."""
    script = tmp_path / "rank.py"
    script.write_text(RANK)
    on_two_ranks(script, tmp_path, *small_shards)
    lines = [
        (rank, *line.split()) for rank in "01" for line in (tmp_path / f"{rank}.txt").read_text().splitlines()
    ]
    said = {(rank, name): rest for rank, name, *rest in lines}

    for when in ("early", "late"):
        assert sorted(int(i) for rank in "01" for i in said[rank, when]) == list(range(13))
    assert said["0", "apart"] == ["RankWarning"]
    assert [said[key] for key in itertools.product("01", ("part", "wrapped"))] == [[]] * 4
    assert said["1", "apart"] == []
