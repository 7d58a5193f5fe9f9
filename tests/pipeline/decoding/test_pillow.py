"""Pillow as the last resort."""

import warnings

import numpy as np
import pytest
from PIL import Image

from foveal.pipeline import DecodeError
from foveal.pipeline.decoding._pillow import decode_with_pillow, peek_with_pillow
from tests.pipeline.making import encode, picture


@pytest.fixture
def warned_of() -> bytes:
    """An image that Pillow reads with a warning: a palette's transparency as bytes is lost in RGB."""
    indexed = Image.fromarray(picture(0, 20, 30)).quantize(16)
    return encode(indexed, "PNG", transparency=bytes(range(16)))


def test_warnings_are_no_errors(warned_of):
    """Where the process makes errors of warnings, the image arrives all the same; elsewhere it is for the process to say."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = decode_with_pillow(warned_of).values
    with pytest.warns(UserWarning, match="Palette images with Transparency"):
        again = decode_with_pillow(warned_of).values

    assert np.array_equal(pixels, again)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_upright(orientation):
    """By the EXIF orientation, as DALI's images are."""
    exif = Image.Exif()
    exif[0x112] = orientation
    pixels = decode_with_pillow(encode(picture(0, 20, 30), "PNG", exif=exif.tobytes())).values
    turns = {1: 0, 3: 2, 6: 3, 8: 1}[orientation]

    assert np.array_equal(pixels, np.rot90(picture(0, 20, 30), turns))


def test_an_error_without_words(monkeypatch):
    """Then its kind is named."""

    def broken(*_args, **_options):
        raise KeyError

    monkeypatch.setattr(Image, "open", broken)
    with pytest.raises(DecodeError, match="is broken: Pillow says 'KeyError'"):
        peek_with_pillow(b"x")
