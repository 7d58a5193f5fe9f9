"""Random sequences of what training scripts do to loaders, compared with a model of what must be delivered."""

import contextlib
import json
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from foveal.pipeline import ZoomLoader
from foveal.sampler import UniformSampler
from foveal.shards import EpochOrder, ShardWriter
from tests.pipeline.making import encode, picture

COUNTS = (11, 6, 13)
SAMPLES = sum(COUNTS)
KEYS = [f"{k:02d}" for k in range(SAMPLES)]
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
BAD = {
    "03": {"cls": 3},
    "12": {"jpg": b"", "cls": 12},  # these two are found while reading, the others while decoding
    "13": {"jpg": encode(NOISE)[:2000], "cls": 13},
    "29": {"jpg": encode(NOISE)[:1500], "cls": 29},
}
GOOD = sorted(set(KEYS) - set(BAD))
LIMITS = {"deadline": None, "suppress_health_check": list(HealthCheck)}


class Way(NamedTuple):
    """How ranks share an epoch."""

    ranks: int
    batch_size: int
    last_batch: str

    def after(self, position: int) -> int | None:
        """Return the position after the next batch of all ranks; None at the end."""
        left, whole = SAMPLES - position, self.ranks * self.batch_size
        if left <= 0 or (left < whole and self.last_batch == "drop"):
            return None
        return position + min(left, whole)

    def positions(self, position: int) -> list[list[int]]:
        """Return each rank's next positions: parts that differ by at most one, the longer ones first."""
        whole = self.ranks * self.batch_size
        size = whole if self.last_batch == "pad" else self.after(position) - position
        share, more = divmod(size, self.ranks)
        rest = iter(range(position, position + size))
        return [[next(rest) for _ in range(share + (rank < more))] for rank in range(self.ranks)]


WAYS = st.builds(
    Way, st.integers(1, 3), st.integers(1, 12), st.sampled_from(["partial", "partial", "drop", "pad"])
)


@dataclass
class Pass:
    """One iterator for each rank, and the place where they must be."""

    batches: list
    epoch: int
    iterator: int
    position: int
    had: list[str] = field(default_factory=list)  # the valid samples up to the position
    begun: bool = False
    moves_loader: bool = True


class Saved(NamedTuple):
    """A state, and the valid samples that its pass had delivered."""

    state: dict
    had: list[str]


class Loaders(RuleBasedStateMachine):
    """The loaders of all ranks, and the place where they must be."""

    urls: tuple[str, ...] = ()
    loader = ZoomLoader

    @initialize(
        way=WAYS,
        on_bad=st.sampled_from(["substitute", "drop"]),
        shuffle=st.booleans(),
        seed=st.integers(0, 3),
    )
    def begin(self, way, on_bad, shuffle, seed):
        self.options = {"on_bad": on_bad, "shuffle": shuffle, "seed": seed}
        self.saved: list[Saved] = []
        self.go_to(0, 0, 0, [])
        self.open(way)

    def go_to(
        self, epoch: int, position: int, iterator: int, had: list[str], *, resume: bool = False
    ) -> None:
        self.epoch, self.position, self.iterator, self.had = epoch, position, iterator, had
        self.next_iterator, self.resume = iterator, resume

    def open(self, way: Way) -> None:
        self.way = way
        self.loaders = [
            self.loader(
                self.urls, UniformSampler(4), batch_size=way.batch_size, last_batch=way.last_batch,
                rank=rank, world_size=way.ranks, fields=("image", "cls", "__key__", "__valid__"), num_threads=1,
                max_bad_fraction=1.0, **self.options,
            )
            for rank in range(way.ranks)
        ]  # fmt: skip
        self.running: Pass | None = None

    @rule(steps=st.integers(1, 6))
    def iterate(self, steps):
        """Take some batches on all ranks, or all that are left."""
        self.running = self.running or self.start()
        for _ in range(steps):
            if not self.step(self.running):
                self.running = None
                break

    @precondition(lambda self: self.running)
    @rule()
    def begin_another(self):
        """A second iterator does not affect the first one."""
        held = self.running
        self.running = None
        if self.step(held):
            self.running = self.start()
            self.step(held)

    @rule()
    def leave(self):
        """End a loop by a break."""
        self.running = None

    @rule()
    def fail(self):
        """Raise an exception in the loop's body."""
        self.running = None
        begun = self.start()
        for batches, expected in zip(begun.batches, self.expected(begun), strict=True):
            with contextlib.suppress(ZeroDivisionError):
                for batch in batches:
                    self.check(batch, expected)
                    raise ZeroDivisionError
        self.advance(begun)

    @rule()
    def close(self):
        """Close the loaders; they open again when they are iterated."""
        held = self.running.batches if self.running else []
        for loader in self.loaders:
            loader.close()
        assert [next(batches, None) for batches in held] == [None] * len(held)
        self.running = None

    @rule(epoch=st.integers(0, 3))
    def set_epoch(self, epoch):
        """Go to the beginning of another epoch, also with an iterator that is new, or of the present one, whose first order comes again."""
        for loader in self.loaders:
            loader.set_epoch(epoch)
        if epoch != self.epoch:
            self.go_to(epoch, 0, 0, [])
            if self.running and self.running.begun:
                self.running.moves_loader = False
            elif self.running:
                self.running = Pass(self.running.batches, epoch, 0, 0)
        elif not self.resume:
            self.next_iterator = 0

    @rule()
    def save(self):
        states = [json.dumps(loader.state_dict()) for loader in self.loaders]
        assert set(states) == {states[0]}
        state = json.loads(states[0])
        assert (state["epoch"], state["position"], state["iterator"]) == (
            self.epoch,
            self.position,
            self.iterator,
        )
        assert {loader.epoch for loader in self.loaders} == {self.epoch}
        self.saved.append(Saved(state, self.had))

    @rule(way=WAYS, ago=st.integers(0, 3))
    def load(self, way, ago):
        """Load the present state or an earlier one into new loaders with other ranks and batches."""
        self.save()
        state, had = self.saved[-min(1 + ago, len(self.saved))]
        self.teardown()
        self.open(way)
        for loader in self.loaders:
            loader.load_state_dict(state)
        if state["position"] and way.after(state["position"]) is None:
            self.go_to(state["epoch"] + 1, 0, 0, [])
        else:
            self.go_to(state["epoch"], state["position"], state["iterator"], had, resume=True)

    def start(self) -> Pass:
        batches = [iter(loader) for loader in self.loaders]
        if self.resume:
            return Pass(batches, self.epoch, self.iterator, self.position, self.had)
        return Pass(batches, self.epoch, self.next_iterator, 0)

    def step(self, running: Pass) -> bool:
        """Take one batch on each rank; return False after the last one."""
        batches = [next(each, None) for each in running.batches]
        for batch, expected in zip(batches, self.expected(running), strict=True):
            self.check(batch, expected)
        self.advance(running)
        return self.way.after(running.position) is not None

    def expected(self, running: Pass) -> list[list[tuple[str | None, bool]] | None]:
        """Return for each rank the keys of the next batch (None for any good sample) and whether they are valid; None at the end."""
        if self.way.after(running.position) is None:
            return [None] * self.way.ranks
        number = running.epoch + 2**32 * running.iterator
        order = EpochOrder(COUNTS, shuffle=self.options["shuffle"], seed=self.options["seed"], epoch=number)

        def batch(positions: list[int]) -> list[tuple[str | None, bool]]:
            keys = [(KEYS[order[p % SAMPLES]], p < SAMPLES) for p in positions]
            if self.options["on_bad"] == "drop":
                return [(key, valid) for key, valid in keys if key in GOOD]
            return [(key, valid) if key in GOOD else (None, False) for key, valid in keys]

        return [batch(positions) for positions in self.way.positions(running.position)]

    def check(self, batch, expected) -> None:
        assert (batch is None) == (expected is None)
        if batch is None:
            return
        images, labels, keys, valid = batch
        assert images.shape == (len(expected), 3, 4, 4)
        assert labels.tolist() == [int(key) for key in keys]
        assert set(keys) <= set(GOOD)
        shown = [(key if known else None) for key, (known, _) in zip(keys, expected, strict=True)]
        assert list(zip(shown, valid.tolist(), strict=True)) == expected

    def advance(self, running: Pass) -> None:
        """Update the model after the next batch of a pass."""
        expected, after, running.begun = self.expected(running), self.way.after(running.position), True
        if after is not None:
            had = [key for batch in expected for key, valid in batch if valid]
            running.position, running.had = after, [*running.had, *had]
        if self.way.after(running.position) is None:
            self.check_whole(running)
        if running.moves_loader and running.epoch == self.epoch:
            self.follow(running)

    def follow(self, running: Pass) -> None:
        if self.way.after(running.position) is None:
            self.go_to(self.epoch + 1, 0, 0, [])
            return
        self.position, self.iterator, self.had, self.resume = (
            running.position,
            running.iterator,
            running.had,
            False,
        )
        if self.way.ranks == 1:
            self.next_iterator = max(self.next_iterator, running.iterator + 1)

    def check_whole(self, running: Pass) -> None:
        assert len(set(running.had)) == len(running.had)
        if self.way.last_batch != "drop":
            assert sorted(running.had) == GOOD

    def teardown(self) -> None:
        for loader in getattr(self, "loaders", ()):
            loader.close()


@pytest.fixture(scope="module")
def urls(tmp_path_factory) -> tuple[str, ...]:
    """Return three small shards with bad samples in each."""
    folder, keys = tmp_path_factory.mktemp("machine"), iter(KEYS)
    for number, count in enumerate(COUNTS):
        with ShardWriter(folder / f"{number}.tar") as writer:
            for key in (next(keys) for _ in range(count)):
                small = {"jpg": encode(picture(int(key), 8, 8)), "cls": int(key)}
                writer.write({"__key__": key, **BAD.get(key, small)})
    return tuple(str(folder / f"{number}.tar") for number in range(len(COUNTS)))


def machine(urls: tuple[str, ...], loader: type[ZoomLoader] = ZoomLoader) -> type[Loaders]:
    return type("Machine", (Loaders,), {"urls": urls, "loader": loader})


@pytest.mark.filterwarnings("ignore::foveal.shards.ShardWarning", "ignore::foveal.pipeline.RankWarning")
def test_no_sequence_of_actions_loses_a_sample_or_the_place(urls):
    """Over all ranks each good sample comes once an epoch in the right order, and the state gives the place."""
    run_state_machine_as_test(
        machine(urls), settings=settings(max_examples=40, stateful_step_count=15, **LIMITS)
    )


class OneAhead(ZoomLoader):
    """A broken loader: its state counts a batch that was not delivered."""

    def state_dict(self):
        state = super().state_dict()
        return {**state, "position": min(state["position"] + 1, SAMPLES)}


class LosesOne(ZoomLoader):
    """A broken loader: it resumes one batch too late."""

    def load_state_dict(self, state):
        late = min(state["position"] + (state["position"] > 0), SAMPLES)
        super().load_state_dict({**state, "position": late})


class StaysBehind(ZoomLoader):
    """A broken loader: it does not move on at the end of an epoch."""

    def __iter__(self):
        self._position.finished = lambda epoch: None
        return super().__iter__()


class EndsTheFirst(ZoomLoader):
    """A broken loader: a second iterator ends the first one."""

    def __iter__(self):
        self._at_work.close()
        return super().__iter__()


class RepeatsItsOrder(ZoomLoader):
    """A broken loader: every iterator of an epoch has the same order."""

    def __iter__(self):
        self._position.begin_again()
        return super().__iter__()


@pytest.mark.parametrize(
    "broken",
    [
        OneAhead,
        LosesOne,
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in (StaysBehind, EndsTheFirst, RepeatsItsOrder)
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::foveal.shards.ShardWarning", "ignore::foveal.pipeline.RankWarning")
def test_the_machine_finds_what_is_broken(urls, broken):
    """The state machine fails for each of these broken loaders."""
    limits = settings(
        max_examples=200,
        stateful_step_count=15,
        phases=[Phase.generate],
        derandomize=True,
        report_multiple_bugs=False,  # the first is enough
        **LIMITS,
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine(urls, broken), settings=limits)
