"""Masks from edges, from saliency, from key points, and learned ones."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from foveal.sampler import LearnedMask, budget_loss, edge_mask, keypoint_mask, node_lists, saliency_mask
from tests.checks import check_close, unhooked
from tests.reference import means_over_cells

pytestmark = pytest.mark.usefixtures("one_thread")


def edges_by_hand(image, threshold, dilation):
    """Return where luma differs by the threshold over two pixels, dilated, with repeated borders: (3, height, width), NumPy."""
    luma = np.tensordot((0.299, 0.587, 0.114), image, 1)
    across = np.abs(ndimage.correlate1d(luma, [-1, 0, 1], axis=1, mode="nearest"))
    down = np.abs(ndimage.correlate1d(luma, [-1, 0, 1], axis=0, mode="nearest"))
    return ndimage.maximum_filter((across >= threshold) | (down >= threshold), dilation, mode="constant")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.integers(8, 60), st.integers(8, 60), st.sampled_from([1, 5, 11]))
def test_edges_are_scipys(seed, height, width, dilation):
    """A cell is coarse if no edge by scipy is near any pixel of its block, also for odd sizes."""
    rng = np.random.default_rng(seed)
    image = np.repeat(np.repeat(rng.random((3, 8, 8)), 8, 1), 8, 2)[:, :height, :width]
    image[:, :, width // 2 :] = 0.5
    near = edges_by_hand(image, 0.3, dilation)
    mask = edge_mask(torch.from_numpy(image)[None], threshold=0.3, dilation=dilation, stride=4)[0, 0].numpy()

    assert mask.shape == (-(-height // 4), -(-width // 4))
    for row, col in np.ndindex(*mask.shape):
        block = near[row // 2 * 8 : row // 2 * 8 + 8, col // 2 * 8 : col // 2 * 8 + 8]
        assert mask[row, col] == (not block.any())


def test_edges_of_both_signs_unless_as_published():
    """A dark bar has two edges; the published code finds only the brightening one, and the image's border."""
    image = torch.ones(1, 3, 128, 256)
    image[..., 128:192] = 0
    ours = edge_mask(image)[0, 0, 8]
    published = edge_mask(image, as_published=True)[0, 0, 8]

    assert (ours[14:18] == 0).all()
    assert (ours[22:26] == 0).all()
    assert ours.sum() == 32 - 8
    assert (published[12:20] == 1).all()
    assert (published[24:26] == 0).all()
    assert (published[:4] == 0).all()


@pytest.mark.parametrize("as_published", [False, True])
def test_edges_of_bytes(as_published):
    """An image of uint8 has the edges of the same image in [0, 1]."""
    image = torch.zeros(1, 3, 64, 96, dtype=torch.uint8)
    image[..., 48:], image[:, :, :20, :30] = 255, 80  # the second edge is below the threshold
    mask = edge_mask(image, dilation=3, as_published=as_published)

    assert torch.equal(mask, edge_mask(image.float() / 255, dilation=3, as_published=as_published))
    assert (mask == 0).any()
    assert (mask == 1).any()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(1, 3, 8, 8, dtype=torch.int64), "images must be uint8 or floating point, got torch.int64: convert it first."),
        ([np.zeros((8, 8, 3))], "images must be a tensor, got list"),
    ],
)  # fmt: skip
def test_images_without_a_scale(images, message):
    """Images whose white is unknown are refused."""
    with unhooked(), pytest.raises(TypeError, match=re.escape(message)):
        edge_mask(images)


def test_edges_of_one_channel():
    """One channel is its own luma."""
    image = torch.rand(1, 1, 64, 64)

    assert torch.equal(edge_mask(image), edge_mask(image.expand(-1, 3, -1, -1)))


def test_edges_at_more_levels():
    """Far from edges, the mask has its highest level over whole blocks, as a network to stride 32 needs."""
    image = torch.zeros(1, 3, 160, 160)
    image[..., 72:] = 1

    assert edge_mask(image, levels=2)[0, 0, 0].tolist() == [2] * 8 + [0] * 2 + [1] * 2 + [2] * 8
    node_lists(edge_mask(image, levels=2))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 999), st.integers(1, 25), st.integers(1, 25), st.floats(0, 1))
def test_the_budget_is_kept(seed, rows, cols, keep):
    """In each image, as many blocks are fine as the budget says, and these are the most salient ones."""
    saliency = torch.rand(3, 1, rows, cols, generator=torch.Generator().manual_seed(seed))
    mask = saliency_mask(saliency, (2 * rows, 2 * cols), keep=keep)
    blocks = mask[:, 0, ::2, ::2]

    assert (blocks == 0).flatten(1).sum(1).tolist() == [round(rows * cols * keep)] * 3
    node_lists(mask)
    for one, map_ in zip(blocks, saliency[:, 0], strict=True):
        means = means_over_cells(map_.numpy(), (rows, cols))
        fine, coarse = means[one.numpy() == 0], means[one.numpy() == 1]
        assert len(fine) == 0 or len(coarse) == 0 or fine.min() >= coarse.max() - 1e-6


def test_two_budgets():
    """With two budgets, a tenth is at level 0, three tenths at 1 and the rest at 2, of a resized map."""
    saliency = torch.linspace(0, 1, 400).view(1, 1, 1, 400).expand(1, 1, 8, 400)
    mask = saliency_mask(saliency, (8, 80), keep=(0.1, 0.3))

    assert mask[0, 0, 0].tolist() == [2] * 48 + [1] * 24 + [0] * 8


def test_equal_saliency_is_settled_by_place():
    """Of equally salient blocks the upper left ones are fine, so the mask is deterministic."""
    mask = saliency_mask(torch.ones(1, 1, 4, 4), (8, 8), keep=0.25)

    assert mask[0, 0, ::2, ::2].tolist() == [[0] * 4, [1] * 4, [1] * 4, [1] * 4]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.integers(1, 20), st.integers(1, 20), st.integers(0, 4))
def test_key_points_are_scipys_distance(seed, rows, cols, count):
    """No cell is coarser than its distance to the nearest point allows, and blocks that are far away are coarse."""
    rng = np.random.default_rng(seed)
    points = torch.from_numpy(rng.random((count, 2)))
    mask = keypoint_mask([points], (rows, cols), radii=(1, 3))[0, 0].numpy()
    seeds = np.ones((rows, cols))
    for x, y in points.numpy():
        seeds[int(y * rows), int(x * cols)] = 0
    far = ndimage.distance_transform_cdt(seeds, "chessboard") if count else np.full((rows, cols), 99)
    allowed = (far > 1).astype(int) + (far > 3)

    assert (mask <= allowed).all()
    for row, col in np.ndindex(rows // 4, cols // 4):
        block = slice(4 * row, 4 * row + 4), slice(4 * col, 4 * col + 4)
        assert allowed[block].min() < 2 or (mask[block] == 2).all()


def test_a_point_on_the_edge_is_inside():
    """A coordinate of 1 is in the last cell; without points, all cells are coarse."""
    mask = keypoint_mask([torch.ones(1, 2), torch.zeros(0, 2)], (8, 8), radii=(0,))

    assert mask[0, 0, 6:, 6:].sum() == 0
    assert mask[0].sum() == 60
    assert mask[1].sum() == 64


def test_key_points_that_are_absent_or_whole():
    """Absent key points, which are NaN, do not count, and whole fractions may be integers."""
    nan = torch.full((1, 2), torch.nan)
    points = torch.tensor([[0.2, 0.7]])
    found = keypoint_mask([torch.cat([nan, points]), nan, torch.tensor([[0, 1]])], (8, 8), radii=(1,))

    assert torch.equal(
        found, keypoint_mask([points, points[:0], torch.tensor([[0.0, 1.0]])], (8, 8), radii=(1,))
    )
    assert bool((found[1] == 1).all())


def test_learned_in_evaluation():
    """In evaluation there is no noise: the likelier level wins."""
    torch.manual_seed(0)
    decide = LearnedMask(4).eval()
    fine = torch.randn(2, 4, 9, 7)
    logits = decide.decide(fine)
    blocks = (logits[:, 1] > logits[:, 0]).float()

    assert torch.equal(decide(fine), decide(fine))
    check_close(decide(fine)[:, 0, ::2, ::2], blocks, 0)
    node_lists(decide(fine))


def test_learned_in_training():
    """In training, cells are coarse with the network's probability, within four standard deviations."""
    torch.manual_seed(0)
    decide = LearnedMask(4).train()
    with torch.no_grad():
        decide.decide[-1].bias[1] += 1
    fine = torch.randn(1, 4, 4, 4)
    chance = decide.decide(fine).softmax(1)[0, 1]
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        draws = torch.stack([decide(fine, generator)[0, 0, ::2, ::2] for _ in range(2000)])

    assert set(draws.unique().tolist()) == {0, 1}
    check_close(draws.mean(0), chance, 4 * 0.5 / 2000**0.5)


def test_learned_is_seeded():
    """The same generator draws the same mask."""
    decide, fine = LearnedMask(4), torch.randn(1, 4, 16, 16)
    draws = [decide(fine, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]

    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_noise_is_drawn_in_float32(monkeypatch, dtype):
    """The noise on features of half precision has the values of float32, and the mask is finite where a draw is zero."""
    drawn = []

    def draw(self, generator=None):
        del generator
        drawn.append(self.dtype)
        return self.fill_(0)

    monkeypatch.setattr(torch.Tensor, "exponential_", draw)
    mask = LearnedMask(4).to(dtype)(torch.randn(1, 4, 16, 16, dtype=dtype))

    assert drawn == [torch.float32]
    assert bool(((mask == 0) | (mask == 1)).all())


def test_learned_passes_the_gradient_of_the_softmax():
    """The output is the hard mask, its gradient that of the soft one (straight-through)."""
    decide, fine = LearnedMask(4, temperature=0.7), torch.randn(1, 4, 4, 4)
    decide.eval()
    weights = torch.randn(1, 1, 4, 4)
    (decide(fine) * weights).sum().backward()
    ours = decide.decide[-1].bias.grad.clone()
    decide.zero_grad()
    soft = (decide.decide(fine) / 0.7).softmax(1)[:, 1:].repeat_interleave(2, 2).repeat_interleave(2, 3)
    (soft * weights).sum().backward()

    check_close(ours, decide.decide[-1].bias.grad, 1e-6)


def test_budget_loss():
    """The loss is the squared distance of the mean from the budget, and has its gradient."""
    mask = torch.tensor([[[[1.0, 1, 0, 0]]], [[[1.0, 0, 0, 0]]]], requires_grad=True)
    loss = budget_loss(mask, 0.5)
    loss.backward()

    assert loss.item() == (3 / 8 - 1 / 2) ** 2
    check_close(mask.grad, np.full((2, 1, 1, 4), 2 * (3 / 8 - 1 / 2) / 8), 1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: edge_mask(torch.zeros(1, 3, 8, 8), threshold=0.0), "threshold must be positive, got 0.0."),
        (
            lambda: edge_mask(torch.zeros(1, 3, 8, 8), stride=0),
            "stride must be at least 1, got 0.",
        ),
        (lambda: edge_mask(torch.zeros(1, 3, 8, 8), dilation=4), "dilation must be odd, got 4."),
        (
            lambda: edge_mask(torch.zeros(3, 8, 8)),
            "images must be (batch, 3, height, width), got shape (3, 8, 8) – images[None] makes a batch of one image",
        ),
        (
            lambda: edge_mask(torch.zeros(1, 4, 8, 8)),
            "images must be (batch, 3, height, width), got shape (1, 4, 8, 8) – images[None] makes a batch of one image",
        ),
        (
            lambda: saliency_mask(torch.ones(2, 2), (4, 4), keep=0.5),
            "saliency must be (batch, 1, rows, cols), got shape (2, 2) – saliency[None, None] makes a batch of one map.",
        ),
        (
            lambda: saliency_mask(torch.tensor([[[[1.0, float("nan")]]]]), (4, 4), keep=0.5),
            "saliency must be finite, got nan.",
        ),
        (
            lambda: saliency_mask(torch.ones(1, 1, 2, 2), (4, 4), keep=float("nan")),
            "keep must be shares from 0 to 1 with a sum of at most 1, got nan.",
        ),
        (
            lambda: saliency_mask(torch.ones(1, 1, 2, 2), (4, 4), keep=(0.5, 0.6)),
            "keep must be shares from 0 to 1 with a sum of at most 1, got (0.5, 0.6).",
        ),
        (
            lambda: saliency_mask(torch.ones(1, 1, 2, 2), (0, 4), keep=0.5),
            "size must be at least (1, 1), got (0, 4).",
        ),
        (
            lambda: keypoint_mask([torch.tensor([[3.0, 4.0]])], (4, 4), radii=(1,)),
            "points[0] must be fractions of the image's width and height, got values from 3.0 to 4.0: divide pixels",
        ),
        (
            lambda: keypoint_mask([torch.zeros(1, 2)], (4, 4), radii=(2, 1)),
            "radii must be at least one, from 0 on and ascending, got (2, 1).",
        ),
        (lambda: LearnedMask(0), "channels must be at least 1, got 0."),
        (lambda: LearnedMask(4, temperature=0.0), "temperature must be positive, got 0.0."),
        (lambda: budget_loss(torch.zeros(1, 1, 2, 2), 1.5), "share must be in [0, 1], got 1.5."),
    ],
)
def test_arguments(call, message):
    """Each invalid argument is named with its value."""
    with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.parametrize("name", ["stride", "levels", "dilation"])
def test_what_is_no_whole_number(name):
    """A number of cells, levels or pixels that is not whole is named."""
    message = f"^{name} must be a whole number, got 2\\.5\\.$"
    with unhooked(), pytest.raises(TypeError, match=message):
        edge_mask(torch.zeros(1, 3, 8, 8), **{name: 2.5})
    with unhooked(), pytest.raises(TypeError, match=r"^channels must be a whole number, got 2\.5\.$"):
        LearnedMask(2.5)


def test_one_number_for_a_square():
    """A size may be one number, as everywhere."""
    points, saliency = [torch.tensor([[0.3, 0.4]])], torch.rand(1, 1, 5, 5)

    assert torch.equal(keypoint_mask(points, 6, radii=(1,)), keypoint_mask(points, (6, 6), radii=(1,)))
    assert torch.equal(saliency_mask(saliency, 6, keep=0.5), saliency_mask(saliency, (6, 6), keep=0.5))
