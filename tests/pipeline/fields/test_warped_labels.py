"""Labels are warped with the images in the loader."""

import io
import json
import weakref

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from foveal.pipeline import Mask, WarpedBoxes, ZoomLoader
from foveal.sampler import (
    SaliencySampler,
    SpectralSaliency,
    UniformSampler,
    warp_boxes,
    warp_masks,
    warp_points,
)
from foveal.shards import Shards
from tests.checks import check_close
from tests.pipeline.fields.labelled import BOXES, FIELDS, MASK, labelled
from tests.pipeline.making import encode


@pytest.fixture
def labelled_shard(write_shard) -> str:
    """Return a shard of 13 labelled samples, which are two micro-batches."""
    return write_shard([labelled(k) for k in range(13)])


def stored(url) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Return boxes, points and masks as json and Pillow read them."""
    samples = []
    with Shards(url) as shards:
        for sample in shards:
            label = json.loads(sample.members["json"])
            mask = np.array(Image.open(io.BytesIO(sample.members["mask.png"])))
            boxes = torch.tensor(label["boxes"]).reshape(-1, 4)
            points = torch.tensor(label["face"]["points"]).reshape(-1, 2)
            samples.append((boxes, points, torch.from_numpy(mask)))
    return samples


def check_lists(actual, expected, tolerance=1e-4):
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        assert one.dtype == torch.float32
        check_close(one, other, tolerance)


@pytest.mark.parametrize("train", [False, True])
def test_labels_are_what_the_functions_make_of_them(labelled_shard, train):
    """Labels equal those of the warping functions with the batch's grid and size, and carry no graph."""
    zoom = SaliencySampler((24, 32), temperature=0.2).requires_grad_(train)
    boxes, points, masks = zip(*stored(labelled_shard), strict=True)
    with ZoomLoader(labelled_shard, zoom, batch_size=13, fields=FIELDS, num_threads=3) as loader:
        ((images, warped, moved, seen, grid, size, keys, _),) = list(loader)

    assert keys == [f"{k:03d}" for k in range(13)]
    assert images.requires_grad == train
    expected, kept = warp_boxes(boxes, grid, size)
    assert isinstance(warped, WarpedBoxes)
    check_lists(warped.boxes, expected)
    assert [k.tolist() for k in warped.kept] == [k.tolist() for k in kept]
    check_lists(moved, warp_points(points, grid, size))
    assert seen.dtype == torch.int64
    assert torch.equal(seen, warp_masks(masks, grid.detach()).long())
    assert not any(t.requires_grad for t in [*warped.boxes, *moved, seen])


def test_without_a_zoom_labels_are_scaled(labelled_shard):
    """For a uniform resize, coordinates are scaled, and ids are those of the pixel under each centre."""
    with ZoomLoader(labelled_shard, UniformSampler((24, 32)), batch_size=5, fields=FIELDS) as loader:
        batches = list(loader)
    samples = iter(stored(labelled_shard))

    for images, (warped, kept), moved, seen, _grid, size, _, _ in batches:
        assert images.shape[0] == len(warped) == len(kept) == len(moved) == len(seen)
        for place, (height, width) in enumerate(size.tolist()):
            boxes, points, mask = next(samples)
            scale = torch.tensor([32 / width, 24 / height])
            clipped = (boxes * scale.repeat(2)).clamp(min=0).minimum(torch.tensor([32.0, 24, 32, 24]))
            rows = ((np.arange(24) + 0.5) / 24 * mask.shape[0]).astype(int)
            cols = ((np.arange(32) + 0.5) / 32 * mask.shape[1]).astype(int)
            left = ((clipped[:, 2:] - clipped[:, :2]) > 0).all(dim=1).nonzero()[:, 0]

            assert kept[place].tolist() == left.tolist()
            check_close(warped[place], clipped[left], 1e-3)
            check_close(moved[place], points * scale, 1e-3)
            assert np.array_equal(seen[place].numpy(), mask.numpy()[np.ix_(rows, cols)])


def test_the_frame_is_the_upright_original(write_shard):
    """For a photograph that is stored rotated, labels are in the frame of the upright image."""
    upright = np.zeros((90, 60, 3), dtype=np.uint8)
    upright[10:40, 30:50] = 255
    turned = Image.Exif()
    turned[0x0112] = 6  # to be shown turned clockwise
    url = write_shard(
        [
            {
                "__key__": "a",
                "jpg": encode(np.rot90(upright).copy(), exif=turned, quality=100, subsampling=0),
                "json": {"boxes": [[30, 10, 50, 40]]},
                "mask.png": encode(upright[..., 0] // 255, "PNG"),
            }
        ]
    )
    with ZoomLoader(url, UniformSampler((180, 60)), batch_size=1, fields=("image", BOXES, MASK)) as loader:
        ((image, (boxes, _), mask),) = list(loader)

    check_close(boxes[0], [[30, 20, 50, 80]], 1e-3)
    assert torch.equal(image[0, 0] > 0.5, mask[0] == 1)


def test_masks_of_full_resolution_are_released(labelled_shard, monkeypatch):
    """When a batch is delivered, none of its full-resolution masks is in memory."""
    seen: list[weakref.ref] = []

    def watched(self, members, *, max_pixels):
        ids = read(self, members, max_pixels=max_pixels)
        seen.append(weakref.ref(ids))
        return ids

    read = Mask.read
    monkeypatch.setattr(Mask, "read", watched)
    with ZoomLoader(labelled_shard, SaliencySampler(16), batch_size=13, fields=("image", MASK)) as loader:
        epoch = iter(loader)
        batch = next(epoch)

        assert batch[1].shape == (13, 16, 16)
        assert [ref() for ref in seen] == [None] * 13


def test_coins(data_dir):
    """Boxes of real photographs, some stored rotated, are the warped ones of the json, each with its coin's label."""
    urls = str(data_dir / "coins" / "coins-000000.tar")
    zoom = SaliencySampler((224, 224), saliency=SpectralSaliency(), temperature=0.5)
    fields = ("image", BOXES, "json", "__grid__", "__size__")
    with ZoomLoader(urls, zoom, batch_size=4, fields=fields, prefetch_factor=1) as loader:
        _, (boxes, kept), labels, grid, size = next(iter(loader))
    with Shards(urls) as shards:
        orientations = {
            Image.open(io.BytesIO(shards[k].members["jpg"])).getexif().get(0x0112) for k in range(4)
        }
        upright = [
            ImageOps.exif_transpose(Image.open(io.BytesIO(shards[k].members["jpg"]))).size for k in range(4)
        ]

    assert len(orientations) > 1
    assert size.tolist() == [[height, width] for width, height in upright]
    expected, indices = warp_boxes([torch.tensor(label["boxes"]) for label in labels], grid, size)
    check_lists(boxes, expected)
    assert [k.tolist() for k in kept] == [k.tolist() for k in indices]
    assert [len(label["labels"]) for label in labels] == [len(b) for b in boxes]


def test_roads(data_dir):
    """Masks of real photographs have their two ids only, and cracks where the grid reads cracks."""
    urls = str(data_dir / "roads" / "roads-000000.tar")
    zoom = SaliencySampler((160, 256), saliency=SpectralSaliency(), temperature=0.5)
    with ZoomLoader(urls, zoom, batch_size=6, fields=("image", Mask("crack.png"), "__grid__")) as loader:
        _, cracks, grid = next(iter(loader))
    with Shards(urls) as shards:
        files = [shards[k].members["crack.png"] for k in range(6)]
    stored_ids = [torch.from_numpy(np.array(Image.open(io.BytesIO(file)).convert("L"))) for file in files]

    assert set(cracks.unique().tolist()) == {0, 255}
    assert torch.equal(cracks, warp_masks(stored_ids, grid).long())


@pytest.mark.gpu
def test_labels_end_on_the_images_device(labelled_shard):
    """Labels are on the device of the images, and equal those of the CPU."""
    zoom = SaliencySampler(24).cuda()
    with torch.no_grad(), ZoomLoader(labelled_shard, zoom, batch_size=13, fields=FIELDS) as loader:
        ((_, warped, moved, seen, grid, size, *_),) = list(loader)
    boxes, points, masks = zip(*stored(labelled_shard), strict=True)

    assert {t.device.type for t in [*warped.boxes, *warped.kept, *moved, seen]} == {"cuda"}
    check_lists(warped.boxes, warp_boxes(boxes, grid.cpu(), size)[0], 1e-3)
    check_lists(moved, warp_points(points, grid.cpu(), size), 1e-3)
    assert torch.equal(seen.cpu(), warp_masks(masks, grid.cpu()).long())
