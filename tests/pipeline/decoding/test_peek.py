"""What ``peek`` reads from headers."""

import pickle
import re

import numpy as np
import PIL
import pytest
import torch
from PIL import Image

from foveal.pipeline import DecodeError, PixelRule, decode, peek
from foveal.pipeline.decoding import _peek
from foveal.pipeline.decoding.headers import without_animation
from foveal.pipeline.fields import encode_array
from tests.pipeline.making import encode, huge, picture


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "PPM"])
def test_what_dali_reads(kind):
    """The size is the stored one, and the file is known to be complete."""
    image = peek(encode(picture(0, 43, 61), kind))

    assert (image.height, image.width, image.by, image.whole) == (43, 61, "dali", True)


OLD_PILLOW = pytest.mark.skipif(
    int(PIL.__version__.split(".")[0]) < 13,
    reason="Pillow before 13 reads no TIFF of YCbCr that is not compressed",
)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("GIF", "P"), pytest.param("TIFF", "YCbCr", marks=OLD_PILLOW), ("JPEG2000", "RGB")],
)
def test_what_is_left_to_pillow(kind, mode):
    """Files that DALI refuses or decodes wrong go to Pillow, and have the right pixels."""
    file = encode(Image.fromarray(picture(0, 43, 61)).convert(mode), kind)
    image = peek(file)

    assert (image.height, image.width, image.by, image.whole) == (43, 61, "pillow", True)
    assert decode([file])[0].shape == (43, 61, 3)


@pytest.mark.parametrize(
    ("mode", "by"), [("RGB", "pillow"), ("L", "pillow"), ("1", "pillow"), ("RGBA", "helper")]
)
def test_a_tiff_is_kept_from_dali(mode, by, monkeypatch):
    """TIFFs are not given to DALI, whose process a damaged one can end: tifffile, Pillow or nvImageCodec read them."""
    file = encode(Image.fromarray(picture(0, 43, 61)).convert(mode), "TIFF")
    there = peek(file)
    monkeypatch.setattr(_peek, "missing", lambda kind: kind.needs)

    assert (there.by, peek(file).by) == ("helper", by)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_one_that_was_cut(kind):
    """A truncated file is not decoded in one batch with others."""
    image = peek(encode(picture(0, 43, 61), kind)[:-20])

    assert image.by == "pillow" or not image.whole


@pytest.mark.parametrize("tail", [b"\0" * 40, b"\r\n"])
def test_padding_is_no_cut(tail):
    """A file with padding at its end is complete."""
    assert peek(encode(picture(0, 43, 61)) + tail).whole


def test_too_many_pixels():
    """An image is refused by its header if it has one pixel more than the limit."""
    file = encode(picture(0, 20, 30))

    assert peek(file, max_pixels=600).height == 20
    message = "image has more pixels than max_pixels=599: 20 × 30 pixels (height × width)"
    with pytest.raises(DecodeError, match=re.escape(message)):
        peek(file, max_pixels=599)
    with pytest.raises(DecodeError, match=re.escape("has more pixels than max_pixels=600: 65535 × 65535")):
        peek(huge(65535, 65535), max_pixels=600)


def test_a_gif_that_is_too_large():
    """The limit also holds for headers that Pillow reads."""
    with pytest.raises(DecodeError, match="has more pixels than max_pixels=10"):
        peek(encode(picture(0, 20, 30), "GIF"), max_pixels=10)


def test_no_image():
    """The error shows the first bytes, which tell an error page from a wrong extension."""
    message = "image is nothing that DALI or Pillow knows: it begins with b'<html><body>503 '"
    with pytest.raises(DecodeError, match=re.escape(message)):
        peek(b"<html><body>503 Slow Down")
    with pytest.raises(DecodeError, match=re.escape("image is empty: 0 bytes")):
        peek(b"")


def test_an_error_pickles():
    """A DecodeError can be pickled."""
    error = pickle.loads(pickle.dumps(DecodeError("is cut: here", 3, "unsupported")))

    assert (error.reason, error.index, str(error)) == ("is cut: here", 3, "image 3 is cut: here")
    assert error.kind == "unsupported"


@pytest.mark.parametrize(
    ("values", "rule", "kind", "reason"),
    [
        (np.zeros((4, 5), np.int16), PixelRule(), "unsupported", "needs a window"),
        (np.full((4, 5), 7, np.float32), PixelRule(), "unsupported", "needs a window"),
        (np.zeros((4, 5, 2), np.uint8), PixelRule(bands=(3, 2, 1)), "unsupported", "has 2 bands"),
        ("PNG", PixelRule(bands=(3, 2, 1)), "unsupported", "has at most 3 bands"),
        (np.zeros((4, 500), np.uint8)[:, :0], PixelRule(), "corrupt", "is no image"),
    ],
)
def test_kinds_of_errors(values, rule, kind, reason):
    """What other settings would read is unsupported, and not corrupt."""
    file = encode(picture(0, 20, 30), values) if isinstance(values, str) else encode_array(values)

    with pytest.raises(DecodeError, match=reason) as caught:
        decode([file], rule=rule)
    assert (caught.value.kind, caught.value.index) == (kind, 0)
    assert pickle.loads(pickle.dumps(caught.value)).kind == kind


def test_an_error_of_one_image_among_several():
    """For one image among several, the error adds its index."""
    error = DecodeError("is large: 9 pixels", kind="too_large").at(3)

    assert (str(error), error.kind) == ("image 3 is large: 9 pixels", "too_large")


def test_an_animation_stands_still():
    """DALI gets only the first frame of an animation."""
    frames = [Image.fromarray(picture(k, 20, 30)) for k in range(3)]
    moving = encode(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert b"acTL" in moving
    image = peek(moving)

    assert (image.by, image.height, image.width) == ("dali", 20, 30)
    assert b"acTL" not in image.file
    assert torch.equal(decode([moving])[0], torch.from_numpy(picture(0, 20, 30).copy()))


@pytest.mark.parametrize("place", [8, -12])
def test_a_png_that_claims_more_than_there_is(place):
    """A small PNG that claims a chunk of 2 GB is not given to DALI."""
    file = bytearray(encode(picture(0, 20, 30), "PNG"))
    start = place % len(file)
    file[start : start + 4] = b"\x7f\xff\xff\xff"

    assert without_animation(bytes(file)) == b""
