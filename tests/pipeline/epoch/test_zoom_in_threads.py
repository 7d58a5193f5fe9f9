"""Images are zoomed in the decoding threads if nothing depends on the order of calls."""

import threading

import pytest
import torch
from torch import nn

from foveal.pipeline import ZoomLoader
from foveal.pipeline.epoch._micro_batch import may_zoom_in_threads
from foveal.sampler import (
    EvidenceTeacher,
    PatchSampler,
    SaliencyNet,
    SaliencySampler,
    UniformSampler,
    ZoomTrial,
)
from foveal.shards import ShardWarning
from tests.pipeline.making import encode, picture


class Watched(UniformSampler):
    """Records the calling thread and the number of images."""

    def __init__(self, out_size: int) -> None:
        super().__init__(out_size)
        self.calls: list[tuple[str, int]] = []

    def forward(self, images, lowres=None, views=None):
        self.calls.append((threading.current_thread().name, len(images)))
        return super().forward(images, lowres, views)


class Fails(UniformSampler):
    """Fails at the eleventh image and after it."""

    def forward(self, images, lowres=None, views=None):
        if any(image.shape[0] >= 30 for image in images):
            raise RuntimeError("too high")
        return super().forward(images, lowres, views)


@pytest.fixture
def shard(write_shard):
    """Return a shard of sixteen pictures, each a pixel higher than the previous one."""
    return write_shard(
        [{"__key__": f"{k:02d}", "jpg": encode(picture(k, 20 + k, 30)), "cls": k} for k in range(16)]
    )


@pytest.mark.parametrize(
    ("options", "evaluates", "where"),
    [
        ({}, True, "foveal-image"),
        ({}, False, "foveal-zoom"),
        ({"decode": "dali"}, True, "foveal-zoom"),
    ],
    ids=["in evaluation mode", "a class of others in training mode", "decoded by DALI"],
)
def test_where_images_are_zoomed(shard, options, evaluates, where):
    """All images are zoomed once, a few in each call."""
    zoom = Watched(8).train(not evaluates)
    with ZoomLoader(shard, zoom, batch_size=16, num_threads=3, **options) as loader:
        [(_, labels)] = list(loader)

    assert labels.tolist() == list(range(16))
    assert {name.rpartition("_")[0] or name for name, _ in zoom.calls} == {where}
    assert sum(count for _, count in zoom.calls) == 16


def test_what_dali_decodes_is_zoomed_in_its_place(write_shard):
    """Images that DALI decodes come in their place, with the same pixels as one by one."""
    kinds = ["JPEG", "PNG", "JPEG", "JPEG", "JPEG", "JPEG", "JPEG", "JPEG", "JPEG", "PNG"]
    samples = [
        {"__key__": f"{k}", kind.lower(): encode(picture(k, 40 + k, 50), kind), "cls": k}
        for k, kind in enumerate(kinds)
    ]
    url = write_shard([{name.replace("jpeg", "jpg"): value for name, value in s.items()} for s in samples])
    zoom = UniformSampler(8)
    with ZoomLoader(url, zoom, batch_size=10) as together, ZoomLoader(url, zoom, batch_size=1) as alone:
        [(images, labels)] = list(together)
        one_by_one = torch.cat([image for image, _ in alone])

    assert labels.tolist() == list(range(10))
    assert torch.equal(images, one_by_one)


def test_an_error_comes_in_its_place(shard):
    """The batches before the error are delivered."""
    with ZoomLoader(shard, Fails(8).eval(), batch_size=2, num_threads=3) as loader:
        batches = iter(loader)
        assert [next(batches)[1].tolist() for _ in range(4)] == [[0, 1], [2, 3], [4, 5], [6, 7]]
        assert next(batches)[1].tolist() == [8, 9]
        with pytest.raises(RuntimeError, match="too high"):
            next(batches)


def test_bad_images_are_recorded_in_the_order_of_the_epoch(write_shard):
    """Bad images are recorded in the epoch's order, however many threads find them."""
    cut = encode(picture(0, 400, 600), quality=95)[:9000]
    good = encode(picture(1, 30, 40))
    url = write_shard([{"__key__": f"{k:02d}", "jpg": good if k % 3 else cut, "cls": k} for k in range(30)])
    options = {"batch_size": 6, "on_bad": "drop", "max_bad_fraction": 1.0}
    for threads in (1, 4):
        with (
            ZoomLoader(url, UniformSampler(8), num_threads=threads, **options) as loader,
            pytest.warns(ShardWarning),
        ):
            labels = torch.cat([labels for _, labels in loader]).tolist()
        assert labels == [k for k in range(30) if k % 3]
        assert [bad.key for bad in loader.bad_samples] == [f"{k:02d}" for k in range(0, 30, 3)]


def test_large_images_go_one_by_one(shard, monkeypatch):
    """Large images are zoomed one at a time, small ones together, so that each thread holds few pixels."""
    from foveal.pipeline.epoch import _epoch

    monkeypatch.setattr(_epoch, "IMAGE_BYTES", 3 * 30 * 70)  # 70 rows of 30 pixels
    zoom = Watched(600).eval()  # needs them at full size
    with ZoomLoader(shard, zoom, batch_size=16, num_threads=40) as loader:
        [(_, labels)] = list(loader)

    assert labels.tolist() == list(range(16))
    assert sorted(count for _, count in zoom.calls) == [1] + [2] * 6 + [3]


def test_originals_count_where_copies_are_decoded(shard, monkeypatch):
    """Images of which small copies are decoded are also zoomed a few at a time: decoding reads the whole file."""
    from foveal.pipeline.epoch import _epoch

    monkeypatch.setattr(_epoch, "_PIXELS_OF_A_THREAD", 30 * 70)  # 70 rows of the originals
    zoom = Watched(2).eval()  # a quarter or an eighth of the size is enough
    with ZoomLoader(shard, zoom, batch_size=16, num_threads=40) as loader:
        [(_, labels)] = list(loader)

    assert labels.tolist() == list(range(16))
    assert sorted(count for _, count in zoom.calls) == [1] + [2] * 6 + [3]


def test_what_depends_on_order():
    """Modules that draw at random, update statistics or cannot be inspected are called in order."""

    class Own(SaliencyNet):
        pass

    def hooked() -> nn.Module:
        zoom = SaliencySampler(8).eval()
        zoom.saliency.register_forward_hook(lambda *_: None)
        return zoom

    def compiled() -> nn.Module:
        """Return a stand-in for what torch.compile returns, which takes seconds to load."""
        return type("OptimizedModule", (nn.Module,), {"__module__": "torch._dynamo.eval_frame"})()

    def sampler(*modules: nn.Module) -> SaliencySampler:
        return SaliencySampler(8, saliency=nn.Sequential(SaliencyNet(), *modules))

    def taught() -> SaliencySampler:
        zoom = SaliencySampler(8)
        EvidenceTeacher(zoom, after=ZoomTrial(zoom, steps=5))
        return zoom

    in_any_order = [
        taught().eval(),
        SaliencySampler(8),
        UniformSampler(8),
        sampler(nn.ReLU()),
        sampler(nn.Dropout()).eval(),
        sampler(nn.BatchNorm2d(1)).eval(),
        sampler(nn.InstanceNorm2d(1)),
        sampler(nn.MultiheadAttention(1, 1)),
        sampler(Own()).eval(),
        PatchSampler(2, 8).eval(),
    ]
    in_order = [
        taught(),
        sampler(nn.Dropout()),
        sampler(nn.BatchNorm2d(1)),
        sampler(nn.MultiheadAttention(1, 1, dropout=0.1)),
        sampler(Own()),
        PatchSampler(2, 8),
        hooked(),
        nn.DataParallel(SaliencySampler(8).eval()),
        nn.Sequential(compiled()).eval(),
    ]
    assert [may_zoom_in_threads(zoom) for zoom in in_any_order] == [True] * len(in_any_order)
    assert [may_zoom_in_threads(zoom) for zoom in in_order] == [False] * len(in_order)
