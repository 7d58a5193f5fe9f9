"""Anti-aliased `sample` in plain torch: the reference for the kernels, and the fallback if there is none.

A source row is summed from its left border once. The sum over a footprint's run in it is then the difference of this
cumulative sum at two positions, linear between pixels; and a footprint's sum is that of its rows, weighted by the part of
each that is inside.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from foveal.sampler.frames import underlying
from foveal.sampler.kernels._footprint import Footprint, footprints

Pixels = Float[Tensor, "batch channel height width"]


def average_dense(
    images: Float[Tensor, "batch channel _height _width"], grid: Float[Tensor, "batch height width 2"]
) -> Pixels:
    """Average images of one size over the grid's footprints."""
    return mean_over(images, footprints(grid, (images.shape[2], images.shape[3])))


def mean_over(images: Float[Tensor, "batch channel _height _width"], foot: Footprint) -> Pixels:
    """Average images of one size over footprints."""
    rows = RowSums(images)
    total = rows.none(foot)
    for row in rows_under(foot):
        total = total + rows.inside(row)
    return (total / (foot.across * foot.down)[:, None]).to(images.dtype)


def slope_over(
    images: Float[Tensor, "batch channel _height _width"], foot: Footprint
) -> Float[Tensor, "batch 5 channel height width"]:
    """Return the derivatives of each average with respect to the five numbers of its footprint, in their order: see `Footprint`."""
    rows = RowSums(images)
    total = moved = widened = turned = below = ends = rows.none(foot)
    for row in rows_under(foot):
        run = rows.upto(row, row.right) - rows.upto(row, row.left)
        left, right = rows.at(row, row.left), rows.at(row, row.right)
        total, moved = total + row.inside * run, moved + row.inside * (right - left)
        widened = widened + row.inside * (right + left)
        turned = turned + row.inside * (row.middle - foot.y[:, None]) * (right - left)
        below, ends = below + (row.at_bottom - row.at_top) * run, ends + (row.at_bottom + row.at_top) * run
    across, down, lean = foot.across[:, None], foot.down[:, None], foot.lean[:, None]
    by_across, by_down = widened * 0.5 - total / across, ends * 0.5 - total / down
    slope = torch.stack([moved, below - lean * moved, by_across, by_down, turned], dim=1)
    return (slope / (across * down)[:, None]).to(images.dtype)


class Row(NamedTuple):
    """One source row of each footprint: all (batch, 1, height, width)."""

    number: Int[Tensor, "batch 1 height width"]
    middle: Float[Tensor, "batch 1 height width"]
    left: Float[Tensor, "batch 1 height width"]
    right: Float[Tensor, "batch 1 height width"]
    inside: Float[Tensor, "batch 1 height width"]
    """The part of the row's height that lies in the footprint."""
    at_top: Float[Tensor, "batch 1 height width"]
    """Whether the footprint's upper edge is in this row."""
    at_bottom: Float[Tensor, "batch 1 height width"]
    """Whether its lower edge is."""


class RowsUnder:
    """The source rows under footprints, counted from the first of each; the tallest footprint has ``most`` of them."""

    def __init__(self, foot: Footprint) -> None:
        self._x, self._y, self._across, down, self._lean = (value[:, None] for value in foot)
        self._first = (self._y - down * 0.5).floor()
        self._top = self._y - down * 0.5 - self._first
        self._bottom = self._top + down

    @property
    def most(self) -> Float[Tensor, ""]:
        """No footprint has a row of this number or above."""
        return self._bottom.max()

    def row(self, k: int | Float[Tensor, ""]) -> Row:
        """Return row ``k`` of each footprint; nothing of it is inside those that end above it."""
        middle = self._first + (k + 0.5)
        left = self._x + self._lean * (middle - self._y) - self._across * 0.5
        inside = (self._bottom.clamp(max=k + 1) - self._top.clamp(min=k)).clamp(min=0)
        at_top, at_bottom = (((e >= k) & (e < k + 1)).to(e.dtype) for e in (self._top, self._bottom))
        return Row((self._first + k).long(), middle, left, left + self._across, inside, at_top, at_bottom)


def rows_under(foot: Footprint) -> Iterator[Row]:
    """Yield the first source row of each footprint, then the second, and so on, as many as the tallest footprint has."""
    under = RowsUnder(foot)
    most = int(underlying(under.most).max().item()) + 1 if foot.y.numel() else 0
    return map(under.row, range(most))


class RowSums:
    """The rows of images with their border pixels repeated, and their cumulative sums from the left border."""

    def __init__(self, images: Float[Tensor, "batch channel height width"]) -> None:
        self._size = images.shape[2], images.shape[3]
        # Differences of long sums need float64; on devices without it, they are computed in float32.
        precise = images if images.device.type == "mps" else images.double()
        self._pixels = images.flatten(2)
        self._before = (precise.cumsum(dim=3) - precise).flatten(2)

    def none(self, foot: Footprint) -> Pixels:
        """An empty sum."""
        shape = (*self._before.shape[:2], *foot.x.shape[1:])
        return torch.zeros(shape, dtype=self._before.dtype, device=self._before.device)

    def at(self, row: Row, x: Float[Tensor, "batch 1 height width"]) -> Pixels:
        """The row's values at the positions x: those of the pixels that contain them."""
        return _read(self._pixels, place_of(row.number, column_of(x, self._size[1]), self._size))

    def inside(self, row: Row) -> Pixels:
        """The sum of what each footprint covers of its row."""
        return row.inside * (self.upto(row, row.right) - self.upto(row, row.left))

    def upto(self, row: Row, x: Float[Tensor, "batch 1 height width"]) -> Pixels:
        """The sum from the left border to the positions x; negative beyond that border."""
        column = column_of(x, self._size[1])
        place = place_of(row.number, column, self._size)
        before, pixel = _read(self._before, place), _read(self._pixels, place)
        return before + (x - column) * pixel


def column_of(x: Float[Tensor, "batch 1 height width"], width: int) -> Int[Tensor, "batch 1 height width"]:
    """Return the number of the pixel in its row that x lies in; beyond the border, of the one at the border."""
    return x.floor().long().clamp(0, width - 1)


def place_of(
    row: Int[Tensor, "batch 1 height width"],
    column: Int[Tensor, "batch 1 height width"],
    size: tuple[int, int],
) -> Int[Tensor, "batch 1 height width"]:
    """Return the number of a pixel in its image; above and below the image, of the one at the border."""
    return row.clamp(0, size[0] - 1) * size[1] + column


def _read(plane: Float[Tensor, "batch channel _all"], place: Int[Tensor, "batch 1 height width"]) -> Pixels:
    places = place.flatten(2).expand(-1, plane.shape[1], -1)
    return plane.gather(2, places).view(*plane.shape[:2], *place.shape[2:])
