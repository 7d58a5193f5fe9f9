"""The table of docs/pixels.md, made of files that are written here: ``python -m tests.pipeline.decoding.pixels_table``.

Each row is decoded, with the extra and without, and compared with what was written, by the rule in double precision.
"""

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from foveal.pipeline import DecodeError, Decoder, PixelRule, peek
from foveal.pipeline.decoding import _peek
from tests.pipeline.decoding.files import avif, dicom, heic
from tests.pipeline.decoding.tiff_layouts import ramps
from tests.pipeline.making import encode

PAGE = Path(__file__).parents[3] / "docs" / "pixels.md"
BEGIN, END = "<!-- table: python -m tests.pipeline.decoding.pixels_table -->\n", "<!-- end of table -->\n"
HEAD = "| format | samples | layout | black to white | off by | decoder | extra |\n|---|---|---|---|---|---|---|\n"
NAMES = {"dali": "DALI", "dali16": "DALI", "dali32": "DALI", "pillow": "Pillow", "numpy": "NumPy"}
LOSSY = 4.0  # mean levels that a lossy file may be off


class Row(NamedTuple):
    """A kind of file: its name, a file, and the levels that it shows; None if it needs a window."""

    format: str
    samples: str
    layout: str
    range: str
    file: bytes
    levels: Any
    rule: PixelRule = PixelRule()
    lossy: bool = False


def light(values: Any, low: float = 0, high: float | None = None) -> Any:
    """Return (height, width, 3) levels of values from low to high, by default of the type's full range."""
    if high is None:
        high = 1.0 if values.dtype.kind == "f" else float(np.iinfo(values.dtype).max)
    levels = ((values.astype(np.float64) - low) / (high - low)).clip(0, 1) * 255
    levels = levels.reshape(*levels.shape[:2], -1)
    return levels[..., :3] if levels.shape[2] >= 3 else levels[..., :1].repeat(3, axis=2)


def tiff(values: Any, photometric: str = "minisblack", **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, photometric=photometric, **options)
    return file.getvalue()


def packed_tiff(values: Any) -> bytes:
    """Return a TIFF of 12 bits without padding; it is packed here, because older versions of imagecodecs cannot."""
    bits = np.unpackbits(values.astype(">u2").view(np.uint8).reshape(*values.shape, 2), axis=2)[..., 4:]
    rows = np.packbits(bits.reshape(len(values), -1), axis=1)
    return tiff(iter([rows.tobytes()]), shape=values.shape, dtype="uint16", bitspersample=12)


def tiff_rows() -> Iterator[Row]:
    grey = {
        name: ramps(name, 1)[..., 0] for name in ("uint8", "uint16", "uint32", "int16", "float32", "float64")
    }
    rgb = {name: ramps(name, 3) for name in ("uint8", "uint16", "float32")}
    stack = ramps("uint16", 13)
    yield Row(
        "TIFF", "uint8", "grey or RGB, contiguous", "0 to 255", tiff(rgb["uint8"], "rgb"), light(rgb["uint8"])
    )
    for name in ("uint16", "uint32"):
        full = f"0 to {np.iinfo(name).max}"
        yield Row("TIFF", name, "grey", full, tiff(grey[name]), light(grey[name]))
    yield Row(
        "TIFF", "uint16", "RGB, contiguous", "0 to 65535", tiff(rgb["uint16"], "rgb"), light(rgb["uint16"])
    )
    separate = np.moveaxis(rgb["uint16"], 2, 0)
    file = tiff(separate, "rgb", planarconfig="separate")
    yield Row("TIFF", "uint16", "RGB, band by band", "0 to 65535", file, light(rgb["uint16"]))
    inverted = 255 - light(grey["uint16"])
    yield Row(
        "TIFF", "uint16", "grey, 0 is white", "65535 to 0", tiff(grey["uint16"], "miniswhite"), inverted
    )
    two = tiff(stack[..., :2], planarconfig="contig")
    yield Row("TIFF", "uint16", "2 bands", "0 to 65535, the first", two, light(stack[..., :1]))
    many = tiff(stack, planarconfig="contig")
    yield Row("TIFF", "uint16", "13 bands", "0 to 65535, the first three", many, light(stack))
    chosen = light(stack[..., [3, 2, 1]])
    yield Row(
        "TIFF",
        "uint16",
        "13 bands, `bands=(3, 2, 1)`",
        "0 to 65535, those",
        many,
        chosen,
        PixelRule(bands=(3, 2, 1)),
    )
    inks = ramps("uint16", 4)
    rgb_of_inks = (65535.0 - inks[..., :3]) * (65535.0 - inks[..., 3:]) / 65535**2 * 255
    yield Row("TIFF", "uint16", "CMYK", "as Pillow, of 16 bits", tiff(inks, "separated"), rgb_of_inks)
    bits = grey["uint16"] >> 4
    yield Row("TIFF", "12 bits", "grey, packed", "0 to 4095", packed_tiff(bits), light(bits, 0, 4095))
    window = PixelRule((0, 4095))
    yield Row(
        "TIFF",
        "uint16",
        "12 bits in 16, `window=(0, 4095)`",
        "0 to 4095",
        tiff(bits),
        light(bits, 0, 4095),
        window,
    )
    yield Row("TIFF", "int16", "grey", "needs a window", tiff(grey["int16"]), None)
    hounsfield = light(grey["int16"], -1000, 400)
    window = PixelRule((-1000, 400))
    yield Row(
        "TIFF",
        "int16",
        "grey, `window=(-1000, 400)`",
        "-1000 to 400",
        tiff(grey["int16"]),
        hounsfield,
        window,
    )
    for name in ("float32", "float64"):
        yield Row("TIFF", name, "grey, within [0, 1]", "0 to 1", tiff(grey[name]), light(grey[name]))
    yield Row("TIFF", "float32", "grey, beyond [0, 1]", "needs a window", tiff(grey["float32"] * 3000), None)
    for name, code in (
        ("JPEG 2000", 34712),
        ("JPEG 2000 of Aperio", 33005),
        ("JPEG XL", 50002),
        ("PNG", 34933),
    ):
        file = tiff(rgb["uint8"], "rgb", compression=code, tile=(16, 16))
        yield Row("TIFF", "uint8", f"RGB in tiles, {name}", "0 to 255", file, light(rgb["uint8"]))
    file = tiff(grey["float32"], compression="lerc")
    yield Row("TIFF", "float32", "grey, LERC", "0 to 1", file, light(grey["float32"]))


def png_and_pnm_rows() -> Iterator[Row]:
    for name, bands, layout in (
        ("uint8", 3, "grey, RGB, palette, with alpha"),
        ("uint16", 1, "grey"),
        ("uint16", 3, "RGB"),
    ):
        values = ramps(name, bands)
        file = imagecodecs.png_encode(values.squeeze())
        yield Row("PNG", name, layout, f"0 to {np.iinfo(name).max}", file, light(values))
    values = ramps("uint16", 3)
    window = PixelRule((1000, 30_000))
    file = imagecodecs.png_encode(values)
    yield Row(
        "PNG",
        "uint16",
        "RGB, `window=(1000, 30000)`",
        "1000 to 30000",
        file,
        light(values, 1000, 30_000),
        window,
    )
    for white in (15, 255, 4095, 65535):
        samples = np.rint(ramps("float64", 3) * white).astype(">u2" if white > 255 else "u1")
        file = b"P6\n40 24\n%d\n" % white + samples.tobytes()
        name = "uint16" if white > 255 else "uint8"
        yield Row(
            "PGM, PPM",
            name,
            f"maximum {white}",
            f"0 to {white}",
            file,
            light(samples.astype(float), 0, white),
        )
    floats = ramps("float32", 3)
    file = b"PF\n40 24\n-1.0\n" + floats[::-1].astype("<f4").tobytes()
    yield Row("PFM", "float32", "RGB, within [0, 1]", "0 to 1", file, light(floats))
    for dtype in ("uint16", "float32"):
        array = io.BytesIO()
        np.save(array, ramps(dtype, 3))
        full = "0 to 1" if dtype == "float32" else "0 to 65535"
        yield Row("npy", dtype, "(height, width, bands)", full, array.getvalue(), light(ramps(dtype, 3)))


def codec_rows() -> Iterator[Row]:
    grey, rgb = ramps("uint16", 1)[..., 0], ramps("uint16", 3)
    plain, deep = ramps("uint8", 3), grey >> 4
    jp2 = {"level": 0, "codecformat": "jp2"}
    yield Row(
        "JPEG 2000", "uint8", "grey or RGB", "0 to 255", imagecodecs.jpeg2k_encode(plain, **jp2), light(plain)
    )
    file = imagecodecs.jpeg2k_encode(deep, bitspersample=12, **jp2)
    yield Row("JPEG 2000", "12 bits", "grey", "0 to 4095", file, light(deep, 0, 4095))
    yield Row("JPEG 2000", "uint16", "RGB", "0 to 65535", imagecodecs.jpeg2k_encode(rgb, **jp2), light(rgb))
    signed = imagecodecs.jpeg2k_encode(ramps("int16", 1)[..., 0], **jp2)
    yield Row("JPEG 2000", "int16", "grey", "needs a window", signed, None)
    yield Row(
        "JPEG XL", "uint8", "RGB", "0 to 255", imagecodecs.jpegxl_encode(plain, lossless=True), light(plain)
    )
    yield Row(
        "JPEG XL", "uint16", "RGB", "0 to 65535", imagecodecs.jpegxl_encode(rgb, lossless=True), light(rgb)
    )
    yield Row("JPEG XR", "uint16", "RGB", "0 to 65535", imagecodecs.jpegxr_encode(rgb, level=1.0), light(rgb))
    yield Row("JPEG-LS", "uint16", "grey", "0 to 65535", imagecodecs.jpegls_encode(grey), light(grey))
    lossless = imagecodecs.jpeg8_encode(grey, lossless=True, bitspersample=16)
    yield Row("JPEG", "16 bits", "grey, lossless", "0 to 65535", lossless, light(grey))
    twelve = imagecodecs.jpeg8_encode(deep, level=100, bitspersample=12)
    yield Row("JPEG", "12 bits", "grey", "0 to 4095", twelve, light(deep, 0, 4095))
    smooth = np.asarray(Image.fromarray(plain).resize((160, 96), Image.Resampling.BICUBIC))
    for name, file in (
        ("JPEG", encode(smooth, quality=95)),
        ("WebP", encode(smooth, "WEBP", quality=95)),
        ("AVIF", avif(smooth)),
        ("HEIC", heic(smooth)),
    ):
        yield Row(name, "uint8", "RGB, lossy", "0 to 255", file, light(smooth), lossy=True)
    deep = smooth.astype(np.uint16) << 4
    file = imagecodecs.avif_encode(deep, level=100, bitspersample=12, pixelformat="444")
    rows = light(deep, 1000, 3000)
    yield Row(
        "AVIF",
        "12 bits",
        "RGB, lossy, `window=(1000, 3000)`",
        "1000 to 3000",
        file,
        rows,
        PixelRule((1000, 3000)),
        lossy=True,
    )
    floats = ramps("float32", 1)[..., 0]
    yield Row("LERC", "float32", "grey", "0 to 1", imagecodecs.lerc_encode(floats), light(floats))


def dicom_rows() -> Iterator[Row]:
    deep = ramps("uint16", 1)[..., 0] >> 4
    stored = light(deep, 0, 4095)
    yield Row("DICOM", "12 bits", "MONOCHROME2", "0 to 4095", dicom(deep, bits=12), stored)
    yield Row(
        "DICOM", "12 bits", "MONOCHROME1", "4095 to 0", dicom(deep, "MONOCHROME1", bits=12), 255 - stored
    )
    scaled = {"RescaleSlope": 1, "RescaleIntercept": -1024}
    windowed = dicom(deep, WindowCenter=40, WindowWidth=400, VOILUTFunction="LINEAR_EXACT", **scaled)
    units = deep - 1024.0
    yield Row("DICOM", "uint16", "with a window", "the file's own", windowed, light(units, -160, 240))
    own = PixelRule((-1000, 400))
    file = dicom(deep, **scaled)
    yield Row(
        "DICOM", "uint16", "CT, `window=(-1000, 400)`", "-1000 to 400 HU", file, light(units, -1000, 400), own
    )
    yield Row("DICOM", "int16", "without a window", "needs a window", dicom(ramps("int16", 1)[..., 0]), None)


def rows() -> list[Row]:
    """Return all rows of the table, in its order."""
    return [*itertools.chain(tiff_rows(), png_and_pnm_rows(), codec_rows(), dicom_rows())]


def shown(row: Row) -> tuple[Any, str]:
    """Return the levels that come out, and which decoder they are from.

    Raises:
        DecodeError: None do.
    """
    image = peek(row.file, rule=row.rule)
    with Decoder() as decoder:
        [pixels] = decoder.start([image]).pixels()
    by = {"HEIC": "pillow-heif"}.get(image.kind.name, image.kind.needs[0] if image.kind.needs else "")
    return pixels.numpy(), NAMES.get(image.by, by)


def without_the_extra() -> Any:
    """Return a context in which no package of the extra is installed."""
    gone = mock.Mock(side_effect=lambda kind: kind.needs)
    return mock.patch.multiple(_peek, missing=gone)


def off_by(row: Row, levels: Any) -> float:
    """Return the largest difference in levels; the mean difference for lossy formats."""
    off = np.abs(levels - row.levels)
    return float(off.mean() if row.lossy else off.max())


def line(row: Row) -> str:
    """Return a row of the table as text."""
    try:
        levels, by = shown(row)
        off = off_by(row, levels)
        words = (
            "lossy"
            if row.lossy
            else next(
                name
                for most, name in ((1e-6, "0"), (0.501, "½"), (1, "1"), (256, "**wrong**"))
                if off <= most
            )
        )
    except DecodeError as error:
        words, by = "–", "–"
        if not (row.levels is None and error.reason.startswith("needs a window")):
            raise
    return (
        f"| {row.format} | {row.samples} | {row.layout} | {row.range} | {words} | {by} | {extra_of(row)} |\n"
    )


def extra_of(row: Row) -> str:
    """Return the extra that a row needs, or None."""
    with without_the_extra():
        try:
            shown(row)
        except DecodeError as error:
            if "foveal[formats]" in error.reason:
                return "`formats`"
    return ""


def table() -> str:
    """Return the table as it should stand in the page."""
    return HEAD + "".join(map(line, rows()))


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(before + BEGIN + "\n" + table() + "\n" + END + after)
