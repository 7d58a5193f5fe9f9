"""PNM and npy files, compared with the arrays that were written."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.pipeline import DecodeError, ZoomCollate, decode
from foveal.pipeline.decoding import PixelRule
from foveal.pipeline.decoding._arrays import has_bands_first
from foveal.sampler import UniformSampler
from tests.pipeline.decoding.tiff_layouts import ramps


def npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


@given(st.sampled_from([1, 3]), st.integers(1, 65535), st.booleans(), st.integers(0, 10**6))
def test_pnm_of_any_maximum(bands, white, decimal, seed):
    """Binary and text files are read with levels from 0 to the maximum that the header states."""
    values = np.random.default_rng(seed).integers(0, white + 1, (5, 7, bands))
    kind = {(1, False): 5, (3, False): 6, (1, True): 2, (3, True): 3}[bands, decimal]
    head = b"P%d # of the test\n7 5\n%d\n" % (kind, white)
    numbers = b"#\n".join(b"%d" % value for value in values.ravel()) + b"\n"
    body = numbers if decimal else values.astype("u1" if white < 256 else ">u2").tobytes()

    [levels] = decode([head + body])
    assert np.abs(levels.numpy() - values / white * 255).max() <= 0.5 + 1e-6

    if white > 255:
        low, high = white * 0.2, white * 0.7
        [levels] = decode([head + body], rule=PixelRule(window=(low, high)))
        assert np.abs(levels.numpy() - ((values - low) / (high - low)).clip(0, 1) * 255).max() <= 0.5 + 1e-6


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"1 2 3", "image 0 is cut: it has 3 numbers, and its header says 4"),
        (b"1 2 x 4", "image 0 is broken: b'x' is no number"),
    ],
)
def test_a_damaged_list_of_numbers(body, reason):
    """The error says what is wrong with the numbers of a damaged text file."""
    with pytest.raises(DecodeError) as error:
        decode([b"P2\n2 2\n255\n" + body])
    assert str(error.value) == reason


@pytest.mark.parametrize("shape", [(1, 24, 40), (2, 24, 40), (4, 24, 40), (13, 24, 24), (200, 24, 24)])
def test_bands_first(shape):
    """Arrays with bands first, as in torch, are recognised if the shape leaves no doubt, in files and in ZoomCollate."""
    values = np.moveaxis(ramps("uint16", shape[0])[:, : shape[2]], 2, 0)
    chosen = (0, 0, 0) if shape[0] == 1 else (1, 0, 1)
    want = np.moveaxis(values, 0, 2)[..., chosen] / 65535 * 255

    [levels] = decode([npy(values)], rule=PixelRule(bands=chosen))
    [[again]] = ZoomCollate(UniformSampler(shape[1:], antialias=False), bands=chosen)([(values,)])

    assert np.abs(levels.numpy() - want).max() <= 0.5 + 1e-6
    assert np.abs(again.permute(1, 2, 0).numpy() * 255 - levels.numpy()).max() < 1e-3


@pytest.mark.parametrize(
    "shape", [(24, 40), (24, 40, 1), (24, 40, 3), (24, 40, 13), (24, 24, 200), (3, 3, 3), (1, 40, 3)]
)
def test_bands_last(shape):
    """Arrays with bands last are read."""
    assert not has_bands_first(shape)


def test_a_shape_that_may_be_either():
    """A shape that could have bands first or last is refused."""
    with pytest.raises(DecodeError) as error:
        decode([npy(np.zeros((13, 24, 40), np.uint8))])
    assert str(error.value) == (
        "image 0 may have its bands first or last, its shape being (13, 24, 40) – store it with fewer bands than rows and "
        "columns, as (height, width, bands)"
    )
