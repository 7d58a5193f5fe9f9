"""Masks and maps have the values that their files store, also where decoders for photographs scale or invert them.

All files are written byte by byte here, but for JPEG 2000.
"""

import re
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.pipeline import Mask, Saliency
from foveal.pipeline.fields import MemberError

SHORT = 3


def stored(extension, content, **options):
    """Return the class ids that a mask reads, after a check that they are of a type that torch can index."""
    label = Mask(extension, **options).read({extension: content}, max_pixels=9999)
    assert label.dtype in (torch.uint8, torch.int32, torch.int64)
    return label.tolist()


def packed(values, bits):
    """Return the rows of an array, with this many bits for each value, the highest first."""
    every = np.unpackbits(values.astype(np.uint8)[..., None], axis=-1)[..., 8 - bits :]
    return np.packbits(every.reshape(len(values), -1), axis=1).tobytes()


def tiff(values, *, bits=None, photometric=1, order="<", compressed=False, orientation=1):
    """Return a TIFF of one strip; it has integers of few bits, or what NumPy has."""
    height, width, bands = (*values.shape, 1)[:3]
    data = (
        packed(values, bits)
        if bits and bits < 8
        else values.astype(values.dtype.newbyteorder(order)).tobytes()
    )
    data = zlib.compress(data) if compressed else data
    data += b"\0" * (len(data) % 2)
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    tags = {
        256: width, 257: height, 258: bits or 8 * values.itemsize, 259: 8 if compressed else 1, 262: photometric, 273: 8,
        274: orientation, 277: bands, 278: height, 279: len(data), 339: kind,
    }  # fmt: skip
    entries = b"".join(struct.pack(f"{order}HHIHH", tag, SHORT, 1, value, 0) for tag, value in tags.items())
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8 + len(data))
    return head + data + struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", 0)


@settings(deadline=None)
@given(st.integers(1, 65535), st.booleans(), st.data())
def test_ids_of_a_pgm_whatever_its_maximum(maximum, text, data):
    """Ids are the numbers in the file; they are not scaled to the maximum that it states."""
    row = data.draw(st.lists(st.integers(0, maximum), min_size=1, max_size=9))
    head = b"%s\n# c\n%d 1\n%d\n" % (b"P2" if text else b"P5", len(row), maximum)
    pixels = b" ".join(b"%d" % each for each in row)
    if not text:
        pixels = np.array(row, np.uint8 if maximum < 256 else ">u2").tobytes()

    assert stored("pgm", head + pixels) == [row]
    assert Saliency("pgm").read({"pgm": head + pixels}, max_pixels=None).tolist() == [row]


@pytest.mark.parametrize("content", [b"P1 4 2\n0 1 1 0\n1 0 0 1\n", b"P4 4 2\n\x60\x90"])
def test_ids_of_a_bitmap(content):
    """The bits of a PBM, of which 1 is black, are the ids."""
    assert stored("pbm", content) == [[0, 1, 1, 0], [1, 0, 0, 1]]


def test_colours_of_a_ppm():
    """Colours of a PPM are named by the numbers in the file."""
    content = b"P6 2 1 7\n" + bytes([0, 0, 7, 7, 3, 0])

    assert stored("ppm", content, palette=[(7, 3, 0), (0, 0, 7)]) == [[1, 0]]


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("photometric", [0, 1], ids=["0 is white", "0 is black"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compressed", [False, True])
def test_ids_of_a_tiff_of_any_depth(bits, photometric, order, compressed):
    """Ids are the numbers in the file, whatever their bits and whichever of them is white."""
    ids = np.array(
        [[0, 2**bits - 1, 1, 0, 1], [1, 2**bits // 2, 0, 1, 0]], np.uint16 if bits > 8 else np.uint8
    )
    content = tiff(ids, bits=bits, photometric=photometric, order=order, compressed=compressed)

    assert stored("tif", content) == ids.tolist()
    assert Saliency("tif").read({"tif": content}, max_pixels=None).tolist() == ids.tolist()


@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "u4", "f2", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compressed", [False, True])
def test_ids_of_a_tiff_of_any_type(kind, order, compressed):
    """Negative ids, large ones and those stored as floating point are the numbers in the file, in either order of bytes."""
    low, high = (np.iinfo(kind).min, np.iinfo(kind).max) if kind[0] in "iu" else (-2048, 2048)
    ids = np.array([[low, high, 1], [0, 2, 3]], kind)

    assert stored("tif", tiff(ids, order=order, compressed=compressed)) == ids.tolist()


def test_a_tiff_is_upright():
    """The orientation of a mask is applied, also if it is of a type that Pillow would not read right."""
    ids = np.array([[-1, 2, 3], [4, 5, 6]], np.int8)

    assert stored("tif", tiff(ids, orientation=6)) == [[4, -1], [5, 2], [6, 3]]


@pytest.mark.parametrize("bits", [1, 3, 4, 8, 10, 12, 16])
def test_ids_of_a_jpeg_2000_of_any_depth(bits):
    """Ids are the numbers that were encoded, whatever their bits."""
    ids = np.random.default_rng(0).integers(0, 2**bits, (8, 9)).astype(np.uint16 if bits > 8 else np.uint8)
    content = imagecodecs.jpeg2k_encode(ids, level=0, bitspersample=bits, codecformat="jp2")

    assert stored("jp2", content) == ids.tolist()


DEEP = np.arange(18).reshape(2, 3, 3).astype(np.uint16)
SIGNED = imagecodecs.jpeg2k_encode(np.arange(64, dtype=np.int16).reshape(8, 8), level=0, codecformat="jp2")


@pytest.mark.parametrize(
    ("extension", "content", "reason"),
    [
        ("pgm", b"P5 4 1 0\n1234", "is broken: its header makes no sense"),
        ("pgm", b"P5 4 1 7\n123", "is cut: 12 bytes, and its header says 13"),
        ("pgm", b"P5 999 999 7\n123", "has more pixels than max_pixels=9999: 999 × 999 pixels (height × width)"),
        ("ppm", b"P6 1 1 1000\n123456", "holds no class ids: it has several channels of 16 bits"),
        ("tif", tiff(np.zeros((200, 200), np.int8)), "has more pixels than max_pixels=9999: 200 × 200 pixels (height × width)"),
        ("tif", tiff(np.arange(4, dtype=np.uint64)[None]), "holds no class ids that can be read exactly: uint64 – store it as PNG or npy"),
        ("tif", tiff(DEEP, photometric=2), "holds no class ids: it has several channels of 16 bits"),
        ("jp2", SIGNED, "holds no class ids that can be read exactly: JPEG 2000 of signed numbers – store it as PNG or npy"),
    ],
)  # fmt: skip
def test_files_whose_values_cannot_be_kept(extension, content, reason):
    """A file that cannot be read exactly makes a bad sample, with the reason."""
    with pytest.raises(MemberError, match=f"^{re.escape(f'{extension} {reason}')}$"):
        stored(extension, content)


def test_a_mask_that_needs_the_extra(monkeypatch):
    """A mask that another package would read is unsupported: a quarantine does not keep it for ever."""
    monkeypatch.setattr("foveal.pipeline.decoding._stored_values.missing", lambda kind: kind.needs)

    with pytest.raises(MemberError, match=r"needs the extra foveal\[formats\]: TIFF of int8") as caught:
        stored("tif", tiff(np.zeros((4, 5), np.int8)))
    assert caught.value.kind == "unsupported"
