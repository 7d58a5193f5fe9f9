"""Ranks are read when they are needed, and differences between ranks are reported."""

import itertools
import re

import pytest
import torch

from foveal.pipeline import RankWarning
from foveal.pipeline.epoch import _ranks
from foveal.sampler import SaliencySampler
from tests.pipeline.epoch import loading
from tests.pipeline.epoch.loading import ALL, keys, loader

pytestmark = pytest.mark.usefixtures("no_launcher")


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
        assert [warning.filename for warning in caught] == [loading.__file__]  # where `keys` iterates
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
        assert [warning.filename for warning in caught] == [loading.__file__]  # where `keys` iterates


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
