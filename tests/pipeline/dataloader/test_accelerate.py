"""What Foveal tells Accelerate, with an object like Accelerate's state; tests/frameworks uses Accelerate itself."""

import gc
import sys
import types

import pytest
from torch.utils.data import DataLoader, IterableDataset

from foveal.pipeline import ZoomLoader
from foveal.sampler import UniformSampler
from foveal.shards import ShardWarning
from tests.pipeline.making import encode, picture


class State:
    """Keeps references, as Accelerate's ``GradientState`` does as soon as there is an ``Accelerator``."""

    _shared_state: dict[str, object] = {}  # noqa: RUF012 - Accelerate's own name for it

    def __init__(self):
        self.__dict__ = self._shared_state

    @property
    def dataloader_references(self):
        return [None if one is None else one() for one in self.references]

    @dataloader_references.setter
    def dataloader_references(self, found):
        import weakref

        self.references = [None if one is None else weakref.ref(one) for one in found]


@pytest.fixture
def state(monkeypatch):
    """The state of an ``Accelerator`` that has been made."""
    module = types.ModuleType("accelerate.state")
    module.GradientState = State
    monkeypatch.setitem(sys.modules, "accelerate.state", module)
    monkeypatch.setattr(State, "_shared_state", {"references": [None], "initialized": True})
    return State()


def make(urls, **options):
    return ZoomLoader(urls, UniformSampler(8), batch_size=5, **options)


def test_the_last_batch_is_known(small_shards, state):
    """A loader is at the top of the stack while it is iterated, and not afterwards."""
    said = [state.dataloader_references[-1].end_of_dataloader for _ in make(small_shards)]

    assert said == [False, False, True]
    assert state.dataloader_references == [None]


def test_a_loop_within_a_loop(small_shards, state):
    """In nested loops the inner loader is at the top, and then the outer one again, even if the inner loop was left early."""
    outer, inner = make(small_shards), make(small_shards)
    for number, _ in enumerate(outer, start=1):
        mine = state.dataloader_references[-1]
        for _ in inner:
            assert state.dataloader_references[-1] is not mine
            if number == 1:
                break
        for _ in zip(range(len(inner)), inner, strict=True):
            pass
        gc.collect()
        next(iter(inner))
        assert mine.end_of_dataloader == (number == 3)
        assert state.dataloader_references == [None, mine]


@pytest.mark.parametrize(("last_batch", "expected"), [("pad", 3), ("partial", 0), ("drop", 0)])
def test_how_many_count(small_shards, state, last_batch, expected):
    """The number of real samples in the last, filled-up batch is known: 13 samples are two batches of five, and three."""
    batches = iter(make(small_shards, last_batch=last_batch))
    next(batches)

    assert state.dataloader_references[-1].remainder == expected


def test_an_error_leaves_nothing_behind(small_shards, state):
    """A loader that ended with an error is no longer on the stack."""
    loader = make([*small_shards], on_bad="raise", fields=("image", "txt"))
    with pytest.raises(Exception, match="txt"):
        list(loader)

    assert state.dataloader_references == [None]


def test_a_warning_names_the_loop(write_shard, state):
    """The warning at the end of an epoch names the line of the loop, with Accelerate as without it."""
    samples = [{"__key__": f"{k}", "jpg": encode(picture(k, 20, 30)), "cls": k} for k in range(2)]
    url = write_shard([*samples, {"__key__": "2", "cls": 2}])
    loader = make([url], max_bad_fraction=1.0)
    with pytest.warns(ShardWarning) as caught:
        said = [state.dataloader_references[-1] for _ in loader]

    assert None not in said
    assert [warning.filename for warning in caught] == [__file__]


class Prepared:
    """Registers itself and requests each batch ahead, as the loader does that Accelerate makes of a ``DataLoader``."""

    def __init__(self, batches, state):
        self.batches, self.dataset, self.state = batches, batches.dataset, state

    def __iter__(self):
        self.state.dataloader_references = [*self.state.dataloader_references, self]
        batches = iter(self.batches)
        batch = next(batches)
        for following in batches:
            yield batch
            batch = following
        yield batch


def around(loader):
    return DataLoader(loader.dataset, batch_sampler=loader.batch_sampler, collate_fn=loader.collate_fn)


class Hidden(IterableDataset):
    """Iterates a loader."""

    def __init__(self, loader):
        self.loader = loader

    def __iter__(self):
        yield from self.loader


def hidden(loader):
    return DataLoader(Hidden(loader), batch_size=None)


@pytest.mark.parametrize("wrapped", [around, hidden])
def test_a_prepared_dataloader(small_shards, state, wrapped):
    """A prepared ``DataLoader`` around a loader stays at the top of the stack: it alone knows which batch is delivered."""
    prepared = Prepared(wrapped(make(small_shards)), state)
    on_top = [state.dataloader_references[-1] for _ in prepared]

    assert on_top == [prepared] * 3


@pytest.mark.parametrize("wrapped", [around, hidden])
def test_a_dataloader_within_a_loop_over_a_prepared_one(small_shards, state, wrapped):
    """A ``DataLoader`` that was not prepared is at the top while it is iterated, also inside of a loop over one that was."""
    prepared = Prepared(wrapped(make(small_shards)), state)
    for _ in prepared:
        said = [state.dataloader_references[-1].end_of_dataloader for _ in wrapped(make(small_shards))]
        assert said == [False, False, True]
        assert state.dataloader_references == [None, prepared]


@pytest.mark.parametrize("loaded", [False, True])
def test_without_an_accelerator(small_shards, state, monkeypatch, loaded):
    """Without an ``Accelerator``, no state is made or written to, whether the package is loaded or not."""
    monkeypatch.setattr(State, "_shared_state", {})
    if not loaded:
        monkeypatch.delitem(sys.modules, "accelerate.state")
    assert len(list(make(small_shards))) == 3

    assert State._shared_state == {}
