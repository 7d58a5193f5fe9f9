"""Points, boxes and masks are warped by random grids, and unwarped."""

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.sampler import (
    unwarp_boxes,
    unwarp_masks,
    unwarp_points,
    warp_boxes,
    warp_masks,
    warp_points,
    zoom_grid,
)
from tests.checks import check_close, unhooked
from tests.strategies import FAMILIES, any_grid, softmax_map

pytestmark = pytest.mark.usefixtures("one_thread")


SIZES = [(300, 400), (50, 30)]


def a_grid(family="kernel", size=(24, 32)):
    return zoom_grid(softmax_map(9, 14, batch=2), size, family=family)


def random_boxes(count, size, generator):
    ends = torch.rand(count, 2, 2, generator=generator, dtype=torch.float64) * torch.tensor(
        [size[1], size[0]]
    )
    return ends.sort(dim=1).values.flatten(1)


def within(box, count=12):
    """Return a lattice of points over a box, with its outline."""
    x0, y0, x1, y1 = box.tolist()
    return torch.cartesian_prod(
        torch.linspace(x0, x1, count, dtype=torch.float64), torch.linspace(y0, y1, count, dtype=torch.float64)
    )


def test_sizes_may_differ():
    """One size for all images, one for each, and a loader's tensor of sizes give the same."""
    points = [torch.rand(5, 2, dtype=torch.float64) * 30, torch.rand(3, 2, dtype=torch.float64) * 30]
    each = warp_points(points, a_grid(), SIZES)

    for k in range(2):
        check_close(each[k], warp_points(points, a_grid(), SIZES[k])[k], 0)
        check_close(each[k], warp_points(points, a_grid(), torch.tensor(SIZES))[k], 0)


def test_points_of_pixels_are_the_grid():
    """The centre of output pixel (j, i) unwarps to the grid's point."""
    grid = a_grid()
    centre = torch.tensor([[7.5, 3.5]], dtype=torch.float64)
    looked = [(g[3, 7] + 1) / 2 * torch.tensor([w, h]) for g, (h, w) in zip(grid, SIZES, strict=True)]

    for found, expected in zip(unwarp_points([centre, centre], grid, SIZES), looked, strict=True):
        check_close(found[0], expected, 1e-10)
    for found in warp_points([p[None] for p in looked], grid, SIZES):
        check_close(found, centre, 1e-9)


def test_what_the_zoom_does_not_show_is_outside():
    """With "replicate" padding, which crops, the image's corner is warped to outside of the zoomed image."""
    grid = zoom_grid(softmax_map(31, 31, contrast=8.0), (20, 30), fwhm_cells=13.0, padding="replicate")
    (corner,) = warp_points([torch.tensor([[0.0, 0.0]])], grid, (300, 400))

    assert bool((corner < 0).all())


def test_gradients_flow_into_unwarped_points_and_boxes():
    """A loss in the original's frame has gradients for predictions in the zoomed frame."""
    points = torch.tensor([[3.2, 4.1], [20.7, 11.9]], dtype=torch.float64, requires_grad=True)
    boxes = torch.tensor([[3.2, 4.1, 20.7, 11.9]], dtype=torch.float64, requires_grad=True)
    grid = a_grid()[:1]

    assert torch.autograd.gradcheck(lambda p: unwarp_points([p], grid, (300, 400))[0], points)
    assert torch.autograd.gradcheck(lambda b: unwarp_boxes([b], grid, (300, 400))[0], boxes)


@settings(max_examples=30, deadline=None)
@given(any_grid(batch=1, least=2), st.integers(0, 99))
def test_warped_boxes_are_tight(grid, seed):
    """A warped box contains all that was in the box, and each side is reached, to 1/10 pixel."""
    size = (300, 400)
    boxes = random_boxes(4, size, torch.Generator().manual_seed(seed))
    (warped,), (kept,) = warp_boxes([boxes], grid, size)
    height, width = grid.shape[1:3]
    for box, index in zip(warped, kept, strict=True):
        (inside,) = warp_points([within(boxes[index])], grid, size)
        inside = inside.clamp(min=0).minimum(torch.tensor([width, height]))

        assert bool((inside >= box[:2] - 1e-6).all())
        assert bool((inside <= box[2:] + 1e-6).all())


@pytest.mark.parametrize("warp", [warp_points, unwarp_points])
@pytest.mark.parametrize("family", FAMILIES)
def test_absent_points(family, warp):
    """A point that has no number is none in both coordinates, in both directions, and does not touch the others."""
    grid, nan = a_grid(family), float("nan")
    present = torch.tensor([[5.0, 6.0], [20.0, 3.0]])
    absent = torch.tensor([[nan, nan], [nan, 3.0], [3.0, nan], [float("inf"), 2.0]])
    mixed = torch.cat([present[:1], absent, present[1:]]).double().requires_grad_()
    found = warp([mixed, present], grid, SIZES)

    assert found[0][1:5].isnan().all()
    check_close(found[0][[0, 5]].detach(), warp([present.double(), present], grid, SIZES)[0], 0)
    assert found[1].isfinite().all()
    if warp is unwarp_points:
        found[0][[0, 5]].sum().backward()
        assert mixed.grad[1:5].eq(0).all()
        assert mixed.grad[[0, 5]].ne(0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_boxes_equal_dense_outlines(family):
    """Two thousand points on the outline give the same box, in both directions."""
    grid = zoom_grid(softmax_map(31, 31, contrast=1.0), (96, 80), family=family, max_zoom=6.0)
    boxes = random_boxes(12, (300, 400), torch.Generator().manual_seed(3))
    (warped,), (kept,) = warp_boxes([boxes], grid, (300, 400))
    (back,) = unwarp_boxes([warped], grid, (300, 400))
    share = torch.linspace(0, 1, 500, dtype=torch.float64)

    def outline(box):
        x0, y0, x1, y1 = box
        x, y = x0 + share * (x1 - x0), y0 + share * (y1 - y0)
        sides = [(x, y0.expand(500)), (x, y1.expand(500)), (x0.expand(500), y), (x1.expand(500), y)]
        return torch.cat([torch.stack(side, dim=-1) for side in sides])

    def around(points, width, height):
        points = points.clamp(min=0).minimum(torch.tensor([width, height]))
        return torch.cat([points.amin(dim=0), points.amax(dim=0)])

    assert kept.tolist() == list(range(12))
    for box, there, here in zip(boxes, warped, back, strict=True):
        check_close(there, around(warp_points([outline(box)], grid, (300, 400))[0], 80, 96), 1e-3)
        check_close(here, around(unwarp_points([outline(there)], grid, (300, 400))[0], 400, 300), 1e-2)
        if family != "kernel":
            check_close(here, box.clamp(min=0), 2.0 if bool((there <= 0).any()) else 1e-6)


def test_boxes_that_left_are_dropped():
    """Boxes outside of the crop are dropped, others are clipped, and indices say which are left."""
    grid = zoom_grid(torch.ones(1, 1, 3, 3, dtype=torch.float64), (10, 10)) * 0.5
    boxes = torch.tensor([[0.0, 0, 20, 20], [40, 40, 60, 60], [0, 40, 50, 60], [30, 30, 30, 60]])
    (warped,), (kept,) = warp_boxes([boxes], grid, (100, 100))

    assert kept.tolist() == [1, 2]
    check_close(warped, [[3, 3, 7, 7], [0, 3, 5, 7]], 1e-5)


@pytest.mark.parametrize("warp", [lambda *given: warp_boxes(*given)[0], unwarp_boxes])
def test_a_side_at_infinity_is_clipped(warp):
    """A box with an infinite side, as an untrained detector predicts, ends where one with a very distant side does."""
    given = [[5.0, 5, math.inf, 20], [-math.inf, -math.inf, math.inf, math.inf], [5, -math.inf, 20, 20]]
    distant = torch.tensor(given).clamp(-1e6, 1e6)
    found, expected = (warp([boxes], a_grid()[:1], SIZES[:1])[0] for boxes in (torch.tensor(given), distant))

    check_close(found, expected, 1e-3)


@pytest.mark.parametrize("family", ["kernel", "separable", "cdf"])
def test_boxes_without_extent_are_dropped(family):
    """A box without width or height shows nothing, whatever the family of the grid."""
    saliency = torch.rand(1, 1, 31, 31, generator=torch.Generator().manual_seed(0)) + 0.01
    grid = zoom_grid(saliency, (24, 32), family=family)
    boxes = torch.tensor([[10.0, 10, 10, 60], [10, 10, 50, 60], [10, 60, 50, 60], [40, 40, 40, 40]])

    assert [kept.tolist() for kept in warp_boxes([boxes], grid, (80, 100))[1]] == [[1]]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.uint32, torch.int32])
def test_labels_of_any_integer_type(dtype):
    """Boxes and points of whole numbers are warped as the same numbers in floating point."""
    boxes, points, grid = torch.tensor([[3, 4, 9, 9], [5, 5, 5, 9]]), torch.tensor([[3, 4]]), a_grid()[:1]

    for warp in (lambda *given: warp_boxes(*given)[0], unwarp_boxes):
        check_close(
            warp([boxes.to(dtype)], grid, SIZES[:1])[0], warp([boxes.float()], grid, SIZES[:1])[0], 1e-6
        )
    for warp in (warp_points, unwarp_points):
        check_close(
            warp([points.to(dtype)], grid, SIZES[:1])[0], warp([points.float()], grid, SIZES[:1])[0], 1e-6
        )
    assert warp_boxes([boxes.to(dtype)], grid, SIZES[:1])[1][0].tolist() == [0]


def test_no_labels_and_no_images():
    """Images without labels and empty batches work."""
    grid, none = a_grid(), [torch.zeros(0, 2), torch.zeros(0, 2)]
    boxes = [torch.zeros(0, 4), torch.tensor([[3, 4, 9, 9]])]

    assert [p.shape for p in warp_points(none, grid, SIZES)] == [(0, 2), (0, 2)]
    assert [b.shape for b in warp_boxes(boxes, grid, SIZES)[0]] == [(0, 4), (1, 4)]
    assert [b.shape for b in unwarp_boxes(boxes, grid, SIZES)] == [(0, 4), (1, 4)]
    assert warp_points([], grid[:0], []) == unwarp_points([], grid[:0], (3, 3)) == []
    assert warp_boxes([], grid[:0], []) == ([], [])
    assert warp_masks([], grid[:0]).shape == (0, 24, 32)
    assert unwarp_masks(torch.zeros(0, 24, 32, dtype=torch.int64), grid[:0], []) == []


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.uint16, torch.int64])
def test_masks_keep_type_and_ids(dtype):
    """No id is invented, and without a zoom at the same size nothing changes."""
    generator = torch.Generator().manual_seed(0)
    masks = [torch.randint(0, 2, size, generator=generator).mul(7).to(dtype) for size in SIZES]
    warped = warp_masks(masks, a_grid())
    back = unwarp_masks(warped, a_grid(), SIZES)
    identity = zoom_grid(torch.ones(1, 1, 3, 3), SIZES[0])

    assert warped.dtype == dtype
    assert [(b.dtype, b.shape) for b in back] == [(dtype, size) for size in SIZES]
    assert set(warped.unique().tolist()) <= {0, 1, 7}
    assert torch.equal(warp_masks(masks[:1], identity)[0], masks[0])
    assert torch.equal(unwarp_masks(masks[0][None], identity, SIZES[0])[0], masks[0])


def test_masks_and_boxes_agree():
    """The pixels that show a rectangle fill its warped box to within a pixel."""
    for family in FAMILIES:
        grid = zoom_grid(softmax_map(31, 31, contrast=1.0), (96, 80), family=family)
        mask = torch.zeros(300, 400, dtype=torch.uint8)
        mask[100:180, 90:250] = 3
        rows, cols = (warp_masks([mask], grid)[0] == 3).nonzero().unbind(dim=1)
        (warped,), _ = warp_boxes([torch.tensor([[90, 100, 250, 180]])], grid, (300, 400))

        seen = [cols.min().item(), rows.min().item(), cols.max().item() + 1, rows.max().item() + 1]
        check_close(warped[0], seen, 1.0)


BOXES = [torch.tensor([[0.0, 0, 5, 5]])] * 2
MASKS = [torch.zeros(4, 5, dtype=torch.int64)] * 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda g: warp_points([torch.zeros(1, 2)], g, SIZES),
            ValueError,
            "points must be a list of 2 tensors, one for each grid, got 1.",
        ),
        (
            lambda g: unwarp_points([torch.zeros(1, 2), torch.zeros(2)], g, SIZES),
            ValueError,
            "points[1] must be (n, 2), got shape (2,).",
        ),
        (
            lambda g: warp_points([torch.zeros(1, 2)] * 2, g, [*SIZES, (3, 3)]),
            ValueError,
            "source_size must be one (height, width) or 2 of them, got 3.",
        ),
        (
            lambda g: warp_boxes([[[1, 2, 3, 4]]] * 2, g, SIZES),
            TypeError,
            "boxes[0] must be a tensor, got list – torch.as_tensor(numpy.array(x)) makes one of a picture, an array or a list.",
        ),
        (
            lambda g: warp_masks([np.zeros((4, 5), np.uint8)] * 2, g),
            TypeError,
            "masks[0] must be a tensor, got ndarray – torch.as_tensor(numpy.array(x)) makes one of a picture, an array or a list.",
        ),
        (
            lambda g: warp_points([torch.zeros(1, 2)] * 2, g, (0, 3)),
            ValueError,
            "source_size must be at least (1, 1), got (0, 3).",
        ),
        (
            lambda g: warp_points([torch.zeros(1, 2)] * 2, g[..., 0], SIZES),
            ValueError,
            "grid must be (batch, height, width, 2), got shape (2, 24, 32).",
        ),
        (
            lambda g: warp_boxes([*BOXES, *BOXES], g, SIZES),
            ValueError,
            "boxes must be a list of 2 tensors, one for each grid, got 4.",
        ),
        (
            lambda g: warp_boxes([BOXES[0], torch.zeros(3, 5)], g, SIZES),
            ValueError,
            "boxes[1] must be (n, 4), got shape (3, 5).",
        ),
        (
            lambda g: unwarp_boxes([BOXES[0], torch.tensor([[0, 0, 1, 1], [5, 0, 3, 9]])], g, SIZES),
            ValueError,
            "boxes[1] must be (x0, y0, x1, y1) with x0 <= x1 and y0 <= y1, got [5, 0, 3, 9]: convert from",
        ),
        (lambda g: warp_masks(MASKS, g / 0), ValueError, "grid must be finite, got "),
        (lambda g: warp_masks(MASKS[:1], g), ValueError, "masks must be 2, one for each grid, got 1."),
        (
            lambda g: warp_masks([MASKS[0], torch.zeros(1, 4, 5, dtype=torch.int64)], g),
            ValueError,
            "masks[1] must be (height, width) with pixels, got shape (1, 4, 5).",
        ),
        (
            lambda g: unwarp_masks(torch.zeros(2, 4, 5), g, SIZES),
            TypeError,
            "masks[0] must be of an integer or boolean type, got torch.float32: convert the ids first.",
        ),
        (
            lambda g: warp_masks([MASKS[0], MASKS[0].byte()], g),
            TypeError,
            "masks[1] must be torch.int64 as the first, got torch.uint8: convert it.",
        ),
        (
            lambda g: unwarp_masks(torch.stack(MASKS), g, [(3, 3)]),
            ValueError,
            "source_size must be one (height, width) or 2 of them, got 1.",
        ),
    ],
)
def test_messages(call, error, message):
    """Each error names the argument and its value."""
    with unhooked(), pytest.raises(error, match=re.escape(message)):
        call(a_grid())


@pytest.mark.gpu
@pytest.mark.parametrize("family", FAMILIES)
def test_cuda_equals_cpu(family):
    """Labels stay on their device if the grid is on a GPU, and have the same values."""
    grid, boxes = a_grid(family), [torch.tensor([[3.0, 4, 25, 17], [9, 9, 20, 40]])] * 2
    points = [box[:, :2] for box in boxes]
    masks = [torch.arange(h * w).view(h, w) for h, w in SIZES]
    warped, kept = warp_boxes(boxes, grid.cuda(), SIZES)

    check_close(torch.stack(warped), torch.stack(warp_boxes(boxes, grid, SIZES)[0]), 1e-4)
    check_close(
        torch.stack(warp_points(points, grid.cuda(), SIZES)),
        torch.stack(warp_points(points, grid, SIZES)),
        1e-4,
    )
    assert torch.equal(warp_masks(masks, grid.cuda()), warp_masks(masks, grid))
    assert {t.device.type for t in [*warped, *kept, warp_masks(masks, grid.cuda())]} == {"cpu"}
