"""The published filters equal scipy's; the corrected ones respond to their own derivative only."""

import math
import re

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.sampler import GaussianJet
from tests.checks import check_close, unhooked


def filters(sigma, order=2, **options):
    return GaussianJet(order, **options).filters(torch.tensor([sigma], dtype=torch.float64))[0]


def scipy_filter(sigma, orders, radius):
    """Return scipy's response to one bright pixel, scale-normalised."""
    impulse = np.zeros((2 * radius + 1,) * 2)
    impulse[radius, radius] = 1
    found = scipy.ndimage.gaussian_filter(impulse, sigma, order=orders, radius=radius, mode="constant")
    return found * sigma ** sum(orders)


def moment(profile, power):
    """Return the sum of a profile times a power of the position."""
    reach = len(profile) // 2
    return (profile * torch.arange(-reach, reach + 1) ** power).sum()


@pytest.mark.parametrize("sigma", [0.5, 1.0, 1.41, 2.3, 4.0])
@pytest.mark.parametrize("order", range(5))
def test_published_filters_are_scipys(order, sigma):
    """Each published filter is the impulse response of scipy's Gaussian derivative of the same orders, radius and scale."""
    jet = GaussianJet(order, as_published=True)
    radius = jet.radius(torch.tensor([sigma]))
    theirs = np.stack([scipy_filter(sigma, orders, radius) for orders in jet.orders])

    check_close(filters(sigma, order, as_published=True), theirs, 1e-12)


def test_the_comparison_with_scipy_finds_a_wrong_order():
    """The comparison fails if rows and columns are exchanged."""
    theirs = np.stack([scipy_filter(1.0, (j, i), 3) for i, j in GaussianJet(2).orders])

    with pytest.raises(AssertionError, match="off by"):
        check_close(filters(1.0, as_published=True), theirs, 1e-2)


@settings(deadline=None, max_examples=30)
@given(sigma=st.floats(0.2, 9), order=st.integers(0, 10))
def test_published_profiles_are_hermite_polynomials(sigma, order):
    """At every order, the profile is (-1 / sqrt 2)^n H_n(x / (sqrt 2 sigma)) g with NumPy's polynomials."""
    jet = GaussianJet(order, as_published=True)
    found = jet.profiles(torch.tensor([sigma], dtype=torch.float64))[0]
    radius = jet.radius(torch.tensor([sigma], dtype=torch.float64))
    x = np.arange(-radius, radius + 1)
    g = np.exp(-(x**2) / (2 * sigma**2))
    for n, profile in enumerate(found):
        hermite = np.polynomial.hermite.hermval(x / (math.sqrt(2) * sigma), np.eye(n + 1)[n])
        theirs = (-1 / math.sqrt(2)) ** n * hermite * g / g.sum()

        check_close(profile, theirs, 1e-12 * max(1, np.abs(theirs).max()))


def test_order_of_the_filters():
    """Filters are sorted by the order along rows, as published."""
    assert GaussianJet(2).orders == ((0, 2), (0, 1), (0, 0), (1, 1), (1, 0), (2, 0))


@pytest.mark.parametrize("order", range(11))
def test_number_of_filters(order):
    """There are (N + 1)(N + 2) / 2 filters, one for each pair of orders."""
    jet = GaussianJet(order)

    assert len(set(jet.orders)) == len(jet.orders) == (order + 1) * (order + 2) // 2
    assert max(i + j for i, j in jet.orders) == order
    assert filters(1.0, order).shape == (len(jet.orders), 7, 7)


@pytest.mark.parametrize(("sigma", "size"), [(0.5, 5), (1.0, 7), (1.41, 9), (2.0, 11), (4.0, 19)])
@pytest.mark.parametrize("as_published", [False, True])
def test_sizes(sigma, size, as_published):
    """Sizes are those of the published table."""
    assert filters(sigma, as_published=as_published).shape == (6, size, size)


@pytest.mark.parametrize(("order", "sigma", "leak"), [(2, 1.0, -0.004), (4, 1.0, -0.045), (4, 2.3, -0.208)])
def test_the_published_leak(order, sigma, leak):
    """Cut at two sigma, published filters of even order respond to brightness as measured; the corrected ones do not."""
    second = GaussianJet(order).orders.index((order, 0))

    check_close(filters(sigma, order, as_published=True)[second].sum(), leak, 5e-4)
    check_close(filters(sigma, order)[second].sum(), 0, 1e-14)


@settings(deadline=None, max_examples=50)
@given(sigma=st.floats(0.05, 9), order=st.integers(1, 10), truncate=st.floats(1, 4))
def test_each_order_is_blind_to_lower_degrees(sigma, order, truncate):
    """The filter of order n has a zero sum with every lower power."""
    jet = GaussianJet(order, truncate=truncate)
    found = jet.profiles(torch.tensor([sigma], dtype=torch.float64))[0]
    reach = found.shape[1] // 2
    for n, profile in enumerate(found):
        for power in range(n):
            largest = max(float(profile.abs().max()), 1e-3) * reach**power

            check_close(moment(profile, power), 0, 1e-9 * largest)


def test_wide_kernels_are_true_derivatives():
    """If nothing is cut off, order n of x^n / n! is (-sigma)^n, and corrected and published filters are equal."""
    sigma = 1.7
    mended = GaussianJet(4, truncate=9.0).profiles(torch.tensor([sigma], dtype=torch.float64))[0]
    published = GaussianJet(4, truncate=9.0, as_published=True).profiles(
        torch.tensor([sigma], dtype=torch.float64)
    )[0]

    check_close(mended, published, 1e-9)
    for n, profile in enumerate(mended):
        check_close(moment(profile, n) / math.factorial(n), (-sigma) ** n, 1e-8)


@pytest.mark.parametrize("sigma", [0.7, 1.0, 2.3])
def test_mended_filters_span_the_same_kernels(sigma):
    """Corrected filters span the same space: polynomials up to order N times the window."""
    options = {"order": 4, "truncate": 2.0}
    jet = GaussianJet(**options)
    sigma = torch.tensor([sigma], dtype=torch.float64)
    window = jet.profiles(sigma)[0, 0]
    hermite = GaussianJet(4, as_published=True).profiles(sigma)[0]
    theirs = hermite / hermite[0] * window  # the same polynomials in the window that fades out
    mixed = torch.linalg.lstsq(theirs.T, jet.profiles(sigma)[0].T).solution

    check_close(theirs.T @ mixed, jet.profiles(sigma)[0].T, 1e-9)
    check_close(mixed.diagonal(), torch.ones(5), 1e-7)


def step_at(sigma, **options):
    """Return how much the filters change between just below and just above a sigma, padded to one size."""
    jet = GaussianJet(3, **options)
    below, above = (
        jet.filters(torch.tensor([s, 2 * sigma], dtype=torch.float64))[0]
        for s in (sigma - 1e-7, sigma + 1e-7)
    )
    return float((above - below).abs().max())


@pytest.mark.parametrize("sigma", [0.75, 1.25, 1.75, 3.25])
def test_filters_are_continuous_where_the_size_steps(sigma):
    """At sigma 1.25 the kernel grows from 7 to 9 pixels: published filters jump, the corrected ones do not."""
    assert step_at(sigma, as_published=True) > 1e-3
    assert step_at(sigma) < 1e-5


@pytest.mark.parametrize("as_published", [False, True])
def test_gradient_by_sigma(as_published):
    """The gradient is right within a size, for several sigmas at once; for corrected filters also where the size changes."""
    steps = [] if as_published else [1.25, 1.75]
    sigma = torch.tensor([0.4, 1.1, *steps], dtype=torch.float64, requires_grad=True)

    def profiles(sigma):
        return GaussianJet(4, as_published=as_published).profiles(torch.cat([sigma, sigma.new_tensor([2.0])]))

    torch.autograd.gradcheck(profiles, sigma)


def test_several_sigmas_share_the_largest_size():
    """Filters of several sigmas are padded with zeros to the largest size."""
    both = GaussianJet(3).filters(torch.tensor([0.5, 2.0]))

    assert both.shape == (2, 10, 11, 11)
    check_close(both[1], filters(2.0, 3), 1e-15)
    check_close(both[0, :, 3:-3, 3:-3], filters(0.5, 3), 1e-15)
    assert both[0].abs().sum() == both[0, :, 3:-3, 3:-3].abs().sum()


@pytest.mark.parametrize("sigma", [1e-3, 0.03, 0.1])
def test_tiny_scales_are_the_pixel_itself(sigma):
    """For a tiny sigma, order 0 is one pixel, all other orders and the gradients are zero, and nothing is NaN."""
    scale = torch.tensor([sigma], dtype=torch.float64, requires_grad=True)
    found = GaussianJet(10).profiles(scale)[0]
    (slope,) = torch.autograd.grad(found.square().sum(), scale)

    check_close(
        found, torch.eye(11, 3, dtype=torch.float64).roll(1, 1) * (torch.arange(11) == 0)[:, None], 1e-15
    )
    check_close(slope, [0.0], 1e-15)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            {"order": 11},
            "order must be between 0 and 10, got 11 – higher orders are lost in rounding; put a second layer behind the first instead.",
        ),
        ({"order": -1}, "order must be at least 0, got -1."),
        ({"order": 2.5}, "order must be a whole number, got 2.5."),
        ({"truncate": 0.0}, "truncate must be positive and finite, got 0.0."),
        ({"truncate": math.inf}, "truncate must be positive and finite, got inf."),
    ],
)
def test_messages(argument, message):
    """Each error names the argument and its value."""
    with unhooked(), pytest.raises((TypeError, ValueError), match=re.escape(message)):
        GaussianJet(**argument)


@pytest.mark.parametrize(
    ("sigma", "shown"), [([1.0, 0.0], "0.0 to 1.0"), ([math.nan], "nan to nan"), ([math.inf], "inf to inf")]
)
def test_a_sigma_that_ran_away(sigma, shown):
    """If sigma is NaN or too large, the error says that training diverged."""
    message = (
        f"sigma must be positive and finite, got {shown} – where it was learned, take a lower learning rate."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        GaussianJet().filters(torch.tensor(sigma))
