"""Saliency that is known beforehand: from boxes, or one map for a data set."""

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.sampler import BoxSaliency, FixedSaliency, SaliencyNet, SaliencySampler, compose, zoom_grid
from tests import reference
from tests.checks import check_close, unhooked
from tests.strategies import softmax_map

IMAGE = torch.zeros(2, 3, 8, 8)


def density(boxes, size, amplitude, bandwidth):
    """Return FOVEA's formula with floors of mass one, by a loop over boxes and cells, with boxes wider by half a cell."""
    rows, cols = size
    y, x = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, cols), indexing="ij")
    total = np.full(size, max(len(boxes), 1) / (rows * cols))
    for x0, y0, x1, y1 in np.asarray(boxes, np.float64):
        across = bandwidth * (x1 - x0) + (0.5 / (cols - 1)) ** 2
        down = bandwidth * (y1 - y0) + (0.5 / (rows - 1)) ** 2
        kernel = np.exp(-0.5 * ((x - (x0 + x1) / 2) ** 2 / across + (y - (y0 + y1) / 2) ** 2 / down))
        total += amplitude * kernel / kernel.sum()
    return total / total.sum()


def some_boxes(count, seed):
    ends = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(seed))
    return ends.sort(dim=1).values.flatten(1)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 6),
    st.tuples(st.integers(2, 40), st.integers(2, 40)),
    st.floats(0.1, 20),
    st.floats(0.001, 0.5),
    st.integers(0, 99),
)
def test_is_the_formula(count, size, amplitude, bandwidth, seed):
    """The map equals the formula for any boxes, lattice and settings, sums to one, and the boxes are not changed."""
    boxes = [some_boxes(count, seed), some_boxes(2, seed + 1)]
    before = [each.clone() for each in boxes]
    logits = BoxSaliency(None, size, amplitude=amplitude, bandwidth=bandwidth)(IMAGE, boxes)

    assert logits.shape == (2, 1, *size)
    for found, each in zip(logits.exp()[:, 0], boxes, strict=True):
        expected = density(each, size, amplitude, bandwidth)
        check_close(found / expected.max(), expected / expected.max(), 1e-4)
    assert all(torch.equal(a, b) for a, b in zip(boxes, before, strict=True))


def test_without_boxes_there_is_no_zoom():
    """Without boxes the map is uniform and the grid is the identity."""
    zoomed = SaliencySampler((9, 7), saliency=BoxSaliency())(IMAGE, boxes=[torch.empty(0, 4)] * 2)

    check_close(zoomed.saliency, torch.full((2, 1, 31, 31), 1 / 31**2), 1e-8)
    check_close(zoomed.grid, zoom_grid(torch.ones(2, 1, 31, 31), (9, 7)), 1e-5)


@pytest.mark.parametrize("count", [1, 2, 31, 200])
def test_the_rest_keeps_its_share_beside_many_boxes(count):
    """The background has thirty percent of the map by default, however many boxes there are."""
    boxes = torch.tensor([[0.1, 0.1, 0.2, 0.2]]).repeat(count, 1)
    saliency = BoxSaliency()(IMAGE, [boxes] * 2).exp()

    check_close(saliency[:, 0, 30, 30] * 31**2, [0.3, 0.3], 1e-5)
    assert BoxSaliency(amplitude=1.0)(IMAGE, [boxes] * 2).exp()[0, 0, 30, 30] * 31**2 == pytest.approx(0.5)


@pytest.mark.parametrize("count", [1, 5, 31])
def test_the_rest_keeps_as_much_as_with_fovea(count):
    """With FOVEA's constants, the background has the share that it has in FOVEA's code."""
    boxes = some_boxes(count, 3) * 0.3 + 0.3
    ours = BoxSaliency(None, (31, 51), amplitude=61**2 / (31 * 51), bandwidth=(64 / 1200, 64 / 1920))
    theirs = reference.fovea_saliency(boxes.double().numpy() * ([1920, 1200] * 2), (31, 51), (1200, 1920))

    check_close(ours(IMAGE, [boxes] * 2)[0, 0].exp()[0, 0] / theirs[0, 0], 1, 0.03)


def test_the_box_is_magnified():
    """The box is magnified, more so with a lower temperature."""
    box = torch.tensor([[0.2, 0.3, 0.4, 0.5]])
    shares = []
    for temperature in (1.0, 0.5, 0.25):
        grid = SaliencySampler(64, saliency=BoxSaliency(amplitude=3.0), temperature=temperature)(
            IMAGE[:1], boxes=[box]
        ).grid
        place = (grid + 1) / 2
        shares.append(((place > box[0, :2]) & (place < box[0, 2:])).all(dim=-1).float().mean().item())

    assert 0.04 * 1.5 < shares[0] < shares[1] < shares[2]


def test_boxes_go_with_the_view():
    """In a flipped and cropped view, the map is that of the boxes moved by hand, without those outside."""
    boxes = [torch.tensor([[0.1, 0.2, 0.3, 0.6], [0.8, 0.1, 0.9, 0.2]]), torch.empty(0, 4)]
    views = torch.tensor([[[-0.5, 0, -0.5], [0, 1, 0]]]).repeat(2, 1, 1)  # the left half, mirrored
    zoom = SaliencySampler(8, saliency=BoxSaliency())
    ours, by_hand = (
        zoom(IMAGE, views=views, boxes=boxes),
        zoom(IMAGE, boxes=[torch.tensor([[0.4, 0.2, 0.8, 0.6]]), torch.empty(0, 4)]),
    )

    check_close(ours.saliency, by_hand.saliency, 1e-7)
    check_close(ours.grid, compose(views, by_hand.grid), 1e-6)


def test_boxes_are_clipped_to_what_is_shown():
    """A box counts with the part that the view shows."""
    overhanging = [torch.tensor([[-0.2, 0.5, 0.2, 1.4], [1.1, 0.2, 1.3, 0.4]])] * 2
    clipped = [torch.tensor([[0.0, 0.5, 0.2, 1.0]])] * 2

    check_close(BoxSaliency()(IMAGE, overhanging), BoxSaliency()(IMAGE, clipped), 1e-6)


def test_a_gain_is_a_reciprocal_temperature():
    """Multiplying the logits by 8 equals a temperature of 1/8."""
    torch.manual_seed(0)
    net, image = SaliencyNet(), torch.rand(2, 3, 60, 80)

    class Gained(torch.nn.Module):
        def forward(self, small):
            return 8 * net(small)

    check_close(
        SaliencySampler(16, saliency=Gained())(image).grid,
        SaliencySampler(16, saliency=net, temperature=1 / 8)(image).grid,
        1e-6,
    )


def test_where_boxes_come_from():
    """The sampler tells a loader which boxes its saliency module needs."""
    assert SaliencySampler(8, saliency=BoxSaliency("json:boxes")).boxes_from == "json:boxes"
    assert SaliencySampler(8, saliency=BoxSaliency()).boxes_from is None
    assert SaliencySampler(8).boxes_from is None


def test_a_fixed_map_is_the_map():
    """A fixed map, also with zeros, is used for every image, is saved, and is not trained."""
    weights = softmax_map(9, 13)[0, 0]
    weights[0] = 0
    prior = FixedSaliency(5 * weights)
    zoom = SaliencySampler((10, 12), saliency=prior)
    zoomed = zoom(IMAGE)

    check_close(zoomed.saliency, (weights / weights.sum()).expand(2, 1, 9, 13), 1e-12)
    check_close(zoomed.grid, zoom_grid(weights.expand(2, 1, 9, 13), (10, 12)), 1e-12)
    assert list(zoom.state_dict()) == ["saliency.saliency"]
    assert not list(zoom.parameters())
    for dtype in (torch.int64, torch.uint16):
        check_close(
            FixedSaliency(torch.ones(3, 4, dtype=dtype))(IMAGE).exp(), torch.full((2, 1, 3, 4), 1 / 12), 1e-7
        )


@pytest.mark.parametrize(
    ("saliency", "boxes", "message"),
    [
        (
            BoxSaliency(),
            None,
            "boxes must be a list of 2 tensors, one for each image, got None – call the sampler with boxes=[...].",
        ),
        (BoxSaliency(), [torch.empty(0, 4)], "boxes must be a list of 2 tensors, one for each image, got 1."),
        (BoxSaliency(), [torch.empty(0, 4), torch.ones(3)], "boxes[1] must be (n, 4), got shape (3,)."),
        (
            BoxSaliency(),
            [torch.tensor([[0.5, 0, 0.25, 1]])] * 2,
            "boxes[0] must be (x0, y0, x1, y1) with x0 <= x1 and y0 <= y1, got [0.5, 0.0, 0.25, 1.0]: convert from",
        ),
        (
            BoxSaliency(),
            [torch.tensor([[0.0, 0, 64, 48]])] * 2,
            "boxes[0] must be fractions of the image's width and height, got [0.0, 0.0, 64.0, 48.0]: divide pixels",
        ),
        (
            SaliencyNet(),
            [torch.empty(0, 4)] * 2,
            "boxes must be None for SaliencyNet, got 2 – use BoxSaliency, or a module of yours with an attribute boxes_from and",
        ),
    ],
)
def test_messages_about_boxes(saliency, boxes, message):
    """Each error names what was given."""
    with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
        SaliencySampler(8, saliency=saliency)(IMAGE, boxes=boxes)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: BoxSaliency(amplitude=0.0), "amplitude must be positive and finite, got 0.0."),
        (lambda: BoxSaliency(amplitude=math.inf), "amplitude must be positive and finite, got inf."),
        (lambda: BoxSaliency(bandwidth=-1.0), "bandwidth must be positive and finite, got -1.0."),
        (lambda: BoxSaliency(bandwidth=(0.1, 0.0)), "bandwidth must be positive and finite, got (0.1, 0.0)."),
        (lambda: FixedSaliency(torch.ones(1, 2, 3)), "saliency must be (rows, cols), got shape (1, 2, 3)."),
        (
            lambda: FixedSaliency(torch.zeros(2, 3)),
            "got values from 0.0 to 0.0: apply a ReLU, or add a small constant.",
        ),
        (
            lambda: FixedSaliency(torch.tensor([[1.0, -0.5]])),
            "saliency must be finite and non-negative with a positive sum, got values from -0.5 to 1.0:",
        ),
        (lambda: FixedSaliency(torch.tensor([[1.0, torch.inf]])), "got values from 1.0 to inf:"),
    ],
)
def test_messages(build, message):
    """Each error names the argument and its value."""
    with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
        build()
