"""Labels of real photographs, warped with saliency from these photographs."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from foveal.sampler import (
    SpectralSaliency,
    invert_grid,
    lowres,
    unwarp_boxes,
    unwarp_masks,
    unwarp_points,
    warp_boxes,
    warp_masks,
    warp_points,
    zoom_grid,
)
from foveal.shards import Shards
from tests.checks import check_close
from tests.strategies import FAMILIES

pytestmark = pytest.mark.usefixtures("one_thread")


def grids_of(images, size, family, **settings):
    logits = SpectralSaliency()(lowres(images, (128, 128)))
    return zoom_grid((logits / 0.5).flatten(1).softmax(1).view_as(logits), size, family=family, **settings)


@pytest.fixture(scope="module")
def coins(data_dir):
    """Return a photograph of coins in three EXIF orientations: upright pixels, boxes, stored size."""
    shards = Shards(str(data_dir / "coins" / "coins-00000{0..1}.tar"))
    samples = []
    for position in (0, 2, 6):
        members = shards[position].members
        with Image.open(io.BytesIO(members["jpg"])) as image:
            upright = np.array(ImageOps.exif_transpose(image).convert("RGB"))
            stored = (image.height, image.width)
        boxes = torch.tensor(json.loads(members["json"])["boxes"], dtype=torch.float64)
        samples.append((torch.from_numpy(upright), boxes, stored))
    return samples


@pytest.mark.parametrize("family", FAMILIES)
def test_warped_boxes_hold_the_same_coins(coins, family):
    """The pixels of the zoomed image that show a coin's box fill its warped box, and none is outside."""
    images, boxes, _ = zip(*coins, strict=True)
    sizes = [image.shape[:2] for image in images]
    grids = grids_of(images, (224, 224), family)
    warped, kept = warp_boxes(boxes, grids, sizes)
    looked = (grids.double() + 1) / 2 * torch.tensor([[w, h] for h, w in sizes])[:, None, None]

    assert [k.tolist() for k in kept] == [list(range(len(b))) for b in boxes]
    for points, before, after in zip(looked, boxes, warped, strict=True):
        for box, there in zip(before, after, strict=True):
            shown = ((points >= box[:2]) & (points <= box[2:])).all(dim=-1)
            rows, cols = shown.nonzero().unbind(dim=1)
            seen = torch.stack([cols.amin(), rows.amin(), cols.amax() + 1, rows.amax() + 1])

            check_close(there, seen, 1.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_coin_stays_in_its_box_there_and_back(coins, family):
    """The coin's disc is inside the warped box and touches its sides; unwarping contains the original box."""
    images, boxes, _ = zip(*coins, strict=True)
    sizes = [image.shape[:2] for image in images]
    grids = grids_of(images, (224, 224), family)
    warped, _ = warp_boxes(boxes, grids, sizes)
    back = unwarp_boxes(warped, grids, sizes)
    turn = torch.linspace(0, 2 * torch.pi, 37, dtype=torch.float64)
    circle = torch.stack([turn.cos(), turn.sin()], dim=-1)
    rims = [
        ((b[:, None, :2] + b[:, None, 2:] + (b[:, None, 2:] - b[:, None, :2]) * circle) / 2) for b in boxes
    ]
    moved = warp_points([rim.flatten(0, 1) for rim in rims], grids, sizes)
    for rim, there, here, before in zip(moved, warped, back, boxes, strict=True):
        rim_of_each = rim.view(len(before), -1, 2)
        slack = torch.cat(
            [rim_of_each.amin(dim=1) - there[:, :2], there[:, 2:] - rim_of_each.amax(dim=1)], dim=1
        )

        assert bool((slack > -1e-6).all())
        assert (slack / (there[:, 2:] - there[:, :2]).repeat(1, 2)).median() < 0.1
        assert bool((here[:, :2] <= before[:, :2] + 1e-2).all())
        assert bool((here[:, 2:] >= before[:, 2:] - 1e-2).all())
        if family != "kernel":
            check_close(here, before, 1e-2)


def test_boxes_belong_to_the_upright_photograph(coins):
    """All boxes are inside the upright image; some are not inside the stored, rotated one."""
    for image, boxes, stored in coins:
        height, width = image.shape[:2]

        assert bool((boxes[:, 2:] <= torch.tensor([width, height])).all())
        if stored != (height, width):
            assert bool((boxes[:, 2:] > torch.tensor([stored[1], stored[0]])).any())


@pytest.fixture(scope="module")
def roads(data_dir):
    """Return two road photographs with masks: 0 road, 1 crack, 2 pothole."""
    shards = Shards(str(data_dir / "roads" / "roads-000000.tar"))
    samples = []
    for position in range(2):
        read = {k: Image.open(io.BytesIO(v)) for k, v in shards[position].members.items()}
        crack, pothole = (np.array(read[k].convert("L")) > 0 for k in ("crack.png", "pothole.png"))
        ids = np.where(pothole, 2, crack).astype(np.uint8)
        samples.append((torch.from_numpy(np.array(read["jpg"])), torch.from_numpy(ids)))
    return samples


@pytest.mark.parametrize("family", FAMILIES)
def test_area_of_each_class_is_what_the_jacobian_predicts(roads, family):
    """Ids do not change, and the share of each class is the integral of the inverse map's Jacobian."""
    images, masks = zip(*roads, strict=True)
    grids = grids_of(images, (640, 1024), family).double()
    warped = warp_masks(masks, grids)
    predicted, measured = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for mask, grid, seen in zip(masks, grids, warped, strict=True):
        back = (invert_grid(grid[None], mask.shape)[0] + 1) / 2 * torch.tensor([1024, 640])
        (xx, xy), (yx, yy) = (torch.gradient(plane, dim=(1, 0)) for plane in back.unbind(dim=-1))
        area = xx * yy - xy * yx
        for each in range(3):
            predicted[each] += area[mask == each].sum()
            measured[each] += (seen == each).sum()

        assert set(seen.unique().tolist()) <= set(mask.unique().tolist())

    check_close(measured / predicted, torch.ones(3), 0.01)


@pytest.mark.parametrize("family", FAMILIES)
def test_masks_come_back(roads, family):
    """With a mild zoom at the mask's size, nearly every pixel has its id after warping and unwarping."""
    images, masks = zip(*roads, strict=True)
    grids = grids_of(images, (640, 1024), family, min_zoom=0.8)
    back = unwarp_masks(warp_masks(masks, grids), grids, (640, 1024))
    for mask, again in zip(masks, back, strict=True):
        damaged = mask > 0

        assert ((again > 0) & damaged).sum() / ((again > 0) | damaged).sum() > 0.8
        assert set(again.unique().tolist()) <= set(mask.unique().tolist())


def test_the_centre_of_each_crack_pixel_comes_back(roads):
    """Crack pixels of the zoomed photograph come back to within a hundredth of a pixel."""
    images, masks = zip(*roads, strict=True)
    grids = grids_of(images, (224, 224), "kernel").double()
    pixels = [mask.nonzero().flip(-1)[::20].double() + 0.5 for mask in masks]
    back = unwarp_points(warp_points(pixels, grids, (640, 1024)), grids, (640, 1024))

    for before, after in zip(pixels, back, strict=True):
        check_close(after, before, 1e-2)
