"""Saliency maps that are stored beside their images: given to a zoom, and delivered as warped labels."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from foveal.pipeline import Augment, Boxes, Saliency, ZoomCollate, ZoomLoader
from foveal.pipeline.fields import MemberError, encode_array
from foveal.sampler import MapSaliency, SaliencySampler, compose
from tests import reference
from tests.checks import check_close
from tests.pipeline.making import encode, picture

ALL = Augment(hflip=0.5, vflip=0.3, crop_scale=(0.2, 0.9), rotate_deg=20)
SIZES = [(60, 90), (80, 50), (64, 64)]


def weights(k, size=(12, 17)):
    """Return numbers that every kind of member can hold: integers up to 255."""
    return np.random.default_rng(k).integers(1, 256, size).astype(np.uint8)


def sample(k, **other):
    height, width = SIZES[k]
    rows = weights(k).tolist()
    return {
        "__key__": f"{k}",
        "png": encode(picture(k, height, width), "PNG"),
        "cls": k,
        "attention.npy": encode_array(weights(k).astype(np.float16)[None]),
        "heat.png": encode(Image.fromarray(weights(k)), "PNG"),
        "gaze.json": json.dumps(rows).encode(),
        "json": {"gaze": {"map": rows}, "fixations": [[0.25 * width, 0.5 * height]]},
        **other,
    }


@pytest.fixture
def url(write_shard):
    return write_shard([sample(k) for k in range(3)])


def doubled(members):
    """A user's function that returns a map."""
    return 2 * np.asarray(json.loads(members["gaze.json"]))


@pytest.mark.parametrize("augment", [None, ALL])
@pytest.mark.parametrize(
    "source", ["attention.npy", "heat.png", "gaze.json", "json:gaze.map", "none.npy;heat.png"]
)
def test_a_zoom_that_asks_for_maps_is_given_them(url, source, augment):
    """A zoom gets the map from the member that it names, of any kind, and warped with augmentation."""
    zoom = SaliencySampler(16, saliency=MapSaliency(source), temperature=0.5)
    maps = [torch.from_numpy(weights(k)).float() for k in range(3)]
    for more in ((), (Saliency(source),)):
        fields = ("png", "__saliency__", "__grid__", "__view__", *more)
        with ZoomLoader(url, zoom, batch_size=3, fields=fields, augment=augment) as loader:
            ((images, saliency, grids, views, *rest),) = list(loader)
        expected = zoom(torch.zeros(3, 3, 80, 120), views=views if augment else None, maps=maps)

        assert len(rest) == len(more)
        assert images.shape == (3, 3, 16, 16)
        check_close(saliency, expected.saliency, 1e-6)
        check_close(grids, expected.grid, 1e-5)


@pytest.mark.parametrize("augment", [None, ALL])
def test_the_batch_has_the_map_as_the_zoomed_image_shows_it(url, augment):
    """The delivered map is read bilinearly at the points of the grid, including views, as by an oracle."""
    zoom = SaliencySampler((12, 20), temperature=0.05)
    fields = ("png", Saliency("attention.npy"), Saliency(doubled), "__grid__")
    with ZoomLoader(url, zoom, batch_size=3, fields=fields, augment=augment) as loader:
        ((_, maps, twice, grids),) = list(loader)

    assert maps.dtype == torch.float32
    for k in range(3):
        expected = reference.bilinear(weights(k)[..., None], grids[k].detach().double().numpy())
        check_close(maps[k], expected[0], 2e-2)
        check_close(twice[k], 2 * expected[0], 4e-2)


def test_a_field_says_how_the_zooms_own_member_is_read(url):
    """If a field says that the member holds points, the zoom gets a map of Gaussians at these points."""
    zoom = SaliencySampler(32, saliency=MapSaliency("json:fixations"))
    gaze = Saliency("json:fixations", kind="points")
    with ZoomLoader(url, zoom, batch_size=3, fields=("png", "__saliency__", gaze)) as loader:
        ((_, saliency, maps),) = list(loader)
    node = torch.linspace(0, 1, 31)

    for each in saliency[:, 0]:
        check_close((each.sum(0) * node).sum(), 0.25, 2e-3)
        check_close((each.sum(1) * node).sum(), 0.5, 2e-3)
    assert maps.shape == (3, 32, 32)


def test_points_have_weights_and_frames(write_shard):
    """Points may be (x, y, weight) and in fractions; without points the image is not zoomed."""
    fixations = {"f": [[0.2, 0.5, 3.0], [0.8, 0.5, 1.0]]}, {"f": []}
    url = write_shard([sample(0, json=fixations[0]), sample(1, json=fixations[1])])
    zoom = SaliencySampler(16, saliency=MapSaliency("json:f"))
    gaze = Saliency("json:f", kind="points", frame="fraction")
    with ZoomLoader(url, zoom, batch_size=2, fields=("png", "__saliency__", gaze)) as loader:
        ((_, saliency, _),) = list(loader)
    left, right = saliency[0, 0, :, :15].sum(), saliency[0, 0, :, 16:].sum()

    assert left / right == pytest.approx(3, rel=0.01)
    check_close(saliency[1], torch.full((1, 31, 31), 1 / 31**2), 1e-8)


@pytest.mark.parametrize(
    ("source", "members", "reason"),
    [
        ("attention.npy", {}, "member is missing: there is no attention.npy"),
        ("attention.npy", {"attention.npy": b"?"}, "attention.npy is not a NumPy array of numbers: b'?'"),
        ("attention.npy", {"attention.npy": encode_array(np.ones(4))}, "no map of rows and columns: its shape is (4,)"),
        ("attention.npy", {"attention.npy": encode_array(np.full((2, 2), np.nan))}, "attention.npy is not finite"),
        ("attention.npy", {"attention.npy": encode_array(-np.ones((2, 2)))}, "attention.npy is negative somewhere: -1.0"),
        ("json:gaze.map", {"json": b'{"gaze": {}}'}, "json gaze.map is missing: there is nothing there"),
        ("gaze.json", {"gaze.json": b"[[1, 2], [3]]"}, "gaze.json is no array of numbers"),
        ("gaze.json", {"gaze.json": b'[["a"]]'}, "gaze.json is no array of real numbers"),
        ("heat.png", {"heat.png": b"?"}, "heat.png"),
    ],
)  # fmt: skip
def test_what_is_no_map_makes_a_bad_sample(write_shard, source, members, reason):
    """A member that is no map makes a bad sample with its reason, and the others are delivered."""
    bad = {name: value for name, value in sample(1).items() if name in ("__key__", "png", "cls")} | members
    url = write_shard([sample(0), bad, sample(2)])
    zoom = SaliencySampler(8, saliency=MapSaliency(source))
    with ZoomLoader(
        url, zoom, batch_size=3, fields=("png", "cls"), on_bad="drop", max_bad_fraction=1.0
    ) as loader:
        with pytest.warns(match="1 bad sample"):
            ((_, labels),) = list(loader)
        [found] = loader.bad_samples

    assert labels.tolist() == [0, 2]
    assert reason in found.reason


@pytest.mark.parametrize("source", ["attention.npy", "gaze.json", "json:gaze.map"])
def test_write_is_the_inverse_of_read(source):
    """A map is written in its original form, and other entries do not change."""
    members = {
        name: value if isinstance(value, bytes) else json.dumps(value).encode()
        for name, value in sample(0).items()
        if name not in ("__key__", "cls")
    }
    field = Saliency(source)
    new = field.of_sample(torch.rand(2, 5, 6), 1)
    written = {**members, **field.write(members, new, (5, 6))}

    check_close(field.read(written, max_pixels=None), new, 1e-6)
    if source == "json:gaze.map":
        assert json.loads(written["json"])["fixations"] == json.loads(members["json"])["fixations"]
    with pytest.raises(ValueError, match="source must be an npy or json member with a map to write one"):
        Saliency("heat.png").write(members, new, (5, 6))


def test_more_cells_than_pixels_are_allowed():
    """A map with too many cells is refused, whatever member holds it."""
    with pytest.raises(
        MemberError, match=re.escape("attention.npy has more cells than max_pixels: (12, 17)")
    ):
        Saliency("attention.npy").read(sample(0), max_pixels=100)


@pytest.mark.parametrize("given", ["npy", "tensor", "rows", "bytes", "image"])
def test_collate_is_given_maps_in_any_form(given):
    """ZoomCollate takes maps in any form and zooms as the sampler does."""
    forms = {
        "npy": lambda k: weights(k).astype(np.float16),
        "tensor": lambda k: torch.from_numpy(weights(k)),
        "rows": lambda k: weights(k).tolist(),
        "bytes": lambda k: encode_array(weights(k)),
        "image": lambda k: Image.fromarray(weights(k)),
    }
    zoom = SaliencySampler(16, saliency=MapSaliency("attention.npy"), temperature=0.5)
    pictures = [picture(k, *SIZES[k]) for k in range(3)]
    samples = [{"image": pictures[k], "cls": k, "attention.npy": forms[given](k)} for k in range(3)]
    batch = ZoomCollate(zoom)(samples)
    expected = zoom(
        [torch.from_numpy(each.copy()) for each in pictures],
        maps=[torch.from_numpy(weights(k)).float() for k in range(3)],
    )

    check_close(batch["image"], expected.images, 1e-5)
    assert "attention.npy" in batch


def test_collate_reads_a_path_in_a_parsed_member():
    """ZoomCollate reads a map at a path in a member that webdataset has parsed."""
    zoom = SaliencySampler(16, saliency=MapSaliency("json:gaze.map"))
    image = picture(0, 60, 90)
    batch = ZoomCollate(zoom)([{"image": image, "json": sample(0)["json"]}])
    expected = zoom([torch.from_numpy(image.copy())], maps=[torch.from_numpy(weights(0)).float()])

    check_close(batch["image"], expected.images, 1e-5)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ((picture(0, 20, 20),), "samples[0] must have the entry 'attention.npy' that the zoom asks for, got [0] – give"),
        ({"image": picture(0, 20, 20), "attention.npy": "x"}, "samples[0] must have a saliency map: attention.npy is no array of real"),
        ({"image": picture(0, 20, 20), "attention.npy": -np.ones((2, 2))}, "samples[0] must have a saliency map: npy is negative"),
    ],
)  # fmt: skip
def test_what_collate_cannot_use(sample, message):
    """The error names the index in the batch."""
    with pytest.raises(ValueError, match=re.escape(message)):
        ZoomCollate(SaliencySampler(8, saliency=MapSaliency("attention.npy")))([sample])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("attention",), "source must be an npy, json or image member, such as 'attention.npy', or a path"),
        (("npy:a",), "source must be an npy, json or image member, such as 'attention.npy', or a path"),
        ((3,), "source must be an npy, json or image member, such as 'attention.npy', or a path"),
    ],
)
def test_messages(arguments, message):
    """Each error names what was given."""
    with pytest.raises(ValueError, match=re.escape(message)):
        Saliency(*arguments)
    with pytest.raises(ValueError, match=re.escape("kind must be one of map, points, got 'dots'.")):
        Saliency("npy", kind="dots")


def test_maps_and_boxes_are_told_apart(url):
    """A zoom that needs a map does not get boxes of the same member."""
    zoom = SaliencySampler(8, saliency=MapSaliency("json:gaze.map"))
    with ZoomLoader(
        url, zoom, batch_size=1, fields=("png", Boxes(lambda _: [[1, 2, 30, 40]]), "__grid__", "__view__")
    ) as loader:
        _, (boxes, _), grid, view = next(iter(loader))

    check_close(compose(view, grid), grid, 0)
    assert boxes[0].shape == (1, 4)
