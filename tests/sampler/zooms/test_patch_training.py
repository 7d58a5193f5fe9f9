"""PatchSampler in training: the mixture of patches is the einsum over all of them, and the scorer learns through it."""

import gc
import weakref

import numpy as np
import pytest
import torch

from foveal.sampler import PatchSampler, PerturbedTopK, saliency_entropy
from foveal.sampler.patches import mix_patches, patch_corners, zero_to_one
from tests.checks import check_close
from tests.sampler.noise import noise
from tests.sampler.zooms.scored import Fixed, all_patches


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
