"""Mixed resolution on the demo's sheet: the cells that are refined, and all tokens drawn at their places."""

import math

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from foveal.sampler import MixedResolution, UniformSampler, token_positions
from foveal.shards import Shards
from foveal.tools.demo._shown import DemoZoom, Picked
from foveal.tools.pictures.originals import caption_facts, read_originals
from foveal.tools.pictures.sheet import SheetRow, as_picture

MIXED_TITLES = (
    "Original, refined cells framed",
    "Saliency",
    "Uniform, as many pixels",
    "Tokens in their places",
)
_REFINE = 4  # few cells, but refined strongly, so that the picture shows the effect at a glance
_PAINTED_PX = 616  # longer side of the drawing: twice the size that a sheet shows
_LINE = np.array([255, 214, 0], np.uint8)


def build_mixed(out_size: int) -> MixedResolution:
    """Return a sampler whose tokens have as many pixels as an image of ``out_size`` by ``out_size``, about half of them fine."""
    patch_size = max(2, out_size // 14)
    tokens = (out_size // patch_size) ** 2
    cells = round(math.sqrt(tokens / 2))
    refined = min(cells**2, (tokens - cells**2) // _REFINE**2)
    return MixedResolution(cells, patch_size=patch_size, refined=refined, refine=_REFINE)


def mixed_row(
    original: UInt8[Tensor, "height width 3"],
    tokens: Float[Tensor, "tokens 3 patch_size patch_size"],
    grid: Float[Tensor, "tokens patch_size patch_size 2"],
    saliency: Float[Tensor, "1 rows cols"],
    *,
    zoom: MixedResolution,
    caption: str,
) -> SheetRow:
    """Return the row of one image and its tokens.

    Args:
        original: The whole image.
        tokens: The tokens of this image in ``Zoomed.images``, the coarse ones first.
        grid: The grids of these tokens in ``Zoomed.grid``.
        saliency: The map of this image in ``Zoomed.saliency``.
        zoom: The sampler.
        caption: One line above the row.
    """
    places = token_positions(grid[None])[0].double().cpu()
    height, width, _ = original.shape
    scale = _PAINTED_PX / max(height, width)
    painted = paint(tokens.cpu(), places, (max(1, round(height * scale)), max(1, round(width * scale))))
    pixels = tokens.shape[0] * tokens.shape[2] * tokens.shape[3]
    budget = math.sqrt(pixels * height / width)
    as_many = max(1, round(budget)), max(1, round(pixels / budget))
    return SheetRow(
        original=framed(original.cpu(), _refined(places, zoom)),
        grid=_borders(zoom.cells),
        saliency=saliency[0].numpy(force=True),
        uniform=as_picture(UniformSampler(as_many)([original]).images[0]),
        zoomed=painted,
        caption=caption,
    )


def paint(
    tokens: Float[Tensor, "tokens 3 patch_size patch_size"],
    places: Float[Tensor, "tokens 4"],
    size: tuple[int, int],
) -> Float[np.ndarray, "height width 3"]:
    """Draw tokens at their places in a picture of this (height, width); later tokens cover earlier ones."""
    canvas = torch.zeros(3, *size)
    for token, (x0, y0, x1, y1) in zip(tokens, rectangles(places, size).tolist(), strict=True):
        area = (max(1, y1 - y0), max(1, x1 - x0))
        canvas[:, y0 : y0 + area[0], x0 : x0 + area[1]] = interpolate(token[None], area, mode="bilinear")[0]
    return as_picture(canvas)


def framed(
    original: UInt8[Tensor, "height width 3"], places: Float[Tensor, "places 4"]
) -> UInt8[np.ndarray, "height width 3"]:
    """Return the original with a frame around each of these places."""
    drawn = original.numpy().copy()
    thick = max(1, max(drawn.shape[:2]) // 150)  # so that it stands out from the lines between cells
    for x0, y0, x1, y1 in rectangles(places, drawn.shape[:2]).tolist():
        drawn[y0:y1, x0 : x0 + thick] = drawn[y0:y1, max(x1 - thick, 0) : x1] = _LINE
        drawn[y0 : y0 + thick, x0:x1] = drawn[max(y1 - thick, 0) : y1, x0:x1] = _LINE
    return drawn


def rectangles(places: Float[Tensor, "tokens 4"], size: tuple[int, ...]) -> Int[Tensor, "tokens 4"]:
    """Return (x0, y0, x1, y1) in whole pixels of a picture of this (height, width), from :func:`token_positions`."""
    whole = torch.tensor([size[1], size[0]], dtype=places.dtype)
    middle, half = (places[:, :2] + 1) / 2, places[:, 2:] / 2
    corners = torch.cat([(middle - half) * whole, (middle + half) * whole], dim=1)
    return corners.round().long().clamp(min=0)


def _refined(places: Float[Tensor, "tokens 4"], zoom: MixedResolution) -> Float[Tensor, "refined 4"]:
    """Return the places of the refined cells, each the union of its fine tokens."""
    each = places[zoom.cells[0] * zoom.cells[1] :].view(zoom.refined, zoom.refine**2, 4)
    return torch.cat([each.mean(dim=1)[:, :2], each[:, 0, 2:] * zoom.refine], dim=1)


def _borders(cells: tuple[int, int]) -> Float[np.ndarray, "rows cols 2"]:
    """Return the lines between coarse cells in the form in which a sheet takes a grid."""
    y, x = (np.linspace(-1, 1, count + 1) for count in cells)
    return np.stack(np.meshgrid(x, y), -1)


def _code(out_size: int) -> str:
    zoom = build_mixed(out_size)
    return f"MixedResolution({zoom.cells}, patch_size={zoom.patch_size}, refined={zoom.refined}, refine={zoom.refine})"


def _row(shards: Shards, sample: Picked, out_size: int) -> SheetRow:
    [original] = read_originals(shards, [sample.ordinal])
    height, width, _ = original.shape
    count, _, side, _ = sample.image.shape
    facts = [
        *caption_facts(shards, sample.ordinal),
        f"{width} × {height} → {count} tokens of {side} × {side}",
    ]
    return mixed_row(
        original,
        sample.image,
        sample.grid,
        sample.saliency,
        zoom=build_mixed(out_size),
        caption="   ".join(facts),
    )


MIXED = DemoZoom(
    build=build_mixed,
    names="MixedResolution",
    code=_code,
    titles=MIXED_TITLES,
    row=_row,
)
