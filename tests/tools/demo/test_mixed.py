import numpy as np
import pytest
import torch

from foveal.sampler import FixedSaliency, MixedResolution, token_positions
from foveal.tools.demo._mixed import MIXED_TITLES, build_mixed, mixed_row, paint, rectangles
from foveal.tools.pictures.sheet import draw_sheet
from foveal.tools.scenes.scenes import draw_scene
from tests import reference

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def corner_zoom():
    """Return tokens of two by three cells, of which the lower right one is fine."""
    weights = torch.tensor([[1.0, 1, 1], [1, 1, 5]])
    return MixedResolution((2, 3), patch_size=8, refined=1, saliency=FixedSaliency(weights))


def test_tokens_tile_the_picture():
    """Coarse tokens cover every pixel once, fine ones their cell, also at sizes that do not divide."""
    grid = corner_zoom()([torch.zeros(60, 90, 3, dtype=torch.uint8)]).grid
    boxes = rectangles(token_positions(grid)[0], (61, 97)).tolist()
    covered = np.zeros((61, 97), int)
    for x0, y0, x1, y1 in boxes[:6]:
        covered[y0:y1, x0:x1] += 1
    for x0, y0, x1, y1 in boxes[6:]:
        covered[y0:y1, x0:x1] += 1

    assert (covered[:30, :64] == 1).all()
    assert (covered[31:, 66:] == 2).all()
    assert covered.sum() == 61 * 97 + (covered == 2).sum()


def test_painted_tokens_are_the_picture():
    """Painted tokens of a smooth picture are close to it, and closer in refined cells."""
    y, x = np.mgrid[:240, :360]
    waves = 127 + 120 * np.sin(x / 9) * np.cos(y / 9)
    image = torch.from_numpy(np.repeat(waves[..., None], 3, -1).astype(np.uint8))
    tokens, grid, _ = corner_zoom()([image])
    painted = paint(tokens[0], token_positions(grid)[0], (240, 360))
    fine, coarse = (slice(120, 240), slice(240, 360)), (slice(120, 240), slice(120, 240))

    assert painted.shape == (240, 360, 3)
    quality = [reference.psnr(painted[part], image.numpy()[part] / 255) for part in (fine, coarse)]
    assert quality[0] > quality[1] + 3


def test_refined_cells_are_framed():
    """Lines are around the refined cell only, and the original is not changed."""
    image = torch.zeros(60, 90, 3, dtype=torch.uint8)
    zoom = corner_zoom()
    tokens, grid, saliency = zoom([image])
    drawn = mixed_row(image, tokens[0], grid[0], saliency[0], zoom=zoom, caption="").original.sum(-1)

    assert image.sum() == 0
    assert drawn[:30].sum() == drawn[:, :60].sum() == 0
    assert (drawn[[30, 59], 60:] > 0).all()
    assert (drawn[30:, [60, 89]] > 0).all()
    assert drawn[31:59, 61:89].sum() == 0


@pytest.mark.parametrize("size", [8, 64, 224])
def test_as_many_pixels(size):
    """An image of that size has nearly as many pixels as the tokens, and never more."""
    zoom = build_mixed(size)

    assert zoom.tokens * zoom.patch_size**2 <= size**2
    assert zoom.tokens * zoom.patch_size**2 >= 0.5 * size**2


def test_row_of_a_sheet(tmp_path):
    """The row has a uniform picture with as many pixels as the tokens, in the image's shape."""
    zoom = build_mixed(64)
    scene = torch.from_numpy(draw_scene(0, size=(480, 320)).image)
    tokens, grid, saliency = zoom([scene])
    row = mixed_row(scene, tokens[0], grid[0], saliency[0], zoom=zoom, caption="a scene")
    draw_sheet([row], tmp_path / "sheet.png")

    assert (tmp_path / "sheet.png").stat().st_size > 10_000
    assert row.zoomed.shape == (411, 616, 3)
    assert row.uniform.shape[0] * row.uniform.shape[1] == pytest.approx(
        zoom.tokens * zoom.patch_size**2, rel=0.05
    )
    assert row.uniform.shape[1] / row.uniform.shape[0] == pytest.approx(1.5, rel=0.05)
    assert len(MIXED_TITLES) == 4
