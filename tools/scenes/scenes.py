"""Scenes for the demo: photographic in their statistics, with one small sign that carries the label.

The dead-leaves model: opaque shapes of radius r, with density r^-3, thrown one over the other, have the 1/f^2 power
spectrum and the sharp occlusions of photographs (Lee, Mumford and Huang 2001). Each shape has a grain of its own and
is shaded from one side, casts a shadow on what lies below, and the whole is lit unevenly, blurred by a lens and
speckled by a sensor. On top lies a disc with a digit, about one fortieth of the image wide: at 224 pixels it is a
coloured dot, and the digit can only be read at full resolution.
"""

import colorsys
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int32, UInt8
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from rich.console import Console

from foveal.tools.scenes._write_drawn import write_drawn_shard, write_drawn_shards

SIZES = ((1920, 1280), (1280, 1920), (2048, 1152), (1600, 1600), (2400, 1200), (1440, 1920))
"""(width, height) in pixels, one after the other: 2.4 to 2.9 megapixels each."""

_LIGHT = np.array([-0.6, -0.8], np.float32)  # (x, y) towards the light: upper left
_THEMES = ((0.09, 0.25), (0.13, 0.16), (0.22, 0.22), (0.28, 0.14), (0.56, 0.16), (0.60, 0.06), (0.04, 0.20))
"""Hue and saturation: sand, clay, moss, lichen, slate, granite, terracotta."""
_SIGN_HUES = (0.0, 0.07, 0.13, 0.38, 0.60, 0.80, 0.90)


@dataclass(frozen=True, slots=True)
class Scene:
    """An image and the object in it that matters.

    Attributes:
        image: RGB.
        label: The digit on the sign, 0 to 9.
        box: Around the sign: (x0, y0, x1, y1) in pixels, half-open.
    """

    image: UInt8[np.ndarray, "height width 3"]
    label: int
    box: tuple[int, int, int, int]


LEAST = 24
"""The least width and height of a scene, in pixels."""


def draw_scene(index: int, *, seed: int = 0, size: tuple[int, int] | None = None) -> Scene:
    """Return scene number ``index`` of a seed; the same every time, whatever was drawn before it.

    Args:
        index: Which scene; labels and sizes take turns.
        seed: Which series of scenes.
        size: (width, height) in pixels, at least ``LEAST``; by default the turn of ``SIZES``.

    Raises:
        ValueError: The size is too small for a digit.
    """
    if size is not None and min(size) < LEAST:
        raise ValueError(f"size must be at least {LEAST} × {LEAST} pixels, got {size!r}.")
    rng = np.random.default_rng((seed, index))
    width, height = size or SIZES[index % len(SIZES)]
    label = int(rng.integers(10))
    sign = _sign(rng, label, round(rng.uniform(0.024, 0.030) * (width + height) / 2))
    x, y = (int(rng.uniform(0.12, 0.88) * side - sign.width / 2) for side in (width, height))
    box = (x, y, x + sign.width, y + sign.height)

    leaves, colours, planes = _throw_leaves(rng, (width, height))
    top = Image.fromarray(leaves)
    ImageDraw.Draw(top).ellipse((x, y, x + sign.width - 1, y + sign.height - 1), fill=len(colours))
    surface = _paint(leaves, colours, planes, _grain(rng, leaves.shape), _light(rng, np.asarray(top)))
    surface.paste(sign, (x, y), sign)
    return Scene(_photograph(rng, surface), label, box)


def write_scenes(
    path: Path, indices: Iterable[int], *, seed: int = 0, size: tuple[int, int] | None = None
) -> None:
    """Write these scenes as a shard.

    Each sample has ``jpg``, ``cls`` (the digit) and ``json`` (``boxes`` in pixels and their ``labels``).

    Args:
        path: The tar to write.
        indices: Which scenes, in order.
        seed: Which series of scenes.
        size: (width, height) in pixels; by default the turn of ``SIZES``.
    """
    write_drawn_shard(path, indices, lambda k: _as_sample(k, draw_scene(k, seed=seed, size=size)))


def write_shards(folder: Path, count: int, *, console: Console, per_shard: int = 16) -> list[str]:
    """Write the first ``count`` scenes as shards, with a progress bar; what is already there is kept.

    Returns:
        The paths of the tars.
    """
    return write_drawn_shards(
        folder, "scenes", count, lambda k: _as_sample(k, draw_scene(k)), per_shard=per_shard, console=console
    )


def as_jpeg(image: UInt8[np.ndarray, "height width 3"]) -> bytes:
    """Return the JPEG file that a scene is written as."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=90)
    return file.getvalue()


def _as_sample(index: int, scene: Scene) -> dict[str, Any]:
    boxes = {"boxes": [list(scene.box)], "labels": [scene.label]}
    return {"__key__": f"scene-{index:06d}", "jpg": as_jpeg(scene.image), "cls": scene.label, "json": boxes}


def _throw_leaves(
    rng: Generator, size: tuple[int, int], count: int = 1500
) -> tuple[Int32[np.ndarray, "height width"], UInt8[np.ndarray, "leaves 3"], Float32[np.ndarray, "leaves 3"]]:
    """Return which leaf is seen at each pixel, each leaf's colour, and its plane of shading (a, bx, by)."""
    largest, smallest = 0.4 * min(size), 0.008 * min(size)
    # The inverse of the cumulative r^-3 law; roughly the large ones first, or they would hide all the rest.
    radii = np.sort((largest**-2 + rng.random(count) * (smallest**-2 - largest**-2)) ** -0.5)[::-1]
    radii *= rng.uniform(0.6, 1.5, count)
    centres = rng.random((count, 2)) * size
    outlines = _outlines(rng, count) * radii[:, None, None] + centres[:, None]
    ids = Image.new("I", size)
    pen = ImageDraw.Draw(ids)
    for leaf, outline in enumerate(outlines.reshape(count, -1).tolist()):
        pen.polygon(outline, fill=leaf)
    slopes = rng.uniform(0.1, 0.35, (count, 1)) * _LIGHT / radii[:, None]
    slopes[0] = 0  # the ground
    planes = np.concatenate([1 - (slopes * centres).sum(1, keepdims=True), slopes], 1)
    return np.asarray(ids), _colours(rng, count), planes.astype(np.float32)


def _outlines(rng: Generator, count: int, corners: int = 28) -> Float64[np.ndarray, "count corners 2"]:
    """Return closed shapes about the origin, of radius about one: between a pebble and a fallen leaf."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    waves = np.arange(2, 5)[:, None]
    bumps = (
        rng.normal(0, 0.2, (count, 3, 1)) / waves * np.cos(waves * angle + rng.uniform(0, 6.3, (count, 3, 1)))
    )
    radius = 1 + bumps.sum(1)
    pointed = rng.uniform(0.6, 1.6) * rng.uniform(0.8, 1.2, (count, 1))
    x = np.cos(angle) * radius
    y = rng.uniform(0.4, 1, (count, 1)) * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** pointed * radius
    turn = rng.uniform(0, 2 * np.pi, (count, 1))
    return np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], 2)


def _colours(rng: Generator, count: int) -> UInt8[np.ndarray, "count 3"]:
    """Return muted colours around one theme."""
    hue, saturation = _THEMES[rng.integers(len(_THEMES))]
    hues = rng.normal(hue, 0.035, count) % 1
    saturations = np.clip(rng.normal(saturation, 0.05, count), 0, 0.4)
    values = np.clip(rng.normal(0.52, 0.12, count), 0.2, 0.8)
    values[0] = rng.uniform(0.35, 0.45)  # the ground
    colours = [colorsys.hsv_to_rgb(*hsv) for hsv in zip(hues, saturations, values, strict=True)]
    return np.array([[round(255 * c) for c in colour] for colour in colours], np.uint8)


def _paint(
    leaves: Int32[np.ndarray, "height width"],
    colours: UInt8[np.ndarray, "leaves 3"],
    planes: Float32[np.ndarray, "leaves 3"],
    grain: Float32[np.ndarray, "height width"],
    light: Float32[np.ndarray, "rows cols"],
) -> Image.Image:
    """Return the leaves in their colours, each shaded from one side, with a grain, in this light."""
    height, width = leaves.shape
    leaf = leaves.astype(np.intp)
    a, bx, by = (plane.take(leaf) for plane in planes.T.copy())
    shade = a + bx * np.arange(width, dtype=np.float32) + by * np.arange(height, dtype=np.float32)[:, None]
    shade *= 1 + 0.09 * grain
    shade *= np.asarray(Image.fromarray(light).resize((width, height), Image.Resampling.BILINEAR))
    painted = colours.take(leaf, 0) * shade[..., None]
    return Image.fromarray(np.clip(painted, 0, 255, out=painted).astype(np.uint8))


def _grain(rng: Generator, shape: tuple[int, ...], period: int = 1024) -> Float32[np.ndarray, "height width"]:
    """Return a field with an amplitude of 1/f, mean zero and variance one, repeated every ``period`` pixels."""
    fy, fx = np.fft.fftfreq(period)[:, None], np.fft.rfftfreq(period)
    frequency = np.sqrt(fx**2 + fy**2).astype(np.float32)
    frequency[0, 0] = np.inf
    spectrum = rng.standard_normal((2, *frequency.shape), np.float32)
    field = np.fft.irfft2((spectrum[0] + 1j * spectrum[1]) / frequency).astype(np.float32)
    tiles = [-(-side // period) for side in shape]
    return np.tile(field / field.std(), tiles)[: shape[0], : shape[1]]


def _light(rng: Generator, leaves: Int32[np.ndarray, "height width"]) -> Float32[np.ndarray, "rows cols"]:
    """Return how much light falls where, on a lattice of one point every 4 pixels."""
    near = leaves[::4, ::4]
    shadow = np.zeros(near.shape, np.float32)
    for step in (1, 2, 3):  # what lies higher up, towards the light, casts a shadow here
        shadow[step:, step:] += near[:-step, :-step] > near[step:, step:]
    rows, cols = (np.linspace(-1, 1, side, dtype=np.float32) for side in near.shape)
    x, y = rng.uniform(-0.6, 0.6, 2)
    pool = np.exp(-((cols - x) ** 2 + (rows[:, None] - y) ** 2) / rng.uniform(1, 2.5))
    light: np.ndarray = (0.75 + 0.5 * pool) * (1 - 0.14 * shadow)
    return light.astype(np.float32)


def _photograph(rng: Generator, surface: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
    """Return the surface as a camera sees it: a soft lens and a noisy sensor."""
    noise = 2.5 * rng.standard_normal((surface.height, surface.width, 1), np.float32)
    seen: np.ndarray = np.asarray(surface.filter(ImageFilter.BoxBlur(0.5))) + noise
    return np.clip(seen, 0, 255, out=seen).astype(np.uint8)


def _sign(rng: Generator, label: int, side: int, scale: int = 4) -> Image.Image:
    """Return a disc with a digit, ``side`` pixels wide, transparent outside."""
    hue = _SIGN_HUES[rng.integers(len(_SIGN_HUES))]
    face = tuple(round(255 * c) for c in colorsys.hsv_to_rgb(hue, 0.95, 0.95))
    large = Image.new("RGBA", (side * scale, side * scale), (*face, 0))
    pen = ImageDraw.Draw(large)
    middle, radius = side * scale / 2, side * scale / 2 - 1
    pen.circle((middle, middle), radius, fill=face)
    pen.circle((middle, middle), 0.92 * radius, outline="white", width=round(0.09 * radius))
    font = ImageFont.load_default(1.35 * radius)
    pen.text((middle, middle), str(label), "white", font, anchor="mm", stroke_width=round(0.03 * radius))
    turned = large.rotate(rng.uniform(-12, 12), Image.Resampling.BICUBIC)
    return turned.resize((side, side), Image.Resampling.LANCZOS)
