"""What ``Augment`` draws: crops, flips and angles, which boxes follow."""

import math
import re

import numpy as np
import pytest
import torch
from scipy import stats

from foveal.pipeline import Augment, ZoomLoader
from foveal.sampler import (
    SaliencySampler,
    SpectralSaliency,
    warp_boxes,
)
from tests.checks import check_close


def crop_of(view, size):
    """Return left, top, width and height, in pixels, of a view that is not rotated."""
    height, width = size
    across, down = abs(view[0, 0].item()) * width, abs(view[1, 1].item()) * height
    return (
        (view[0, 2].item() + 1) * width / 2 - across / 2,
        (view[1, 2].item() + 1) * height / 2 - down / 2,
        across,
        down,
    )


def torchvisions(size, scale, ratio, rng):
    """Return (top, left, height, width) of RandomResizedCrop.get_params as its documentation and source define it, in float64."""
    height, width = size
    for _ in range(10):
        area = height * width * rng.uniform(*scale)
        aspect = math.exp(rng.uniform(*np.log(ratio)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return rng.integers(0, height - h + 1), rng.integers(0, width - w + 1), h, w
    w, h = width, height
    if width / height < min(ratio):
        h = round(w / min(ratio))
    elif width / height > max(ratio):
        w = round(h * max(ratio))
    return (height - h) // 2, (width - w) // 2, h, w


@pytest.mark.parametrize("size", [(3000, 4000), (1000, 6000)])
def test_crops_are_distributed_as_torchvisions(size):
    """Area, ratio and position have torchvision's distribution by a Kolmogorov-Smirnov test, also if most tries do not fit."""
    augment, rng = Augment(crop_scale=(0.08, 1.0)), np.random.default_rng(0)
    ours = np.array([crop_of(augment.view(size, (0, 0, k)), size) for k in range(3000)])
    theirs = np.array([torchvisions(size, (0.08, 1.0), (3 / 4, 4 / 3), rng) for _ in range(3000)], float)
    theirs = theirs[:, [1, 0, 3, 2]]

    assert bool(
        (ours[:, :2] >= -0.01).all() and (ours[:, :2] + ours[:, 2:] <= np.array(size)[::-1] + 0.01).all()
    )
    for find in (
        lambda c: (c[:, 2] * c[:, 3]).round(-4),  # theirs are whole pixels
        lambda c: (c[:, 2] / c[:, 3]).round(2),
        lambda c: c[:, 0].round(),
        lambda c: c[:, 1].round(),
    ):
        assert stats.ks_2samp(find(ours), find(theirs)).pvalue > 1e-3
    assert stats.ks_2samp(ours[:, 2] * ours[:, 3], theirs[:, 2] * theirs[:, 3] * 0.85).pvalue < 1e-3


def test_what_never_fits_is_the_largest_in_the_middle():
    """If no crop fits, the largest one with an allowed ratio is taken from the middle."""
    left, top, across, down = crop_of(Augment(crop_scale=(1.0, 1.0)).view((100, 600), (0, 0, 0)), (100, 600))

    assert (left, top, across, down) == pytest.approx((600 / 2 - 400 / 6, 0, 400 / 3, 100), abs=1e-4)


def test_flips_and_angles():
    """Flips are as frequent as requested, and angles are uniform up to the largest one in both directions."""
    views = torch.stack(
        [Augment(hflip=0.2, vflip=0.7, rotate_deg=30).view((100, 200), (0, 0, k)) for k in range(4000)]
    )
    in_pixels = views[..., :2] * torch.tensor([[200.0], [100.0]]) / torch.tensor([200.0, 100.0])
    angles = torch.atan2(in_pixels[:, 1, 0], in_pixels[:, 0, 0]).rad2deg()
    mirrored = angles.abs() > 90
    angles = torch.where(mirrored, angles - 180 * angles.sign(), angles)
    upside_down = (in_pixels[:, 0, 0] * in_pixels[:, 1, 1] < 0) != mirrored

    check_close(in_pixels.mT @ in_pixels, torch.eye(2).repeat(4000, 1, 1), 1e-5)
    assert stats.binomtest(int(mirrored.sum()), 4000, 0.2).pvalue > 1e-3
    assert stats.binomtest(int(upside_down.sum()), 4000, 0.7).pvalue > 1e-3
    assert stats.kstest(angles.numpy(), stats.uniform(-30, 60).cdf).pvalue > 1e-3


def test_without_anything_asked_for_it_is_the_whole_image():
    """The default Augment changes nothing."""
    check_close(Augment().view((123, 457), (1, 2, 3)), torch.eye(2, 3), 1e-7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hflip": 1.5}, "hflip must be a probability in [0, 1], got 1.5."),
        ({"vflip": float("nan")}, "vflip must be a probability in [0, 1], got nan."),
        (
            {"crop_scale": (0.0, 1.0)},
            "crop_scale must be (least, most) in (0, 1], got (0.0, 1.0) – None for no crop.",
        ),
        ({"crop_scale": (0.9, 0.5)}, "got (0.9, 0.5)"),
        ({"crop_ratio": (2.0, 1.0)}, "crop_ratio must be (least, most), positive, got (2.0, 1.0)."),
        ({"rotate_deg": -5.0}, "rotate_deg must be in [0, 180], got -5.0."),
    ],
)
def test_messages(arguments, message):
    """Each error names the argument and its value."""
    with pytest.raises(ValueError, match=re.escape(message)):
        Augment(**arguments)


def test_boxes_of_real_coins_follow(data_dir):
    """Every pixel of the augmented zoom that shows a coin's box lies in the warped box."""
    fields = ("image", "json", "__view__", "__grid__", "__size__")
    zoom = SaliencySampler(96, saliency=SpectralSaliency(), temperature=0.5, max_zoom=6.0)
    augment = Augment(hflip=0.5, vflip=0.5, crop_scale=(0.3, 1.0), rotate_deg=25)
    with ZoomLoader(
        str(data_dir / "coins" / "coins-000000.tar"), zoom, batch_size=4, fields=fields, augment=augment
    ) as loader:
        _, labels, views, grids, sizes = next(iter(loader))
    boxes = [torch.tensor(label["boxes"], dtype=torch.float64) for label in labels]
    warped, kept = warp_boxes(boxes, grids, sizes, views=views)
    looked = (grids.double() + 1) / 2 * sizes.flip(1)[:, None, None]
    seen = 0
    for points, before, after, index in zip(looked, boxes, warped, kept, strict=True):
        for number, box in enumerate(before):
            rows, cols = ((points >= box[:2]) & (points <= box[2:])).all(dim=-1).nonzero().unbind(dim=1)
            if len(rows) == 0:
                continue
            (there,) = after[index == number]
            seen += 1
            assert there[0] - 0.01 <= cols.min() + 0.5 <= cols.max() + 0.5 <= there[2] + 0.01
            assert there[1] - 0.01 <= rows.min() + 0.5 <= rows.max() + 0.5 <= there[3] + 0.01

    assert seen > 4
