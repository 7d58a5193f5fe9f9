"""The loader, from shards on disk to batches."""

import contextlib
import gc
import re
import warnings
import weakref

import pytest
import torch
import webdataset
from torch import nn

from foveal.pipeline import ZoomLoader, decode
from foveal.sampler import SaliencyNet, SaliencySampler, UniformSampler, Zoomed, sample
from foveal.shards import Shards
from tests.checks import unhooked
from tests.pipeline.making import encode, picture
from tests.pipeline.processes import foveal_threads


def keys(loader: ZoomLoader) -> list[list[str]]:
    place = loader.fields.names.index("__key__")
    return [batch[place] for batch in loader]


def test_a_batch(small_shards):
    """Every field has the shape and type that the documentation promises."""
    names = ("image", "cls", "json", "__key__", "__url__", "__size__", "__grid__", "__saliency__")
    with ZoomLoader(small_shards, SaliencySampler((24, 32)), batch_size=4, fields=names) as loader:
        image, cls, json, key, url, size, grid, saliency = next(iter(loader))

    assert image.shape == (4, 3, 24, 32)
    assert image.dtype == torch.float32
    assert image.min() >= 0
    assert image.max() <= 1
    assert cls.tolist() == [0, 1, 2, 3]
    assert cls.dtype == torch.int64
    assert json == [{"k": k} for k in range(4)]
    assert key == ["000", "001", "002", "003"]
    assert url == [small_shards[0]] * 4
    assert size.tolist() == [[60 + 7 * k, 90 + 5 * k] for k in range(4)]
    assert grid.shape == (4, 24, 32, 2)
    assert torch.allclose(saliency.sum((1, 2, 3)), torch.ones(4))


def test_a_sample_as_it_lies_in_its_shard(small_shards):
    """``__ordinal__`` is the number in the order of the shards, and ``__members__`` has all members."""
    names = ("image", "cls", "__index__", "__members__", "__key__")
    with (
        ZoomLoader(small_shards, UniformSampler(8), batch_size=5, fields=names, shuffle=True) as loader,
        Shards(small_shards) as shards,
    ):
        batches = list(loader)
        for _, labels, indices, members, keys_of in batches:
            assert indices.dtype == torch.int64
            for label, index, found, key in zip(labels, indices.tolist(), members, keys_of, strict=True):
                assert found == shards[index].members
                assert (int(found["cls"]), shards.key(index)) == (label, key)

    assert sorted(index for batch in batches for index in batch[2].tolist()) == list(range(13))


def test_keys_labels_and_order_are_webdatasets(small_shards):
    """Without shuffling, keys, labels and order are those of webdataset."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # webdataset leaves its files to the cycle collector
        theirs = [
            (s["__key__"], int(s["cls"])) for s in webdataset.WebDataset(small_shards, shardshuffle=False)
        ]
        gc.collect()
    with ZoomLoader(
        small_shards, UniformSampler(8), batch_size=5, fields=("image", "cls", "__key__")
    ) as loader:
        ours = [pair for _, cls, key in loader for pair in zip(key, cls.tolist(), strict=True)]

    assert theirs == ours


def test_images_are_the_decoded_pixels_sampled_by_the_grid(small_shards):
    """Images equal the decoded pixels sampled by the delivered grid."""
    with Shards(small_shards) as shards:
        pixels = decode([shards[k].members["jpg"] for k in range(13)])
    with ZoomLoader(small_shards, SaliencySampler(16), batch_size=13, fields=("image", "__grid__")) as loader:
        ((image, grid),) = list(loader)

    assert torch.equal(sample(pixels, grid), image)


@pytest.mark.parametrize("trained", [False, True])
def test_pixels_arrive_in_the_form_that_the_sampler_writes(small_shards, trained):
    """Images are normalised, in half precision and channels-last, also joined from several micro-batches."""
    form = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4), "dtype": torch.bfloat16, "channels_last": True}
    zoom = SaliencySampler(16, **form).requires_grad_(trained)
    with ZoomLoader(small_shards, zoom, batch_size=13, fields=("image", "__grid__")) as loader:
        ((image, grid),) = list(loader)
    with Shards(small_shards) as shards:
        pixels = decode([shards[k].members["jpg"] for k in range(13)])

    assert image.requires_grad == trained
    assert image.permute(0, 2, 3, 1).is_contiguous()
    assert torch.equal(sample(pixels, grid, **form), image)


class Wrapped(nn.Module):
    """A wrapper around a zoom, like DistributedDataParallel."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


@pytest.mark.parametrize(
    ("zoom", "options", "said"),
    [
        (
            UniformSampler(8),
            {},
            "zoom=UniformSampler(out_size=(8, 8)), decode='auto' on cpu, rank 0 of 1",
        ),
        (
            SaliencySampler((8, 6)),
            {"decode": "dali", "rank": 1, "world_size": 2},
            "zoom=SaliencySampler(out_size=(8, 6), saliency=PriorSaliency), decode='dali' on cpu, rank 1 of 2",
        ),
        (
            Wrapped(SaliencySampler(8)),
            {"device": "cpu"},
            "zoom=Wrapped(module=SaliencySampler), decode='auto' on cpu, rank 0 of 1",
        ),
        (
            nn.DataParallel(SaliencySampler(8, saliency=torch.compile(SaliencyNet(), backend="eager"))),
            {"device": "cpu"},
            "zoom=SaliencySampler(out_size=(8, 8), saliency=SaliencyNet), decode='auto' on cpu, rank 0 of 1",
        ),
    ],
)
def test_a_loader_says_what_it_is(small_shards, zoom, options, said):
    """The representation of a loader is one line, also after closing."""
    with ZoomLoader(small_shards, zoom, batch_size=4, **options) as loader:
        assert repr(loader) == f"ZoomLoader(samples=13, shards=2, batch_size=4, {said})"
    assert repr(loader) == str(loader)


def test_another_zoom_is_refused(small_shards):
    """A loader keeps the zoom that it was made with, and does not pretend to take another."""
    with ZoomLoader(small_shards, zoom := UniformSampler(8), batch_size=4) as loader:
        assert loader.zoom is zoom
        with pytest.raises(AttributeError, match="zoom"):
            loader.zoom = UniformSampler(16)


def test_len_and_last_batch(small_shards):
    """13 samples in batches of 5 are three batches, or two full ones."""
    with ZoomLoader(small_shards, UniformSampler(8), batch_size=5) as loader:
        assert len(loader) == 3
        assert [len(labels) for _, labels in loader] == [5, 5, 3]
    with ZoomLoader(small_shards, UniformSampler(8), batch_size=5, last_batch="drop") as loader:
        assert len(loader) == 2
        assert [len(labels) for _, labels in loader] == [5, 5]


def test_padding_is_marked(small_shards):
    """With 13 samples on 3 ranks of 2, each batch is full, each sample is valid once, and the rest is marked."""
    fields = ("image", "__key__", "__valid__")
    seen: list[str] = []
    for rank in range(3):
        options = {"batch_size": 2, "fields": fields, "last_batch": "pad", "rank": rank, "world_size": 3}
        with ZoomLoader(small_shards, UniformSampler(8), **options) as loader:
            batches = list(loader)
        assert [image.shape for image, _, _ in batches] == [(2, 3, 8, 8)] * 3 == [(2, 3, 8, 8)] * len(loader)
        assert all(valid.dtype == torch.bool for _, _, valid in batches)
        seen += [
            key for _, names, valid in batches for key, counts in zip(names, valid, strict=True) if counts
        ]

    assert sorted(seen) == [f"{k:03d}" for k in range(13)]


def test_fewer_samples_than_ranks(write_shard):
    """With two samples on five ranks, each rank has one batch, which is marked if it is padding or empty."""
    url = write_shard([{"__key__": f"{k}", "jpg": encode(picture(k, 20, 30)), "cls": k} for k in range(2)])
    for last_batch, sizes in (("partial", [1, 1, 0, 0, 0]), ("pad", [1, 1, 1, 1, 1])):
        found, valid_keys = [], []
        for rank in range(5):
            options = {"batch_size": 1, "last_batch": last_batch, "rank": rank, "world_size": 5}
            with ZoomLoader(
                url, SaliencySampler(8), fields=("image", "__key__", "__valid__"), **options
            ) as loader:
                ((image, key, valid),) = list(loader)
            found.append(len(image))
            valid_keys += [name for name, counts in zip(key, valid, strict=True) if counts]
        assert found == sizes
        assert valid_keys == ["0", "1"]


def test_ranks_share_an_epoch(small_shards):
    """Three ranks have each sample once and the same number of batches, even if the last one has no sample for a rank."""
    fields = ("image", "cls", "__key__", "__grid__")
    loaders = [
        ZoomLoader(
            small_shards, SaliencySampler(8), batch_size=4, fields=fields, shuffle=True, rank=r, world_size=3
        )
        for r in range(3)
    ]
    batches = [list(loader) for loader in loaders]

    assert {len(loader) for loader in loaders} == {2} == {len(b) for b in batches}
    assert sorted(key for part in batches for batch in part for key in batch[2]) == [
        f"{k:03d}" for k in range(13)
    ]
    assert batches[2][1][0].shape == (0, 3, 8, 8)
    assert batches[2][1][1].dtype == torch.int64
    for loader in loaders:
        loader.close()


def test_shuffle_depends_on_seed_and_epoch_alone(small_shards):
    """The order depends on seed and epoch only; a complete pass moves on to the next epoch."""

    def orders(seed: int) -> list[list[str]]:
        with ZoomLoader(small_shards, UniformSampler(8), batch_size=13, fields=("image", "__key__"), shuffle=True, seed=seed) as loader:  # fmt: skip
            first, second = keys(loader), keys(loader)
            assert loader.epoch == 2
            loader.set_epoch(0)
            assert first == keys(loader)
            return first + second

    assert orders(1) == orders(1)
    assert len({tuple(order) for order in orders(1) + orders(2)}) == 4
    assert sorted(orders(1)[0]) == [f"{k:03d}" for k in range(13)]


def test_leaving_a_loop_ends_its_threads(small_shards):
    """Threads end when a loop ends, early or with the last batch."""
    with ZoomLoader(small_shards, UniformSampler(8), batch_size=2) as loader:
        for _ in loader:
            break
        assert foveal_threads() == []
        batches = iter(loader)
        for _ in range(7):
            next(batches)
        assert foveal_threads() == []
        assert next(batches, None) is None


def test_a_loader_is_freed_with_its_last_reference(small_shards):
    """Nothing in a loader refers back to it: its open files would wait for the cycle collector."""
    gc.disable()
    try:
        loader = ZoomLoader(small_shards, UniformSampler(8), batch_size=2)
        assert len(list(loader)) == 7
        alive = weakref.ref(loader)
        del loader
        assert alive() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "answer",
    [
        lambda images: torch.zeros(len(images), 3, 8, 8),
        lambda _: Zoomed(torch.zeros(1), torch.zeros(1), None),
    ],
)
def test_a_zoom_that_returns_something_else(small_shards, answer):
    """The error says what a zoom returns."""

    class Own(torch.nn.Module):
        def forward(self, images, lowres=None):
            return answer(images)

    message = f"zoom must return Zoomed(images, grid, saliency), three tensors, got {type(answer([0])).__name__} from Own."
    with (
        ZoomLoader(small_shards, Own(), batch_size=2) as loader,
        pytest.raises(TypeError, match=f"^{re.escape(message)}$"),
    ):
        next(iter(loader))


def test_an_error_in_the_loop_leaves_the_loader_usable(small_shards):
    """After an exception in the loop's body, the next pass is complete."""
    with ZoomLoader(small_shards, UniformSampler(8), batch_size=2) as loader:
        with contextlib.suppress(ZeroDivisionError):
            for _ in loader:
                raise ZeroDivisionError
        assert sum(len(labels) for _, labels in loader) == 13


def test_stats_count_what_was_done(small_shards):
    """Batches, images, pixels and bytes are counted exactly, and every stage has a time."""
    with ZoomLoader(small_shards, SaliencySampler(8), batch_size=5, fields=("image",)) as loader:
        list(loader)
        stats = loader.stats
    with Shards(small_shards) as shards:
        size = sum(len(shards[k].members["jpg"]) for k in range(13))

    assert (3, 13, size) == (stats.batches, stats.images, stats.bytes)
    assert stats.pixels == sum((60 + 7 * k) * (90 + 5 * k) for k in range(13))
    assert all(seconds > 0 for seconds in stats.seconds.values())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0."),
        ({"batch_size": True}, TypeError, "batch_size must be a whole number, got True."),
        ({"batch_size": 2.0}, TypeError, "batch_size must be a whole number, got 2.0."),
        ({"num_threads": 1.5}, TypeError, "num_threads must be a whole number, got 1.5."),
        ({"max_pixels": float("nan")}, TypeError, "max_pixels must be a whole number, got nan."),
        ({"seed": 0.5}, TypeError, "seed must be a whole number, got 0.5."),
        ({"quarantine": "/"}, ValueError, "quarantine must be a file in a folder that exists, got '/'."),
        ({"prefetch_factor": 0}, ValueError, "prefetch_factor must be at least 1, got 0."),
        ({"num_threads": -1}, ValueError, "num_threads must be at least 1, got -1."),
        ({"fields": ("image", "__what__")}, ValueError, "got '__what__'."),
        ({"rank": 2, "world_size": 2}, ValueError, "rank must be in [0, 2), the world size, got 2."),
        ({"max_pixels": 0}, ValueError, "max_pixels must be at least 1, got 0."),
        ({"on_bad": "skip"}, ValueError, "on_bad must be one of substitute, drop, raise, got 'skip'."),
        ({"max_bad_fraction": 1.5}, ValueError, "max_bad_fraction must be in [0, 1], got 1.5."),
        (
            {"quarantine": "/nowhere/bad.jsonl"},
            ValueError,
            "quarantine must be a file in a folder that exists, got '/nowhere/bad.jsonl'.",
        ),
        ({"last_batch": "all"}, ValueError, "last_batch must be one of partial, drop, pad, got 'all'."),
        (
            {"zoom": "uniform"},
            TypeError,
            "zoom must be a sampler module, got 'uniform' – for example SaliencySampler(224).",
        ),
    ],
)
def test_arguments_that_make_no_sense(small_shards, arguments, error, message):
    """Each invalid argument is named with its value."""
    arguments = {"zoom": UniformSampler(8), "batch_size": 2, **arguments}
    with unhooked(), pytest.raises(error, match=re.escape(message)):
        ZoomLoader(small_shards, **arguments)


@pytest.mark.parametrize(
    ("epoch", "error", "message"),
    [
        (-1, ValueError, "epoch must be at least 0, got -1."),
        (1.5, TypeError, "epoch must be a whole number, got 1.5."),
    ],
)
def test_an_epoch_that_is_none(small_shards, epoch, error, message):
    """A negative epoch, and half of one, are refused with their value."""
    with (
        ZoomLoader(small_shards, UniformSampler(8), batch_size=2) as loader,
        unhooked(),
        pytest.raises(error, match=f"^{re.escape(message)}$"),
    ):
        loader.set_epoch(epoch)
