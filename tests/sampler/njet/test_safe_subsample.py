"""Subsampling by a learned scale."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.sampler import NJetConv2d, NJetSaliencyNet, SaliencySampler, safe_subsample
from tests.checks import check_close, unhooked


def subsampled_size(sigma, r=4.0, side=64, **options):
    return tuple(safe_subsample(torch.zeros(1, 1, side, 2 * side), sigma, r=r, **options).shape[2:])


@settings(deadline=None, max_examples=60)
@given(sigma=st.floats(0.01, 200), r=st.floats(0.1, 8), side=st.integers(1, 40))
def test_step_is_sigma_over_r(sigma, r, side):
    """There is one sample for each max(1, sigma / r) pixels, and at least one."""
    step = max(1.0, sigma / r) / (1 + 1e-6)

    assert subsampled_size(sigma, r, side) == (max(1, int(side / step)), max(1, int(2 * side / step)))


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0, 5.0, 6.0, 7.0])
def test_a_learned_sigma_is_rounded(sigma):
    """A sigma that is a power of two of a float32 logarithm is rounded, so that the size is not off by one."""
    log2 = torch.tensor([sigma]).log2()
    nearby = [log2.nextafter(log2 + way).exp2() for way in (-1, 0, 1)]

    assert {subsampled_size(s, r=1.0, side=420) for s in nearby} == {(420 // sigma, 840 // sigma)}


@pytest.mark.parametrize(("sigma", "times"), [(1.0, 1), (2.0, 1), (4.0, 4), (8.0, 64), (16.0, 16384)])
def test_published_step(sigma, times):
    """The published step is 2 to the power of sigma over 4: sigma 8 leaves 1 of 64."""
    side = max(1, 64 // times)

    assert subsampled_size(sigma, as_published=True) == (side, max(1, 128 // times))


def test_published_takes_the_nearest():
    """The published way takes the nearest pixels without averaging."""
    x = torch.rand(1, 2, 16, 16)

    assert torch.equal(safe_subsample(x, 4.0, as_published=True), x[:, :, ::4, ::4])


def test_a_sigma_as_large_as_any_is_one_pixel():
    """A very large sigma leaves one pixel, without overflow."""
    assert subsampled_size(1e6, as_published=True) == (1, 1)


def test_nothing_aliases():
    """Stripes one pixel wide become grey; the published way makes them black or white."""
    stripes = torch.zeros(1, 1, 64, 64)
    stripes[..., ::2] = 1

    check_close(safe_subsample(stripes, 8.0, r=2.0)[..., 2:-2], torch.full((1, 1, 16, 12), 0.5), 1e-6)
    check_close(safe_subsample(stripes, 4.0, as_published=True), torch.ones(1, 1, 16, 16), 0)


def test_a_result_of_one_column_is_that_of_one_row():
    """Rows and columns are treated alike, also where one column is left."""
    x = torch.rand(2, 3, 64, 3)

    check_close(safe_subsample(x, 2.0, r=1.0).mT, safe_subsample(x.mT.contiguous(), 2.0, r=1.0), 1e-6)


def test_the_mean_stays_and_gradients_pass():
    """The mean is kept, and each pixel has a gradient."""
    x = torch.rand(2, 3, 30, 22, requires_grad=True)
    found = safe_subsample(x, torch.tensor([2.0, 9.0]), r=1.0)
    found.sum().backward()

    assert found.shape == (2, 3, 15, 11)
    check_close(found.mean(), x.mean(), 0.01)
    assert (x.grad > 0).all()


def test_a_step_of_one_changes_nothing():
    """With a step of one the input itself is returned."""
    x = torch.rand(1, 1, 4, 4)

    assert safe_subsample(x, 3.0) is x


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sigma": 0.0}, "sigma must be positive and finite, got 0.0."),
        ({"sigma": float("nan")}, "sigma must be positive and finite, got nan."),
        ({"sigma": 1.0, "r": 0.0}, "r must be positive and finite, got 0.0."),
    ],
)
def test_messages(arguments, message):
    """Each error names the argument and its value."""
    with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
        safe_subsample(torch.zeros(1, 1, 4, 4), **arguments)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    """Half precision is averaged in float32, and rounded once."""
    features = torch.rand(2, 3, 24, 17, generator=torch.Generator().manual_seed(0)).to(dtype)
    found = safe_subsample(features, 3.0, r=1.0)

    assert torch.equal(found, safe_subsample(features.float(), 3.0, r=1.0).to(dtype))


def test_networks_under_autocast():
    """N-Jet layers and networks that subsample run under autocast on the CPU, and in bfloat16."""
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    zoom = SaliencySampler(16, saliency=NJetSaliencyNet())
    with torch.autocast("cpu", torch.bfloat16):
        layer = NJetConv2d(3, 8, sigma=2.0, subsample=1.0)(images)
        autocast = zoom(images).saliency
    converted = zoom.bfloat16()(images).saliency

    assert layer.shape == (2, 8, 32, 32)
    assert bool(autocast.isfinite().all())
    assert bool(converted.isfinite().all())
