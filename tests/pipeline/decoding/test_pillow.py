"""Pillow as the last decoder that is tried."""

import threading
import warnings

import numpy as np
import pytest
from PIL import Image

from foveal.pipeline import DecodeError
from foveal.pipeline.decoding._pillow import _FORMATS, decode_with_pillow, peek_with_pillow, read_with_pillow
from foveal.shards.naming import IMAGES
from tests.pipeline.making import encode, picture
from tests.time_limits import HANGS_AFTER_S


@pytest.fixture
def warned_of() -> bytes:
    """Return an image for which Pillow warns: a palette with transparency as bytes."""
    indexed = Image.fromarray(picture(0, 20, 30)).quantize(16)
    return encode(indexed, "PNG", transparency=bytes(range(16)))


def test_warnings_are_no_errors(warned_of):
    """An image is delivered even if the process turns warnings into errors; other warnings are left to the process."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = decode_with_pillow(warned_of).values
    with pytest.warns(UserWarning, match="Palette images with Transparency"):
        again = decode_with_pillow(warned_of).values

    assert np.array_equal(pixels, again)


def test_warnings_of_others_are_not_silenced():
    """While Pillow reads an image whose warnings were errors, a warning from elsewhere is what it was."""
    reads = []

    def read(image):
        reads.append(image.size)
        warnings.warn_explicit("a palette", UserWarning, "Image.py", 1, module="PIL.Image")
        with pytest.raises(UserWarning, match="a bad sample"):
            warnings.warn_explicit("a bad sample", UserWarning, "train.py", 1, module="train")
        return "read"

    assert read_with_pillow(encode(picture(0, 20, 30), "PNG"), read) == "read"
    assert reads == [(30, 20)] * 2


def test_other_threads_keep_their_warnings(warned_of):
    """Whoever begins to record warnings while a thread reads such an image, and goes on when it has read, records them all."""
    reading, go_on, sizes = threading.Event(), threading.Event(), []

    def read(image):
        warnings.warn_explicit("a palette", UserWarning, "Image.py", 1, module="PIL.Image")
        reading.set()
        assert go_on.wait(HANGS_AFTER_S)
        sizes.append(image.size)

    def warn_after_it():
        go_on.set()
        thread.join()
        warnings.warn_explicit("a bad sample", UserWarning, "train.py", 1, module="train")

    thread = threading.Thread(target=read_with_pillow, args=(warned_of, read))
    thread.start()
    assert reading.wait(HANGS_AFTER_S)
    with pytest.warns(UserWarning, match="a bad sample"):
        warn_after_it()
    with pytest.raises(UserWarning, match="a palette"):
        warnings.warn_explicit("a palette", UserWarning, "Image.py", 1, module="PIL.Image")

    assert sizes == [(30, 20)]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_upright(orientation):
    """Images are rotated upright by EXIF, as DALI's are."""
    exif = Image.Exif()
    exif[0x112] = orientation
    pixels = decode_with_pillow(encode(picture(0, 20, 30), "PNG", exif=exif.tobytes())).values
    turns = {1: 0, 3: 2, 6: 3, 8: 1}[orientation]

    assert np.array_equal(pixels, np.rot90(picture(0, 20, 30), turns))


def test_an_error_without_words(monkeypatch):
    """For an exception without a message, the reason is the name of its class."""

    def broken(*_args, **_options):
        raise KeyError

    monkeypatch.setattr(Image, "open", broken)
    with pytest.raises(DecodeError, match="is broken: Pillow says 'KeyError'"):
        peek_with_pillow(b"x")


def test_extensions():
    """Files of every extension that Pillow knows for the formats that are read count as images."""
    known = Image.registered_extensions()
    extensions = {extension.removeprefix(".") for extension, kind in known.items() if kind in _FORMATS}

    assert "apng" in extensions
    assert extensions <= IMAGES
