"""memory_budget limits the memory of images at any time."""

import re
import threading
import warnings
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from foveal.pipeline import DecodeError, Mask, ZoomLoader, peek
from foveal.pipeline.epoch import _epoch
from foveal.pipeline.epoch._budget import Budget, share_of
from foveal.sampler import SaliencyNet, SaliencySampler, UniformSampler
from foveal.shards import ShardWarning
from tests.pipeline.making import encode, picture
from tests.time_limits import HANGS_AFTER_S

SIZES = [
    (40, 60),
    (300, 400),
    (50, 50),
    (200, 210),
    (10, 10),
    (390, 410),
    (64, 48),
    (33, 44),
    (120, 90),
    (301, 377),
]
LARGEST = 3 * 390 * 410


@pytest.fixture
def outliers(write_shard):
    """Return shards of small pictures, and of some that are hundreds of times as large."""
    return write_shard(
        [{"__key__": f"{k}", "jpg": encode(picture(k, *size)), "cls": k} for k, size in enumerate(SIZES)]
    )


@pytest.fixture
def watched(monkeypatch):
    """Return a list of the budgets that loaders make."""
    made = []

    def make(total, *, strict):
        made.append(Budget(total, strict=strict))
        return made[-1]

    monkeypatch.setattr("foveal.pipeline.epoch._epoch.Budget", make)
    return made


@pytest.mark.parametrize(("memory", "most"), [(144e9, 9e9), (8e9, 1.2e9)])
def test_images_take_a_part_of_a_gpu(outliers, monkeypatch, memory, most):
    """On a GPU, images take a sixteenth of its memory, or 1.2 GB of a small one; a micro-batch half of that."""
    monkeypatch.setattr(_epoch, "memory_of", lambda device: int(memory))
    with ZoomLoader(outliers, UniformSampler(8), batch_size=100, num_threads=2) as loader:
        on_gpu = replace(loader._chain, device=torch.device("cuda"))
    limits, budget = on_gpu._limits(100, in_threads=False), on_gpu._budget()
    budget.take(1)

    assert budget.has_room(int(most) - 1)
    assert not budget.has_room(int(most))
    assert limits.pixels == most / 3 / 2
    assert limits.images == 64


@pytest.mark.parametrize("decode", ["dali", "auto"])
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("budget", [LARGEST, 2 * LARGEST, 10 * LARGEST])
def test_no_more_is_alive(outliers, watched, budget, train, decode):
    """With any batch size and outliers, the limit is kept, every sample arrives, and all memory is returned."""
    zoom = SaliencySampler(16, max_zoom=None).requires_grad_(train)
    for batch_size in (1, 4, 10):
        with ZoomLoader(
            outliers,
            zoom,
            batch_size=batch_size,
            fields=("image", "cls"),
            memory_budget=budget,
            decode=decode,
        ) as loader:
            assert torch.cat([labels for _, labels in loader]).tolist() == list(range(10))
    for each in watched:
        assert LARGEST <= each.most_taken <= budget
        assert each.has_room(budget)


def test_batches_do_not_depend_on_it(outliers):
    """Batches with and without a budget are bit-identical."""
    zoom = UniformSampler(16)
    images = [
        torch.cat([images for images, _ in ZoomLoader(outliers, zoom, batch_size=5, memory_budget=budget)])
        for budget in (None, "1MB")
    ]
    assert torch.equal(*images)


def test_an_image_that_takes_more_alone_is_bad(outliers):
    """An image that is larger than the budget is refused by its header."""
    loader = ZoomLoader(
        outliers,
        UniformSampler(8),
        batch_size=4,
        memory_budget=LARGEST - 1,
        decode="dali",
        on_bad="drop",
        max_bad_fraction=1,
    )
    with loader, pytest.warns(ShardWarning):
        assert sum(len(images) for images, _ in loader) == 9
    assert loader.bad_samples[0].reason == (
        "image takes more memory than memory_budget=479,699: 390 × 410 pixels (height × width), 479,700 bytes"
    )


def test_less_is_decoded_and_less_is_taken(outliers, watched):
    """An image that is decoded at half its size takes the memory of that size."""
    zoom = SaliencySampler(16, max_zoom=1.0, lowres_size=(16, 16))
    with ZoomLoader(outliers, zoom, batch_size=4, memory_budget=LARGEST // 3, decode="auto") as loader:
        assert sum(len(images) for images, _ in loader) == 10


class BatchNet(SaliencyNet):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)

    def forward(self, small):
        return self.norm(super().forward(small))


def test_a_whole_batch_must_fit_where_batch_norm_asks_for_it(outliers):
    """If batch norm needs the whole batch and it does not fit, the error says what to do."""
    zoom = SaliencySampler(8, saliency=BatchNet(), max_zoom=None)
    message = (
        r"memory_budget must hold the images that are zoomed together, 1,\d{3},\d{3} bytes, got 600,000 – raise it, take "
        r"smaller batches, or, if the zoom has batch norm, keep that in eval mode\."
    )
    with ZoomLoader(outliers, zoom, batch_size=10, memory_budget=600_000) as loader:
        with pytest.raises(ValueError, match=message):
            list(loader)
        zoom.eval()
        assert len(list(loader)) == 1


@pytest.mark.parametrize("value", [0, -1, "2G", "many", True])
def test_a_budget_is_a_size(outliers, value):
    """The budget is a size as people write it, e.g. "2GB"."""
    message = f"memory_budget must be a whole number of bytes above zero, got {value!r} – "
    with pytest.raises(ValueError, match=re.escape(message)):
        ZoomLoader(outliers, UniformSampler(8), batch_size=4, memory_budget=value)


def test_leaving_an_epoch_lets_go(outliers):
    """An epoch can be left while a decoder waits for memory."""
    zoom = SaliencySampler(8, max_zoom=None)
    with ZoomLoader(outliers, zoom, batch_size=1, memory_budget=LARGEST, prefetch_factor=8) as loader:
        for _ in range(10):
            next(iter(loader))
        assert len(list(loader)) == 10


def test_a_bad_sample_waits_for_no_later_one(write_shard, watched):
    """An image that fails in its thread is tried again although later images have taken its memory."""
    fitting, other = (encode(picture(0, *size)[..., 0], "PNG") for size in [(90, 90), (30, 90)])
    images = [("jpg", encode(picture(0, 90, 90)), other)]
    images += [("png", encode(picture(k, 90, 90), "PNG"), fitting) for k in range(1, 6)]
    url = write_shard(
        [{"__key__": f"{k}", kind: image, "m.png": mask} for k, (kind, image, mask) in enumerate(images)]
    )
    zoom, keys = SaliencySampler(8, max_zoom=None).requires_grad_(False).eval(), []

    def load() -> None:
        fields = ("image", "__key__", Mask("m.png"))
        options = {"memory_budget": 30_000, "on_bad": "drop", "max_bad_fraction": 0.5}
        with ZoomLoader(url, zoom, batch_size=1, fields=fields, **options) as loader:
            keys.extend(key for _, names, _ in loader for key in names)

    thread = threading.Thread(target=load, daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShardWarning)
        thread.start()
        thread.join(HANGS_AFTER_S / 10)

    assert keys == ["1", "2", "3", "4", "5"]
    assert watched[0].most_taken <= 2 * 3 * 90 * 90
    assert watched[0].has_room(30_000)


@given(st.lists(st.integers(0, 100), max_size=50), st.integers(100, 150))
def test_takers_and_givers(shares, total):
    """With two threads, the budget is never exceeded and neither waits for ever."""
    budget, taken = Budget(total, strict=True), []
    handed = threading.Semaphore(0)

    def give_back() -> None:
        for share in shares:
            handed.acquire()
            budget.give_back(share)

    thread = threading.Thread(target=give_back)
    thread.start()
    for share in shares:
        budget.take(share)
        taken.append(share)
        handed.release()
    thread.join()
    assert taken == shares
    assert budget.most_taken <= total
    assert budget.has_room(total)


def test_by_default_what_is_larger_than_all_waits_until_it_is_alone():
    """By default, an image that exceeds the budget is decoded while no other is in memory."""
    budget = Budget(100, strict=False)
    budget.take(60)
    assert not budget.has_room(500)
    budget.give_back(60)
    budget.take(500)
    assert not budget.has_room(1)


def test_closing_wakes_who_waits():
    """When the budget is closed, a waiting thread gets its share, because the epoch is about to end."""
    budget = Budget(10, strict=True)
    budget.take(8)
    thread = threading.Thread(target=budget.take, args=(5,))
    thread.start()
    budget.close()
    thread.join()
    assert budget.most_taken == 13


def test_what_is_checked():
    """A strict budget refuses an image that is one byte too large; one that is not strict refuses none."""
    image = peek(encode(picture(0, 10, 10)))
    assert share_of([image, image]) == 600
    Budget(300, strict=True).check(image)
    Budget(299, strict=False).check(image)
    with pytest.raises(DecodeError, match=re.escape("10 × 10 pixels (height × width), 300 bytes")):
        Budget(299, strict=True).check(image)
