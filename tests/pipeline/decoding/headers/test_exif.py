"""EXIF orientation, read as DALI reads it."""

import io
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from foveal.pipeline import Decoder, decode, peek
from foveal.pipeline.decoding.headers import orientation_of, read_jpeg_header, turns_sideways, upright
from tests.pipeline.making import encode, picture

PIXELS = picture(0, 16, 24)
PLAIN = encode(PIXELS)


def exif_blocks(jpeg: bytes) -> list[bytes] | None:
    header = read_jpeg_header(jpeg)
    return None if header is None else list(header.exif)


def tiff(
    value: int, *, order: str = "<", kind: int = 3, count: int = 1, directory: int = 8, tags: int = 1
) -> bytes:
    """Return a TIFF structure that states an orientation this many times."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    number = struct.pack(order + "H", value) + b"\0\0" if kind == 3 else struct.pack(order + "I", value)
    entry = struct.pack(order + "HHI", 0x0112, kind, count) + number
    head = mark + struct.pack(order + "I", directory) + bytes(directory - 8)
    return head + struct.pack(order + "H", tags) + entry * tags + bytes(4)


def segment(block: bytes, head: bytes = b"Exif\0\0") -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(head) + len(block) + 2) + head + block


def with_segments(*segments: bytes) -> bytes:
    return PLAIN[:2] + b"".join(segments) + PLAIN[2:]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 300])
def test_every_orientation(order, value):
    """Images are rotated upright as DALI rotates them; orientation numbers without a meaning change nothing."""
    jpeg = with_segments(segment(tiff(value, order=order)))
    (block,) = exif_blocks(jpeg)
    stated = orientation_of(block)
    raw = np.ascontiguousarray(decode([PLAIN])[0].numpy())

    turned = np.ascontiguousarray(upright(raw.view("V3")[..., 0], stated)).view(np.uint8)

    expected = decode([jpeg])[0].numpy()
    assert np.array_equal(turned.reshape(expected.shape), expected)
    assert turns_sideways(stated) == (expected.shape[:2] == (24, 16))


@pytest.mark.parametrize(
    "block",
    [
        tiff(6, kind=4),
        tiff(6, kind=4, order=">"),
        tiff(6, kind=1),
        tiff(6, count=2),
        tiff(6, count=0),
        tiff(6, tags=2),
        tiff(6)[:15],
        tiff(6)[:20],
        tiff(6).replace(b"II*", b"II+"),
        tiff(6)[:4] + struct.pack("<I", 5000) + tiff(6)[8:],
        b"",
    ],
)
def test_odd_blocks_are_left_to_dali(block):
    """For an unusual or cut EXIF block no orientation is returned, because decoders disagree about it."""
    assert orientation_of(block) is None


def test_a_block_without_an_orientation():
    """A block without an orientation means upright; an orientation in a later directory is found."""
    assert orientation_of(tiff(6, tags=0)) == 1
    assert orientation_of(tiff(6, directory=12)) == 6


def test_where_blocks_are_found():
    """EXIF blocks are found in any segment before the first scan, also after fill bytes."""
    assert exif_blocks(PLAIN) == []
    assert exif_blocks(with_segments(segment(b"one"), segment(b"not", b"http\0"), segment(b"two"))) == [
        b"one",
        b"two",
    ]
    assert exif_blocks(with_segments(b"\xff\xff" + segment(b"filled"))) == [b"filled"]
    assert exif_blocks(PLAIN[:-2] + segment(b"late") + PLAIN[-2:]) == []


@given(st.binary(max_size=300), st.integers(0, 20))
def test_headers_of_any_content(junk, at):
    """Any header gives a list of blocks, or None if it is damaged; nothing is raised."""
    exif_blocks(PLAIN[: 2 + at] + junk)
    blocks = exif_blocks(with_segments(segment(junk)))
    assert blocks == [junk]
    assert orientation_of(junk) in {None, *range(1, 9)}


@pytest.mark.parametrize(
    "damaged",
    [
        b"\xff\xd8",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe1\0",
        b"\xff\xd8junk",
        b"\xff\xd8\xff\xe1\0\1",
        b"\xff\xd8\xff\xd9",
    ],
)
def test_headers_that_are_not_as_they_should_be(damaged):
    """A damaged header gives None."""
    assert exif_blocks(damaged) is None


@pytest.mark.parametrize(("first", "second"), [(6, 3), (3, 6), (6, 1), (1, 8)])
def test_two_blocks_go_to_pillow(first, second):
    """A file with two EXIF blocks goes to Pillow: DALI's parsers read different blocks, and its decoder can crash."""
    jpeg = with_segments(segment(tiff(first)), segment(tiff(second)))
    image = peek(jpeg)

    assert image.by == "pillow"
    with Decoder() as decoder:
        (pixels,) = decoder.start([image]).pixels()
    assert np.array_equal(pixels.numpy(), np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(jpeg)))))


@pytest.mark.slow
def test_dali_still_needs_that():
    """DALI still crashes on such a file or decodes it wrong; if this test fails, Pillow is no longer needed for it."""
    jpeg = with_segments(segment(tiff(6)), segment(tiff(3)))
    code = (
        "import sys; import nvidia.dali.experimental.dynamic as ndd, numpy as np;"
        "file = np.frombuffer(sys.stdin.buffer.read(), np.uint8);"
        "print(ndd.decoders.image(ndd.batch([file]), device='cpu').evaluate().shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=jpeg, capture_output=True, check=False)
    assert done.returncode != 0
