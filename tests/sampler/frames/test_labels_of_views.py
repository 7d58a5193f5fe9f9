"""Labels of a zoomed view are those of the image transformed first, and pixels and features come back from it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.sampler import (
    FixedSaliency,
    SaliencySampler,
    compose,
    invert_grid,
    unwarp_boxes,
    unwarp_masks,
    unwarp_points,
    unzoom,
    warp_boxes,
    warp_masks,
    warp_points,
    zoom_grid,
)
from foveal.sampler.frames import inverse
from tests.checks import check_close
from tests.sampler.frames.views import CASES, SIZE, any_views, cases, view_of
from tests.sampler.noise import noise
from tests.strategies import FAMILIES, any_grid, any_saliency, softmax_map

pytestmark = pytest.mark.usefixtures("one_thread")


def as_points(move):
    """Transform the corners of boxes, and order them again."""

    def boxes(b):
        ends = torch.stack([move(b[:, :2]), move(b[:, 2:])], dim=1).sort(dim=1).values
        return ends.flatten(1)

    return boxes


def moved_size(case):
    return {"quarter": (120, 90), "three quarters": (120, 90), "crop": (64, 80)}.get(case, SIZE)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@cases
@settings(max_examples=6, deadline=None)
@given(grid=any_grid(batch=1, least=2), seed=st.integers(0, 99))
def test_labels_are_those_of_the_image_transformed_first(case, dtype, grid, seed):
    """Points, boxes and masks are warped as if image and labels had been transformed first, and back."""
    views, size, move = view_of(case, dtype=dtype), moved_size(case), CASES[case][2]
    ours = compose(views, grid.to(dtype))
    grid = compose(inverse(views), ours.double())  # float32 knows it no better than this
    draw = torch.Generator().manual_seed(seed)
    points = torch.rand(9, 2, generator=draw, dtype=torch.float64) * torch.tensor([120, 90])
    boxes = torch.cat([points[:4], points[4:8]], dim=1).view(4, 2, 2).sort(dim=1).values.flatten(1)
    moved_boxes = as_points(move)(boxes)
    slack = 1e-6 if dtype == torch.float64 else 1e-3

    (there,), (first,) = (
        warp_points([points], ours, SIZE, views=views),
        warp_points([move(points)], grid, size),
    )
    (ours_b,), (kept,) = warp_boxes([boxes], ours, SIZE, views=views)
    (first_b,), (first_kept,) = warp_boxes([moved_boxes], grid, size)
    check_close(there, first, slack * (1 + first.abs().max().item()))
    assert kept.tolist() == first_kept.tolist()
    check_close(ours_b, first_b, slack * 100)

    inside = torch.rand(9, 2, generator=draw, dtype=torch.float64) * torch.tensor(
        [grid.shape[2], grid.shape[1]]
    )
    (back,), (first,) = unwarp_points([inside], ours, SIZE, views=views), unwarp_points([inside], grid, size)
    check_close(move(back), first, 1e-3)


@cases
def test_pixels_and_features_come_back(case):
    """invert_grid, unzoom and masks with a view give what the transformed image's grid gives, put back."""
    _, transform, _ = CASES[case]
    views, size = view_of(case, dtype=torch.float64), moved_size(case)
    zoom = SaliencySampler((20, 24), saliency=FixedSaliency(softmax_map(7, 9)[0, 0]), max_zoom=4.0)
    grid = zoom([torch.zeros(*size, 3, dtype=torch.uint8)]).grid.double()
    ours, mask = compose(views, grid), noise(*SIZE, 3)[..., 0]
    features = torch.randn(1, 3, 10, 12, dtype=torch.float64)

    check_close(transform(invert_grid(ours, SIZE, views=views)[0]), invert_grid(grid, size)[0], 1e-6)
    check_close(
        transform(unzoom(features, ours, SIZE, views=views)[0].permute(1, 2, 0)),
        unzoom(features, grid, size)[0].permute(1, 2, 0),
        1e-5,
    )
    moved = transform(mask).contiguous()
    assert torch.equal(warp_masks([mask], ours), warp_masks([moved], grid))
    zoomed = warp_masks([mask], ours)
    (back,), (first,) = unwarp_masks(zoomed, ours, SIZE, views=views), unwarp_masks(zoomed, grid, size)
    assert torch.equal(transform(back), first)


@settings(max_examples=20, deadline=None)
@given(any_saliency(torch.float64), st.sampled_from(FAMILIES), any_views(), st.integers(0, 99))
def test_labels_of_turned_views(saliency, family, views, seed):
    """In rotated views, points come back, and boxes contain what they contained, up to the image's border."""
    grid = zoom_grid(saliency, (23, 31), family=family, max_zoom=8.0)
    composed, size = compose(views, grid), [(300, 400), (50, 30)]
    height, width = grid.shape[1:3]
    draw = torch.Generator().manual_seed(seed)
    inside = [
        torch.rand(6, 2, generator=draw, dtype=torch.float64) * torch.tensor([width, height]) for _ in size
    ]
    looked = unwarp_points(inside, composed, size, views=views)
    again = unwarp_points(warp_points(looked, composed, size, views=views), composed, size, views=views)
    boxes = [torch.stack([p[:3].amin(0), p[:3].amax(0)]).view(1, 4) for p in looked]
    warped, kept = warp_boxes(boxes, composed, size, views=views)

    for there, back in zip(looked, again, strict=True):
        check_close(back, there, 1e-5)
    for points, box, index in zip(inside, warped, kept, strict=True):
        assert index.tolist() == [0]
        assert bool((points[:3] >= box[:, :2] - 1e-6).all())
        assert bool((points[:3] <= box[:, 2:] + 1e-6).all())
    for k, found in enumerate(unwarp_boxes(warped, composed, size, views=views)):
        clipped = boxes[k].clamp(min=0).minimum(torch.tensor([size[k][1], size[k][0]] * 2))
        assert bool((found[:, :2] <= clipped[:, :2] + 1e-6).all())
        assert bool((found[:, 2:] >= clipped[:, 2:] - 1e-6).all())
