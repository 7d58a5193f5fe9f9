import copy
import gc
import pickle
import re
import weakref

import pytest
import torch

from foveal.sampler import (
    MixedResolution,
    PatchSampler,
    SaliencyNet,
    SaliencySampler,
    SpectralSaliency,
    UniformSampler,
    lowres,
    sample,
    zoom_grid,
)
from tests.checks import check_close, check_grid, unhooked
from tests.sampler.noise import noise


class Fixed(torch.nn.Module):
    """Returns one map of logits for any image."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.nn.Parameter(logits)

    def forward(self, small):
        return self.logits.expand(len(small), -1, -1, -1)


@pytest.fixture
def images():
    return [noise(300, 280), noise(40, 50, 1), noise(1, 1, 2)]


@pytest.mark.parametrize("family", ["kernel", "separable", "cdf"])
def test_is_its_three_steps(images, family):
    """The result is that of softmax, zoom_grid and sample."""
    how = {"family": family, "fwhm_cells": 5.0, "max_zoom": 3.0, "min_zoom": 0.6}
    zoom = SaliencySampler((20, 30), saliency=Fixed(torch.randn(1, 1, 9, 14)), temperature=0.5, **how)
    zoomed, grid, saliency = zoom(images)
    weights = (zoom.saliency.logits / 0.5).flatten(1).softmax(dim=1).view(1, 1, 9, 14).expand(3, -1, -1, -1)

    check_close(saliency, weights, 1e-7)
    check_close(grid, zoom_grid(weights, (20, 30), **how), 1e-6)
    check_close(zoomed, sample(images, grid), 1e-6)
    check_grid(grid.detach())


def test_lowres_may_be_passed_in(images):
    """A low-resolution copy may be passed in."""
    zoom = SaliencySampler(16, lowres_size=(48, 64)).eval()
    small = lowres(images, zoom.lowres_size)

    for alone, given in zip(zoom(images), zoom(images, small), strict=True):
        assert torch.equal(alone, given)


def test_attributes():
    """A sampler has the attributes that a loader reads."""
    zoom, uniform = SaliencySampler((100, 151), max_zoom=2.5), UniformSampler(64)

    assert zoom.out_size == (100, 151)
    assert zoom.lowres_size == (128, 128)
    assert zoom.source_px == (500, 755)
    assert SaliencySampler(224).source_px == (2240, 2240)
    assert SaliencySampler(224, max_zoom=None).source_px is None
    assert (uniform.out_size, uniform.lowres_size, uniform.source_px) == ((64, 64), None, (128, 128))
    assert UniformSampler(64, antialias=False).source_px is None


def test_uniform_sampler(images):
    """UniformSampler reads the pixel centres of its output, and its saliency is uniform."""
    zoomed, grid, saliency = UniformSampler((8, 12))(images)
    identity = torch.nn.functional.affine_grid(
        torch.eye(2, 3).expand(3, 2, 3), [3, 3, 8, 12], align_corners=False
    )

    check_close(grid, identity, 1e-6)
    check_close(zoomed, sample(images, identity), 1e-4)
    assert torch.equal(saliency, torch.ones(3, 1, 1, 1))


@pytest.mark.parametrize("sampler", [SaliencySampler, UniformSampler])
def test_antialias_is_the_default_and_may_be_left_out(sampler, images):
    """The grid is the same with and without anti-aliasing, which is the default."""
    torch.manual_seed(0)
    zoom, points = sampler(16).eval(), sampler(16, antialias=False).eval()
    points.load_state_dict(zoom.state_dict())
    zoomed, grid, _ = zoom(images)

    assert torch.equal(zoomed, sample(images, grid))
    assert torch.equal(points(images).images, sample(images, grid, antialias=False))
    assert not torch.equal(zoomed, points(images).images)


@pytest.mark.parametrize("sampler", [SaliencySampler, UniformSampler])
def test_empty_batch(sampler):
    """An empty batch gives an empty result."""
    assert sampler(8)([]).images.shape == (0, 3, 8, 8)


@pytest.mark.parametrize("zoom", [UniformSampler(8), MixedResolution(3, patch_size=4, refined=0)])
def test_the_precision_of_no_images(zoom):
    """A tensor of no images has a grid of the precision that a tensor of images has."""
    grids = [zoom(torch.zeros(batch, 3, 9, 9, dtype=torch.float64)).grid for batch in (0, 1)]

    assert [grid.dtype for grid in grids] == [torch.float64] * 2


def test_plugs_into_a_network_on_dense_floats():
    """As a layer on dense floats, gradients reach the image and every weight."""
    torch.manual_seed(0)
    zoom = SaliencySampler(12, saliency=SaliencyNet(), lowres_size=(32, 32))
    image = torch.randn(2, 3, 40, 50, requires_grad=True)
    zoom(image).images.square().sum().backward()

    assert image.grad.abs().sum() > 0
    assert all(p.grad.abs().sum() > 0 for p in zoom.parameters())


def test_gradcheck():
    """Derivatives of the whole layer by logits and image are right in float64, without anti-aliasing."""
    zoom = SaliencySampler(
        (4, 5),
        saliency=Fixed(torch.randn(1, 1, 3, 4, dtype=torch.float64)),
        lowres_size=(4, 4),
        antialias=False,
    )
    image = torch.randn(1, 3, 6, 7, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(lambda i, _: zoom(i).images, (image, zoom.saliency.logits))


def test_training_finds_the_spot():
    """A few steps on the pixels move the zoom to a bright spot, and change every weight."""
    torch.manual_seed(0)
    y, x = torch.meshgrid(torch.arange(200), torch.arange(240), indexing="ij")
    spot = 255 * torch.exp(-((y - 55) ** 2 + (x - 165) ** 2) / (2 * 15**2))
    image = spot[..., None].expand(200, 240, 3).byte()
    zoom = SaliencySampler(32, saliency=SaliencyNet(), lowres_size=(64, 64), max_zoom=None)
    before = copy.deepcopy(zoom.state_dict())
    optimizer, brightness = torch.optim.Adam(zoom.parameters(), lr=0.01), []
    for _ in range(20):
        mean = zoom([image, image.flip(0)]).images.mean()
        optimizer.zero_grad()
        (-mean).backward()
        optimizer.step()
        brightness.append(mean.item())

    assert brightness[-1] > 5 * brightness[0] > 0
    assert not any(torch.equal(before[name], value) for name, value in zoom.state_dict().items())


def test_images_are_free_before_backward():
    """In training, nothing refers to the pixels of ragged images between forward and backward."""
    zoom, image = SaliencySampler(8), noise(500, 400)
    zoomed, gone = zoom([image]), weakref.ref(image)
    gc.disable()
    try:
        del image
        assert gone() is None
    finally:
        gc.enable()
    zoomed.images.sum().backward()


def test_autocast_leaves_the_grid_alone(images):
    """Under bf16 autocast only the network runs in bf16; softmax and grid stay in float32."""
    torch.manual_seed(0)
    zoom = SaliencySampler(32).eval()
    plain = zoom(images)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = zoom(images)

    assert {value.dtype for value in mixed} == {torch.float32}
    check_close(mixed.grid, plain.grid, 2e-3)
    check_close(mixed.saliency.sum(dim=(1, 2, 3)), torch.ones(3), 1e-5)


def test_deterministic_and_portable(images):
    """Two calls are equal, and so is the call of a pickled copy."""
    zoom = SaliencySampler(16, max_zoom=4.0).eval()

    for first, again in zip(zoom(images), pickle.loads(pickle.dumps(zoom))(images), strict=True):
        assert torch.equal(first, again)


def test_a_small_object_in_clutter_is_enlarged():
    """With parameter-free saliency, a disc of a twentieth of the width becomes more than twice as large."""
    texture = (
        0.5
        + 0.1
        * torch.nn.functional.interpolate(
            torch.randn(1, 3, 60, 80, generator=torch.Generator().manual_seed(3)),
            (900, 1200),
            mode="bilinear",
        )[0]
    )
    y, x = torch.meshgrid(torch.arange(900), torch.arange(1200), indexing="ij")
    disc = (y - 300) ** 2 + (x - 800) ** 2 < 30**2
    image = (
        (torch.where(disc, torch.tensor([1.0, 1.0, 0.0])[:, None, None], texture).clamp(0, 1) * 255)
        .byte()
        .permute(1, 2, 0)
    )

    def covered(sampler):
        red, _, blue = sampler([image.contiguous()]).images[0]
        return ((red > 0.9) & (blue < 0.1)).float().mean()

    assert covered(SaliencySampler(224, saliency=SpectralSaliency(), temperature=0.5)) > 2 * covered(
        UniformSampler(224)
    )


def test_repr(images):
    """The representation shows settings and shapes, no pixels."""
    assert (
        "out_size=(8, 8), lowres_size=(128, 128), temperature=1.0, antialias=True, family='kernel', fwhm_cells=8.0, "
        "padding='reflect', max_zoom=2.0, min_zoom=None" in repr(SaliencySampler(8, max_zoom=2.0))
    )
    assert (
        repr(UniformSampler((4, 5))(images))
        == "Zoomed(images=(3, 3, 4, 5), grid=(3, 4, 5, 2), saliency=(3, 1, 1, 1))"
    )


RAGGED = """
        import torch
        from foveal.sampler import PriorSaliency, SaliencySampler, SpectralSaliency
        torch.manual_seed(0)
        images = [torch.randint(0, 256, (h, w, 3), dtype=torch.uint8) for h, w in ((300, 280), (40, 50), (1, 1))]
"""


@pytest.mark.parametrize("backend", ["eager", pytest.param("aot_eager", marks=pytest.mark.slow)])
def test_compiles(run_plain, backend):
    """torch.compile works for a ragged batch, with trainable saliency."""
    run_plain(f"""{RAGGED}
        zoom = SaliencySampler((24, 32), saliency=PriorSaliency(), lowres_size=(64, 64), max_zoom=3.0)
        plain, compiled = zoom(images), torch.compile(zoom, fullgraph=True, backend={backend!r})(images)
        for a, b in zip(plain, compiled):
            torch.testing.assert_close(a, b, atol=1e-3, rtol=0)
        compiled.images.square().sum().backward()
        assert all(p.grad is not None for p in zoom.parameters())
    """)


@pytest.mark.slow
def test_compiles_without_parameters(run_plain):
    """torch.compile works for a ragged batch, with parameter-free saliency."""
    run_plain(f"""{RAGGED}
        free = SaliencySampler(24, saliency=SpectralSaliency())
        traced = torch.compile(free, fullgraph=True, backend="aot_eager")(images)
        torch.testing.assert_close(traced.images, free(images).images, atol=1e-3, rtol=0)
    """)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"out_size": 0}, "out_size must be at least 1 pixel, got 0."),
        ({"lowres_size": (0, 5)}, "lowres_size must be at least 1 pixel, got (0, 5)."),
        ({"temperature": 0.0}, "temperature must be positive, got 0.0."),
        ({"max_zoom": 0.9}, "max_zoom must be at least 1, got 0.9: 1 is no zoom at all, None no bound."),
        ({"min_zoom": 2.0}, "min_zoom must be in (0, 1], got 2.0: 1 is no zoom at all, None no bound."),
        ({"family": "tps"}, "family must be one of ('kernel', 'separable', 'cdf'), got 'tps'."),
        ({"padding": "zero"}, "padding must be one of ('reflect', 'replicate'), got 'zero'."),
        ({"fwhm_cells": -1.0}, "fwhm_cells must be positive, got -1.0."),
    ],
)
def test_messages(arguments, message):
    """Each error names the argument and its value."""
    with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
        SaliencySampler(**{"out_size": 8, **arguments})


@pytest.mark.parametrize("zoom", [SaliencySampler(16), PatchSampler(2, 8, lowres_size=64)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_zoom_of_another_precision(zoom, dtype):
    """A zoom that was converted, and a batch of another precision, see about what float32 sees.

    What bfloat16 rounds may decide which of two patches is ahead, so patches are compared by what they are chosen for.
    """
    images = torch.rand(1, 3, 90, 80, generator=torch.Generator().manual_seed(0))
    bytes_of = [(images[0].permute(1, 2, 0) * 255).round().to(torch.uint8)]
    zoom = copy.deepcopy(zoom).eval().requires_grad_(requires_grad=False)
    expected, given = zoom(bytes_of), zoom(images.double())
    converted = copy.deepcopy(zoom).to(dtype)(bytes_of)
    spread = float(expected.saliency.max() - expected.saliency.min())
    atol = 1e-4 if dtype == torch.float64 else 0.1

    assert float((converted.saliency - expected.saliency).abs().max()) < atol * spread
    if dtype == torch.float64 or isinstance(zoom, SaliencySampler):
        assert float((converted.grid - expected.grid).abs().max()) < atol
    assert given.images.isfinite().all()
    assert float((given.grid - zoom(images).grid).abs().max()) < 1e-4


def test_a_patch_is_square():
    """A height and a width for a patch are refused with what they are."""
    with (
        unhooked(),
        pytest.raises(TypeError, match=re.escape("patch_size must be a whole number, got (16, 24).")),
    ):
        PatchSampler(2, (16, 24))
