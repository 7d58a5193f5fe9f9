"""Decode damaged images by the thousand, in a process of its own: ``python -m tests.pipeline.decoding.fuzz COUNT SEED [SHARD...]``.

Mutations of real JPEG, PNG, WebP and other bytes, and of those that the second decoder reads in a process of its own: bit flips, cuts, splices with another file, repeated and removed
stretches, and edits of the header. Each comes from one seed. What is decoded must have the size that its header says,
and what is not must have a reason; the process must neither crash nor hang.
"""

import faulthandler
import io
import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image
from pydicom.uid import RLELossless

from foveal.pipeline import DecodeError, Decoder, EncodedImage, PixelRule, peek
from foveal.shards import Shards
from tests.pipeline.decoding.files import avif, dicom, heic
from tests.pipeline.decoding.tiff_layouts import odd_layouts, plain_layouts, ramps
from tests.pipeline.making import encode, picture

BATCH = 8
LARGEST = 30_000  # bytes: of larger ones most changes hit the same kind of place
MAX_PIXELS = 4_000_000
TIMEOUT_S = 60  # of one batch; then where it hangs is written, and the process ends
KINDS = (
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("JPEG", {"subsampling": 0, "quality": 95}),
    ("PNG", {}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("TIFF", {}),
    ("BMP", {}),
    ("GIF", {}),
    ("JPEG2000", {}),
)


def sources() -> list[bytes]:
    """Return small images of every kind, with twice as many of the kinds that data sets use."""
    files = [
        encode(picture(k, 40 + 9 * k, 60 + 5 * k), kind, **options) for k, (kind, options) in enumerate(KINDS)
    ]
    noise = np.random.default_rng(0).integers(0, 256, (64, 48, 4), dtype=np.uint8)
    files += [encode(Image.fromarray(noise).convert(mode), "PNG") for mode in ("RGBA", "LA", "P", "1", "L")]
    return files + files[:6] + deep_sources()


def deep_sources() -> list[bytes]:
    """Return images of more than 8 bits, and of formats that the second decoder and NumPy read."""
    grey, colours = ramps("uint16", 1)[..., 0], ramps("uint16", 3)
    pixels = picture(0, 48, 64)
    files = [
        imagecodecs.png_encode(colours),
        imagecodecs.jpeg2k_encode(colours, level=0, codecformat="jp2"),
        imagecodecs.jpegxl_encode(colours, lossless=True),
        imagecodecs.jpegxl_encode(pixels, level=90),
        imagecodecs.jpegls_encode(grey),
        imagecodecs.jpegxr_encode(colours, level=0.9),
        imagecodecs.lerc_encode(grey),
        imagecodecs.jpeg8_encode(grey >> 4, level=90, bitspersample=12),
        imagecodecs.jpeg8_encode(grey, lossless=True, bitspersample=16),
        b"P6\n40 24\n4095\n" + (colours >> 4).astype(">u2").tobytes(),
        dicom(grey >> 4, bits=12),
        dicom(grey >> 4, bits=12, syntax=RLELossless),
        heic(pixels),
        avif(pixels),
    ]
    array = io.BytesIO()
    np.save(array, colours)
    layouts = [*list(odd_layouts())[::3], *plain_layouts(97)]
    return [*files, array.getvalue(), *(layout.file for layout in layouts)]


def mutated(file: bytes, other: bytes, chance: random.Random) -> bytes:
    """Return a file with one to four changes."""
    data = bytearray(file)
    for _ in range(chance.choice((1, 1, 2, 4))):
        if len(data) < 2:
            break
        chance.choice((_flip, _flip, _edit_header, _cut, _splice, _repeat, _remove, _zero))(
            data, other, chance
        )
    return bytes(data)


def _flip(data: bytearray, _: bytes, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 3, 20))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _edit_header(data: bytearray, _: bytes, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 2, 8))):
        data[chance.randrange(min(len(data), 200))] = chance.choice((0, 1, 255, chance.randrange(256)))


def _cut(data: bytearray, _: bytes, chance: random.Random) -> None:
    del data[chance.randrange(1, len(data)) :]


def _splice(data: bytearray, other: bytes, chance: random.Random) -> None:
    data[chance.randrange(len(data)) :] = other[chance.randrange(len(other)) :]


def _stretch(data: bytearray, chance: random.Random) -> slice:
    start = chance.randrange(len(data))
    return slice(start, start + chance.choice((1, 4, 64, 500)))


def _repeat(data: bytearray, _: bytes, chance: random.Random) -> None:
    where = _stretch(data, chance)
    data[where.start : where.start] = data[where] * chance.choice((1, 3))


def _remove(data: bytearray, _: bytes, chance: random.Random) -> None:
    del data[_stretch(data, chance)]


def _zero(data: bytearray, _: bytes, chance: random.Random) -> None:
    where = _stretch(data, chance)
    data[where] = bytes(len(data[where]))


def peeked(files: Iterator[bytes], counts: dict[str, int]) -> Iterator[EncodedImage]:
    """Return the mutations that are not refused by their headers; every second one is read with a window."""
    for number, file in enumerate(files):
        try:
            yield peek(file, max_pixels=MAX_PIXELS, rule=PixelRule("auto" if number % 2 else None))
        except DecodeError:
            counts["refused by header"] += 1


def run(mutations: int, seed: int, shards: list[str]) -> dict[str, int]:
    """Decode this many mutations, and return how many had each outcome.

    ``shards`` hold more images to start from, of which the small ones are taken.
    """
    files = sources()
    for sample in Shards(shards) if shards else ():
        files += [file for file in sample.members.values() if 0 < len(file) < LARGEST]
    counts = {
        "mutations": mutations,
        "refused by header": 0,
        "refused by decoders": 0,
        "decoded": 0,
        "by pillow": 0,
        "by helpers": 0,
        "helpers ended": 0,
    }
    made = _mutations(files, mutations, seed)
    with Decoder() as decoder:
        images = peeked(made, counts)
        while batch := [image for _, image in zip(range(BATCH), images, strict=False)]:
            faulthandler.dump_traceback_later(TIMEOUT_S, exit=True)
            decoding = decoder.start(batch)
            for image, pixels in zip(batch, decoding.result(), strict=True):
                if isinstance(pixels, DecodeError):
                    assert pixels.reason
                    counts["refused by decoders"] += 1
                    counts["helpers ended"] += "the decoder ended" in pixels.reason
                else:
                    assert sorted(pixels.shape[:2]) == sorted((image.height, image.width))
                    assert pixels.shape[2] == 3
                    counts["decoded"] += 1
                    counts["by helpers"] += image.by == "helper"
            counts["by pillow"] += decoding.by_pillow
            faulthandler.cancel_dump_traceback_later()
    return counts


def _mutations(files: list[bytes], mutations: int, seed: int) -> Iterator[bytes]:
    for number in range(mutations):
        chance = random.Random(f"{seed} {number}")
        yield mutated(chance.choice(files), chance.choice(files), chance)


if __name__ == "__main__":
    faulthandler.enable()
    found = run(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
    # Not getrusage's: that one begins with what the parent had.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    peak_mb = int(peak[1]) // 1024 if peak else None
    sys.stdout.write(json.dumps(found | {"peak_mb": peak_mb}) + "\n")
