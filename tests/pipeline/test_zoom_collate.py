"""ZoomCollate as the ``collate_fn`` of torch's DataLoader and of webdataset."""

import gc
import pickle
import re
import warnings

import pytest
import torch
import webdataset as wds
from torch.utils.data import DataLoader

from foveal.pipeline import ZoomCollate, ZoomLoader, decode
from foveal.pipeline._zoom_collate import join_labels
from foveal.sampler import BoxSaliency, SaliencySampler, warp_boxes
from foveal.shards import Shards
from tests.checks import check_close
from tests.pipeline.making import encode, picture

PICTURES = [picture(k, 60 + 7 * k, 90 + 5 * k) for k in range(11)]

# Python 3.12 warns whenever a process with threads forks, as every DataLoader with workers does.
forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def tensors() -> list[tuple[torch.Tensor, int]]:
    return [(torch.from_numpy(image.copy()), k) for k, image in enumerate(PICTURES)]


def check_batches(batches, zoom, pictures=PICTURES):
    """Check that each batch is the zoom of its pictures, which the labels identify."""
    seen = []
    for images, labels in batches:
        expected = zoom([torch.from_numpy(pictures[k].copy()) for k in labels]).images
        assert labels.dtype == torch.int64
        check_close(images, expected, 1e-4)
        seen += labels.tolist()
    assert sorted(seen) == list(range(len(pictures)))


def test_as_the_zoom_itself(zoom):
    """Images and labels equal those of the zoom, also for batches that are zoomed in parts."""
    check_batches(DataLoader(tensors(), batch_size=4, collate_fn=ZoomCollate(zoom)), zoom)
    check_batches(DataLoader(tensors(), batch_size=11, collate_fn=ZoomCollate(zoom)), zoom)


def test_a_wrong_picture_would_be_seen(zoom):
    """The check above fails if two pictures are exchanged."""
    exchanged = [tensors()[1], tensors()[0], *tensors()[2:]]
    wrong = [(image, k) for k, (image, _) in enumerate(exchanged)]
    with pytest.raises(AssertionError, match="off by"):
        check_batches(DataLoader(wrong, batch_size=4, collate_fn=ZoomCollate(zoom)), zoom)


@forks
@pytest.mark.parametrize("encoded", [False, True])
def test_in_forked_workers(zoom, encoded):
    """Forked workers work even if torch, numba and DALI have used threads in this process before."""
    files = [encode(image, "PNG") for image in PICTURES]
    zoom([torch.from_numpy(image.copy()) for image in PICTURES])
    decode(files)
    data = [(file, k) for k, file in enumerate(files)] if encoded else tensors()
    options = {"batch_size": 4, "num_workers": 2, "multiprocessing_context": "fork", "timeout": 100}
    for _ in range(2):
        check_batches(DataLoader(data, collate_fn=ZoomCollate(zoom), **options), zoom)


@pytest.mark.slow
@pytest.mark.parametrize("encoded", [False, True])
def test_in_spawned_workers(zoom, encoded):
    """Spawned workers deliver the same as forked ones."""
    data = [(encode(image, "PNG"), k) for k, image in enumerate(PICTURES)] if encoded else tensors()
    options = {"batch_size": 4, "num_workers": 2, "multiprocessing_context": "spawn", "timeout": 200}
    check_batches(DataLoader(data, collate_fn=ZoomCollate(zoom), **options), zoom)


def test_which_entry_is_the_image(zoom):
    """The image is the first entry of a tuple, a usual name in a dict, or the entry that is named."""
    image = torch.from_numpy(PICTURES[0].copy())
    shape = (1, 3, 24, 32)

    assert ZoomCollate(zoom)([[image, 1]])[0].shape == shape
    assert ZoomCollate(zoom, image=1)([(1, image)])[1].shape == shape
    assert ZoomCollate(zoom)([{"cls": 1, "image": image}])["image"].shape == shape
    assert ZoomCollate(zoom)([{"png": encode(PICTURES[0], "PNG"), "cls": 1}])["png"].shape == shape
    assert ZoomCollate(zoom, image="photo")([{"image": 1, "photo": image}])["photo"].shape == shape


def test_the_grid_comes_along(zoom):
    """The batch has grid and sizes, with which boxes can be warped."""
    samples = [(image, torch.tensor([[0.0, 0, 30, 9]]).repeat(k, 1)) for image, k in tensors()]
    images, boxes, grid, size = ZoomCollate(zoom, with_grid=True)(samples)

    assert grid.shape == (11, 24, 32, 2)
    assert size.tolist() == [list(image.shape[:2]) for image in PICTURES]
    assert [len(each) for each in warp_boxes(boxes, grid, size)[0]] == list(range(len(images)))
    named = ZoomCollate(zoom, with_grid=True)([{"image": image, "k": k} for image, k in tensors()])
    assert list(named) == ["image", "k", "__grid__", "__size__"]
    assert torch.equal(named["__grid__"], grid)


def test_training_in_this_process():
    """In this process the batch carries the graph."""
    zoom = SaliencySampler(16)
    images, _ = next(iter(DataLoader(tensors(), batch_size=9, collate_fn=ZoomCollate(zoom))))
    images.sum().backward()

    assert all(p.grad is not None for p in zoom.parameters())


NEEDS_GRADIENTS = (
    "zoom must not need gradients in a worker, got 10 parameters that do: the graph cannot leave the process – call "
    "zoom.requires_grad_(False), iterate under torch.no_grad(), or use num_workers=0 or ZoomLoader to train it."
)


@forks
@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_training_in_a_worker_is_refused(context):
    """In a worker, a training zoom is refused unless gradients are disabled."""
    zoom = SaliencySampler(16)
    options = {"batch_size": 4, "num_workers": 1, "multiprocessing_context": context, "timeout": 200}
    loader = DataLoader(tensors(), collate_fn=ZoomCollate(zoom), **options)
    count = sum(1 for _ in zoom.parameters())

    with pytest.raises(ValueError, match=re.escape(NEEDS_GRADIENTS.replace("10", str(count)))):
        next(iter(loader))
    with torch.no_grad():
        check_batches(loader, zoom)


def test_it_pickles(zoom):
    """A pickled copy has all settings, and one that was made without gradients can still train."""
    with torch.no_grad():
        collate = pickle.loads(pickle.dumps(ZoomCollate(SaliencySampler(8), image=1, with_grid=True)))

    images, *_ = collate([(k, image) for image, k in tensors()])[1:]
    assert images.requires_grad
    assert (collate.image, collate.with_grid) == (1, True)


def web_batches(shards, collate, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # webdataset leaves its files to the cycle collector
        batches = list(
            wds.WebLoader(wds.WebDataset(shards, shardshuffle=False), collate_fn=collate, **options)
        )
        gc.collect()
    return batches


@forks
@pytest.mark.parametrize("workers", [0, 2])
def test_inside_webdataset_as_in_the_loader(small_shards, zoom, workers):
    """Over the same shards, webdataset with ZoomCollate delivers ZoomLoader's images, and the other members."""
    fields = ("image", "__key__", "__grid__", "__size__")
    with ZoomLoader(small_shards, zoom, batch_size=13, fields=fields) as loader:
        ((images, keys, grid, size),) = list(loader)
    place = {key: k for k, key in enumerate(keys)}
    collate = ZoomCollate(zoom, with_grid=True)
    batches = web_batches(small_shards, collate, batch_size=4, num_workers=workers)

    assert sorted(key for batch in batches for key in batch["__key__"]) == keys
    for batch in batches:
        at = [place[key] for key in batch["__key__"]]
        assert {"jpg", "cls", "json", "__key__", "__url__", "__grid__", "__size__"} <= set(batch)
        assert batch["cls"] == [str(k).encode() for k in at]
        check_close(batch["jpg"], images[at], 1e-4)
        check_close(batch["__grid__"], grid[at], 1e-4)
        assert torch.equal(batch["__size__"], size[at])


@forks
@pytest.mark.parametrize("workers", [0, 2])
def test_over_shards_in_any_order(small_shards, zoom, workers):
    """Samples of shards, drawn by a sampler of torch's, come with the loader's images and labels."""
    fields = ("image", "cls", "json", "__key__", "__url__")
    with ZoomLoader(small_shards, zoom, batch_size=13, fields=fields) as loader:
        ((images, labels, documents, keys, urls),) = list(loader)
    drawn = [3, 12, 3, 0, 7]
    loader = DataLoader(
        Shards(small_shards), batch_size=5, sampler=drawn, num_workers=workers, collate_fn=ZoomCollate(zoom)
    )
    [batch] = loader

    check_close(batch["jpg"], images[drawn], 1e-4)
    assert torch.equal(batch["cls"], labels[drawn])
    assert batch["__key__"] == [keys[k] for k in drawn]
    assert batch["__url__"] == [urls[k] for k in drawn]
    assert repr(batch["json"]) == repr(join_labels([documents[k] for k in drawn]))


def test_a_shard_with_a_wrong_label(write_shard, zoom):
    """The message names the sample, its shard and the member."""
    shard = write_shard([{"__key__": "a", "jpg": encode(PICTURES[0]), "cls": b"cat"}])
    message = f"samples[0] must hold what the names of its members say, got 'a' of {shard!r}, whose cls is not an integer: b'cat'."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ZoomCollate(zoom)([Shards(shard)[0]])


def test_inside_webdataset_over_decoded_tuples(small_shards, zoom):
    """It works with webdataset's own decoding and batching, as in its tutorials."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        data = wds.WebDataset(small_shards, shardshuffle=False).decode("rgb8").to_tuple("jpg", "cls")
        batches = list(data.batched(5, collation_fn=ZoomCollate(zoom)))
        gc.collect()

    assert [tuple(images.shape) for images, _ in batches] == [(5, 3, 24, 32)] * 2 + [(3, 3, 24, 32)]
    assert [labels.tolist() for _, labels in batches] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12]]


def test_a_zoom_that_asks_for_boxes():
    """A zoom that needs boxes is refused when ZoomCollate is made."""
    message = (
        "zoom must look at images alone, got a SaliencySampler that asks for boxes from 'json:boxes', which a collate_fn "
        "does not read – use ZoomLoader."
    )

    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ZoomCollate(SaliencySampler(8, saliency=BoxSaliency("json:boxes")))
