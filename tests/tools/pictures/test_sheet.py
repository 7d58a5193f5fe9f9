import dataclasses
import re

import numpy as np
import pytest
from PIL import Image

from foveal.tools.pictures.sheet import SheetRow, draw_sheet
from tests.full_disk import full_at


def even_grid(height, width):
    y, x = ((np.arange(side) + 0.5) / side * 2 - 1 for side in (height, width))
    return np.stack(np.meshgrid(x, y), -1).astype(np.float32)


def a_row(size=(60, 90), grid=None):
    flat = np.full((*size, 3), 120, np.uint8)
    small = np.full((33, 29, 3), 0.5, np.float32)
    saliency = np.ones((4, 6), np.float32)
    return SheetRow(flat, even_grid(33, 29) if grid is None else grid, saliency, small, small, "a sample")


def drawn(rows, tmp_path):
    draw_sheet(rows, tmp_path / "deep" / "sheet.png")
    return np.asarray(Image.open(tmp_path / "deep" / "sheet.png").convert("L")).astype(int)


@pytest.mark.parametrize("count", [1, 3])
def test_size_of_the_picture(tmp_path, count):
    """The picture is 1600 pixels wide, and its height grows with the rows."""
    assert drawn([a_row()] * count, tmp_path).shape == (52 + 342 * count, 1600)


def test_grid_is_drawn_where_it_looks(tmp_path):
    """A grid over the left half leaves the right half of a grey original grey."""
    left = even_grid(33, 29)
    left[..., 0] = left[..., 0] / 2 - 0.5

    original = drawn([a_row(size=(308, 462), grid=left)], tmp_path)[74:382, 12:474]

    assert original[:, :225].std() > 10
    assert original[:, 240:450].std() == 0


def test_dense_grid_has_lines_closer_together(tmp_path):
    """Where the grid is denser, more of the picture is line."""
    zoomed = even_grid(33, 29)
    zoomed[..., 0] = np.sign(zoomed[..., 0]) * np.abs(zoomed[..., 0]) ** 2

    original = drawn([a_row(size=(308, 462), grid=zoomed)], tmp_path)[74:382, 12:474]

    assert np.abs(original[:, 200:260] - 120).mean() > 1.5 * np.abs(original[:, 20:80] - 120).mean()


def test_portrait_and_landscape_and_extremes(tmp_path):
    """Any aspect ratio, pixels slightly outside of [0, 1], and a map of zeros can be drawn."""
    odd = dataclasses.replace(a_row((90, 60)), saliency=np.zeros((1, 1), np.float32))
    bright = dataclasses.replace(a_row((1, 1)), zoomed=np.full((5, 7, 3), 1.1, np.float32))

    assert drawn([odd, bright, a_row((20, 300))], tmp_path).min() < 50


def test_no_rows(tmp_path):
    """Drawing no rows is an error."""
    with pytest.raises(ValueError, match=re.escape("rows must be at least one sample, got none.")):
        draw_sheet([], tmp_path / "sheet.png")


def test_a_sheet_that_does_not_fit(tmp_path):
    """If the disk is full, an earlier sheet stays whole, nothing else is left, and the error names the file."""
    path = tmp_path / "sheet.png"
    draw_sheet([a_row()], path)
    before = path.read_bytes()
    with full_at(1000), pytest.raises(OSError, match=re.escape(f"File too large: {str(path)!r}")):
        draw_sheet([a_row(), a_row()], path)

    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("sheet.png", before)]


def test_boxes_are_drawn_on_both(tmp_path):
    """Boxes are drawn on original and zoomed image, in the colour of their number."""
    boxes = np.array([[10, 10, 20, 20], [300, 100, 400, 200]], np.float32)
    row = dataclasses.replace(
        a_row(size=(308, 462)), boxes=boxes, zoomed_boxes=np.array([[5, 5, 20, 20]], np.float32), kept=[1]
    )
    plain = drawn([a_row(size=(308, 462))], tmp_path)
    marked = drawn([row], tmp_path)
    changed = (
        np.argwhere(np.abs(marked - plain).sum(-1) > 0) if marked.ndim == 3 else np.argwhere(marked != plain)
    )
    original = changed[(changed[:, 1] < 474)] - (74, 12)
    zoomed = changed[changed[:, 1] > 1270]

    assert original.min() >= 7
    assert original[:, 0].max() <= 203
    assert original[:, 1].max() <= 403
    assert len(zoomed) > 100
