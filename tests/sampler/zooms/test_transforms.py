"""Forward-mode differentiation and the transforms of torch.func, against finite differences and loops."""

import pytest
import torch
from torch.autograd import forward_ad

from foveal.sampler import (
    MixedResolution,
    PatchSampler,
    PriorSaliency,
    SaliencyNet,
    SaliencySampler,
    SaliencyUNet,
    lowres,
    sample,
    zoom_grid,
)
from tests.checks import check_close
from tests.sampler.noise import noise

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:`torch.jit.script` is deprecated:DeprecationWarning"
    ),  # torch's own use
]

_D = torch.float64


def _map():
    torch.manual_seed(0)
    return torch.rand(2, 1, 7, 9, dtype=_D) ** 4 + 0.01


def _images():
    torch.manual_seed(1)
    return torch.rand(2, 3, 20, 30, dtype=_D)


def _grid():
    return zoom_grid(_map(), (6, 8), fwhm_cells=2.0)


def _zoom(saliency=SaliencyNet, **settings):
    torch.manual_seed(0)
    made = saliency()
    for weight in made.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.1)
    return SaliencySampler(8, saliency=made, lowres_size=(16, 16), **settings).double().eval()


def _grids(**settings):
    return lambda saliency: zoom_grid(saliency, (8, 8), fwhm_cells=2.0, **settings)


CASES = {
    **{
        f"{family} {bound}": (_grids(family=family, max_zoom=1.2, bound=bound), _map)
        for family in ("kernel", "separable", "cdf")
        for bound in ("blend", "local")
    },
    "images": (lambda images: sample(images, _POINTS), _images),
    "grid": (lambda grid: sample(_DENSE, grid), _grid),
    "grid of uint8": (lambda grid: sample(_RAGGED, grid), _grid),
    "lowres": (lambda images: lowres(images, (8, 9)), _images),
    "default": (lambda images: _DEFAULT(images).images, _images),
    "network": (lambda images: _NETWORK(images).images, _images),
    "mixed": (lambda images: _MIXED(images).images, _images),
    "patches": (lambda images: _PATCHES(images).images, _images),
}
_POINTS, _DENSE, _RAGGED = _grid(), _images(), [noise(20, 30), noise(9, 8)]
_DEFAULT, _NETWORK = (
    _zoom(kind).requires_grad_(False) for kind in (PriorSaliency, lambda: SaliencyNet(contrast=0.3))
)
_MIXED = MixedResolution(2, patch_size=4, refined=2, saliency=SaliencyNet(), lowres_size=(16, 16)).double()

_PATCHES = PatchSampler(2, 6, lowres_size=32).double().eval().requires_grad_(requires_grad=False)


def _tangent(call, at, way):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(call(forward_ad.make_dual(at, way))).tangent


@pytest.mark.parametrize("mode", [_tangent, lambda call, at, way: torch.func.jvp(call, (at,), (way,))[1]])
@pytest.mark.parametrize("case", CASES)
def test_forward_mode(case, mode):
    """The tangent of a result is the derivative along the tangent of the input, in both interfaces of torch."""
    call, make = CASES[case]
    at = make()
    way = torch.randn_like(at)
    with torch.no_grad():
        expected = (call(at + 1e-6 * way) - call(at - 1e-6 * way)) / 2e-6

    check_close(mode(call, at, way), expected, 1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("case", CASES)
def test_func_grad(case):
    """torch.func.grad gives what backward gives."""
    call, make = CASES[case]
    leaf = make().requires_grad_()
    weights = torch.randn_like(call(leaf.detach()))
    (expected,) = torch.autograd.grad((call(leaf) * weights).sum(), leaf)

    found = torch.func.grad(lambda at: (call(at) * weights).sum())(leaf.detach())
    check_close(found, expected, 1e-9 * float(expected.abs().max()))


@pytest.mark.parametrize("how", [{}, {"family": "separable"}, {"family": "cdf"}, {"antialias": False}])
def test_a_gradient_with_its_graph(how):
    """A gradient by images is the same with create_graph, though their grid depends on them, too, and its own is that of differences."""
    zoom, images = _zoom(PriorSaliency, **how).requires_grad_(requires_grad=False), _images()
    weights, way = torch.randn(2, 3, 8, 8, dtype=_D), torch.randn_like(images)

    def slope(at, **graph):
        at = at.detach().requires_grad_()
        return torch.autograd.grad((zoom(at).images * weights).sum(), at, **graph)[0], at

    found, at = slope(images, create_graph=True)
    expected, _ = slope(images)
    check_close(found, expected, 1e-9 * float(expected.abs().max()))
    if how != {"antialias": False}:  # of pixels at points there is no second derivative
        (second,) = torch.autograd.grad((found * way).sum(), at)
        differences = (slope(images + 1e-6 * way)[0] - slope(images - 1e-6 * way)[0]) / 2e-6
        assert float((second * way).sum()) == pytest.approx(float((differences * way).sum()), rel=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_vmap(case):
    """torch.vmap gives what a loop gives."""
    call, make = CASES[case]
    several = torch.stack([make(), 0.9 * make()])

    check_close(torch.func.vmap(call)(several), torch.stack([call(each) for each in several]), 1e-9)


@pytest.mark.parametrize("saliency", [lambda: SaliencyNet(contrast=0.1), SaliencyUNet, PriorSaliency])
def test_a_gradient_for_each_image(saliency):
    """The gradients of each image's loss by the weights, of one call, are those of a loop."""
    zoom, images = _zoom(saliency), _images()
    weights = dict(zoom.named_parameters())

    def loss(given, image):
        return torch.func.functional_call(zoom, given, (image[None],)).images.square().sum()

    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, images)
    for k, image in enumerate(images):
        expected = torch.autograd.grad(loss(weights, image), list(weights.values()))
        for each, by_weight in zip(found.values(), expected, strict=True):
            check_close(each[k], by_weight, 1e-9 * float(by_weight.abs().max()) + 1e-12)


def test_what_a_transform_computed_first_can_be_used_after_it():
    """Tensors that depend on sizes alone are kept, but none that belongs to a transform that is over."""
    images = torch.rand(1, 3, 23, 29, dtype=_D)
    zoom = SaliencySampler(11, lowres_size=(19, 17)).double().requires_grad_(False)
    torch.func.grad(lambda at: zoom(at).images.sum())(images)

    assert bool(zoom(images).images.isfinite().all())


@pytest.mark.parametrize("dense", [False, True])
def test_a_patch_sampler_in_training(dense):
    """The scores' tangents reach the patches that training mixes, as their gradients do."""
    torch.manual_seed(0)
    zoom = PatchSampler(2, 20, lowres_size=64).train()
    images = torch.rand(1, 3, 96, 140) if dense else [noise(96, 140)]
    weights = {name: each.detach() for name, each in zoom.named_parameters()}
    ways = {name: torch.randn_like(each) for name, each in weights.items()}

    def total(given):
        torch.manual_seed(3)
        return torch.func.functional_call(zoom, given, (images,)).images.sum()

    slope = torch.func.jvp(total, (weights,), (ways,))[1]
    gradient = torch.func.grad(total)(weights)
    expected = sum((gradient[name] * ways[name]).sum() for name in weights)
    assert slope.item() == pytest.approx(expected.item(), rel=1e-3)
    assert slope.item()
