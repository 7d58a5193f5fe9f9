"""Any sequence of what training scripts do to loaders, against a model of what must have been delivered."""

import contextlib
import json
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
        """The position after the next batch of all ranks; None where there is none."""
        left, whole = SAMPLES - position, self.ranks * self.batch_size
        if left <= 0 or (left < whole and self.last_batch == "drop"):
            return None
        return position + min(left, whole)

    def positions(self, position: int) -> list[list[int]]:
        """What each rank has next: parts as equal as can be, the longer ones first."""
        whole = self.ranks * self.batch_size
        size = whole if self.last_batch == "pad" else self.after(position) - position
        share, more = divmod(size, self.ranks)
        rest = iter(range(position, position + size))
        return [[next(rest) for _ in range(share + (rank < more))] for rank in range(self.ranks)]


WAYS = st.builds(
    Way, st.integers(1, 3), st.integers(1, 12), st.sampled_from(["partial", "partial", "drop", "pad"])
)


class Saved(NamedTuple):
    """A state, and the valid samples that its epoch had delivered by then."""

    state: dict
    had: list[str]


class Loaders(RuleBasedStateMachine):
    """The loaders of all ranks, and beside them the place where they must be."""

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
        self.epoch = self.position = self.begins_at = 0
        self.had: list[str] = []  # the valid samples of this epoch up to the position
        self.open(way)

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
        self.running = None

    @rule(steps=st.integers(1, 6))
    def iterate(self, steps):
        """Some batches on all ranks, or what is left."""
        if self.running is None:
            self.start()
        for _ in range(steps):
            if not self.step():
                break

    @precondition(lambda self: self.running)
    @rule()
    def iterate_again(self):
        """A second iterator ends the first."""
        held = self.running
        self.start()
        assert [next(batches, None) for batches in held] == [None] * self.way.ranks

    @rule()
    def leave(self):
        """A break."""
        self.running = None

    @rule()
    def fail(self):
        """An exception in the loop's body."""
        self.running = None
        self.expect_start()
        for loader, expected in zip(self.loaders, self.expected(), strict=True):
            with contextlib.suppress(ZeroDivisionError):
                for batch in loader:
                    self.check(batch, expected)
                    raise ZeroDivisionError
        self.advance()

    @rule()
    def close(self):
        """Closed loaders open again when they are iterated."""
        held = self.running or []
        for loader in self.loaders:
            loader.close()
        assert [next(batches, None) for batches in held] == [None] * len(held)
        self.running = None

    @rule(epoch=st.integers(0, 3))
    def set_epoch(self, epoch):
        for loader in self.loaders:
            loader.set_epoch(epoch)
        if epoch != self.epoch:
            self.epoch, self.position, self.begins_at, self.had = epoch, 0, 0, []

    @rule()
    def save(self):
        states = [json.dumps(loader.state_dict()) for loader in self.loaders]
        assert set(states) == {states[0]}
        state = json.loads(states[0])
        assert (state["epoch"], state["position"]) == self.normal(self.epoch, self.position)
        self.saved.append(Saved(state, self.had))

    @rule(way=WAYS, ago=st.integers(0, 3))
    def load(self, way, ago):
        """The present state, or an earlier one, into new loaders for other ranks and batches."""
        self.save()
        saved = self.saved[-min(1 + ago, len(self.saved))]
        self.teardown()
        self.open(way)
        for loader in self.loaders:
            loader.load_state_dict(saved.state)
        self.epoch, self.position = self.normal(saved.state["epoch"], saved.state["position"])
        self.begins_at, self.had = self.position, saved.had if self.position else []

    def start(self) -> None:
        self.expect_start()
        self.running = [iter(loader) for loader in self.loaders]

    def expect_start(self) -> None:
        self.had = self.delivered = self.had if self.begins_at else []
        self.position, self.begins_at = self.begins_at, 0
        self.running_epoch, self.running_position = self.epoch, self.position

    def step(self) -> bool:
        """One batch on each rank; False at the end."""
        batches = [next(running, None) for running in self.running]
        expected = self.expected()
        for batch, one in zip(batches, expected, strict=True):
            self.check(batch, one)
        self.advance()
        if expected[0] is None:
            self.running = None
        return expected[0] is not None

    def expected(self) -> list[list[tuple[str | None, bool]] | None]:
        """For each rank the keys of the next batch (None for any good one) and whether they are valid; None at the end."""
        if self.way.after(self.running_position) is None:
            return [None] * self.way.ranks
        order = EpochOrder(
            COUNTS, shuffle=self.options["shuffle"], seed=self.options["seed"], epoch=self.running_epoch
        )

        def batch(positions: list[int]) -> list[tuple[str | None, bool]]:
            keys = [(KEYS[order[p % SAMPLES]], p < SAMPLES) for p in positions]
            if self.options["on_bad"] == "drop":
                return [(key, valid) for key, valid in keys if key in GOOD]
            return [(key, valid) if key in GOOD else (None, False) for key, valid in keys]

        return [batch(positions) for positions in self.way.positions(self.running_position)]

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
        self.delivered = self.delivered + [
            key for key, is_valid in zip(keys, valid.tolist(), strict=True) if is_valid
        ]

    def advance(self) -> None:
        after = self.way.after(self.running_position)
        if after is not None:
            self.running_position = after
            if self.epoch == self.running_epoch:
                self.position, self.had = after, self.delivered
            return
        assert len(set(self.delivered)) == len(self.delivered)
        if self.way.last_batch != "drop":
            assert sorted(self.delivered) == GOOD
        if self.epoch == self.running_epoch:
            self.epoch, self.position, self.begins_at, self.had = self.epoch + 1, 0, 0, []

    def normal(self, epoch: int, position: int) -> tuple[int, int]:
        return (epoch, position) if self.way.after(position) is not None else (epoch + 1, 0)

    def teardown(self) -> None:
        for loader in getattr(self, "loaders", ()):
            loader.close()


@pytest.fixture(scope="module")
def urls(tmp_path_factory) -> tuple[str, ...]:
    """Three small shards with bad samples in each."""
    folder, keys = tmp_path_factory.mktemp("machine"), iter(KEYS)
    for number, count in enumerate(COUNTS):
        with ShardWriter(folder / f"{number}.tar") as writer:
            for key in (next(keys) for _ in range(count)):
                small = {"jpg": encode(picture(int(key), 8, 8)), "cls": int(key)}
                writer.write({"__key__": key, **BAD.get(key, small)})
    return tuple(str(folder / f"{number}.tar") for number in range(len(COUNTS)))


def machine(urls: tuple[str, ...], loader: type[ZoomLoader] = ZoomLoader) -> type[Loaders]:
    return type("Machine", (Loaders,), {"urls": urls, "loader": loader})


@pytest.mark.filterwarnings("ignore::foveal.shards.ShardWarning")
def test_no_sequence_of_actions_loses_a_sample_or_the_place(urls):
    """Each good sample once an epoch over all ranks, in the one order, as many batches on each, and the state says where."""
    run_state_machine_as_test(
        machine(urls), settings=settings(max_examples=40, stateful_step_count=15, **LIMITS)
    )


class OneAhead(ZoomLoader):
    """Counts a batch that is ready, but was not delivered."""

    def state_dict(self):
        state = super().state_dict()
        return {**state, "position": min(state["position"] + 1, SAMPLES)}


class LosesOne(ZoomLoader):
    """Goes on a batch too late."""

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self._resume_at += self._resume_at > 0


class StaysBehind(ZoomLoader):
    """Does not move on at the end of an epoch."""

    def set_epoch(self, epoch):
        if epoch != self.epoch + 1:
            super().set_epoch(epoch)


@pytest.mark.parametrize("broken", [OneAhead, LosesOne, StaysBehind])
@pytest.mark.filterwarnings("ignore::foveal.shards.ShardWarning")
def test_the_machine_finds_what_is_broken(urls, broken):
    """A loader that is one off in any of these ways does not pass."""
    limits = settings(
        max_examples=200, stateful_step_count=15, phases=[Phase.generate], derandomize=True, **LIMITS
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine(urls, broken), settings=limits)
