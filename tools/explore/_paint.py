"""The four pictures of the page, drawn by Pillow in a few milliseconds."""

import base64
import io

import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib import colormaps
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn.functional import grid_sample

from foveal.sampler.frames import identity_grid, into_views
from foveal.tools.explore._looker import Look
from foveal.tools.pictures.sheet import BOX_COLOURS

_LINES = 18


def original_with_grid(look: Look) -> Image.Image:
    """Return the original with every few lines of the grid over it, light on dark, and its boxes."""
    picture = Image.fromarray(look.original.small)
    pen = ImageDraw.Draw(picture)
    corner = np.array(picture.size, np.float32)
    points = (look.grid + 1) / 2 * corner
    for line in _lines(points):
        way = [tuple(point) for point in line.tolist()]
        pen.line(way, fill=(0, 0, 0), width=4)
        pen.line(way, fill=(255, 255, 255), width=2)
    height, width, _ = look.original.image.shape
    scale = np.tile(corner / (width, height), 2)
    _frame(picture, look.original.boxes.numpy() * scale, range(len(look.original.boxes)))
    return picture


def saliency_over_grey(look: Look) -> Image.Image:
    """Return the map in colour over the original in dim grey: the more salient, the less of the image shows. Around a view it is grey alone."""
    small = look.original.small
    level, seen = (each[..., None] for each in _on_original(look))
    colours = colormaps["inferno"](level[..., 0])[..., :3] * 255
    cover = seen * (0.25 + 0.6 * level)
    grey = small.mean(-1, keepdims=True) * 0.6
    return Image.fromarray((cover * colours + (1 - cover) * grey).astype(np.uint8))


def _on_original(look: Look) -> tuple[Float[np.ndarray, "rows cols"], Float[np.ndarray, "rows cols"]]:
    """Return the map at each drawn pixel of the original, up to 1, and whether the view shows that pixel."""
    rows, cols, _ = look.original.small.shape
    pixels = identity_grid((rows, cols), torch.float64, torch.device("cpu"))
    points = into_views(pixels, None if look.view is None else look.view[None])
    weights = look.saliency / look.saliency.max().clamp(min=1e-12)
    # The outermost nodes of a map lie on the edges.
    level = grid_sample(weights[None, None].double(), points, padding_mode="border", align_corners=True)
    return level[0, 0].numpy(), (points.abs() <= 1).all(dim=-1)[0].numpy().astype(np.float64)


def as_image(pixels: Float[Tensor, "3 height width"]) -> Image.Image:
    """Return pixels in [0, 1] as they are, rounded to 256 levels."""
    levels: UInt8[np.ndarray, "height width 3"] = (
        (pixels.permute(1, 2, 0).numpy() * 255).round().clip(0, 255).astype(np.uint8)
    )
    return Image.fromarray(levels)


def zoomed_with_boxes(look: Look) -> Image.Image:
    """Return the zoomed image with the boxes that it shows."""
    picture = as_image(look.zoomed)
    _frame(picture, look.boxes, look.kept)
    return picture


def as_url(picture: Image.Image) -> str:
    """Return a drawn picture as a data URL, so that the server stores no file."""
    return _as_url(picture, "jpeg", quality=88)


def as_exact_url(picture: Image.Image) -> str:
    """Return pixels unchanged as a data URL."""
    return _as_url(picture, "png", compress_level=1)


def _as_url(picture: Image.Image, kind: str, **options: int) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _lines(points: Float[np.ndarray, "rows cols 2"]) -> list[Float[np.ndarray, "_count 2"]]:
    rows, cols, _ = points.shape
    every = [np.linspace(0, count - 1, min(_LINES, count)).round().astype(int) for count in (rows, cols)]
    return [*(points[row] for row in every[0]), *(points[:, col] for col in every[1])]


def _frame(picture: Image.Image, boxes: Float[np.ndarray, "count 4"], numbers: range | list[int]) -> None:
    pen = ImageDraw.Draw(picture)
    width = max(1, round(max(picture.size) / 128))  # about two pixels as the page shows it
    around = boxes + np.array([-width, -width, width, width])  # a frame must not cover what is in a small box
    for box, number in zip(around.tolist(), numbers, strict=True):
        pen.rectangle(box, outline=BOX_COLOURS[number % len(BOX_COLOURS)], width=width)
