"""What ``ZoomCollate`` joins to a batch as torch does, what it leaves a list, and what it refuses."""

import io
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate

from foveal.pipeline import ZoomCollate
from foveal.pipeline._zoom_collate import join_labels
from tests.pipeline.making import encode, picture


@pytest.mark.parametrize(
    "values",
    [
        [1, 2],
        [1.5, 2.0],
        [np.float32(1), np.float32(2)],
        ["a", "b"],
        [b"a", b"b"],
        [torch.zeros(2, 3), torch.ones(2, 3)],
        [(1, "a"), (2, "b")],
        [{"a": 1, "b": np.zeros(2)}, {"a": 2, "b": np.ones(2)}],
        [[{"id": 1}, {"id": 2}], [{"id": 3}, {"id": 4}]],
    ],
)
def test_labels_are_joined_as_torch_does(values):
    """Labels have the types and values of torch's default_collate."""
    assert repr(join_labels(values)) == repr(default_collate(values))


@pytest.mark.parametrize(
    "values",
    [
        [None, None],
        [torch.zeros(2, 4), torch.zeros(3, 4)],
        [np.zeros((0, 4)), np.zeros((3, 4))],
        [[1, 2], [3]],
        [{"a": 1}, {"b": 2}],
        [[{"id": 1, "iscrowd": 0}], [{"id": 2}]],
        [[{"id": 1}], [{"id": 2, "iscrowd": 1}]],
        [[{"counts": "x"}], [[1.0, 2.0]]],
        [[(1, {"a": {"x": 1}})], [(2, {"a": {"y": 1}})]],
        [np.arange(4.0)[::-1], np.arange(4.0)[::-1]],
        [np.arange(3, dtype=">f4"), np.arange(3, dtype=">f4")],
        [2**70, 1],
        [object(), object()],
    ],
)
def test_what_torch_cannot_join_stays_a_list(values):
    """What default_collate refuses is a list of the same objects; in dicts, entry by entry."""
    joined = join_labels([{"ragged": value, "id": k} for k, value in enumerate(values)])

    assert join_labels(values) is values
    assert all(a is b for a, b in zip(joined["ragged"], values, strict=True))
    assert joined["id"].tolist() == [0, 1]


IMAGE = torch.zeros(4, 5, 3, dtype=torch.uint8)
PNG = encode(picture(0, 9, 9), "PNG")
UNLIKE = (
    "samples[1] must have the entries of the first, [0, 1], got [0] – give them common names, as webdataset's "
    "rename does."
)


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        ([], ValueError, "samples must be at least one, got []."),
        (
            [(IMAGE,), IMAGE],
            TypeError,
            "samples[1] must be a tuple, a dict or a Sample of Shards, got Tensor – return (image,) for an image alone.",
        ),
        (
            [(IMAGE, 1), (IMAGE,)],
            ValueError,
            UNLIKE,
        ),
        ([{"photo": IMAGE}], ValueError, "image must be an entry of the samples, got None for ['photo']."),
        (
            [(IMAGE,), ("a.jpg",)],
            TypeError,
            "images[1] must be a tensor or array, a PIL image or an encoded file, got str.",
        ),
        (
            [(IMAGE,), (IMAGE.float() + 7,)],
            TypeError,
            ("images[1] must be a readable image, got one that needs a window: its samples lie in [7, 7], outside [0, 1] – "
            "pass window=(low, high) or 'auto', or --window low:high."),
        ),
        (
            [(IMAGE.numpy().astype(np.int32),)],
            TypeError,
            ("images[0] must be a readable image, got one that needs a window: its samples are int32, of which the header "
            "does not say what is white – pass window=(low, high) or 'auto', or --window low:high."),
        ),
        ([(IMAGE.to(torch.complex64),)], TypeError, "images[0] must hold numbers, got complex64."),
        (
            [(IMAGE,), (IMAGE[..., 0, 0],)],
            ValueError,
            "images[1] must be (height, width, 3) or (3, height, width), got shape (4,) – convert it to RGB, or give it as (height, width, bands) and pass bands.",
        ),
        (
            [(IMAGE[..., :2],)],
            ValueError,
            ("images[0] must be (height, width, 3) or (3, height, width), got shape (4, 5, 2) – convert it to RGB, or give "
            "it as (height, width, bands) and pass bands."),
        ),
        ([(IMAGE[:0],)], ValueError, "images[0] must have pixels, got shape (0, 5, 3)."),
        (
            [(IMAGE,)] * 9 + [(b"",)],
            ValueError,
            "images[9] must be a readable image, got one that is empty: 0 bytes.",
        ),
        (
            [(IMAGE,)] * 9 + [(PNG,), (PNG[:60],)],
            ValueError,
            "images[10] must be a readable image, got one that is ",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_joined(zoom, samples, error, message):
    """The error names the index in the batch."""
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        ZoomCollate(zoom)(samples)


def test_jpegs_that_are_cut(zoom):
    """For a truncated JPEG, the error names the index in the whole batch, not that in the micro-batch."""
    cut = encode(picture(0, 400, 600), quality=95)[:9000]
    samples = [(IMAGE,), (encode(picture(0, 9, 9)),), (IMAGE,)]
    with pytest.raises(ValueError, match=r"^images\[3\] must be a readable image, got one that is cut: "):
        ZoomCollate(zoom)([*samples, (cut,)])
    message = r"^images\[3\] must be a readable image, got one that is cut: "
    with Image.open(io.BytesIO(cut)) as opened, pytest.raises(ValueError, match=message):
        ZoomCollate(zoom)([*samples, (opened,)])


def test_a_zoom_that_is_none():
    """Something that is not a zoom is refused at once."""
    message = "zoom must be a sampler module, got 224 – for example SaliencySampler(224)."
    with pytest.raises(TypeError, match=re.escape(message)):
        ZoomCollate(224)
