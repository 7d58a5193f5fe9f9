"""Any use of a loader's iterators, with changing ranks, compared with a model in plain Python."""

import json
import warnings

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from foveal.pipeline import RankWarning, ZoomLoader
from foveal.pipeline.epoch import Ranks, _ranks
from foveal.sampler import UniformSampler
from foveal.shards import EpochOrder
from tests.pipeline.epoch.model_loader import ModelIterator, ModelLoader
from tests.pipeline.making import encode, picture

SAMPLES = 9
MOST = 3  # iterators that a script holds
LIMITS = {"deadline": None, "stateful_step_count": 14, "suppress_health_check": list(HealthCheck)}
NEW_EXAMPLES = settings.get_current_profile_name() == "new examples"
WHICH = st.integers(0, MOST - 1)
SIZES = st.integers(1, 5)


class IteratorUse(RuleBasedStateMachine):
    """A loader and its iterators, each with its model."""

    url = ""
    loader = ZoomLoader
    ranks = (0, 1)  # what torch.distributed knows: a class attribute, as it is one process

    @initialize(size=SIZES, last_batch=st.sampled_from(["partial", "drop", "pad"]), shuffle=st.booleans())
    def begin_script(self, size, last_batch, shuffle):
        type(self).ranks = (0, 1)
        self.options = {"last_batch": last_batch, "shuffle": shuffle}
        self.states: list[dict] = []
        self.open(size)

    def open(self, size: int) -> None:
        self.held: list[tuple[object, ModelIterator]] = []
        self.ours = self.loader(
            self.url, UniformSampler(2), batch_size=size, fields=("image", "__index__"), num_threads=1, **self.options
        )  # fmt: skip
        self.model = ModelLoader(SAMPLES, size, order=self.order, ranks=self.ranks, **self.options)

    def order(self, epoch: int, number: int, position: int) -> int:
        shuffled = EpochOrder(
            [SAMPLES], shuffle=self.options["shuffle"], seed=0, epoch=epoch + (number << 32)
        )
        return shuffled[position]

    def with_warnings(self, call, *args):
        """Call a function that may warn about ranks, and check that it warns exactly if it must."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            returned = call(*args)
        assert sum(each.category is RankWarning for each in caught) == self.model.warnings
        self.model.warnings = 0
        return returned

    def begin(self) -> tuple[object, ModelIterator]:
        expected = self.model.begin()
        return self.with_warnings(iter, self.ours), expected

    def step(self, batches, expected: ModelIterator) -> bool:
        """Take a batch from an iterator and from its model; return False at the end."""
        wanted, batch = self.model.take(expected), self.with_warnings(next, batches, None)
        assert (None if batch is None else batch[1].tolist()) == wanted
        return batch is not None

    @rule(asked_for=st.sampled_from(["one", "some", "len", "all"]), some=st.integers(2, 4))
    def loop(self, asked_for, some):
        """``next(iter(loader))``, a loop that breaks, ``islice(loader, len(loader))`` and ``for batch in loader``."""
        batches, expected = self.begin()
        count = {"one": 1, "some": some, "len": len(self.ours), "all": SAMPLES + 1}[asked_for]
        for _ in range(count):
            self.step(batches, expected)
        self.model.forget(expected)

    @rule(which=WHICH, count=st.integers(0, 4))
    def go_on(self, which, count):
        """Use an iterator that the script keeps, perhaps a new one, of which the first batch may be requested later."""
        if which >= len(self.held):
            self.held.append(self.begin())
        for _ in range(count):
            self.step(*self.held[min(which, len(self.held) - 1)])

    @precondition(lambda self: self.held)
    @rule(which=WHICH)
    def break_off(self, which):
        _, expected = self.held.pop(which % len(self.held))
        self.model.forget(expected)

    @rule()
    def side_by_side(self):
        """``zip(loader, loader)``."""
        first, second = self.begin(), self.begin()
        while self.step(*first) and self.step(*second):
            pass
        self.model.forget(first[1])
        self.model.forget(second[1])

    @rule(epoch=st.integers(0, 2), early=st.booleans())
    def set_epoch(self, epoch, early):
        """Choose an epoch, perhaps between ``iter(loader)`` and the first batch."""
        begun = [self.begin()] if early else []
        self.model.set_epoch(epoch)
        self.ours.set_epoch(epoch)
        for batches, expected in begun:
            self.step(batches, expected)
            self.model.forget(expected)

    @rule(ranks=st.sampled_from([(1, 2), (0, 2), (2, 3), (0, 1)]))
    def ranks_come_and_go(self, ranks):
        type(self).ranks = self.model.ranks = ranks

    @rule()
    def save(self):
        self.states.append(json.loads(json.dumps(self.ours.state_dict())))

    @precondition(lambda self: self.states)
    @rule(ago=st.integers(0, 2), size=st.none() | SIZES)
    def load(self, ago, size):
        """Load a state into this loader while its iterators continue, or into a new one with another batch size."""
        if size is not None:
            self.ours.close()
            self.open(size)
        state = self.states[-1 - ago % len(self.states)]
        self.ours.load_state_dict(state)
        self.model.go_to(state["epoch"], state["position"], state["iterator"], resume=True)

    @invariant()
    def agrees(self):
        """Check that loader and model agree."""
        if hasattr(self, "ours"):
            state = self.ours.state_dict()
            assert (state["epoch"], state["position"], state["iterator"]) == self.model.place()
            assert self.ours.epoch == self.model.epoch
            assert len(self.ours) == len(self.model)

    def teardown(self) -> None:
        if hasattr(self, "ours"):
            self.ours.close()


@pytest.fixture
def run(write_shard, monkeypatch):
    """Run the state machine with a class of loader."""
    url = write_shard([{"__key__": str(k), "jpg": encode(picture(k, 8, 8))} for k in range(SAMPLES)])

    def run_machine(loader: type[ZoomLoader], **options) -> None:
        machine = type("Machine", (IteratorUse,), {"url": url, "loader": loader})
        monkeypatch.setattr(_ranks, "_by_group", lambda: None if machine.ranks == (0, 1) else machine.ranks)
        run_state_machine_as_test(machine, settings=settings(**LIMITS, **options))

    return run_machine


def test_iterators_deliver_what_the_model_says(run):
    """Samples, ends, place, length and warnings are those of the model, whatever a script does with iterators."""
    run(ZoomLoader, max_examples=400 if NEW_EXAMPLES else 20)


class EndsTheFirst(ZoomLoader):
    """A broken loader: a second iterator ends the first."""

    def __iter__(self):
        self._at_work.close()
        return super().__iter__()


class StaysInItsEpoch(ZoomLoader):
    """A broken loader: it treats the last batch like any other."""

    def __iter__(self):
        self._position.finished = lambda epoch: None
        return super().__iter__()


class RepeatsItsOrder(ZoomLoader):
    """A broken loader: all iterators of an epoch have the same order."""

    def __iter__(self):
        self._position.begin_again()
        return super().__iter__()


class KnowsRanksOnce(ZoomLoader):
    """A broken loader: it reads ranks only when it is made."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self._ranks = Ranks(*self._ranks.now())


class CountsWhatIsReady(ZoomLoader):
    """A broken loader: it saves a place that is one sample ahead."""

    def state_dict(self):
        state = super().state_dict()
        return {**state, "position": min(state["position"] + 1, SAMPLES)}


class FollowsAnyIterator(ZoomLoader):
    """A broken loader: a batch drawn beside a loop moves the place."""

    def __iter__(self):
        self._position._followed = None
        return super().__iter__()


class SaysNothing(ZoomLoader):
    """A broken loader: it never warns about ranks."""

    def _warn_of_ranks(self, plan):
        pass


class StaysWhereItBegan(ZoomLoader):
    """A broken loader: what is chosen does not hold for an iterator that has delivered nothing."""

    def _go_to(self, position):
        self._position = position


SOON_FOUND = [
    EndsTheFirst,
    StaysInItsEpoch,
    RepeatsItsOrder,
    KnowsRanksOnce,
    CountsWhatIsReady,
    StaysWhereItBegan,
]
FOUND_IN_TIME = [pytest.param(broken, marks=pytest.mark.slow) for broken in (FollowsAnyIterator, SaysNothing)]


@pytest.mark.parametrize("broken", SOON_FOUND + FOUND_IN_TIME)
def test_the_machine_finds_what_is_broken(run, broken):
    """The state machine fails for each of these broken loaders."""
    with pytest.raises(AssertionError):
        run(broken, max_examples=300, phases=[Phase.generate], derandomize=True, report_multiple_bugs=False)
