"""Ranks are read when they are needed, and differences between ranks are reported."""

import itertools
import re
from collections import defaultdict

import pytest
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, IterableDataset

from foveal.pipeline import RankWarning, ZoomLoader
from foveal.pipeline.epoch import BatchPlan, EpochPlace, _drift, _ranks
from foveal.sampler import SaliencySampler, UniformSampler
from tests.torchrun import on_two_ranks

# Python's word on forks beside threads, and torch's on more workers than processors: neither is ours.
QUIET = pytest.mark.filterwarnings(
    "ignore:.*multi-threaded.*:DeprecationWarning", "ignore:This DataLoader will create:UserWarning"
)
VARIABLES = ("RANK", "WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch):
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def loader(urls, zoom=None, batch_size=2, **options) -> ZoomLoader:
    return ZoomLoader(
        urls, zoom or UniformSampler(4), batch_size=batch_size, fields=("image", "__key__"), **options
    )


def keys(batches) -> list[str]:
    return [key for _, batch in batches for key in batch]


ALL = [f"{k:03d}" for k in range(13)]
SECOND_OF_TWO = ["002", "003", "006", "007", "010", "011"]


def in_group(monkeypatch, rank: int, world_size: int) -> None:
    monkeypatch.setattr(_ranks, "_by_group", lambda: (rank, world_size))


def test_a_process_group_that_is_made_late(small_shards, monkeypatch):
    """`len` and the samples follow a process group that is made later, from the next iterator on."""
    with loader(small_shards) as ours:
        assert len(ours) == 7
        assert keys(ours) == ALL
        in_group(monkeypatch, 1, 2)
        assert len(ours) == len(list(ours)) == 4
        assert keys(ours) == SECOND_OF_TWO


def test_the_variables_of_torchrun_count_without_a_group(small_shards, monkeypatch):
    """torchrun's variables count if there is no process group and no argument."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with loader(small_shards) as ours, loader(small_shards, rank=0, world_size=1) as alone:
        assert keys(ours) == SECOND_OF_TWO
        assert keys(alone) == ALL
        in_group(monkeypatch, 0, 1)
        assert keys(ours) == ALL
    monkeypatch.setenv("RANK", "")
    with loader(small_shards) as ours:
        assert keys(ours) == ALL


@pytest.mark.parametrize("given", [{"rank": 1}, {"world_size": 2}])
def test_half_of_the_ranks(small_shards, monkeypatch, given):
    """If only rank or world size is given, the process group gives the other; without a group that is an error."""
    rank, world_size = given.get("rank"), given.get("world_size")
    message = (
        "rank and world_size must be given together if there is no process group, got "
        f"rank={rank!r} and world_size={world_size!r}."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        loader(small_shards, **given)
    in_group(monkeypatch, 1, 2)
    with loader(small_shards, **given) as ours:
        assert keys(ours) == SECOND_OF_TWO


@pytest.mark.parametrize(
    ("launcher", "variable"),
    [
        ("mpirun", "OMPI_COMM_WORLD_SIZE"),
        ("mpiexec", "PMI_SIZE"),
        ("srun", "SLURM_STEP_NUM_TASKS"),
    ],
)
def test_launchers_that_torch_does_not_know(small_shards, monkeypatch, launcher, variable):
    """A warning says that each process gets all samples, unless a group or the arguments give a rank."""
    monkeypatch.setenv(variable, "4")
    message = (
        f"{launcher} started 4 processes ({variable}), but there is no process group, so each of them gets all samples – "
        "call torch.distributed.init_process_group before iterating, or give rank and world_size."
    )
    with loader(small_shards) as ours, loader(small_shards, rank=0, world_size=1) as alone:
        with pytest.warns(RankWarning, match=f"^{re.escape(message)}$") as caught:
            assert keys(ours) == ALL
        assert [warning.filename for warning in caught] == [__file__]
        monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")  # srun starts programs of MPI, too
        with pytest.warns(RankWarning, match=f"^{launcher} ") as caught:
            iter(ours)
        assert len(caught) == 1
        assert keys(alone) == ALL
        in_group(monkeypatch, 1, 2)
        assert keys(ours) == SECOND_OF_TWO
        monkeypatch.setenv(variable, "1")
        in_group(monkeypatch, 0, 1)
        assert keys(ours) == ALL


def test_an_iterator_that_ranks_join(small_shards, monkeypatch):
    """An iterator that began without ranks continues with all samples, and warns once."""
    with loader(small_shards) as ours:
        batches = iter(ours)
        had = keys([next(batches)])
        in_group(monkeypatch, 1, 2)
        with pytest.warns(
            RankWarning, match=r"^this iterator was begun with 1 rank\(s\) and there are 2 now: "
        ) as caught:
            had += keys(batches)
        assert had == ALL
        assert [warning.filename for warning in caught] == [__file__]


def test_an_order_that_ranks_repeat(small_shards, monkeypatch):
    """On several ranks, a warning says that leaving an epoch and beginning it again repeats its order."""
    in_group(monkeypatch, 1, 2)
    with loader(small_shards, shuffle=True) as ours:
        first = keys(itertools.islice(ours, 2))
        message = "epoch 0 was left early and begins again in the same order, which the iterators of 2 ranks share – call set_epoch"
        with pytest.warns(RankWarning, match=f"^{message}"):
            assert keys(itertools.islice(ours, 2)) == first
        ours.set_epoch(1)
        other = keys(itertools.islice(ours, 2))
        assert other != first
        ours.load_state_dict(ours.state_dict())
        assert len(list(ours)) == 2


def test_a_zoom_that_trains_on_ranks_without_a_group(small_shards, monkeypatch):
    """A training zoom on several ranks without a process group is an error; a frozen one is not."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    zoom = SaliencySampler(8)
    with loader(small_shards, zoom) as ours:
        with pytest.warns(RankWarning, match=r"^the zoom trains on 2 ranks, but there is no process group"):
            next(iter(ours))
        with torch.no_grad():
            next(iter(ours))


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
        watch.look(plan, EpochPlace(0, plan.place_after(batches)), batches, stacklevel=1)

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
    """Sharded weights, as by FSDP and DeepSpeed, are not compared."""
    zoom = SaliencySampler(8)
    assert _drift.may_drift(zoom, 2)
    if mark == "FSDP":
        monkeypatch.setattr("torch.distributed.fsdp.FullyShardedDataParallel", Sharded)
        zoom.add_module("sharded", Sharded())
    else:
        setattr(next(zoom.parameters()), mark, 0)
    assert not _drift.may_drift(zoom, 2)


@pytest.mark.parametrize("how", ["frozen", "no_grad", "one rank", "third rank"])
def test_what_cannot_drift_is_not_compared(monkeypatch, how):
    """Without gradients, with one rank, and from the third rank on, nothing is written to the store."""
    two = Two(monkeypatch)
    two.zooms[0].requires_grad_(how != "frozen")
    plan = BatchPlan(100, 1, 2 if how == "third rank" else 0, 1 if how == "one rank" else 3)
    with torch.set_grad_enabled(how != "no_grad"):
        two.watches[0].look(plan, EpochPlace(0, 1), 1, stacklevel=1)
    assert two.store.num_keys() == 0


class AsDataset(IterableDataset):
    """A dataset around a loader, as users write it for frameworks that want a dataset."""

    def __init__(self, ours: ZoomLoader) -> None:
        self.ours = ours

    def __iter__(self):
        return iter(self.ours)

    def __len__(self) -> int:
        return len(self.ours)


@QUIET
@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("last_batch", ["partial", "drop", "pad"])
def test_the_workers_of_a_data_loader_take_turns(small_shards, workers, last_batch):
    """Any number of workers deliver the same batches in the same order."""
    with loader(small_shards, last_batch=last_batch) as ours:
        expected = [batch for _, batch in ours]
        ours.set_epoch(0)
        around = DataLoader(AsDataset(ours), batch_size=None, num_workers=workers)
        assert [batch for _, batch in around] == expected
        assert len(around) == len(expected)


@QUIET
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("persistent", [False, True])
def test_each_pass_over_a_data_loader_has_its_order(small_shards, persistent, workers):
    """Each pass has its own order, although workers begin with copies of one loader, and whatever torch's seed is."""
    with loader(small_shards, shuffle=True) as ours:
        around = DataLoader(
            AsDataset(ours), batch_size=None, num_workers=workers, persistent_workers=persistent
        )
        passes = [keys(around) for _ in range(3)]
        assert [sorted(each) for each in passes] == [ALL] * 3
        assert len(set(map(tuple, passes))) == 3

        assert passes[0] == keys(ours)
        if not persistent:
            ours.set_epoch(0)
            assert [keys(around) for _ in range(3)] == passes


@QUIET
@pytest.mark.parametrize("workers", [1, 2])
def test_a_state_that_is_loaded_beside_workers(small_shards, workers):
    """The first pass continues from the loaded state; later passes are complete, each in its own order."""
    with loader(small_shards, shuffle=True) as ours:
        whole = list(ours)
        ours.set_epoch(0)
        next(iter(ours))
        ours.load_state_dict(ours.state_dict())
        around = DataLoader(AsDataset(ours), batch_size=None, num_workers=workers)
        assert keys(around) == keys(whole[1:])
        passes = [keys(around) for _ in range(3)]
        assert [sorted(each) for each in passes] == [ALL] * 3
        assert len({tuple(keys(whole)), *map(tuple, passes)}) == 4


@QUIET
def test_a_pass_over_a_data_loader_that_is_left(small_shards):
    """After a pass that was left, the workers of the next one agree on its order."""
    with loader(small_shards, shuffle=True) as ours:
        around = DataLoader(AsDataset(ours), batch_size=None, num_workers=3)
        for _ in range(3):
            next(iter(around))
        assert sorted(keys(around)) == ALL


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
zoom, model = SaliencySampler(8), torch.nn.Conv2d(3, 1, 8)
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
