"""Masks as pictures and arrays, as tools write them, are read, and written back. test_mask_shapes.py has the other forms."""

import io
import pickle
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from PIL import Image

from foveal.pipeline import Mask
from foveal.pipeline.fields import MemberError
from tests.pipeline.fields.mask_files import IDS, SIZE, seen
from tests.pipeline.making import encode, npy, png

COLOURS = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (224, 224, 192)]


def coloured(ids=IDS, colours=COLOURS) -> np.ndarray:
    return np.array(colours, np.uint8)[ids]


def palette_png(ids=IDS) -> bytes:
    image = Image.frombytes("P", ids.shape[::-1], ids.tobytes())
    image.putpalette(np.array(COLOURS, np.uint8).tobytes())
    return encode(image, "PNG")


with_alpha = np.dstack([coloured(), np.full(SIZE, 255, np.uint8)])
PICTURES = {
    "palette": (Mask("png"), palette_png(), IDS),
    "palette by its colours": (Mask("png", palette=COLOURS[::-1]), palette_png(), 3 - IDS),
    "colours": (Mask("png", palette=COLOURS), encode(coloured(), "PNG"), IDS),
    "colours, mapped": (
        Mask("png", palette={c: (7, 7, 300, 255)[k] for k, c in enumerate(COLOURS)}),
        encode(coloured(), "PNG"),
        np.array([7, 7, 300, 255])[IDS],
    ),
    "colours with alpha": (Mask("png", palette=COLOURS), encode(with_alpha, "PNG"), IDS),
    "grey in a file of colours": (Mask("png"), encode(np.dstack([IDS] * 3), "PNG"), IDS),
    "grey with alpha": (
        Mask("png"),
        encode(Image.fromarray(np.dstack([IDS, np.full_like(IDS, 255)]), "LA"), "PNG"),
        IDS,
    ),
    "grey values": (Mask("png", palette=(0, 255)), encode((IDS > 0) * np.uint8(255), "PNG"), IDS > 0),
    "255 is ignored": (Mask("png"), encode(np.where(IDS == 3, 255, IDS).astype(np.uint8), "PNG"), np.where(IDS == 3, 255, IDS)),
    "16 bits": (Mask("png"), encode(IDS.astype(np.uint16) * 1000, "PNG"), IDS.astype(int) * 1000),
    "32 bits": (Mask("tif"), encode(IDS.astype(np.int32) * 70000, "TIFF"), IDS.astype(int) * 70000),
    "floating point": (Mask("tif"), encode(IDS.astype(np.float32) * 7, "TIFF"), IDS * 7),
    "lossless WebP": (Mask("webp", palette=COLOURS), encode(coloured(), "WEBP", lossless=True), IDS),
    "panoptic": (
        Mask("png", palette="panoptic"),
        encode(np.dstack([IDS, IDS * 2, IDS * 3]), "PNG"),
        IDS.astype(int) * (1 + 2 * 256 + 3 * 65536),
    ),
    "array": (Mask("npy"), npy(IDS.astype(np.int64)), IDS),
    "array of truths": (Mask("npy"), npy(IDS > 1), IDS > 1),
    "array with an axis of length one": (Mask("npy"), npy(IDS[None].astype(np.float64)), IDS),
    "array with -1 where nothing is known": (Mask("npy"), npy(IDS.astype(np.int16) - 1), IDS.astype(int) - 1),
    "array of colours": (Mask("npy", palette=COLOURS), npy(coloured()), IDS),
    "array of large ids": (Mask("npy"), npy(IDS.astype(np.int64) << 40), IDS.astype(int) << 40),
    "array of uint16": (Mask("npy"), npy(IDS.astype(np.uint16) * 20000), IDS.astype(int) * 20000),
    "array of uint32": (Mask("npy"), npy(IDS.astype(np.uint32) << 30), IDS.astype(int) << 30),
    "array of the other order of bytes": (Mask("npy"), npy(IDS.astype(">i4") * 999), IDS.astype(int) * 999),
    "array that lies upside down": (Mask(lambda members: np.frombuffer(IDS.tobytes(), np.uint8).reshape(SIZE)[::-1]), b"", IDS[::-1]),
    "own reader": (Mask(lambda members: torch.from_numpy(IDS)), b"", IDS),
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_masks_of_pixels_are_read(name):
    """Each id is where it was drawn and nowhere else."""
    field, content, ids = PICTURES[name]

    assert np.array_equal(seen(field, content), ids)


WRITTEN = [name for name, (field, _, _) in PICTURES.items() if field.extensions in (("png",), ("npy",))]


@pytest.mark.parametrize("name", WRITTEN)
def test_masks_of_pixels_are_written_back(name):
    """A zoomed mask is written in its original form and reads back equal; palettes are kept."""
    field, content, ids = PICTURES[name]
    member = field.extensions[0]
    zoomed = torch.from_numpy(np.ascontiguousarray(ids[::2, ::2])).long()
    written = field.write({member: content, "other": b""}, zoomed, (20, 25))

    assert set(written) == {member}
    assert np.array_equal(seen(field, written[member], size=(20, 25)), zoomed.numpy())
    if member == "png":
        before, after = (Image.open(io.BytesIO(file)) for file in (content, written[member]))
        assert before.getpalette() == after.getpalette()


@settings(deadline=None, max_examples=50)
@given(
    st_numpy.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3)),
    st.permutations([(0, 0, 0), (1, 2, 3), (0, 0, 255), (255, 0, 0)]),
)
def test_colours_are_looked_up(ids, colours):
    """Colours become ids as by NumPy's indexing, whatever the order of the colours."""
    content = encode(coloured(ids, colours), "PNG")

    assert np.array_equal(seen(Mask("png", palette=colours), content, size=ids.shape), ids)


def test_pixels_of_a_jpeg_are_taken_for_the_nearest():
    """A mask of two values that was stored as JPEG has no third value, and edges move by at most a pixel."""
    grey = encode((IDS == 1) * np.uint8(255), "JPEG", quality=60)
    colour = encode(coloured((IDS == 1) * 3), "JPEG", quality=90, subsampling=0)

    for field, content, one in (
        (Mask("jpg", palette=(0, 255)), grey, 1),
        (Mask("jpg", palette=[COLOURS[0], COLOURS[3]]), colour, 1),
    ):
        ids = seen(field, content)
        assert set(np.unique(ids)) == {0, one}
        assert ((ids == one) != (IDS == 1)).sum() <= 2 * (20 + 15)
    assert len(np.unique(np.array(Image.open(io.BytesIO(grey))))) > 2


LOSSY = (
    "which does not keep class ids: it has {} values from 0 to {} – store masks as PNG, or name those that were drawn, such as "
    "palette=(0, 255), and each pixel is taken for the nearest"
)


@pytest.mark.parametrize(
    ("field", "content", "reason"),
    [
        (Mask("jpg"), encode(np.zeros(SIZE, np.uint8), "JPEG"), "jpg is a JPEG, " + LOSSY.format(1, 0)),
        (Mask("webp"), encode(np.zeros(SIZE, np.uint8), "WEBP"), "webp is a lossy WebP, " + LOSSY.format(1, 0)),
        (Mask("png"), encode(coloured(), "PNG"), "png has colours, and palette must say what they stand for: one is (128, 0, 0)"),
        (Mask("png", palette=(0, 1)), encode(coloured(), "PNG"), "png has colours, and palette has single values: one is (128, 0, 0)"),
        (Mask("png", palette=COLOURS[:2]), encode(coloured(), "PNG"), "png has pixels that are not in the palette: one is (0, 128, 0)"),
        (Mask("png", palette=(0, 255)), encode(IDS, "PNG"), "png has pixels that are not in the palette: one is 1"),
        (Mask("png", palette=COLOURS), png(8, 3, [b"\x01\x1e"], 2), "png has indices without a colour in its palette: one is 30"),
        (Mask("png"), encode(np.dstack([IDS] * 4), "PNG"), "png holds no class ids: its pixels are RGBA, and some are transparent"),
        (Mask("tif"), encode(IDS.astype(np.float32) / 2, "TIFF"), "tif holds no class ids, which are whole numbers: one is 0.5"),
        (Mask("npy"), npy(np.full(SIZE, np.nan)), "npy holds no class ids, which are whole numbers: one is nan"),
        (Mask("npy"), npy(np.full(SIZE, 1e300)), "npy holds no class ids, which are whole numbers: one is 1e+300"),
        (Mask("npy"), npy(np.full(SIZE, 2**64 - 1, np.uint64)), f"npy has class ids of more than 63 bits: one is {2**64 - 1}"),
        (Mask("npy"), npy(np.zeros((2, 40, 50))), "npy is no mask (height, width): float64 of shape (2, 40, 50)"),
        (Mask("npy"), npy(np.zeros((0, 50))), "npy is no mask (height, width): float64 of shape (0, 50)"),
        (Mask("npy"), npy(np.zeros(SIZE, complex)), "npy is no mask (height, width): complex128 of shape (40, 50)"),
        (Mask("npy"), npy(np.zeros((99, 99))), "npy has more pixels than max_pixels=5000: (99, 99)"),
        (Mask("npy"), b"no", "npy is not a NumPy array of numbers: b'no'"),
        (Mask(lambda m: [[1], [2, 3]]), b"", "<lambda>'s result is no mask (height, width): [[1], [2, 3]]"),
        (Mask(lambda m: m["none"]), b"", "<lambda> failed: KeyError 'none'"),
    ],
)  # fmt: skip
def test_pixels_that_make_a_bad_sample(field, content, reason):
    """The reason shows what was found, and its text before the colon is the same for all samples with this fault."""
    with pytest.raises(MemberError, match=f"^{re.escape(reason)}$"):
        seen(field, content, max_pixels=5000)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mask("png", palette="rgb"), "palette must be 'panoptic', or colours (red, green, blue) or grey values, each once, in the order of their class ids or as a mapping to them, got 'rgb'."),
        (lambda: Mask("png", palette=[]), "palette must be 'panoptic', or "),
        (lambda: Mask("png", palette=[0, (1, 2, 3)]), "palette must be 'panoptic', or "),
        (lambda: Mask("png", palette=[3, 3]), "palette must be 'panoptic', or "),
        (lambda: Mask("png", palette=[(0, 0, 256)]), "palette must be 'panoptic', or "),
        (lambda: Mask("png", palette={0: 0.5}), "palette must be 'panoptic', or "),
        (lambda: Mask("png", labels="a"), "labels must be left out for a mask of pixels, got 'a'."),
        (lambda: Mask("png", background=255), "background must be left out for a mask of pixels, got 255."),
        (lambda: Mask("json:a", palette=[0, 1]), "palette must be left out for a mask of shapes, got ((0, 0), (1, 1))."),
        (lambda: Mask("json:a", labels=0), "labels must be the name of an entry, got 0."),
        (lambda: Mask("txt", labels="a"), "labels must be 0, the first number of a line, got 'a'."),
        (lambda: Mask("json:a", classes=["a"]), "labels must be given with classes, got None."),
        (lambda: Mask("json:a", labels="b", classes="abc"), "classes must be labels in the order of their class ids, or a mapping to them, got 'abc'."),
        (lambda: Mask("json:a", frame="percent"), "frame must be one of pixel, fraction, got 'percent'."),
        (lambda: Mask("json"), "source must be a member such as 'mask.png' or 'mask.npy', "),
        (lambda: Mask("txt;png"), "source must be a member such as 'mask.png' or 'mask.npy', "),
        (lambda: Mask("json:a").write({}, torch.zeros(1, 1), (1, 1)), "source must be an image or npy member to be written back to, got 'json:a' – warp shapes as InstanceMasks or Points."),
        (lambda: Mask(len).write({}, torch.zeros(1, 1), (1, 1)), "source must be a member to be written back to, got len."),
    ],
)  # fmt: skip
def test_masks_that_make_no_sense(make, message):
    """Each invalid argument is named with its value."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        make()


def test_masks_are_values():
    """Equal fields compare equal, they pickle, and their representation leaves out defaults."""
    field = Mask("png", palette={(0, 0, 0): 0, (9, 9, 9): 4})

    assert len({field, Mask("png", palette=[((0, 0, 0), 0), ((9, 9, 9), 4)]), Mask("png")}) == 2
    assert pickle.loads(pickle.dumps(field)) == field
    assert eval(repr(field)) == field
    assert repr(Mask("m.png")) == "Mask(source='m.png')"
