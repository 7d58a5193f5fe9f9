"""Every layout of TIFF that tifffile writes, and what each should look like by tifffile's own reading.

``python -m tests.pipeline.decoding.tiff_layouts`` says of each group of layouts who decodes it, and how far off it is.
"""

import io
import itertools
import warnings
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tifffile

HEIGHT, WIDTH = 24, 40
TYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float16", "float32", "float64")
PHOTOMETRICS = {"minisblack": 1, "miniswhite": 1, "rgb": 3, "separated": 4}
COMPRESSIONS = (None, "lzw", "zlib", "zstd", "lzma", "packbits")
# That store 8 or 16 bits, with the largest difference that their loss and their colours may make.
CODECS = {
    "jpeg": 12,
    "jpeg2000": 2,
    "jpegxl": 2,
    "png": 0,
    "webp": 12,
    "lerc": 0,
    "jpegxr": 12,
    33003: 2,
    33005: 2,
}
WINDOW = (-0.25, 1.5)  # of the type's full range


class Layout(NamedTuple):
    """A file, what was written to it, and its tolerance in levels."""

    name: str
    file: bytes
    loss: float


def ramps(dtype: str, bands: int) -> Any:
    """Return (height, width, bands) with a different ramp in each band, over the type's full range."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    across, down = x / (WIDTH - 1), y / (HEIGHT - 1)
    kinds = [across, down, (across + down) / 2, 1 - across, 1 - down]
    values = np.dstack([kinds[k % 5] * (1 - 0.05 * (k // 5)) for k in range(bands)])
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return values.astype(kind)
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    return np.rint(low + values * (float(high) - low)).clip(low, high).astype(kind)


def written(name: str, values: Any, loss: float = 0, **options: Any) -> Iterator[Layout]:
    """Return a layout, or None if tifffile cannot write it."""
    if values.shape[2] == 1:
        values, options = values[..., 0], options | {"planarconfig": None}
    elif options.get("planarconfig") == "separate":
        values = np.moveaxis(values, 2, 0)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tifffile.imwrite(file, values, **options)
        except Exception:  # noqa: BLE001 - of many kinds
            return
    yield Layout(name, file.getvalue(), loss)


def plain_layouts(step: int = 1) -> Iterator[Layout]:
    """Yield every n-th combination of depth, bands, photometric, planar, compression, tiling, byte order and predictor."""
    both = ("contig", "separate")
    kinds = itertools.product(TYPES, (1, 2, 3, 4, 5, 13), PHOTOMETRICS, both, COMPRESSIONS, (None, (16, 16)))
    sensible = (k for k in kinds if k[1] >= PHOTOMETRICS[k[2]] and (k[1] > 1 or k[3] == "contig"))
    for dtype, count, photometric, planar, compression, tile in itertools.islice(sensible, 0, None, step):
        yield from written(
            f"{dtype} {count} {photometric} {planar} {compression} {'tiles >' if tile else 'strips <'}",
            ramps(dtype, count),
            photometric=photometric,
            planarconfig=planar,
            compression=compression,
            tile=tile,
            byteorder=">" if tile else "<",
            predictor=bool(tile) and compression in ("lzw", "zlib"),
            **({} if tile else {"rowsperstrip": 7}),
        )


def odd_layouts() -> Iterator[Layout]:
    """Yield codecs of single images, depths that fill no bytes, palettes, BigTIFF, and predictors of floats."""
    for (codec, loss), dtype, count in itertools.product(
        CODECS.items(), ("uint8", "uint16", "float32"), (1, 2, 3, 4)
    ):
        photometric = "rgb" if count > 2 else "minisblack"
        smooth = np.sqrt(ramps("float64", count)) if dtype == "float32" else ramps(dtype, count)
        for tile in (None, (16, 16)):
            arguments = {"level": 100} if codec in ("jpeg", "webp") else {}
            yield from written(
                f"{dtype} {count} {codec} {'tiles' if tile else 'strip'}",
                smooth.astype(dtype),
                loss,
                photometric=photometric,
                planarconfig="contig",
                compression=codec,
                compressionargs=arguments,
                tile=tile,
            )
    for bits, photometric in itertools.product((1, 2, 4, 6, 9, 10, 12, 14), ("minisblack", "miniswhite")):
        values = np.rint(ramps("float64", 1) * (2**bits - 1)).astype("uint8" if bits <= 8 else "uint16")
        yield from written(f"{bits} bits {photometric}", values, photometric=photometric, bitspersample=bits)
    for bits in (4, 10, 12):
        values = np.rint(ramps("float64", 3) * (2**bits - 1)).astype("uint8" if bits <= 8 else "uint16")
        yield from written(
            f"{bits} bits rgb", values, photometric="rgb", bitspersample=bits, planarconfig="contig"
        )
    colours = np.random.default_rng(0).integers(0, 65536, (3, 256), dtype=np.uint16)
    for planar in (None, "lzw", "zstd"):
        yield from written(
            f"palette {planar}",
            ramps("uint8", 1),
            photometric="palette",
            colormap=colours,
            compression=planar,
        )
    deep = np.random.default_rng(0).integers(0, 65536, (3, 65536), dtype=np.uint16)
    yield from written("palette of 16 bits", ramps("uint16", 1), photometric="palette", colormap=deep)
    for dtype in ("uint8", "uint16", "float32"):
        yield from written(f"BigTIFF {dtype}", ramps(dtype, 3), photometric="rgb", bigtiff=True)
    for dtype, count in itertools.product(("float16", "float32", "float64"), (1, 3)):
        photometric = "rgb" if count > 2 else "minisblack"
        yield from written(
            f"float predictor {dtype} {count}",
            ramps(dtype, count),
            photometric=photometric,
            predictor=3,
            compression="zlib",
        )


def is_signed(file: bytes) -> bool:
    """Return whether the samples are signed integers."""
    return stored(file)[0].dtype.kind == "i"


def stored(file: bytes) -> tuple[Any, Any]:
    """Return (height, width, bands) as tifffile reads it, and the page."""
    with tifffile.TiffFile(io.BytesIO(file)) as tiff:
        page = tiff.pages.first
        values = page.asarray()
        if page.planarconfig == 2 and page.samplesperpixel > 1:
            values = np.moveaxis(values, 0, 2)
        return values.reshape(page.imagelength, page.imagewidth, -1), page


def expected(file: bytes, window: tuple[float, float] | None = None) -> Any:
    """Return (height, width, 3) levels in [0, 255], not rounded, by the rule of docs/pixels.md in double precision."""
    values, page = stored(file)
    if page.photometric == 3:
        values = page.colormap.T[values[..., 0]]
    bits = 16 if page.photometric == 3 else page.bitspersample
    low, high = window or (0.0, 1.0 if values.dtype.kind == "f" else float(2**bits - 1))
    light = (values.astype(np.float64) - low) / (high - low)
    if page.photometric == 0:
        light = 1 - light
    if page.photometric == 5:
        full = float(2**bits - 1) if values.dtype.kind != "f" else 1.0
        inks = values.astype(np.float64)
        rgb = (full - inks[..., :3]) * (full - inks[..., 3:4]) / full
        light = (rgb - low) / (high - low)
    light = light[..., :3] if light.shape[2] >= 3 else light[..., :1].repeat(3, axis=2)
    return light.clip(0, 1) * 255


if __name__ == "__main__":
    from foveal.pipeline import DecodeError, Decoder, peek

    found: defaultdict[str, list[str]] = defaultdict(list)
    with Decoder() as decoder:
        for layout in itertools.chain(plain_layouts(), odd_layouts()):
            try:
                image = peek(layout.file)
                [pixels] = decoder.start([image]).pixels()
            except DecodeError as error:
                found[f"{error.reason:.60}"].append(layout.name)
                continue
            off = float(np.abs(pixels.numpy() - expected(layout.file)).max())
            verdict = "right" if off <= max(1, layout.loss) else f"off by {off:.0f}"
            found[f"{image.by}: {verdict}"].append(layout.name)
    for verdict, names in sorted(found.items()):
        print(len(names), verdict, names[:4])  # noqa: T201 - a report
