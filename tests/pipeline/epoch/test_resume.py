"""Resuming an epoch from a saved state."""

import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import torch.distributed.checkpoint as dcp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveal.pipeline import ZoomLoader
from foveal.pipeline.epoch import BatchPlan
from foveal.sampler import UniformSampler

# What PyTorch's checkpoints warn of is not ours: no process group is needed to save one process's loader.
QUIET = "ignore::UserWarning:torch.distributed.*"


def loader(urls, batch_size=2, **options) -> ZoomLoader:
    return ZoomLoader(
        urls, UniformSampler(4), batch_size=batch_size, fields=("image", "__key__"), shuffle=True, **options
    )


def keys(batches) -> list[str]:
    return [key for _, batch in batches for key in batch]


def through_json(state: dict) -> dict:
    text = json.dumps(state)
    assert len(text) < 64_000
    return json.loads(text)


@pytest.mark.parametrize("stop", range(8))
def test_the_next_batch_is_the_one_that_would_have_come(small_shards, stop):
    """After any number of batches, the rest of the epoch and the next epoch are as without the interruption."""
    with loader(small_shards, seed=3) as first, loader(small_shards, seed=3) as second:
        whole = keys(first) + keys(first)
        first.set_epoch(0)
        batches = iter(first)
        for _ in range(stop):
            next(batches, None)
        second.load_state_dict(through_json(first.state_dict()))
        rest = []
        while second.epoch < 2:
            rest += keys(second)

    assert rest == whole[2 * stop :] if stop < 7 else rest == whole[13:]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(sizes=st.tuples(*[st.integers(1, 4)] * 4), data=st.data())
def test_on_other_ranks_and_with_another_batch_size(small_shards, sizes, data):
    """With other ranks and batch sizes, each sample comes once in the epoch, in the same order."""
    ranks, batch_size, new_ranks, new_batch_size = sizes

    before = [loader(small_shards, batch_size, rank=r, world_size=ranks) for r in range(ranks)]
    steps = data.draw(st.integers(0, len(before[0]) - 1))
    running = [iter(one) for one in before]
    seen = [key for _ in range(steps) for batches in running for key in next(batches)[1]]
    states = [one.state_dict() for one in before]
    assert all(state == states[0] for state in states)

    after = [loader(small_shards, new_batch_size, rank=r, world_size=new_ranks) for r in range(new_ranks)]
    for one in after:
        one.load_state_dict(through_json(states[0]))
    rest = [key for step in zip(*after, strict=True) for _, batch in step for key in batch]
    with loader(small_shards, 13) as plain:
        assert seen + rest == keys(plain)
    for one in before + after:
        one.close()


@given(
    samples=st.integers(1, 200), start=st.integers(0, 200), sizes=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    last_batch=st.sampled_from(["partial", "drop", "pad"]),
)  # fmt: skip
def test_a_plan_may_start_anywhere(samples, start, sizes, last_batch):
    """A plan can start at any position, and reports its position after each batch."""
    start = min(start, samples)
    plans = [BatchPlan(samples, sizes[0], r, sizes[1], last_batch, start) for r in range(sizes[1])]
    place = start
    for step, batches in enumerate(zip(*plans, strict=True)):
        walked = [position for batch in batches for position in batch if position < samples]
        assert walked == list(range(place, place + len(walked)))
        place += len(walked)
        assert plans[0].place_after(step + 1) == place
    assert place == samples or last_batch == "drop"
    assert samples - place < sizes[0] * sizes[1]


def test_a_break_begins_anew_and_a_load_goes_on(small_shards):
    """Only `load_state_dict` makes iterators start in mid-epoch, until one of them has delivered a batch."""
    with loader(small_shards) as ours:
        whole = keys(ours)
        ours.set_epoch(0)
        for _ in ours:
            break
        state = ours.state_dict()
        assert state["position"] == 2
        another = keys(ours)
        assert another != whole
        assert sorted(another) == sorted(whole)

        ours.load_state_dict(state)
        ours.set_epoch(0)  # as training loops do; it is this epoch already
        assert ours.state_dict() == state
        iter(ours)  # as trainers do to see whether it can be iterated
        assert keys(ours) == whole[2:]
        assert ours.epoch == 1
        ours.load_state_dict(state)
        ours.set_epoch(5)
        assert ours.state_dict()["position"] == 0


def test_what_is_chosen_before_the_first_batch_holds_for_it(small_shards):
    """An iterator begins with the epoch or state that is chosen before its first batch is requested, as torch's samplers do."""
    with loader(small_shards) as ours, loader(small_shards) as other:
        ours.set_epoch(2)
        whole = keys(ours)
        ours.load_state_dict({**ours.state_dict(), "epoch": 1, "position": 4})
        batches = iter(ours)
        ours.set_epoch(2)  # as Lightning does if it left epoch 1 early
        assert keys(itertools.islice(batches, 2)) == whole[:4]
        state = ours.state_dict()
        assert (state["epoch"], state["position"]) == (2, 4)

        rest = iter(other)
        other.load_state_dict(state)
        assert keys(rest) == whole[4:]
        assert other.epoch == 3


def test_the_next_iterator_has_the_first_order_beside_one_that_waits(small_shards):
    """An iterator that has delivered nothing does not take the chosen epoch's first order from the next one."""
    with loader(small_shards) as ours, loader(small_shards) as other:
        held = iter(ours)
        for one in (ours, other):
            one.set_epoch(3)
        assert keys(itertools.islice(ours, 3)) == keys(itertools.islice(other, 3))
        assert keys(held) == keys(other)
        assert ours.epoch == 4


def test_the_first_order_of_an_epoch_can_be_had_again(small_shards):
    """`set_epoch` restores the first order of an epoch, also of one that was left."""
    with loader(small_shards) as ours:
        for _ in range(3):
            ours.set_epoch(0)
            first = next(iter(ours))[1]
            assert first == next(iter(loader(small_shards)))[1]


def test_shards_may_move(small_shards, tmp_path):
    """A state fits the same shards in another folder."""
    (tmp_path / "moved").mkdir()
    moved = [shutil.copy(url, tmp_path / "moved") for url in small_shards]
    with loader(small_shards) as here, loader(moved) as there:
        there.load_state_dict(here.state_dict())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 4}, "state must be of a loader with seed 3, got 4 – make the loader with the same shards, seed and shuffle as the one that was saved."),
        ({"shuffle": False}, "state must be of a loader with shuffle True, got False – make"),
        ({"samples": 14}, "shards must be those that the state was saved with, by name, number of samples and order, got 13 samples where there were 14 – name the same shards again."),
        ({"shards": "0"}, "by name, number of samples and order, got others – name the same shards again."),
        ({"version": 2}, "state must be of version 1 or older, got 2 – update foveal."),
        ({"version": None}, "state must be what state_dict() returned, got {'version': None"),
        ({"position": 14}, "state must lie within an epoch of 13 samples, got {"),
        ({"position": -1}, "state must lie within an epoch of 13 samples, got {"),
        ({"iterator": -1}, "state must lie within an epoch of 13 samples, got {"),
        ({"epoch": -1}, "state must lie within an epoch of 13 samples, got {"),
        ({"iterator": None}, "state must be what state_dict() returned, got {"),
        ({"iterator": "2"}, "state must be what state_dict() returned, got {"),
        ({"position": 1.5}, "state must be what state_dict() returned, got {"),
    ],
)  # fmt: skip
def test_a_state_that_does_not_fit_is_refused(small_shards, change, message):
    """The error says what differs, and the loader keeps its place."""
    with loader(small_shards, seed=3) as ours:
        before = ours.state_dict()
        with pytest.raises(ValueError, match=re.escape(message)):
            ours.load_state_dict({**before, **change})
        assert ours.state_dict() == before


def test_no_state_at_all(small_shards):
    """Anything but a state is refused with its value."""
    with (
        loader(small_shards) as ours,
        pytest.raises(ValueError, match=re.escape("state must be what state_dict() returned, got 7.")),
    ):
        ours.load_state_dict(7)


@pytest.mark.filterwarnings(QUIET)
def test_inside_a_distributed_checkpoint(small_shards, tmp_path):
    """torch.distributed.checkpoint saves and restores a loader like any stateful thing."""
    with loader(small_shards) as first, loader(small_shards) as second:
        batches = iter(first)
        next(batches)
        dcp.save({"loader": first}, checkpoint_id=tmp_path / "checkpoint")
        dcp.load({"loader": second}, checkpoint_id=tmp_path / "checkpoint")

        assert keys(second) == keys(batches)


RUN = """
import json, os, sys
from foveal.pipeline import ZoomLoader
from foveal.sampler import UniformSampler
place, *urls = sys.argv[1:]
options = {"batch_size": 1, "fields": ("image", "__key__"), "shuffle": True, "seed": 5}
with ZoomLoader(urls, UniformSampler(4), **options) as loader:
    list(loader)  # libraries are loaded, code is compiled
for _ in sys.stdin:  # a life: each is a fork, which starts in no time
    if os.fork() == 0:
        with ZoomLoader(urls, UniformSampler(4), **options) as loader:
            if os.path.exists(place):
                loader.load_state_dict(json.load(open(place)))
            print("alive", os.getpid(), flush=True)
            while True:
                for _, [key] in loader:
                    with open(place + ".tmp", "w") as file:
                        json.dump(loader.state_dict(), file)
                    print(key, flush=True)
                    os.replace(place + ".tmp", place)
    os.wait()
    print("dead", flush=True)
"""


@pytest.mark.parametrize("lives", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_and_resumed(small_shards, tmp_path, lives):
    """After kill -9 at random moments, samples since the last saved state come again, and no other is missing or repeated."""
    place, chance = tmp_path / "state.json", random.Random(lives)
    seen: list[str] = []
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(RUN), str(place), *small_shards]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(lives):
            process.stdin.write("live\n")
            process.stdin.flush()
            alive, child = process.stdout.readline().split()
            assert alive == "alive"  # a key is a number, too, and 0 would be our own process group
            lines = [process.stdout.readline().strip() for _ in range(chance.randrange(1, 30))]
            time.sleep(chance.random() / 100)
            os.kill(int(child), signal.SIGKILL)
            lines += iter(lambda: process.stdout.readline().strip(), "dead")
            state = json.loads(place.read_text())
            total = 13 * state["epoch"] + state["position"]
            seen = (seen + lines)[:total]  # a line may be printed whose state was not saved any more
            assert len(seen) == total
        process.stdin.close()

    with loader(small_shards, 13, seed=5) as plain:
        expected = [key for _ in range(len(seen) // 13 + 1) for key in keys(plain)]
    assert seen == expected[: len(seen)]
    assert len(seen) > 4 * lives
