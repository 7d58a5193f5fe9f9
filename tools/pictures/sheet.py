"""The contact sheet: what a zoom sees, and what it returns, one row for each sample."""

import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from foveal.sampler.frames import Frame
from foveal.shards.store import write_whole

TITLES = ("Original, and where the zoom samples it", "Saliency", "Uniform resize", "Zoomed")
_WIDTHS_PX = (462, 462, 308, 308)
_ROW_PX, _GAP_PX, _MARGIN_PX, _TITLE_PX, _CAPTION_PX = 308, 12, 12, 40, 34
_DPI = 100
_GRID_LINES = 16
BOX_COLOURS = ("#ffd400", "#00e5ff", "#ff5ad9", "#7cff4f", "#ff7a29", "#b39bff")


def _no_boxes() -> Float[np.ndarray, "0 4"]:
    return np.zeros((0, 4), np.float32)


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One sample, before and after the zoom.

    Attributes:
        original: The whole image, RGB.
        grid: Where each output pixel looks in the original: (x, y) in [-1, 1], ``align_corners=False``. None to draw none.
        saliency: A coarse map over the original, any scale.
        saliency_frame: Where it lies: on ``"nodes"``, the outermost on the image's edges, or in ``"cells"`` that tile the image.
        uniform: The original resized to the size of the output, RGB in [0, 1].
        zoomed: The output, RGB in [0, 1].
        caption: One line, printed above the row.
        boxes: Drawn on the original: (x0, y0, x1, y1) in its pixels.
        zoomed_boxes: Drawn on the output, in its pixels: those of ``boxes`` that it shows.
        kept: Which of ``boxes`` they are, so that a box has one colour in both.
    """

    original: UInt8[np.ndarray, "height width 3"]
    grid: Float[np.ndarray, "out_height out_width 2"] | None
    saliency: Float[np.ndarray, "rows cols"]
    uniform: Float[np.ndarray, "out_height out_width 3"]
    zoomed: Float[np.ndarray, "out_height out_width 3"]
    caption: str
    boxes: Float[np.ndarray, "count 4"] = field(default_factory=_no_boxes)
    zoomed_boxes: Float[np.ndarray, "kept 4"] = field(default_factory=_no_boxes)
    kept: Sequence[int] = ()
    saliency_frame: Frame = "nodes"


def draw_sheet(rows: Sequence[SheetRow], path: Path, *, titles: tuple[str, str, str, str] = TITLES) -> None:
    """Write a sheet to a file, which appears complete, and make its folder."""
    content = sheet_png(rows, titles=titles)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)


def sheet_png(rows: Sequence[SheetRow], *, titles: tuple[str, str, str, str] = TITLES) -> bytes:
    """Return a PNG, 1600 pixels wide: original with the grid over it, saliency, uniform resize, zoomed."""
    if not rows:
        raise ValueError("rows must be at least one sample, got none.")
    sheet = _Sheet(len(rows), titles)
    for number, row in enumerate(rows):
        _draw_row(row, sheet.add_row(number, row.caption))
    return sheet.png()


def as_picture(image: Float[Tensor, "3 height width"]) -> Float[np.ndarray, "height width 3"]:
    """Return an image of a batch as a sheet takes it."""
    return image.permute(1, 2, 0).numpy(force=True)


class _Sheet:
    """A page measured in pixels: titles on top, then rows of four cells with a caption above each row."""

    def __init__(self, rows: int, titles: Sequence[str]) -> None:
        self.width = 2 * _MARGIN_PX + sum(_WIDTHS_PX) + 3 * _GAP_PX
        self.height = _TITLE_PX + rows * (_CAPTION_PX + _ROW_PX) + _MARGIN_PX
        self.figure = Figure((self.width / _DPI, self.height / _DPI), dpi=_DPI, facecolor="white")
        starts = [0, *itertools.accumulate(width + _GAP_PX for width in _WIDTHS_PX[:-1])]
        self.lefts = [_MARGIN_PX + start for start in starts]
        for left, width, title in zip(self.lefts, _WIDTHS_PX, titles, strict=True):
            self._write(
                left + width / 2, _TITLE_PX / 2, title, size=12, weight="bold", ha="center", va="center"
            )

    def add_row(self, number: int, caption: str) -> list[Axes]:
        top = _TITLE_PX + number * (_CAPTION_PX + _ROW_PX)
        self._write(
            _MARGIN_PX, top + _CAPTION_PX - 8, caption, size=10, color="0.35", ha="left", va="baseline"
        )
        bottom = 1 - (top + _CAPTION_PX + _ROW_PX) / self.height
        return [
            self.figure.add_axes((left / self.width, bottom, width / self.width, _ROW_PX / self.height))
            for left, width in zip(self.lefts, _WIDTHS_PX, strict=True)
        ]

    def _write(self, x: float, y: float, text: str, **style: Any) -> None:
        self.figure.text(x / self.width, 1 - y / self.height, text, **style)

    def png(self) -> bytes:
        content = io.BytesIO()
        self.figure.savefig(content, dpi=_DPI, format="png")
        return content.getvalue()


def _draw_row(row: SheetRow, cells: Sequence[Axes]) -> None:
    original, saliency, uniform, zoomed = cells
    for cell in cells:
        cell.set_axis_off()
        cell.set_anchor("N")  # right below its caption
    original.imshow(row.original)
    if row.grid is not None:
        _draw_grid(original, row.grid, row.original.shape[:2])
    _draw_saliency(saliency, row)
    uniform.imshow(np.clip(row.uniform, 0, 1), interpolation="bicubic")
    zoomed.imshow(np.clip(row.zoomed, 0, 1), interpolation="bicubic")
    _draw_boxes(original, row.boxes, range(len(row.boxes)))
    _draw_boxes(zoomed, row.zoomed_boxes, row.kept)


def _draw_grid(cell: Axes, grid: Float[np.ndarray, "rows cols 2"], size: tuple[int, ...]) -> None:
    """Draw every n-th row and column of the grid, light on dark, so that they are visible on any image."""
    points = (grid + 1) / 2 * size[::-1] - 0.5
    lines = [points[number] for number in _every(len(points))]
    lines += [points[:, number] for number in _every(points.shape[1])]
    cell.add_collection(LineCollection(lines, colors="black", linewidths=1.5, alpha=0.4), autolim=False)
    cell.add_collection(LineCollection(lines, colors="white", linewidths=0.6, alpha=0.9), autolim=False)


def _draw_boxes(cell: Axes, boxes: Float[np.ndarray, "count 4"], numbers: Sequence[int]) -> None:
    """Draw boxes, each in the colour of its number, with a dark edge, so that they are visible on any image."""
    for (x0, y0, x1, y1), number in zip(boxes, numbers, strict=True):
        for width, colour in ((3.0, "black"), (1.6, BOX_COLOURS[number % len(BOX_COLOURS)])):
            corner = (x0 - 0.5, y0 - 0.5)  # imshow has pixel centres at whole numbers
            cell.add_patch(Rectangle(corner, x1 - x0, y1 - y0, fill=False, linewidth=width, edgecolor=colour))


def _every(count: int) -> list[int]:
    """Return the numbers of the lines to draw: evenly, from the first to the last."""
    return sorted(set(np.linspace(0, count - 1, _GRID_LINES).round().astype(int).tolist()))


def _draw_saliency(cell: Axes, row: SheetRow) -> None:
    """Draw the map in colour over the image in dim grey: the more salient a place, the less of the image is visible."""
    height, width, _ = row.original.shape
    cell.imshow(row.original.mean(-1), cmap="gray", vmin=0, vmax=400)
    weight = row.saliency / max(float(row.saliency.max()), 1e-12)
    rows, cols = weight.shape
    # The outermost nodes lie on the edges, so half of their pixels lies outside.
    half = [
        side / max(2 * (count - 1), 1) if row.saliency_frame == "nodes" and count > 1 else 0.0
        for side, count in ((height, rows), (width, cols))
    ]
    extent = (-0.5 - half[1], width - 0.5 + half[1], height - 0.5 + half[0], -0.5 - half[0])
    cell.imshow(weight, cmap="inferno", alpha=0.25 + 0.6 * weight, extent=extent, interpolation="bilinear")
    cell.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
