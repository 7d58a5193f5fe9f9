"""Every layout of TIFF is decoded right or refused, compared with tifffile and the rule in double precision."""

import contextlib
import io
import itertools
import re

import numpy as np
import pytest
import tifffile

from foveal.pipeline import DecodeError, Decoder, decode, peek
from foveal.pipeline.decoding import PixelRule, _peek, _stored_values, label_image
from foveal.pipeline.decoding.headers import PLAIN_TIFF, TIFF
from tests.pipeline.decoding.tiff_layouts import (
    HEIGHT,
    WIDTH,
    Layout,
    expected,
    is_signed,
    odd_layouts,
    plain_layouts,
    ramps,
    stored,
    written,
)

EVERY = 11  # a prime: all values of all properties come up


def check(pixels: np.ndarray, reference: np.ndarray, layout: Layout, most: float) -> None:
    """Check that the levels differ from the reference by rounding and the loss of the codec only."""
    assert pixels.shape == (HEIGHT, WIDTH, 3), layout.name
    off = float(np.abs(pixels - reference).max())
    assert off <= max(most, layout.loss), (layout.name, off)


def some_layouts(step: int) -> list[Layout]:
    return [*plain_layouts(step), *odd_layouts()]


def check_layouts(step: int) -> int:
    """Check that each layout is right, or signed and refused; return how many are right."""
    right = 0
    with Decoder() as decoder:
        for layout in some_layouts(step):
            if is_signed(layout.file):
                with pytest.raises(DecodeError, match="needs a window: its samples are int"):
                    peek(layout.file)
                continue
            [pixels] = decoder.start([peek(layout.file)]).pixels()
            # DALI rounds inks twice, and colours of palettes down.
            twice = any(kind in layout.name for kind in ("separated", "palette"))
            check(pixels.numpy(), expected(layout.file), layout, 1 if twice else 0.7)
            right += 1
    return right


def test_no_layout_is_silently_wrong():
    """Every eleventh combination of the layouts, and all unusual ones, are right or refused."""
    assert check_layouts(EVERY) > 300


@pytest.mark.slow
def test_no_layout_at_all_is_silently_wrong():
    """All combinations are right or refused."""
    assert check_layouts(1) > 2500


def test_windowed_to_half_a_level():
    """With a window, every depth equals NumPy's result to half a level, as the window is applied before rounding."""
    with Decoder() as decoder:
        for layout in some_layouts(2 * EVERY):
            values, page = stored(layout.file)
            if page.photometric in (3, 5) or layout.loss > 2:
                continue
            low, high = (float(np.quantile(values.astype(np.float64), q)) for q in (0.2, 0.7))
            if low == high:
                continue
            unit = 255 / (2**page.bitspersample - 1) if page.bitspersample < 8 else 1.0
            image = peek(layout.file, rule=PixelRule(window=(low * unit, high * unit)))
            [pixels] = decoder.start([image]).pixels()
            narrow = layout.loss * 255 / (high - low) * (1 if page.bitspersample == 8 else 0.05)
            check(pixels.numpy(), expected(layout.file, (low, high)), layout, 0.5 + 1e-6 + narrow)


def test_without_the_extra_each_is_right_or_names_it(monkeypatch):
    """Files that neither DALI nor Pillow reads right are refused, and the error names what reads them."""
    monkeypatch.setattr(_peek, "missing", lambda kind: kind.needs)
    reasons: list[str] = []
    right = 0
    with Decoder() as decoder:
        for layout in some_layouts(EVERY):
            try:
                [pixels] = decoder.start([peek(layout.file)]).pixels()
            except DecodeError as error:
                reasons.append("" if is_signed(layout.file) else error.reason)
            else:
                right += 1
                check(pixels.numpy(), expected(layout.file), layout, 1)
    assert right > 30
    assert len(reasons) > 100
    named = "needs the extra foveal[formats]: TIFF of "
    assert [reason for reason in reasons if reason and not reason.startswith(named)] == []


def test_the_check_notices_what_dali_gets_wrong():
    """The check fails for a band-interleaved file of 16 bits if DALI decodes it."""
    import nvidia.dali.experimental.dynamic as ndd

    [layout] = written("planar", ramps("uint16", 3), photometric="rgb", planarconfig="separate")
    wrong = np.asarray(
        ndd.decoders.image(np.frombuffer(layout.file, np.uint8), device="cpu").evaluate()._storage
    )

    check(decode([layout.file])[0].numpy(), expected(layout.file), layout, 0.7)
    with pytest.raises(AssertionError, match="planar"):
        check(wrong, expected(layout.file), layout, 0.7)


@pytest.mark.parametrize(
    ("compression", "name"),
    [
        (33005, "JPEG 2000 (Aperio, RGB) (33005)"),
        (34712, "JPEG 2000 (34712)"),
        ("jpegxl", "JPEG XL (50002)"),
        ("png", "PNG (34933)"),
    ],
)
def test_a_compression_that_is_not_known_here_is_named(monkeypatch, compression, name):
    """A file with an unknown compression is refused by its name."""
    monkeypatch.setattr(_peek, "missing", lambda kind: kind.needs)
    [layout] = written("x", ramps("uint8", 3), photometric="rgb", compression=compression, tile=(16, 16))

    with pytest.raises(DecodeError) as error:
        peek(layout.file)
    assert str(error.value) == (
        f"image needs the extra foveal[formats]: TIFF of uint8, {name} – pip install 'foveal[formats]'"
    )


def test_bands_are_chosen():
    """Three of thirteen bands are chosen by index, in contiguous or separate planes; a missing one is named."""
    values = ramps("uint16", 13)
    for planar in ("contig", "separate"):
        [layout] = written(planar, values, photometric="minisblack", planarconfig=planar)
        image = peek(layout.file, rule=PixelRule(bands=(3, 2, 1)))
        with Decoder() as decoder:
            [pixels] = decoder.start([image]).pixels()
            assert np.abs(pixels.numpy() - values[..., [3, 2, 1]] / 65535 * 255).max() <= 0.5
            with pytest.raises(
                DecodeError, match=r"image 0 has 13 bands, counted from 0, and bands=\(13, 2, 1\) asks for 13"
            ):
                decoder.start([peek(layout.file, rule=PixelRule(bands=(13, 2, 1)))]).pixels()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_deep_ones(orientation, monkeypatch):
    """tifffile's images, and nvImageCodec's if tifffile is not installed, are rotated upright alike."""
    [deep] = written(
        "x",
        ramps("uint16", 3),
        photometric="rgb",
        compression="jpegxl",
        extratags=[(274, 3, 1, orientation, True)],
    )
    [plain] = written("x", ramps("uint16", 3), photometric="rgb", extratags=[(274, 3, 1, orientation, True)])

    assert peek(deep.file).kind == TIFF
    one = decode([deep.file])[0].numpy()
    monkeypatch.setattr(_peek, "missing", lambda kind: kind.needs)
    assert peek(plain.file).kind == PLAIN_TIFF
    other = decode([plain.file])[0].numpy()
    assert np.array_equal(one, other)


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_labels_are_exact_or_refused_without_the_extra(byteorder, monkeypatch):
    """Without tifffile a TIFF of labels has its values, or is refused with the name of the extra, or by Pillow."""
    monkeypatch.setattr(_stored_values, "missing", lambda kind: kind.needs)
    refused = set()
    kinds = itertools.product(
        ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32"), (None, "zlib"), (0, 1)
    )
    for dtype, compression, photometric in kinds:
        values = ramps(dtype, 1)
        [layout] = written("x", values, photometric=photometric, compression=compression, byteorder=byteorder)
        try:
            assert np.array_equal(label_image(layout.file).values, values[..., 0])
        except DecodeError as error:
            refused.add((dtype, photometric, "needs the extra" in error.reason))

    assert {dtype for dtype, _, named in refused if named} >= {"int8", "uint32"}
    assert not {dtype for dtype, photometric, _ in refused if photometric} - {
        "int8", "uint32", *(("int16", "int32", "float32") if byteorder == ">" else ()),
    }  # fmt: skip
    with pytest.raises(
        DecodeError,
        match=re.escape(
            "image needs the extra foveal[formats]: TIFF of int8 – pip install 'foveal[formats]', or store it as PNG or npy"
        ),
    ) as caught:
        label_image(next(written("x", ramps("int8", 1), photometric=1)).file)
    assert caught.value.kind == "unsupported"


def damaged(file: bytes) -> list[bytes]:
    """Return the file with its second segment overwritten by zeros, and the file cut in its last segment."""
    with tifffile.TiffFile(io.BytesIO(file)) as tiff:
        page = tiff.pages.first
        starts, sizes = page.dataoffsets, page.databytecounts
    zeroed = file[: starts[1]] + bytes(sizes[1]) + file[starts[1] + sizes[1] :]
    return [zeroed, file[: starts[-1] + sizes[-1] // 2]]


@pytest.mark.parametrize("extra", ["installed", "missing"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_a_damaged_file_costs_its_sample(extra, tile, monkeypatch):
    """A damaged file is a bad image, never a partly black one, and the next file is decoded."""
    if extra == "missing":
        monkeypatch.setattr(_peek, "missing", lambda kind: kind.needs)
    rows = {} if tile else {"rowsperstrip": 8}
    with Decoder() as decoder:
        for dtype, bands, codec in itertools.product(("uint8", "uint16"), (3, 4, 13), ("lzw", "zlib")):
            [whole] = written(
                codec, ramps(dtype, bands), photometric="rgb", compression=codec, tile=tile, **rows
            )
            for file in damaged(whole.file):
                bad, good = decoder.start([peek(file), peek(whole.file)]).result()
                assert isinstance(bad, DecodeError), (dtype, bands, codec)
                check(good.numpy(), expected(whole.file), whole, 0.7)


def test_dali_decodes_no_tiff(monkeypatch):
    """DALI never decodes a TIFF, whether tifffile is installed or not, as a damaged one can end its process."""
    for missing in (False, True):
        monkeypatch.setattr(_peek, "missing", lambda kind, missing=missing: kind.needs if missing else ())
        for layout in some_layouts(2 * EVERY):
            with contextlib.suppress(DecodeError):
                assert not peek(layout.file).by_dali, layout.name


def odd_tags() -> dict[str, tuple[bytes, str]]:
    """Return files whose tags change what their samples mean, and why they are refused."""
    inks, blank = ramps("uint8", 4), np.zeros((16, 16, 16), np.uint8)
    [others] = written("inks", inks, photometric="separated", extratags=[(332, 3, 1, 2, True)])
    volume = io.BytesIO()
    tifffile.imwrite(volume, blank, volumetric=True, tile=(16, 16, 16))
    [waves] = written("complex", ramps("float32", 1).astype(np.complex64), photometric="minisblack")
    return {
        "other inks than CMYK": (others.file, "has a photometric interpretation that is not read: 5"),
        "a volume": (volume.getvalue(), "of a kind that tifffile does not read: uint8, depth 16"),
        "complex numbers": (waves.file, "has samples of the type complex64"),
    }


@pytest.mark.parametrize("name", odd_tags())
@pytest.mark.parametrize("window", [None, (0.0, 1.0)])
def test_what_is_no_picture_is_refused(name, window, monkeypatch):
    """Such files are refused with the extra and without."""
    file, reason = odd_tags()[name]
    with pytest.raises(DecodeError, match=reason):
        decode([file], rule=PixelRule(window=window))
    monkeypatch.setattr(_peek, "missing", lambda kind: kind.needs)
    with pytest.raises(DecodeError, match=re.escape("needs the extra foveal[formats]")) as caught:
        decode([file], rule=PixelRule(window=window))
    assert caught.value.kind == "unsupported"


@pytest.mark.parametrize("factor", [1, 257])
def test_a_palette_of_bytes(factor, monkeypatch):
    """A palette with entries up to 255 instead of 65535 is recognised; its windows count from 0 to 255."""
    colours = (np.arange(256) * factor).astype(np.uint16)[None].repeat(3, axis=0)
    indices = ramps("uint8", 1)
    [layout] = written("x", indices, photometric="palette", colormap=colours)
    windowed = ((indices - 50.0) / 150).clip(0, 1) * 255

    assert np.array_equal(decode([layout.file])[0][..., :1].numpy(), indices)
    assert (
        np.abs(decode([layout.file], rule=PixelRule(window=(50, 200)))[0].numpy() - windowed).max()
        <= 0.5 + 1e-6
    )
    monkeypatch.setattr(_peek, "missing", lambda kind: kind.needs)
    if factor == 1:
        with pytest.raises(DecodeError, match=re.escape("needs the extra foveal[formats]")):
            decode([layout.file])
    else:
        assert np.array_equal(decode([layout.file])[0][..., :1].numpy(), indices)


def test_a_value_for_nothing(monkeypatch):
    """Percentiles leave out the value that means "no data", with the extra and without."""
    heights = ramps("float32", 1) * 500 + 1500
    heights[:8] = -9999
    low, high = np.percentile(heights[8:].astype(np.float64), (1, 99))
    [layout] = written("x", heights, photometric="minisblack", extratags=[(42113, "s", 0, "-9999", True)])
    want = ((heights - low) / (high - low)).clip(0, 1) * 255

    for _ in range(2):
        assert np.abs(decode([layout.file], rule=PixelRule(window="auto"))[0].numpy() - want).max() <= 0.6
        monkeypatch.setattr(_peek, "missing", lambda kind: kind.needs)


def test_more_samples_than_there_is_room_for():
    """A header that claims thousands of bands is refused before memory is allocated."""
    [layout] = written("x", np.zeros((8, 8, 300), np.uint8), photometric="minisblack", planarconfig="contig")

    with pytest.raises(
        DecodeError, match=r"has more bands than max_pixels=64 allows: .* bytes of samples"
    ) as caught:
        peek(layout.file, max_pixels=64, rule=PixelRule(bands=(5, 6, 7)))
    assert caught.value.kind == "too_large"
