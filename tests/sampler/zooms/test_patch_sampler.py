"""PatchSampler: where patches are, which pixels they have, and how the scorer learns."""

import gc
import itertools
import pickle
import re
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from foveal.sampler import PatchSampler, PerturbedTopK, ScoreNet, lowres, saliency_entropy
from foveal.sampler.patches import cut_patches, mix_patches, patch_corners, zero_to_one
from tests.checks import check_close, unhooked
from tests.sampler.patches.seeing import seen_by


def noise(height, width, seed=0):
    return torch.randint(
        0, 256, (height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


class Fixed(nn.Module):
    """Returns one map of scores for any image."""

    def __init__(self, scores):
        super().__init__()
        self.scores = nn.Parameter(scores)

    def forward(self, small):
        return self.scores.expand(len(small), -1, -1, -1)


def one_best(rows, cols, row, col, **options):
    """Return a sampler that prefers one cell."""
    scores = torch.zeros(1, 1, rows, cols)
    scores[0, 0, row, col] = 1
    return PatchSampler(score=Fixed(scores), **options).eval()


def coordinates(height, width):
    """Return an image whose pixels hold the coordinates of their centres: (1, 2, height, width), y and x."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([y, x])[None]


def all_patches(image, corners, size, border):
    """Return every patch, cut from the padded image: (positions, size, size, 3) in float64."""
    mode = {"replicate": "edge", "zeros": "constant"}[border]
    padded = np.pad(image.numpy().astype(np.float64), ((200, 200), (200, 200), (0, 0)), mode)
    return np.stack([padded[y + 200 : y + 200 + size, x + 200 : x + 200 + size] for y, x in corners.tolist()])


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


@pytest.mark.parametrize("border", ["replicate", "zeros"])
@pytest.mark.parametrize("dense", [False, True])
def test_mixture_is_the_einsum_over_all_cells(border, dense):
    """The mixture and its gradient equal the einsum over all patches, also beyond the borders."""
    image, size = noise(61, 83), 20
    corners = torch.cartesian_prod(torch.arange(-9, 55, 13), torch.arange(-12, 75, 11))
    weights = torch.rand(3, len(corners), dtype=torch.float32)
    weights[:, torch.arange(len(corners)) % 4 > 0] = 0
    weights[1, :8] = 0
    weights = (weights / weights.sum(1, keepdim=True)).requires_grad_()
    everything = all_patches(image, corners, size, border) / 255
    upstream = torch.randn(3, 3, size, size)

    mixed = mix_patches(image.float() / 255 if dense else image, corners, weights, size, border)
    mixed.backward(upstream)

    check_close(mixed, np.einsum("ks,sijc->kcij", weights.detach().double(), everything), 1e-6)
    expected = np.einsum("kcij,sijc->ks", upstream.double(), everything)
    chosen = weights.detach().numpy() != 0
    check_close(weights.grad.numpy()[chosen], expected[chosen], 1e-4)


@pytest.mark.parametrize("count", [2, 200])
def test_mixture_from_copies_of_patches_or_of_what_is_around_them(count):
    """Both ways to keep pixels, patches and the rectangle around them, equal the einsum."""
    image, corners = (
        noise(90, 70),
        torch.randint(0, 50, (count, 2), generator=torch.Generator().manual_seed(1)),
    )
    corners[0], corners[1] = torch.tensor([-5, -3]), torch.tensor([75, 60])
    weights = torch.rand(2, count).softmax(1).requires_grad_()
    mixed = mix_patches(image, corners, weights, 18, "replicate")
    mixed.sum().backward()
    everything = all_patches(image, corners, 18, "replicate") / 255

    check_close(mixed, np.einsum("ks,sijc->kcij", weights.detach().double(), everything), 1e-4)
    check_close(weights.grad, np.einsum("sijc->s", everything)[None].repeat(2, 0), 1e-2)


@pytest.mark.parametrize("gradient", ["diagonal", "relative", "full"])
@pytest.mark.parametrize("geometry", ["centred", "published"])
def test_scores_learn_as_through_the_einsum(gradient, geometry):
    """In training, patches and the gradient of scores equal those of the einsum."""
    image, scores = noise(200, 230), torch.randn(1, 1, 6, 7)
    sampler = PatchSampler(
        3, 30, score=Fixed(scores.clone()), lowres_size=32, geometry=geometry, gradient=gradient, samples=40
    )
    upstream = torch.randn(1, 3, 3, 30, 30)
    zoomed = sampler([image], generator=torch.Generator().manual_seed(3))
    zoomed.images.backward(upstream)

    alone = scores.flatten(1).requires_grad_()
    weights = PerturbedTopK(3, gradient=gradient, samples=40)(
        zero_to_one(alone), torch.Generator().manual_seed(3)
    )
    corners = patch_corners(sampler.score, (200, 230), (32, 32), (6, 7), patch_size=30, geometry=geometry)
    patches = torch.tensor(all_patches(image, corners, 30, sampler.border) / 255, dtype=torch.float32)
    expected = torch.einsum("bks,sijc->bkcij", weights, patches)
    expected.backward(upstream)

    check_close(zoomed.images, expected, 1e-6)
    check_close(sampler.score.scores.grad.flatten(), alone.grad[0], 1e-4 * float(alone.grad.abs().max()))
    check_close(zoomed.saliency.flatten(), scores.flatten().softmax(0), 1e-6)


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


def test_dense_floats_learn_too():
    """A floating-point tensor of any channels keeps its scale, and gradients reach the image and every weight."""
    torch.manual_seed(0)
    sampler = PatchSampler(2, 16, lowres_size=64, samples=50)
    image = (100 * torch.randn(2, 3, 80, 90)).requires_grad_()
    zoomed = sampler(image)
    zoomed.images.square().sum().backward()

    assert zoomed.images.shape == (2, 2, 3, 16, 16)
    assert zoomed.images.abs().max() > 10
    assert image.grad.abs().sum() > 0
    assert all(p.grad.abs().sum() > 0 for p in sampler.parameters())


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


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
@pytest.mark.parametrize("training", [True, False])
def test_dense_floats_of_any_precision(dtype, training):
    """Half-precision images give float32, and double stays double, whatever the scores' dtype."""
    sampler = PatchSampler(2, 8, score=Fixed(torch.randn(1, 1, 4, 4)), lowres_size=16, samples=9).train(
        training
    )

    assert sampler(torch.rand(1, 3, 40, 50, dtype=dtype)).images.dtype == torch.promote_types(
        dtype, torch.float32
    )


@pytest.mark.parametrize("training", [True, False])
def test_no_image(training):
    """An empty batch gives an empty result of the right shape."""
    zoomed = PatchSampler(3, 8, lowres_size=32).train(training)([])

    assert [value.shape for value in zoomed] == [(0, 3, 3, 8, 8), (0, 3, 8, 8, 2), (0, 1, 3, 3)]


@pytest.mark.parametrize(("samples", "side"), [(2, 400), (300, 50)])
def test_images_are_free_before_backward(samples, side):
    """In training, nothing refers to ragged images between forward and backward."""
    sampler, image = PatchSampler(2, 30, lowres_size=64, samples=samples, sigma=5.0), noise(side, side)
    zoomed, gone = sampler([image]), weakref.ref(image)
    storage = weakref.ref(image.untyped_storage())
    gc.disable()
    try:
        del image
        assert gone() is None
        assert storage() is None
    finally:
        gc.enable()
    zoomed.images.square().sum().backward()

    assert sampler.score.layers[0].weight.grad.abs().sum() > 0


def test_what_cannot_learn_is_hard():
    """Without gradients, or with a frozen scorer, there is no noise."""
    sampler, image = PatchSampler(3, 16, lowres_size=64), noise(100, 100)
    expected = sampler.eval()([image]).images
    sampler.train()
    before = torch.get_rng_state()
    with torch.no_grad():
        assert torch.equal(sampler([image]).images, expected)
    assert torch.equal(sampler.requires_grad_(requires_grad=False)([image]).images, expected)
    assert torch.equal(torch.get_rng_state(), before)


def test_autocast_leaves_choice_and_mixture_alone():
    """Under bf16 autocast only the scorer runs in bf16."""
    image, scores = noise(150, 120), torch.randn(1, 1, 6, 6)
    found = []
    for enabled in (False, True):
        sampler = PatchSampler(2, 24, score=Fixed(scores.clone()), samples=50)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            zoomed = sampler([image], generator=torch.Generator().manual_seed(0))
            zoomed.images.square().sum().backward()
        found.append((*(value.detach() for value in zoomed), sampler.score.scores.grad))

    assert all(torch.equal(plain, mixed) for plain, mixed in zip(*found, strict=True))
    with torch.autocast("cpu", torch.bfloat16):
        assert {value.dtype for value in PatchSampler(2, 24)([image])} == {torch.float32}


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


def test_training_finds_the_other_spot():
    """A few steps on the patches' brightness move the choice to the spot that was not chosen before."""
    torch.manual_seed(0)
    y, x = torch.meshgrid(torch.arange(200), torch.arange(240), indexing="ij")
    spots = [torch.exp(-((y - i) ** 2 + (x - j) ** 2) / (2 * 12**2)) for i, j in ((55, 165), (140, 60))]
    pair = 128 + 120 * (spots[0] - spots[1])
    images = [image[..., None].expand(200, 240, 3).byte() for image in (pair, 255 - pair)]
    sampler = PatchSampler(1, 40, lowres_size=64, samples=100, sigma=0.5, gradient="relative")
    optimizer = torch.optim.Adam(sampler.parameters(), lr=0.01)

    def brightness():
        with torch.no_grad():
            return sampler([*images]).images.mean((1, 2, 3, 4))

    before = float(brightness()[0]) - 0.5
    away = -np.sign(before)
    assert abs(before) > 0.1
    for _ in range(30):
        zoomed = sampler(images)
        loss = -away * zoomed.images.mean() - 0.003 * saliency_entropy(zoomed.saliency).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    assert float((away * (brightness() - 0.5)).min()) > 0.1


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
