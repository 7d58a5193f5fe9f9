"""Labels are warped with the images in the loader."""

import io
import json
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from foveal.pipeline import Boxes, Mask, Points, WarpedBoxes, ZoomLoader
from foveal.pipeline.fields import ImageBoxes
from foveal.pipeline.fields._warped_boxes import labels_as_tensors
from foveal.sampler import (
    BoxSaliency,
    SaliencySampler,
    SpectralSaliency,
    UniformSampler,
    warp_boxes,
    warp_masks,
    warp_points,
)
from foveal.shards import Shards, ShardWarning
from tests.checks import check_close
from tests.pipeline.making import encode, picture

BOXES, POINTS, MASK = Boxes("json:boxes"), Points("json:face.points"), Mask("mask.png")
FIELDS = ("image", BOXES, POINTS, MASK, "__grid__", "__size__", "__key__", "__valid__")


def labelled(k: int, **other) -> dict:
    """Return a sample with k boxes, k + 1 points (none for k = 0), and a mask of half the resolution."""
    height, width = 60 + 8 * k, 90 + 6 * k
    random = np.random.default_rng(k)
    ends = random.uniform(-5, 1, (k, 2, 2)) + random.uniform(0, 1, (k, 2, 2)) * (width, height)
    points = random.uniform(0, 1, (k + 1 if k else 0, 2)) * (width, height)
    boxes = np.concatenate([ends.min(axis=1), ends.max(axis=1)], axis=1)
    return {
        "__key__": f"{k:03d}",
        "jpg": encode(picture(k, height, width)),
        "json": {"boxes": boxes.tolist(), "face": {"points": points.tolist()}},
        "mask.png": encode(random.integers(0, 5, (height // 2, width // 2), dtype=np.uint8), "PNG"),
        **other,
    }


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


MISFIT = {"mask.png": encode(np.zeros((30, 21), dtype=np.uint8), "PNG")}
BAD = {
    "wrong mask": (
        MISFIT,
        "mask.png has another shape than the image: 30 × 21 on 100 × 120 pixels (height × width)",
    ),
    "no mask": ({"mask.png": b""}, "mask.png is empty: 0 bytes"),
    "no boxes": (
        {"json": {"boxes": "none", "face": {"points": []}}},
        "json boxes is not (n, 4) numbers: 'none'",
    ),
    "exchanged": (
        {"json": {"boxes": [[9, 9, 1, 1]], "face": {"points": []}}},
        "json boxes has exchanged corners, and may need format='xywh': row 0 is [9.0, 9.0, 1.0, 1.0]",
    ),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("on_bad", ["substitute", "drop"])
def test_labels_that_do_not_fit_make_a_bad_sample(write_shard, kind, on_bad):
    """The sample is reported with the reason and replaced or dropped; a substitute has its own labels."""
    content, reason = BAD[kind]
    url = write_shard([labelled(k, **(content if k == 5 else {})) for k in range(13)])
    with (
        ZoomLoader(url, UniformSampler(16), batch_size=4, fields=FIELDS, on_bad=on_bad) as loader,
        pytest.warns(ShardWarning, match="1 bad sample"),
    ):
        batches = list(loader)

    assert [(bad.key, bad.reason) for bad in loader.bad_samples] == [("005", reason)]
    assert sum(len(batch[0]) for batch in batches) == (13 if on_bad == "substitute" else 12)
    for images, (boxes, _), points, masks, grid, size, keys, valid in batches:
        assert "005" not in keys
        assert len(images) == len(boxes) == len(points) == len(masks) == len(valid)
        for place, key in enumerate(keys):
            own = torch.tensor(labelled(int(key))["json"]["face"]["points"]).reshape(-1, 2)
            (expected,) = warp_points([own], grid[place : place + 1], size[place : place + 1])
            check_close(points[place], expected, 1e-4)


@pytest.mark.parametrize("last_batch", ["partial", "pad"])
def test_empty_batches_and_padding(write_shard, last_batch):
    """A rank without samples gets empty lists and tensors; padding has labels, too."""
    url = write_shard([labelled(3)])
    options = {"batch_size": 2, "last_batch": last_batch, "rank": 1, "world_size": 2, "fields": FIELDS}
    with ZoomLoader(url, SaliencySampler(16), **options) as loader:
        ((images, (boxes, kept), points, masks, *_, valid),) = list(loader)

    count = 2 if last_batch == "pad" else 0
    assert len(images) == len(boxes) == len(kept) == len(points) == len(valid) == count
    assert masks.shape == (count, 16, 16)
    assert masks.dtype == torch.int64
    assert [len(p) for p in points] == [4] * count


def test_a_batch_of_which_all_is_dropped(write_shard):
    """If all samples of a batch are dropped, every field is empty."""
    url = write_shard([labelled(k, **(MISFIT if k < 2 else {})) for k in range(4)])
    options = {"batch_size": 2, "on_bad": "drop", "max_bad_fraction": 1.0, "fields": FIELDS}
    with (
        ZoomLoader(url, UniformSampler(16), **options) as loader,
        pytest.warns(ShardWarning, match="2 bad"),
    ):
        first, second = list(loader)

    assert (len(first[0]), first[1], first[2], first[3].shape) == (0, ([], []), [], (0, 16, 16))
    assert [len(points) for points in second[2]] == [3, 4]


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


def test_labels_stay_beside_their_boxes(write_shard):
    """Labels of boxes that leave the image are dropped with them; numbers are tensors, names are lists."""
    away = [500, 0, 600, 9]
    samples = [
        ([[1, 2, 30, 40], away, [9, 9, 20, 20]], [5, 6, 7], ["a", "b", "c"]),
        ([away], [8], ["d"]),
        ([], [], []),
        ([None, [0, 0, 9, 9]], [1, 2], ["e", "f"]),
    ]
    url = write_shard(
        [labelled(k, json={"b": b, "ids": i, "names": n, "s": i}) for k, (b, i, n) in enumerate(samples)]
    )
    field = Boxes("json:b", labels=("ids", "names"))
    with ZoomLoader(url, UniformSampler(16), batch_size=4, fields=("image", field)) as loader:
        ((_, (boxes, kept, labels)),) = list(loader)

    assert [len(each) for each in boxes] == [2, 0, 0, 1]
    assert [each.tolist() for each in kept] == [[0, 2], [], [], [1]]
    assert [each.tolist() for each in labels["ids"]] == [[5, 7], [], [], [2]]
    assert {each.dtype for each in labels["ids"]} == {torch.int64}
    assert labels["names"] == [["a", "c"], [], [], ["f"]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[1, 2], []], [torch.tensor([1, 2]), torch.zeros(0, dtype=torch.int64)]),
        ([[1], [0.5]], [torch.tensor([1.0]), torch.tensor([0.5])]),
        ([[True], []], [torch.tensor([1]), torch.zeros(0, dtype=torch.int64)]),
        ([[1], ["a"]], [[1], ["a"]]),
        ([[1, None]], [[1, None]]),
        ([[2**70]], [[2**70]]),
    ],
)
def test_labels_as_tensors(values, expected):
    """Labels are tensors if all labels of the batch are numbers that fit in 64 bits."""
    found = labels_as_tensors(values, [torch.zeros(len(each), 4) for each in values])

    assert repr(found) == repr(expected)


def test_a_point_that_is_absent_comes_out_as_nan(write_shard):
    """An absent point is NaN at its index, and the other points are unaffected."""
    url = write_shard([labelled(0, json={"p": [[10, 20], None, [50, 30]], "q": [[10, 20], [50, 30]]})])
    zoom = SaliencySampler(16, saliency=SpectralSaliency(), temperature=0.5).requires_grad_(False)
    fields = ("image", Points("json:p"), Points("json:q"))
    with ZoomLoader(url, zoom, batch_size=1, fields=fields) as loader:
        ((_, (points,), (known,)),) = list(loader)

    assert points.isnan().tolist() == [[False] * 2, [True] * 2, [False] * 2]
    assert torch.equal(points[[0, 2]], known)


def test_fractions_are_of_the_upright_image(write_shard):
    """Fractions refer to the upright image, whichever decoder and decoded size."""
    turned = Image.Exif()
    turned[0x0112] = 6
    file = encode(picture(0, 300, 400), exif=turned)
    label = {"boxes": [[0.25, 0.5, 0.5, 1]], "points": [0.25, 0.5]}
    url = write_shard([{"__key__": "a", "jpg": file, "json": label}])
    fields = ("image", Boxes("json:boxes", frame="fraction"), Points("json:points", frame="fraction"))
    for decode in ("dali", "auto"):
        with ZoomLoader(url, UniformSampler((40, 30)), batch_size=1, fields=fields, decode=decode) as loader:
            ((_, ((box,), _), (points,)),) = list(loader)

        check_close(box, [[7.5, 20, 15, 40]], 1e-3)
        check_close(points, [[7.5, 20]], 1e-3)


def test_boxes_in_fractions_guide_a_zoom(write_shard):
    """Boxes in fractions guide a zoom as the same boxes in pixels do; absent ones are left out."""
    pixels = [[20, 30, 50, 60], None]
    label = {"px": pixels, "fr": [[20 / 90, 30 / 60, 50 / 90, 1], None]}
    url = write_shard([labelled(0, json=label)])
    grids = []
    for field in (Boxes("json:px"), Boxes("json:fr", frame="fraction")):
        zoom = SaliencySampler(16, saliency=BoxSaliency(field.source), temperature=1.0)
        with ZoomLoader(url, zoom, batch_size=1, fields=("image", field, "__grid__")) as loader:
            grids.append(next(iter(loader))[2])

    check_close(grids[0], grids[1], 1e-5)
    assert (
        grids[0] - UniformSampler(16)([torch.zeros(60, 90, 3, dtype=torch.uint8)]).grid
    ).abs().max() > 0.01


def test_whole_pixels_stay_whole_where_nothing_is_zoomed(write_shard):
    """Without a zoom at the same size, integer coordinates come out exactly."""
    label = {"boxes": [[6, 8, 36, 28]], "face": {"points": [[7, 11]]}}
    url = write_shard([labelled(0, json=label)])
    with ZoomLoader(url, UniformSampler((60, 90)), batch_size=1, fields=FIELDS) as loader:
        ((_, ((boxes,), _), (points,), *_),) = list(loader)

    assert boxes.tolist() == [[6, 8, 36, 28]]
    assert points.tolist() == [[7, 11]]


def test_boxes_that_rounding_leaves_without_extent(write_shard):
    """A box of which the zoomed image shows less than is rounded away is left out, and so is its number."""
    boxes = [[399.99995, 10, 420, 50], [-9, 10, 4e-5, 50], [10, 299.99995, 50, 310], [399.9, 10, 420, 50]]
    url = write_shard([{"__key__": "0", "jpg": encode(picture(0, 300, 400)), "json": {"boxes": boxes}}])
    with ZoomLoader(url, UniformSampler(224), batch_size=1, fields=("image", BOXES)) as loader:
        [(_, ((found,), (kept,)))] = list(loader)

    assert kept.tolist() == [3]
    check_close(found, torch.tensor([[223.944, 7.4667, 224, 37.3333]]), 1e-3)


@settings(deadline=None)
@given(
    st.sampled_from(["xyxy", "xywh", "cxcywh"]),
    st.sampled_from(["pixel", "fraction"]),
    st.sampled_from([(24, 32), (3, 8000)]),
    st.tuples(*[st.floats(0, 1)] * 2),
    st.tuples(*[st.floats(1e-6, 1e-2)] * 2),
)
def test_boxes_keep_an_extent_where_they_are_written(box_format, frame, size, start, extent):
    """A box that comes out of the zoom, however thin, is read with a width and a height from the file that it is written to."""
    field = Boxes("json:boxes", format=box_format, frame=frame)
    corner = torch.tensor(start, dtype=torch.float64) * torch.tensor(size[::-1])
    box = torch.cat([corner, corner + torch.tensor(extent)]).float()[None]
    stored_ = box if frame == "pixel" else box / torch.tensor([*size[::-1]] * 2)
    grid = torch.nn.functional.affine_grid(torch.eye(2, 3)[None], [1, 1, *size], align_corners=False)
    warped = field.warp([ImageBoxes(stored_, torch.tensor([0]), {})], grid, [size])
    members = {"json": json.dumps({"boxes": [[0, 0, 1, 1]]}).encode()}
    written = field.write(members, field.of_sample(warped, 0), size)
    corners = field.read(written, max_pixels=None).corners

    assert len(corners) == len(warped.boxes[0])
    assert bool((corners[:, 2:] > corners[:, :2]).all())


def test_boxes_and_points_from_far_outside(write_shard):
    """A box of the largest float32 numbers covers the image, and such a point lies outside of it."""
    far = 3e38
    label = {"boxes": [[-far, -far, far, far], [far, 0, far, 9]], "face": {"points": [[far, -far], [3, far]]}}
    url = write_shard([labelled(1, json=label)])
    zoom = SaliencySampler(16, temperature=0.1)
    with torch.no_grad(), ZoomLoader(url, zoom, batch_size=1, fields=FIELDS) as loader:
        ((_, (boxes, kept), points, *_),) = list(loader)

    assert kept[0].tolist() == [0]
    check_close(boxes[0], [[0, 0, 16, 16]], 0)
    assert not (points[0] < 16).logical_and(points[0] > 0).all(dim=1).any()


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
