"""A loader has the attributes of a ``DataLoader``, and a ``DataLoader`` that is built from them delivers the same batches."""

import itertools
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import BatchSampler, DataLoader, Dataset, DistributedSampler, SequentialSampler

from foveal.pipeline import ZoomLoader
from foveal.sampler import SaliencySampler, UniformSampler
from foveal.shards import EpochOrder, Shards, ShardWriter
from tests.pipeline.making import encode, picture

FIELDS = ("image", "cls", "__index__")


def make(urls, batch_size=4, *, zoom=None, **options):
    return ZoomLoader(urls, zoom or UniformSampler(8), batch_size=batch_size, fields=FIELDS, **options)


def rebuilt(loader, batch_sampler=None):
    """The ``DataLoader`` that frameworks make of a loader's attributes."""
    return DataLoader(
        loader.dataset,
        batch_sampler=loader.batch_sampler if batch_sampler is None else batch_sampler,
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        generator=loader.generator,
        prefetch_factor=loader.prefetch_factor,
    )


def ordinals(batches):
    return [batch[2].tolist() for batch in batches]


class Skip(BatchSampler):
    """Leaves out the first batches, as Accelerate's batch sampler does."""

    def __init__(self, batch_sampler, count):
        self.batch_sampler, self.count = batch_sampler, count

    def __iter__(self):
        for number, batch in enumerate(self.batch_sampler):
            if number >= self.count:
                yield batch


def test_what_scripts_read(small_shards):
    """Attributes with sizes and settings have the values of the arguments."""
    loader = make(small_shards, shuffle=True, last_batch="drop", seed=5)

    assert (loader.batch_size, loader.drop_last, loader.num_workers) == (4, True, 0)
    assert len(loader.dataset) == 13
    assert (len(loader.sampler), len(loader.batch_sampler)) == (12, 3)
    assert (loader.sampler.seed, loader.sampler.shuffle) == (5, True)
    assert loader.sampler.drop_last
    assert not make(small_shards).drop_last
    assert isinstance(loader.dataset, Dataset)
    assert isinstance(loader.sampler, DistributedSampler)
    assert isinstance(loader.batch_sampler, BatchSampler)
    assert isinstance(loader.batch_sampler, DistributedSampler)
    assert not isinstance(loader.sampler, SequentialSampler)
    assert isinstance(make(small_shards).sampler, SequentialSampler)


@pytest.mark.parametrize("last_batch", ["partial", "drop", "pad"])
@pytest.mark.parametrize(("rank", "world_size"), [(0, 1), (0, 2), (1, 2), (2, 3)])
def test_samplers_say_what_comes(small_shards, rank, world_size, last_batch):
    """In each epoch and on each rank, the samplers yield the sample numbers of the loader's order."""
    loader = make(small_shards, 3, shuffle=True, rank=rank, world_size=world_size, last_batch=last_batch)
    for epoch in range(2):
        order = EpochOrder(Shards(small_shards).counts, shuffle=True, seed=0, epoch=epoch)
        first = [order[position] for position in range(rank * 3, rank * 3 + 3)]
        said, said_together = list(loader.sampler), list(loader.batch_sampler)
        facts = (
            loader.sampler.rank,
            loader.sampler.num_replicas,
            loader.sampler.epoch,
            loader.sampler.num_samples,
        )
        delivered = ordinals(loader)

        assert delivered[0] == first
        assert delivered == said_together
        assert [ordinal for batch in delivered for ordinal in batch] == said
        assert facts == (rank, world_size, epoch, len(said))


def test_set_epoch_of_any_sampler(small_shards):
    """``set_epoch`` of any of the samplers sets the loader's epoch."""
    loader = make(small_shards, shuffle=True)
    for epoch, sampler in enumerate(
        (loader.sampler, loader.batch_sampler, loader.batch_sampler.sampler), start=3
    ):
        sampler.set_epoch(epoch)

        assert (loader.epoch, sampler.epoch) == (epoch, epoch)


def test_a_dataloader_delivers_the_same(small_shards):
    """The ``DataLoader`` delivers bit-identical batches epoch after epoch, and both end at the same place."""
    loader, other = make(small_shards, shuffle=True), make(small_shards, shuffle=True)
    batches = rebuilt(other)

    assert len(batches) == len(loader)
    for _ in range(3):
        for mine, theirs in zip(loader, batches, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
        assert loader.state_dict() == other.state_dict()


@settings(max_examples=20)
@given(
    iterator=st.integers(0, 2), before=st.integers(1, 3), taken=st.integers(0, 3), skipped=st.integers(0, 1)
)
def test_a_dataloader_continues_a_loaded_state(small_shards_once, iterator, before, taken, skipped):
    """After ``load_state_dict`` the ``DataLoader`` delivers what the loader would, also after passes of its own, and moves the loader."""
    saved = make(small_shards_once, 3, shuffle=True)
    for _ in range(iterator):
        next(iter(saved))
    loop = iter(saved)
    for _ in range(before):
        next(loop)
    state, expected = saved.state_dict(), ordinals(loop)

    loader = make(small_shards_once, 3, shuffle=True)
    batches = rebuilt(loader, Skip(loader.batch_sampler, skipped))
    assert len(ordinals(itertools.islice(batches, taken))) == taken
    loader.load_state_dict(state)
    assert ordinals(batches) == expected[skipped:]
    assert loader.state_dict() == saved.state_dict()
    assert sorted(itertools.chain(*ordinals(rebuilt(loader)))) == list(range(13))


def test_a_dataloader_carries_the_graph(small_shards):
    """While the zoom trains, batches carry the graph with the weights of each step."""
    zoom = SaliencySampler(8, lowres_size=(32, 32))
    optimizer = torch.optim.SGD(zoom.parameters(), 0.1)
    for images, _, _ in rebuilt(make(small_shards, zoom=zoom)):
        images.square().sum().backward()
        assert sum(p.grad.abs().sum() for p in zoom.parameters()) > 0
        optimizer.step()
        optimizer.zero_grad()


@pytest.fixture(scope="module")
def small_shards_once(tmp_path_factory):
    """Thirteen pictures in two shards, made once for all examples."""
    folder = tmp_path_factory.mktemp("shards")
    for name, numbers in (("a", range(7)), ("b", range(7, 13))):
        with ShardWriter(folder / f"{name}.tar") as writer:
            for k in numbers:
                writer.write({"__key__": f"{k:03d}", "jpg": encode(picture(k, 30 + k, 40)), "cls": k})
    return [str(folder / "a.tar"), str(folder / "b.tar")]


@settings(max_examples=20)
@given(epoch=st.integers(0, 3), skipped=st.integers(0, 4), elsewhere=st.integers(0, 3))
def test_batches_left_out_are_not_read(small_shards_once, epoch, skipped, elsewhere):
    """Batches that a batch sampler leaves out are not read, in any epoch and from any place."""
    whole = make(small_shards_once, shuffle=True)
    whole.set_epoch(epoch)
    expected = ordinals(whole)
    loader = make(small_shards_once, shuffle=True)
    for _ in zip(range(elsewhere), loader, strict=False):
        next(iter(loader))  # draws a batch of another order
    before = loader.stats.batches
    batches = rebuilt(loader, Skip(loader.batch_sampler, skipped))
    loader.set_epoch(epoch)

    assert ordinals(batches) == expected[skipped:]
    assert loader.stats.batches - before == len(expected) - skipped


def test_any_other_order_is_refused(small_shards):
    """A sampler with another order is refused, and the message says what to use instead."""
    loader = make(small_shards)
    message = (
        "index must be a batch of the loader's batch_sampler, got {} – a ZoomLoader reads in an order of its own; "
        "foveal.shards.Shards gives single samples, and ZoomCollate zooms them."
    )
    with pytest.raises(TypeError, match=re.escape(message.format("3"))):
        loader.dataset[3]
    with pytest.raises(TypeError, match=re.escape(message.format("[0, 1]"))):
        next(iter(DataLoader(loader.dataset, batch_size=2, collate_fn=loader.collate_fn)))


def test_fields_with_names(small_shards):
    """If fields are given names, batches are dicts with these names and the values of a tuple's entries."""
    named = {"pixel_values": "image", "labels": "cls", "index": "__index__"}
    loader = ZoomLoader(small_shards, UniformSampler(8), batch_size=5, fields=named)
    for batch, values in zip(loader, make(small_shards, 5), strict=True):
        assert list(batch) == ["pixel_values", "labels", "index"]
        assert all(torch.equal(a, b) for a, b in zip(batch.values(), values, strict=True))


@pytest.mark.parametrize("bad", [{"a": "image", "b": "image"}, {"a": "cls"}, {}])
def test_names_do_not_excuse(small_shards, bad):
    """Named fields are checked as unnamed ones are."""
    with pytest.raises(ValueError, match="fields must name exactly one image and nothing twice"):
        ZoomLoader(small_shards, UniformSampler(8), batch_size=5, fields=bad)
