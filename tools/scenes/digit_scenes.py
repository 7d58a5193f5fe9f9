"""Scenes of a megapixel in which one MNIST digit carries the label.

The background is noise at several scales, with grey shapes as large as digits, and on top of them one digit, 112 of 1024
pixels wide, or five pixels of 48. With the colour cue, the shapes are other digits, and the one that is the label is
coloured. Without it, everything is grey, and each shape consists of four quarters of four digits, so that only one shape
is a digit.
"""

import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from numpy.random import Generator
from PIL import Image
from rich.console import Console

from foveal.tools.scenes._write_drawn import write_drawn_shards

SCENE_PX, DIGIT_PX, OTHERS = 1024, 112, 5
PER_SHARD = 500
_MNIST_PX = 28
# By the number of points on a side of a lattice: how strongly the background varies from one point to the next, in grey
# levels.
_GROUND = ((4, 18.0), (16, 12.0), (64, 8.0), (256, 6.0))


@dataclass(frozen=True, slots=True)
class Digits:
    """A part of MNIST.

    Attributes:
        images: 28 x 28 pixels, white on black.
        labels: 0 to 9.
    """

    images: UInt8[np.ndarray, "count 28 28"]
    labels: UInt8[np.ndarray, " count"]

    @classmethod
    def read(cls, folder: Path, part: str) -> "Digits":
        """Read a part, ``"train"`` or ``"t10k"``, of the four gz files as they are published.

        Raises:
            ValueError: They are not in this folder.
        """
        images, labels = (folder / f"{part}-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1"))
        if not (images.is_file() and labels.is_file()):
            raise ValueError(
                f"digits must be a folder with the four gz files of MNIST, got {str(folder)!r} – name it with --data, or "
                "in FOVEAL_DATA."
            )
        pixels, told = (
            np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=head)
            for path, head in ((images, 16), (labels, 8))
        )
        return cls(pixels.reshape(-1, _MNIST_PX, _MNIST_PX), told)


def write_digit_scenes(
    folder: Path, digits: Digits, count: int, *, colour: bool, seed: int, console: Console
) -> list[str]:
    """Write scenes as shards of 500, each with ``jpg``, ``cls`` and ``json``; existing shards are kept.

    Args:
        folder: Where to write them.
        digits: The digits to put into them.
        count: Number of scenes.
        colour: Whether the digit that is the label is coloured.
        seed: The seed of the series of scenes.
        console: Where the progress is shown.

    Returns:
        The paths of the shards.
    """
    return write_drawn_shards(
        folder,
        "digits",
        count,
        lambda index: _sample(index, digits, colour=colour, seed=seed),
        per_shard=PER_SHARD,
        console=console,
    )


def draw_digit_scene(
    rng: Generator, digits: Digits, *, colour: bool
) -> tuple[UInt8[np.ndarray, "height width 3"], int, tuple[int, int, int, int]]:
    """Return a scene, its label, and the box of the digit: (x0, y0, x1, y1) in pixels, half-open."""
    scene = _ground(rng)
    *corners, (x, y) = _apart(rng, OTHERS + 1)
    for corner in corners:
        shape = digits.images[rng.integers(len(digits.images))] if colour else _quartered(rng, digits)
        _put(scene, shape, corner, _grey(rng))
    chosen = int(rng.integers(len(digits.images)))
    _put(scene, digits.images[chosen], (x, y), _hue(rng) if colour else _grey(rng))
    pixels = np.clip(scene, 0, 255, out=scene).astype(np.uint8)
    return pixels, int(digits.labels[chosen]), (x, y, x + DIGIT_PX, y + DIGIT_PX)


def _sample(index: int, digits: Digits, *, colour: bool, seed: int) -> dict[str, Any]:
    image, label, box = draw_digit_scene(np.random.default_rng((seed, index)), digits, colour=colour)
    jpeg = io.BytesIO()
    Image.fromarray(image).save(jpeg, "JPEG", quality=85)
    return {"__key__": f"{index:06d}", "jpg": jpeg.getvalue(), "cls": label, "json": {"boxes": [list(box)]}}


def _ground(rng: Generator) -> Float32[np.ndarray, "height width 3"]:
    size = (SCENE_PX, SCENE_PX)
    grey = np.full(size, rng.uniform(70, 110), np.float32)
    for points, strength in _GROUND:
        noise = Image.fromarray(rng.normal(0, strength, (points, points)).astype(np.float32))
        grey += np.asarray(noise.resize(size, Image.Resampling.BILINEAR))
    return grey[..., None] * rng.uniform(0.92, 1.08, 3).astype(np.float32)


def _apart(rng: Generator, count: int) -> Sequence[tuple[int, int]]:
    """Return corners of digits that do not overlap by more than a fifth."""
    corners: list[tuple[int, int]] = []
    while len(corners) < count:
        x, y = rng.integers(0, SCENE_PX - DIGIT_PX, 2).tolist()
        if all(max(abs(x - a), abs(y - b)) > 0.8 * DIGIT_PX for a, b in corners):
            corners.append((x, y))
    return corners


def _quartered(rng: Generator, digits: Digits) -> UInt8[np.ndarray, "28 28"]:
    """Return a shape made of one quarter each of four digits, none of them at its own position."""
    half = _MNIST_PX // 2
    four = digits.images[rng.integers(len(digits.images), size=4)]
    quarters = [
        image[row:, col:][:half, :half] for image, (row, col) in zip(four, _corners(half), strict=True)
    ]
    turned = np.roll(np.arange(4), rng.integers(1, 4))
    a, b, c, d = (quarters[place] for place in turned)
    return np.block([[a, b], [c, d]])


def _corners(half: int) -> list[tuple[int, int]]:
    return [(0, 0), (0, half), (half, 0), (half, half)]


def _put(
    scene: Float32[np.ndarray, "height width 3"],
    shape: UInt8[np.ndarray, "28 28"],
    corner: tuple[int, int],
    colour: Float32[np.ndarray, " 3"],
) -> None:
    """Paint a shape over the scene, as large as a digit."""
    x, y = corner
    large = Image.fromarray(shape).resize((DIGIT_PX, DIGIT_PX), Image.Resampling.BICUBIC)
    ink = np.asarray(large, np.float32)[..., None] / 255
    part = scene[y : y + DIGIT_PX, x : x + DIGIT_PX]
    part += ink * (colour - part)


def _grey(rng: Generator) -> Float32[np.ndarray, " 3"]:
    return np.full(3, rng.uniform(170, 240), np.float32)


def _hue(rng: Generator) -> Float32[np.ndarray, " 3"]:
    """Return a colour as light as the greys: one channel high, one low, one between."""
    return rng.permutation(
        np.array([rng.uniform(220, 255), rng.uniform(20, 60), rng.uniform(20, 255)], np.float32)
    ).astype(np.float32)
