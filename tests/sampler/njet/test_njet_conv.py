"""A convolution with a learned scale: its kernels and gradients, and that it finds the right scale."""

import re

import numpy as np
import pytest
import scipy.ndimage
import torch
from torch.nn.functional import conv2d

from foveal.sampler import GaussianJet, NJetConv2d, safe_subsample
from tests.checks import check_close, check_operator, unhooked

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def features(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def expected(layer, x):
    """Return the output by the layer's definition, one kernel at a time, in float64."""
    filters = [layer.jet.filters(sigma[None])[0] for sigma in layer.sigma.detach()]
    reach = max(f.shape[-1] for f in filters) // 2
    outputs, inputs, _ = layer.alpha.shape
    kernels = torch.zeros(outputs, inputs, 2 * reach + 1, 2 * reach + 1, dtype=torch.float64)
    for o, c in np.ndindex(outputs, inputs):
        own = filters[o if len(filters) > 1 else 0]
        gap = reach - own.shape[-1] // 2
        weights = (layer.alpha[o, c] * layer.gain).detach().double()
        kernel = sum(weight * one for weight, one in zip(weights, own, strict=True))
        kernels[o, c, gap : 2 * reach + 1 - gap, gap : 2 * reach + 1 - gap] = kernel
    return conv2d(x.double(), kernels, padding=reach, groups=layer.groups)


@pytest.mark.parametrize("per", ["layer", "channel"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("as_published", [False, True])
def test_equals_its_definition(per, groups, as_published):
    """Kernels are sums of the basis, with a scale for each output channel if there are several, in groups."""
    layer = NJetConv2d(4, 6, per=per, groups=groups, order=3, as_published=as_published)
    with torch.no_grad():
        layer.log2_sigma += torch.linspace(-0.5, 1, len(layer.log2_sigma))
    x = features(2, 4, 17, 11)

    assert layer(x).shape == (2, 6, 17, 11)
    check_close(layer(x), expected(layer, x), 1e-4 if as_published else 1e-5)
    check_operator(layer, x)


def test_batch_of_none():
    """An empty batch works."""
    assert NJetConv2d(3, 4, subsample=0.5)(torch.zeros(0, 3, 16, 12)).shape == (0, 4, 8, 6)


@pytest.mark.parametrize("per", ["layer", "channel"])
@pytest.mark.parametrize("sigma", [1.1, 1.25])
def test_gradients(per, sigma):
    """Gradients by input, weights and scale are right, also where the kernel size changes."""
    layer = NJetConv2d(2, 2, per=per, sigma=sigma).double()
    x = features(1, 2, 6, 5).double().requires_grad_()

    def run(x, alpha, log2_sigma):
        return torch.func.functional_call(layer, {"alpha": alpha, "log2_sigma": log2_sigma}, (x,))

    assert torch.autograd.gradcheck(run, (x, layer.alpha, layer.log2_sigma))


def jump(layer, x):
    """Return the relative change of the output when sigma passes 1.25."""
    outputs = []
    for sigma in (1.25 - 1e-6, 1.25 + 1e-6):
        with torch.no_grad():
            layer.log2_sigma.fill_(float(np.log2(sigma)))
            outputs.append(layer(x))
    return float((outputs[1] - outputs[0]).norm() / outputs[0].norm())


def test_output_is_continuous_where_the_size_steps():
    """The published layer jumps when its kernel grows from 7 to 9 pixels; the corrected one does not."""
    x = features(1, 3, 32, 32).double()

    assert jump(NJetConv2d(3, 8, order=4, as_published=True).double(), x) > 0.02
    assert jump(NJetConv2d(3, 8, order=4).double(), x) < 1e-4


def fitted_sigma(truth, orders, start):
    """Return the scale of a layer that was fitted to scipy's filter of noise."""
    noise = np.random.default_rng(0).standard_normal((2, 24, 24))
    target = [
        scipy.ndimage.gaussian_filter(n, truth, order=orders, mode="constant", radius=12) for n in noise
    ]
    x, wanted = (torch.from_numpy(np.stack(t))[:, None] for t in (noise, target))
    wanted = wanted / wanted.std()
    layer = NJetConv2d(1, 1, sigma=start, truncate=3.0).double()
    optimiser = torch.optim.LBFGS(layer.parameters(), lr=0.5, max_iter=40, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        error = (layer(x) - wanted).square().mean()
        error.backward()
        return error

    optimiser.step(loss)
    return float(layer.sigma.detach())


@pytest.mark.parametrize("orders", [(0, 0), (1, 0), (1, 1), (0, 2)])
@pytest.mark.parametrize(("truth", "start"), [(1.0, 1.5), (2.0, 1.3)])
def test_finds_the_scale_of_a_filter(truth, start, orders):
    """Fitted to scipy's Gaussian derivative of an unknown scale, the layer finds this scale."""
    check_close(fitted_sigma(truth, orders, start), truth, 0.05 * truth)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0])
def test_begins_with_unit_variance(sigma):
    """At first, white noise keeps its variance at any scale, and weights have a convolution's size."""
    layer = NJetConv2d(16, 32, sigma=sigma, order=2)
    found = layer(features(2, 16, 96, 96))[..., 24:-24, 24:-24]

    check_close(found.square().mean(), 1.0, 0.6)
    check_close(layer.alpha.square().mean() * 16 * 6, 1.0, 0.1)


def test_published_weights():
    """With as_published, weights are drawn from N(0, 1) and applied directly."""
    layer = NJetConv2d(8, 64, as_published=True)

    check_close(layer.alpha.square().mean(), 1.0, 0.1)
    assert torch.equal(layer.gain, torch.ones(6))


def test_subsampling_follows_the_scale():
    """The output is subsampled by safe_subsample; of several scales, the smallest counts."""
    plain = NJetConv2d(3, 4, sigma=2.0, per="channel")
    layer = NJetConv2d(3, 4, sigma=2.0, per="channel", subsample=0.5)
    layer.load_state_dict(plain.state_dict())
    x = features(1, 3, 32, 20)

    assert torch.equal(layer(x), safe_subsample(plain(x), 2.0, r=0.5))
    assert layer(x).shape == (1, 4, 8, 5)
    with torch.no_grad():
        layer.log2_sigma[2] = 0.0
    assert layer(x).shape == (1, 4, 16, 10)


def test_published_subsampling_is_of_the_input():
    """With as_published, the input is subsampled by the doubly exponential step."""
    plain, layer = (NJetConv2d(3, 4, sigma=4.0, as_published=True, subsample=r) for r in (None, 4.0))
    layer.load_state_dict(plain.state_dict())
    x = features(1, 3, 32, 20)

    assert torch.equal(layer(x), plain(safe_subsample(x, 4.0, as_published=True)))
    assert layer(x).shape == (1, 4, 8, 5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype):
    """Under autocast, kernels are built in full precision, and only the convolution runs in half precision."""
    layer = NJetConv2d(3, 8, order=4)
    x = features(2, 3, 24, 24)
    with torch.autocast("cpu", dtype):
        kernels, found = layer.weight(), layer(x)
        found.float().square().mean().backward()

    assert torch.equal(kernels, layer.weight())
    assert found.dtype == dtype
    check_close(found.float(), layer(x), 0.05)
    assert layer.log2_sigma.grad.dtype == torch.float32
    assert layer.log2_sigma.grad.isfinite().all()


@pytest.mark.gpu
def test_cuda_equals_cpu():
    """Output and gradients are the same on CUDA."""
    layer = NJetConv2d(3, 8, order=4, per="channel", subsample=0.5)
    x = features(2, 3, 24, 24)
    layer(x).square().mean().backward()
    there = NJetConv2d(3, 8, order=4, per="channel", subsample=0.5).cuda()
    there.load_state_dict(layer.state_dict())
    with torch.backends.cudnn.flags(allow_tf32=False):
        found = there(x.cuda())
        found.square().mean().backward()

    check_close(found, layer(x), 1e-4)
    check_close(there.log2_sigma.grad, layer.log2_sigma.grad, 1e-4)


def test_says_its_scale():
    """The representation shows the present scale, or the range of several."""
    layer = NJetConv2d(2, 4, groups=2, subsample=1.0, per="channel")
    with torch.no_grad():
        layer.log2_sigma[1] = 1.0

    assert repr(NJetConv2d(2, 4)).startswith("NJetConv2d(2, 4, order=2, sigma=1, groups=1,")
    assert "sigma=1..2, groups=2, truncate=2.0, subsample=1.0, as_published=False" in repr(layer)


def test_state_carries_scale_and_size():
    """A layer that loads a state has the saved kernels, even if it began with another scale."""
    saved, other = NJetConv2d(2, 3, sigma=2.0), NJetConv2d(2, 3, sigma=0.5)
    other.load_state_dict(saved.state_dict())

    assert torch.equal(other.weight(), saved.weight())


def test_an_order_that_is_too_high():
    """An order that is too high is refused with the jet's message."""
    with pytest.raises(ValueError, match="order must be between 0 and 10, got 11"):
        NJetConv2d(3, 4, order=11)
    assert len(GaussianJet(10).orders) == 66


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"sigma": 0.0}, "sigma must be positive and finite, got 0.0."),
        ({"subsample": -1.0}, "subsample must be positive and finite, got -1.0."),
        ({"per": "pixel"}, 'per must be "layer" or "channel", got \'pixel\'.'),
        ({"in_channels": 3, "groups": 2}, "in_channels must be a multiple of groups (2), got 3."),
        ({"out_channels": 3, "groups": 2}, "out_channels must be a multiple of groups (2), got 3."),
        ({"out_channels": 0}, "out_channels must be a multiple of groups (1), got 0."),
    ],
)
def test_messages(argument, message):
    """Each error names the argument and its value."""
    with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
        NJetConv2d(**{"in_channels": 4, "out_channels": 4, **argument})
