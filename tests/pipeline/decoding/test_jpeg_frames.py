"""Which JPEGs libjpeg-turbo decodes, decided by headers; the files here have no picture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.pipeline import EncodedImage, decode
from foveal.pipeline.decoding import ByLibjpeg
from foveal.pipeline.decoding._scale import is_usual
from foveal.pipeline.decoding.headers import JPEG, read_jpeg_header
from tests.pipeline.decoding.by_libjpeg import WHOLE, Needs, decoded_by_libjpeg
from tests.pipeline.making import encode, picture


def with_frame(kind: int, bits: int, factors: tuple[tuple[int, int], ...]) -> bytes:
    """Return a header without a picture, which cannot be decoded."""
    components = b"".join(bytes((k + 1, 16 * h + v, 0)) for k, (h, v) in enumerate(factors))
    frame = bytes((bits, 0, 64, 0, 64, len(factors))) + components
    scan = bytes((len(factors),)) + b"".join(bytes((k + 1, 0)) for k in range(len(factors))) + b"\0\x3f\0"
    return b"".join(
        (
            b"\xff\xd8",
            bytes((0xFF, kind)) + (2 + len(frame)).to_bytes(2) + frame,
            b"\xff\xda" + (2 + len(scan)).to_bytes(2) + scan,
            b"\xff\xd9",
        )
    )


GREY, FULL, HALF = ((1, 1),), ((1, 1),) * 3, ((2, 2), (1, 1), (1, 1))
ACROSS, DOWN = ((2, 1), (1, 1), (1, 1)), ((1, 2), (1, 1), (1, 1))
FRAMES = [kind for kind in range(0xC0, 0xD0) if kind not in (0xC4, 0xC8, 0xCC)] + [0xF7]


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("bits", [2, 8, 12, 16])
def test_only_usual_frames_are_for_libjpeg(kind, bits):
    """libjpeg-turbo decodes 8 bits, Huffman, sequential or progressive; DALI decodes everything else."""
    for factors in (GREY, FULL, HALF, ACROSS, DOWN):
        frame = read_jpeg_header(with_frame(kind, bits, factors)).frame
        assert (frame.kind, frame.bits, frame.factors) == (kind, bits, factors)
        assert is_usual(frame) == (kind in (0xC0, 0xC1, 0xC2) and bits == 8)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=4).map(tuple))
def test_only_usual_factors_are_for_libjpeg(factors):
    """libjpeg-turbo decodes one or three components with the sampling factors that cameras write."""
    frame = read_jpeg_header(with_frame(0xC0, 8, factors)).frame

    assert is_usual(frame) == (factors in (GREY, FULL, HALF, ACROSS, DOWN))


def test_rare_headers_stay_as_they_were_peeked():
    """A JPEG with a rare header is not decoded at a smaller scale."""
    zoom = Needs(8, 8)
    for kind, factors in (
        (0xC3, FULL),
        (0xC9, HALF),
        (0xC0, ((4, 1), (1, 1), (1, 1))),
        (0xC0, ((2, 2),)),
        (0xC0, FULL[:2]),
    ):
        image = EncodedImage(with_frame(kind, 8, factors), 64, 64, "dali", whole=True, kind=JPEG)
        assert ByLibjpeg(zoom)(image, 0) is image


def test_extended_frames_are_usual():
    """A baseline JPEG with the marker of an extended one has the same pixels, also at a smaller scale."""
    file = encode(picture(0, 160, 160), subsampling="4:2:0")
    place = file.index(b"\xff\xc0")
    extended = file[:place] + b"\xff\xc1" + file[place + 2 :]

    for zoom in (WHOLE, Needs(20, 20)):
        (one, pixels), (other, same) = decoded_by_libjpeg(file, zoom), decoded_by_libjpeg(extended, zoom)
        assert one == other
        assert np.array_equal(pixels, same)


def test_coarse_chroma_down_is_decoded_whole():
    """A 4:4:0 JPEG is decoded at full scale, with DALI's pixels."""
    import imagecodecs

    file = imagecodecs.jpeg8_encode(picture(0, 160, 160), subsampling="440")
    assert read_jpeg_header(file).frame.factors == DOWN
    scale, pixels = decoded_by_libjpeg(file, Needs(20, 20))

    assert scale == 1
    assert np.array_equal(pixels, decode([file])[0].numpy())
