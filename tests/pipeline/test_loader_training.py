"""Images travel a few at a time through a loader, and a zoom is trained through it."""

import itertools
import threading
import weakref

import pytest
import torch
from torch import nn

from foveal.pipeline import ZoomLoader
from foveal.pipeline.epoch import _micro_batch
from foveal.sampler import EvidenceTeacher, PriorSaliency, SaliencySampler, UniformSampler
from tests.pipeline.making import encode, picture


class Watched(UniformSampler):
    """Records the images that it gets, without keeping them."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.lowres_size = (16, 16)
        self.seen: list[weakref.ref] = []
        self.micro_batches: list[int] = []
        self.threads: set[str] = set()

    def forward(self, images, lowres=None):
        self.seen += [weakref.ref(image) for image in images]
        self.micro_batches.append(len(images))
        self.threads.add(threading.current_thread().name)
        assert lowres.shape == (len(images), 3, 16, 16)
        return super().forward(images, lowres)


def test_large_batches_travel_in_micro_batches(small_shards):
    """Only a few full-resolution images are in memory at a time, and none after their batch is delivered."""
    zoom = Watched(8)
    with ZoomLoader(small_shards, zoom, batch_size=13) as loader:
        batches = list(loader)

    assert zoom.micro_batches == [8, 5]
    assert [ref() for ref in zoom.seen] == [None] * 13
    assert batches[0][0].shape == (13, 3, 8, 8)
    assert zoom.threads == {"foveal-zoom"}


def test_batch_norm_in_training_sees_the_batch_whole(small_shards):
    """Batch norm's statistics are those of the whole batch in training; in evaluation micro-batches make no difference."""
    zoom = Watched(8)
    zoom.norm = nn.BatchNorm2d(3)
    with ZoomLoader(small_shards, zoom, batch_size=13) as loader:
        list(loader)
        assert zoom.micro_batches == [13]
        zoom.eval().requires_grad_(requires_grad=False)
        list(loader)
        assert sorted(zoom.micro_batches[1:]) == [5, 8]


def test_more_images_are_zoomed_together_while_the_zoom_trains(small_shards, monkeypatch):
    """In training a micro-batch has more images, up to a limit of its own; without gradients it has as few as ever."""
    monkeypatch.setattr(_micro_batch, "TRAINED_TOGETHER", 10)
    zoom = Watched(8)
    zoom.weight = nn.Parameter(torch.zeros(()))
    with ZoomLoader(small_shards, zoom, batch_size=13) as loader:
        list(loader)
        assert zoom.micro_batches == [10, 3]
        with torch.no_grad():
            list(loader)
        assert sorted(zoom.micro_batches[2:]) == [5, 8]


def test_more_images_are_zoomed_together_on_a_gpu():
    """Starting the kernels costs the host the same for few images as for many, so a GPU gets 64 at a time; a CPU, 8."""
    zoom = SaliencySampler(8).eval()
    cpu, cuda = torch.device("cpu"), torch.device("cuda", 1)
    sizes = [_micro_batch.micro_batch_size(zoom, 100, device) for device in (cpu, cuda)]

    assert sizes == [_micro_batch.zoomed_together(device) for device in (cpu, cuda)] == [8, 64]
    assert _micro_batch.micro_batch_size(nn.BatchNorm2d(3), 100, cuda) == 100
    assert _micro_batch.micro_batch_size(nn.BatchNorm2d(3).eval(), 100, cuda) == 64


def test_batch_norm_without_statistics_sees_the_batch_whole():
    """Batch norm that keeps no statistics computes them over the batch in evaluation, too, and gets the whole batch."""
    norm = nn.BatchNorm2d(3, track_running_stats=False).eval()
    assert _micro_batch.micro_batch_size(norm, 100, torch.device("cpu")) == 100


class KeepsNothing(SaliencySampler):
    """A saliency sampler that records its images by weak references."""

    def forward(self, images, lowres=None):
        self.seen = [*getattr(self, "seen", []), *(weakref.ref(image) for image in images)]
        return super().forward(images, lowres)


def test_the_saliency_network_trains_through_the_loader(small_shards):
    """Parameters change, the loss falls, and full-resolution images are freed before backward."""
    torch.manual_seed(0)
    zoom = KeepsNothing(16)
    before = [p.detach().clone() for p in zoom.parameters()]
    optimizer = torch.optim.Adam(zoom.parameters(), lr=3e-3)
    losses = []
    with ZoomLoader(small_shards, zoom, batch_size=13) as loader:
        for images, _ in itertools.chain.from_iterable(loader for _ in range(15)):
            assert images.requires_grad
            assert [ref() for ref in zoom.seen] == [None] * 13
            zoom.seen = []
            loss = images.mean()  # look where it is dark
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    assert all((p != q).any() for p, q in zip(zoom.parameters(), before, strict=True))
    assert losses[-1] < losses[0] - 0.01


def test_a_classifier_teaches_through_the_loader(small_shards, monkeypatch):
    """What the evidence teaches does not depend on how many images are zoomed together, and is not lost on the way."""
    head, lessons = torch.rand(3, generator=torch.Generator().manual_seed(0)), {}
    for together in (3, 13):
        monkeypatch.setattr(_micro_batch, "TRAINED_TOGETHER", together)
        torch.manual_seed(0)
        zoom = SaliencySampler(16)
        for strength in (1.0, 2.0):
            teacher = EvidenceTeacher(zoom, strength=strength)
            with ZoomLoader(small_shards, zoom, batch_size=13) as loader:
                [(images, labels)] = list(loader)
            losses = (images.mean((2, 3)) @ head) * torch.linspace(0, 1, 13)
            teacher.observe(losses)
            lessons[together, strength] = torch.autograd.grad(
                losses.mean(), zoom.saliency.network.head.weight
            )[0]
            teacher.close()
    taught = lessons[13, 2.0] - lessons[13, 1.0]

    assert labels.shape == (13,)
    assert taught.abs().max() > 1e-3
    for strength in (1.0, 2.0):
        torch.testing.assert_close(lessons[3, strength], lessons[13, strength], atol=1e-5, rtol=1e-4)


def test_frozen_and_training_zoom_alike(small_shards):
    """The pixels are the same with and without gradients, to float32 rounding; without gradients they carry no graph."""
    zoom = SaliencySampler(16, saliency=PriorSaliency())
    with ZoomLoader(small_shards, zoom, batch_size=5) as loader:
        trained = [images for images, _ in loader]
        with torch.no_grad():
            frozen = [images for images, _ in loader]
        zoom.requires_grad_(False)
        also_frozen = [images for images, _ in loader]

    assert all(images.requires_grad for images in trained)
    assert not any(images.requires_grad for images in frozen + also_frozen)
    assert all(
        torch.allclose(a, b, atol=1e-4) and torch.equal(b, c)
        for a, b, c in zip(trained, frozen, also_frozen, strict=True)
    )


@pytest.mark.parametrize("decode", ["auto", "dali"])
def test_a_zoom_that_is_unfrozen_in_an_epoch(small_shards, decode):
    """From then on batches carry the graph; no sample is lost or delivered twice, and no pixel differs. Frozen again, it goes on so."""
    zoom = SaliencySampler(16).requires_grad_(False)
    with ZoomLoader(small_shards, zoom, batch_size=2, decode=decode) as loader:
        before = list(loader)
        iterator, found = iter(loader), []
        for step in range(len(loader)):
            zoom.requires_grad_(2 <= step < 5)
            found.append(next(iterator))

    assert [images.requires_grad for images, _ in found] == [False, False, True, True, True, False, False]
    assert torch.cat([labels for _, labels in found]).tolist() == list(range(13))
    for (images, _), (expected, _) in zip(found, before, strict=True):
        assert torch.allclose(images, expected, atol=1e-4)


def test_an_epoch_that_begins_without_gradients(small_shards):
    """A zoom that could train does so from the first batch that is taken with gradients."""
    zoom = SaliencySampler(16)
    with ZoomLoader(small_shards, zoom, batch_size=5) as loader:
        with torch.no_grad():
            iterator = iter(loader)
            next(iterator)
        graphs = [images.requires_grad for images, _ in iterator]
    assert graphs == [True, True]


@pytest.mark.parametrize(("most", "parts"), [(10, [1] * 5), (1200, [2, 2, 1]), (1800, [3, 2]), (10_000, [5])])
def test_large_images_travel_fewer_at_a_time(write_shard, monkeypatch, most, parts):
    """Large images go in smaller micro-batches, and the batch is the same."""
    from foveal.pipeline.epoch import _epoch as _chain

    url = write_shard([{"__key__": str(k), "jpg": encode(picture(k, 20, 30)), "cls": k} for k in range(5)])
    with ZoomLoader(url, UniformSampler(8), batch_size=5) as loader:
        [(plain, _)] = list(loader)
    monkeypatch.setattr(_chain, "IMAGE_BYTES", 3 * most)  # of each thread; a micro-batch has half of all
    zoom = Watched(8)
    with ZoomLoader(url, zoom, batch_size=5, num_threads=2) as loader:
        [(images, labels)] = list(loader)

    assert zoom.micro_batches == parts
    assert labels.tolist() == [0, 1, 2, 3, 4]
    assert torch.equal(images, plain)
