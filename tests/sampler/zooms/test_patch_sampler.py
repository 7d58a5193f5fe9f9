"""PatchSampler: where patches are, which pixels they have, and what it refuses."""

import itertools
import pickle
import re

import numpy as np
import pytest
import torch
from torch import nn

from foveal.sampler import PatchSampler, ScoreNet, lowres, saliency_entropy
from foveal.sampler.patches import cut_patches, patch_corners, zero_to_one
from tests.checks import check_close, unhooked
from tests.sampler.noise import noise
from tests.sampler.patches.seeing import seen_by
from tests.sampler.zooms.scored import Fixed, all_patches


def one_best(rows, cols, row, col, **options):
    """Return a sampler that prefers one cell."""
    scores = torch.zeros(1, 1, rows, cols)
    scores[0, 0, row, col] = 1
    return PatchSampler(score=Fixed(scores), **options).eval()


def coordinates(height, width):
    """Return an image whose pixels hold the coordinates of their centres: (1, 2, height, width), y and x."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([y, x])[None]


@pytest.mark.parametrize("size", [(960, 1280), (1000, 1000), (701, 2003)])
def test_a_patch_has_the_middle_of_what_was_scored(size):
    """A patch is centred on what its score depends on, to half a pixel, measured by gradients."""
    torch.manual_seed(0)
    lowres_size, image = (67, 80), coordinates(*size)
    image = torch.cat([image, image[:, :1]], dim=1)
    rows, cols = ScoreNet()(torch.zeros(1, 3, *lowres_size)).shape[2:]
    for row, col in ((1, 2), (rows - 2, cols - 2)):
        seen = seen_by(ScoreNet(), lowres_size, row, col)
        middle = [
            sum(ends) / 2 * side / small for ends, side, small in zip(seen, size, lowres_size, strict=True)
        ]
        scorer = one_best(rows, cols, row, col, k=1, patch_size=21, lowres_size=lowres_size)
        scorer.score.stride_px, scorer.score.first_centre_px = ScoreNet.stride_px, ScoreNet.first_centre_px
        found = scorer(image, torch.zeros(1, 3, *lowres_size))

        check_close(found.images[0, 0, :2].mean((1, 2)), middle, 0.501)
        check_close((found.grid[0, 0].mean((0, 1)) + 1) / 2 * torch.tensor(size[::-1]), middle[::-1], 0.501)


@pytest.mark.parametrize(
    ("size", "downscale", "first", "last"), [((960, 1280), 3, 12, None), ((1000, 1000), 4, 16.5, 13.5)]
)
def test_published_geometry(size, downscale, first, last):
    """The first patch's centre, and the offset of the last patch from what was scored, are those of the published code."""
    small = (size[0] // downscale, size[1] // downscale)
    rows, cols = ((side - 8) // 8 for side in small)
    corners = patch_corners(ScoreNet(), size, small, (rows, cols), patch_size=100, geometry="published").view(
        rows, cols, 2
    )
    centred = patch_corners(ScoreNet(), size, small, (rows, cols), patch_size=100, geometry="centred").view(
        rows, cols, 2
    )

    assert abs(float(corners[0, 0, 0]) + 50 - first) <= 0.5
    if last is not None:
        assert abs(float(corners[-1, -1, 0] - centred[-1, -1, 0]) - last) <= 1


@pytest.mark.parametrize("size", [(300, 280), (40, 50), (1, 1)])
def test_evaluation_cuts_the_best(size):
    """In evaluation, patches are crops at the K highest scores, sorted by position."""
    sampler, image = PatchSampler(4, 33, lowres_size=64).eval(), noise(*size)
    patches, grid, saliency = sampler([image])
    best = np.sort(np.argsort(-saliency[0].detach().numpy().ravel())[:4])
    corners = patch_corners(ScoreNet(), size, (64, 64), (7, 7), patch_size=33, geometry="centred")[best]

    check_close(patches[0], np.moveaxis(all_patches(image, corners, 33, "replicate"), -1, 1) / 255, 1e-6)
    assert grid.shape == (1, 4, 33, 33, 2)


def test_the_grid_is_where_the_patches_look():
    """torch's grid_sample at the grid gives the patches, with repeated borders."""
    image = noise(120, 90)
    patches, grid, _ = PatchSampler(3, 40, lowres_size=64).eval()([image])
    whole = image.permute(2, 0, 1)[None].float() / 255
    read = [
        nn.functional.grid_sample(whole, g[None], padding_mode="border", align_corners=False)[0]
        for g in grid[0]
    ]

    check_close(patches[0], torch.stack(read), 1e-4)


def test_order_is_that_of_training():
    """With little noise, training gives the patches of evaluation in the same order."""
    sampler = PatchSampler(5, 25, lowres_size=64, sigma=1e-8)
    images = [noise(200, 180), noise(90, 300, 1)]

    for soft, hard in zip(sampler(images), sampler.eval()(images), strict=True):
        check_close(soft, hard, 1e-5)


def test_lowres_may_be_passed_in():
    """A low-resolution copy may be passed in; dense uint8 equals a list."""
    sampler = PatchSampler(2, 16, lowres_size=(48, 64)).eval()
    images = torch.stack([noise(100, 110), noise(100, 110, 1)])
    small = lowres(list(images), sampler.lowres_size)

    for alone, given, dense in zip(
        sampler(list(images)), sampler(list(images), small), sampler(images.permute(0, 3, 1, 2)), strict=True
    ):
        assert torch.equal(alone, given)
        assert torch.equal(alone, dense)


@pytest.mark.parametrize("training", [True, False])
def test_no_image(training):
    """An empty batch gives an empty result of the right shape."""
    zoomed = PatchSampler(3, 8, lowres_size=32).train(training)([])

    assert [value.shape for value in zoomed] == [(0, 3, 3, 8, 8), (0, 3, 8, 8, 2), (0, 1, 3, 3)]


def test_reproducible_and_portable():
    """torch.manual_seed fixes the result, also of a pickled copy."""
    torch.manual_seed(0)
    sampler, image = PatchSampler(2, 20, lowres_size=64), noise(100, 100)
    again = pickle.loads(pickle.dumps(sampler))
    torch.manual_seed(1)
    first = sampler([image])
    torch.manual_seed(1)

    assert all(map(torch.equal, first, again([image])))


def test_masked_cells_are_not_chosen():
    """Scores of minus infinity are allowed if nothing trains, and are not chosen."""
    scores = torch.full((1, 1, 4, 4), -torch.inf)
    scores[0, 0, 1, 2] = scores[0, 0, 3, 3] = 0
    _, grid, _ = PatchSampler(2, 9, score=Fixed(scores)).eval()(torch.zeros(1, 3, 64, 64))

    check_close(grid.mean((2, 3))[0], [[0.25, -0.25], [0.75, 0.75]], 1 / 64)


def test_zero_to_one():
    """Scores are scaled to [0, 1] for each image, as published; equal scores become zeros."""
    check_close(zero_to_one(torch.tensor([[2.0, 4.0, 3.0], [5, 5, 5]])), [[0, 1, 0.5], [0, 0, 0]], 1e-5)


def test_entropy():
    """The entropy of equal scores is log n and of a certain choice 0, with finite gradients."""
    maps = torch.tensor([[0.25] * 4, [1.0, 0, 0, 0]]).view(2, 1, 2, 2).requires_grad_()
    entropy = saliency_entropy(maps)
    entropy.sum().backward()

    check_close(entropy, [np.log(4), 0], 1e-6)
    assert bool(maps.grad.isfinite().all())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k must be at least 1, got 0."),
        ({"patch_size": 0}, "patch_size must be at least 1, got 0."),
        ({"lowres_size": (0, 5)}, "lowres_size must be at least 1 pixel, got (0, 5)."),
        ({"geometry": "ats"}, "geometry must be one of ('centred', 'published'), got 'ats'."),
        ({"sigma": -1.0}, "sigma must be positive, got -1.0 – call eval() for no noise."),
    ],
)
def test_messages(arguments, message):
    """Each error names the argument and its value."""
    with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
        PatchSampler(**{"k": 2, "patch_size": 8, **arguments})


def test_messages_of_the_call():
    """Too few scores, and a low-resolution copy that is too small, are refused."""
    images = torch.zeros(1, 3, 64, 64)
    for mode, (lowres_size, message) in itertools.product(
        (True, False),
        (
            (31, "k must be at most the 4 positions that there are, got 9 – score more finely."),
            (15, "small must be at least (16, 16) for one score, got (15, 15) – raise lowres_size."),
        ),
    ):
        with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
            PatchSampler(9, 8, lowres_size=lowres_size).train(mode)(images)


def test_repr():
    """The representation shows settings and shapes, no pixels."""
    sampler = PatchSampler(2, 8, lowres_size=32)

    assert "patch_size=8, lowres_size=(32, 32), geometry='centred'" in repr(sampler)
    assert repr(sampler([noise(50, 60)])) == (
        "Zoomed(images=(1, 2, 3, 8, 8), grid=(1, 2, 8, 8, 2), saliency=(1, 1, 3, 3))"
    )


def test_cut_of_nothing_but_the_border():
    """A patch beyond a corner has the corner's pixel, or zeros."""
    image = torch.full((2, 2, 3), 51, dtype=torch.uint8)
    corners = torch.tensor([[-4, -4]])

    check_close(cut_patches(image, corners, 5, "replicate"), np.full((1, 3, 5, 5), 0.2), 1e-7)
    check_close(cut_patches(image, corners, 5, "zeros").sum(), 3 * 0.2, 1e-6)
