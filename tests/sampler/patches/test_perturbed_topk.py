"""Differentiable top-k, compared with its definition, with integrals and with finite differences."""

import itertools
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from foveal.sampler import PerturbedTopK
from foveal.sampler.patches import hard_topk
from tests import reference
from tests.checks import check_close, unhooked


def noise_of(seed, shape, dtype=torch.float32):
    """Return the first noise of a generator with this seed."""
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def chosen_with(topk, scores, seed=0):
    return topk(scores, torch.Generator().manual_seed(seed))


def exact_weights(scores, k, sigma):
    """Return the expected choice by quadrature, (k, positions): a set is chosen if its least score exceeds all others."""
    least = np.linspace(min(scores) - 9 * sigma, max(scores) + 9 * sigma, 2001)
    z = (least - np.asarray(scores)[:, None]) / sigma
    below, own = ndtr(z), np.exp(-(z**2) / 2) / (sigma * np.sqrt(2 * np.pi))
    found = np.zeros((k, len(scores)))
    for members in itertools.combinations(range(len(scores)), k):
        inside = np.isin(np.arange(len(scores)), members)
        density = sum(own[m] * np.prod(1 - below[inside & (np.arange(len(scores)) != m)], 0) for m in members)
        # The trapezoidal rule is exact to rounding for what is smooth and ends in zeros.
        share = (density * np.prod(below[~inside], 0)).sum() * (least[1] - least[0])
        found[range(k), list(members)] += share
    return found


def exact_gradient(scores, k, sigma, upstream, step=1e-4):
    """Return central differences of the quadrature."""
    steps = step * np.eye(len(scores))
    return [
        ((exact_weights(scores + h, k, sigma) - exact_weights(scores - h, k, sigma)) * upstream).sum()
        / (2 * step)
        for h in steps
    ]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.data())
def test_forward_is_its_definition(positions, data):
    """With the same noise, the weights equal those counted in float64 NumPy, for any k, sigma and number of draws."""
    k, samples = data.draw(st.integers(1, positions)), data.draw(st.integers(1, 50))
    sigma, seed = data.draw(st.floats(0.01, 2)), data.draw(st.integers(0, 99))
    scores = torch.rand(3, positions, generator=torch.Generator().manual_seed(seed + 1))
    topk = PerturbedTopK(k, sigma=sigma, samples=samples)
    noise = noise_of(seed, (3, samples, positions))
    # Drawn in float32, and compared there too: two sums may only be ordered otherwise where they round together.
    expected = [
        reference.perturbed_topk(s, z, k, np.float32(sigma))
        for s, z in zip(scores.numpy(), noise.numpy(), strict=True)
    ]

    weights = chosen_with(topk, scores, seed)

    check_close(weights, np.stack(expected), 1e-6)
    check_close(weights.sum(2), np.ones((3, k)), 1e-6)


DEFINITIONS = {
    "diagonal": reference.diagonal_gradient,
    "relative": reference.relative_gradient,
    "full": reference.full_gradient,
}


@pytest.mark.parametrize("gradient", DEFINITIONS)
def test_gradient_is_its_definition(gradient):
    """Each gradient mode equals its definition on one-hot arrays of the same draws, in float64."""
    scores = torch.rand(2, 30, requires_grad=True)
    upstream = torch.randn(2, 4, 30)
    noise = noise_of(0, (2, 200, 30)).numpy()

    chosen_with(PerturbedTopK(4, sigma=0.2, samples=200, gradient=gradient), scores).backward(upstream)

    expected = [
        DEFINITIONS[gradient](s, z, 4, np.float32(0.2), g)
        for s, z, g in zip(scores.detach().numpy(), noise, upstream.double().numpy(), strict=True)
    ]
    check_close(scores.grad, np.stack(expected), 1e-4)


SCORES = np.array([0.3, 0.9, -0.2, 0.5, 0.4])


def test_forward_tends_to_the_integral():
    """With many draws, the weights approach the expectation by quadrature."""
    weights = chosen_with(PerturbedTopK(2, sigma=0.5, samples=100_000), torch.tensor(SCORES)[None])

    check_close(weights[0], exact_weights(SCORES, 2, 0.5), 6e-3)


SMOOTH = pytest.mark.parametrize(
    ("samples", "tolerance"), [(100_000, 3e-2), pytest.param(2_000_000, 1e-2, marks=pytest.mark.slow)]
)


@SMOOTH
def test_full_gradient_tends_to_the_integrals_derivative(samples, tolerance):
    """With many draws, gradient="full" approaches the derivative of the expectation; the published gradient does not."""
    upstream = np.random.default_rng(0).standard_normal((2, 5))
    expected = exact_gradient(SCORES, 2, 0.5, upstream)
    found = {}
    for gradient, draws in (("full", samples), ("diagonal", 50_000)):
        scores = torch.tensor(SCORES)[None].requires_grad_()
        weights = chosen_with(PerturbedTopK(2, sigma=0.5, samples=draws, gradient=gradient), scores)
        weights.backward(torch.tensor(upstream)[None])
        found[gradient] = scores.grad[0]

    check_close(found["full"], expected, tolerance)
    with pytest.raises(AssertionError):
        check_close(found["diagonal"], expected, 0.1)


@SMOOTH
def test_full_gradient_agrees_with_finite_differences_of_the_forward(samples, tolerance):
    """gradient="full" agrees with central differences with common noise."""
    upstream = torch.tensor(np.random.default_rng(0).standard_normal((1, 2, 5)))
    topk = PerturbedTopK(2, sigma=0.5, samples=samples, gradient="full")
    scores = torch.tensor(SCORES)[None].requires_grad_()
    chosen_with(topk, scores).backward(upstream)
    found = []
    for step in 0.05 * torch.eye(5, dtype=torch.float64):
        with torch.no_grad():
            up, down = (chosen_with(topk, scores + way * step) for way in (1, -1))
        found.append(((up - down) * upstream).sum() / 0.1)

    check_close(scores.grad[0], torch.stack(found), tolerance)


@pytest.mark.parametrize("gradient", ["relative", "full"])
def test_a_constant_is_not_seen(gradient):
    """A constant upstream has no gradient, because rows sum to one; the published gradient is not zero."""
    scores = torch.rand(3, 40, requires_grad=True)
    PerturbedTopK(4, gradient=gradient)(scores).sum().backward()
    check_close(scores.grad, np.zeros((3, 40)), 1e-4)

    PerturbedTopK(4)(scores).sum().backward()
    assert scores.grad.abs().max() > 1


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 999), st.sampled_from([0.0, 3.0, -3.0]))
def test_relative_gradient_is_near_the_true_one(seed, offset):
    """With 500 draws, gradient="relative" has a high cosine with the true gradient, whatever constant is added upstream."""
    rng = torch.Generator().manual_seed(seed)
    scores, upstream = torch.rand(1, 60, generator=rng), torch.randn(1, 3, 60, generator=rng) + offset
    found = []
    for gradient, samples in (("full", 60_000), ("relative", 500)):
        leaf = scores.clone().requires_grad_()
        topk = PerturbedTopK(3, sigma=0.1, samples=samples, gradient=gradient)
        chosen_with(topk, leaf, seed).backward(upstream)
        found.append(leaf.grad[0])

    assert torch.cosine_similarity(*found, dim=0) > 0.7


@pytest.mark.parametrize("gradient", DEFINITIONS)
def test_little_noise_is_hard_and_sorted(gradient):
    """As sigma goes to zero, the weights become those of eval(): one-hot, sorted by position."""
    scores = torch.rand(5, 50)
    topk = PerturbedTopK(6, sigma=1e-7, samples=20, gradient=gradient)
    hard = PerturbedTopK(6).eval()(scores)

    check_close(topk(scores), hard, 0)
    check_close(hard.argmax(2), np.sort(np.argsort(-scores.numpy(), 1)[:, :6], 1), 0)
    assert hard.sum() == 30


def test_choice_by_rank_and_position():
    """For [0.1, 0.9, 0.3, 0.8], the second and the fourth are chosen, in this order."""
    assert hard_topk(torch.tensor([0.1, 0.9, 0.3, 0.8]), 2).tolist() == [1, 3]
    assert hard_topk(torch.tensor([0.1, 0.8, 0.3, 0.9]), 2).tolist() == [1, 3]


def test_noise_is_torchs():
    """Noise is determined by torch.manual_seed or the generator that is passed; two draws differ."""
    topk, scores = PerturbedTopK(3, samples=20), torch.rand(2, 30)
    torch.manual_seed(5)
    first, second = topk(scores), topk(scores)
    torch.manual_seed(5)

    assert torch.equal(first, topk(scores))
    assert not torch.equal(first, second)
    assert torch.equal(chosen_with(topk, scores, 7), chosen_with(topk, scores, 7))


@pytest.mark.parametrize("gradient", DEFINITIONS)
def test_autocast_is_left_alone(gradient):
    """Under bf16 autocast, choice and gradient do not change; half-precision scores are converted to float32."""
    found = []
    for enabled in (False, True):
        scores = torch.rand(2, 30, generator=torch.Generator().manual_seed(1)).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            weights = chosen_with(PerturbedTopK(3, gradient=gradient), scores)
            weights.square().sum().backward()
        found.append((weights.detach(), scores.grad))

    assert all(torch.equal(plain, mixed) for plain, mixed in zip(*found, strict=True))
    assert PerturbedTopK(3)(torch.rand(2, 30).bfloat16()).dtype == torch.float32


def test_annealing():
    """Sigma falls linearly to zero with the steps; then training is refused and evaluation works."""
    topk, scores = PerturbedTopK(2, sigma=0.08), torch.rand(1, 9)
    found = []
    for step in (1, 2, 3, 4, 1):
        topk.anneal(step, 4)
        found.append(topk.sigma)
    assert found == pytest.approx([0.06, 0.04, 0.02, 0, 0.06])

    topk.anneal(4, 4)
    message = "sigma must be positive while training, got 0.0 – call eval(), or anneal over more steps."
    with pytest.raises(ValueError, match=re.escape(message)):
        topk(scores)
    assert topk.eval()(scores).sum() == 2


def test_moves_a_score_to_where_the_loss_is_low():
    """Descent along the published gradient moves the choice to the two positions without loss."""
    torch.manual_seed(0)
    scores, cost = torch.zeros(1, 25, requires_grad=True), torch.ones(25)
    cost[[7, 19]] = 0
    topk, optimizer = PerturbedTopK(2, samples=100), torch.optim.Adam([scores], lr=0.05)
    for _ in range(30):
        optimizer.zero_grad()
        (topk(scores.sigmoid()) * cost).sum().backward()
        optimizer.step()

    assert hard_topk(scores, 2).tolist() == [[7, 19]]


def test_no_image():
    """An empty batch gives an empty result, in training and evaluation."""
    assert PerturbedTopK(2)(torch.zeros(0, 9)).shape == (0, 2, 9)
    assert PerturbedTopK(2).eval()(torch.zeros(0, 9)).shape == (0, 2, 9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k must be at least 1, got 0."),
        ({"sigma": 0.0}, "sigma must be positive, got 0.0 – call eval() for no noise."),
        ({"samples": 0}, "samples for gradient='diagonal' must be at least 1, got 0."),
        (
            {"samples": 1, "gradient": "full"},
            "samples for gradient='full' must be at least 2, got 1.",
        ),
        ({"gradient": "berthet"}, "gradient must be one of ('diagonal', 'relative', 'full'), got 'berthet'."),
    ],
)
def test_messages(arguments, message):
    """Each error names the argument and its value."""
    with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
        PerturbedTopK(**{"k": 3, **arguments})


def test_samples_that_are_no_whole_number():
    """Half a sample is refused when the module is made."""
    message = "samples for gradient='diagonal' must be a whole number, got 2.5."
    with unhooked(), pytest.raises(TypeError, match=re.escape(message)):
        PerturbedTopK(3, samples=2.5)


def test_messages_of_the_call():
    """Choosing more than there are is refused, and so is a step beyond the schedule."""
    message = "k must be at most the 4 positions that there are, got 5 – score more finely."
    for topk in (PerturbedTopK(5), PerturbedTopK(5).eval()):
        with pytest.raises(ValueError, match=re.escape(message)):
            topk(torch.rand(1, 4))
    message = "step must be in [0, total_steps], got 5 of 4 – anneal over more steps."
    with pytest.raises(ValueError, match=re.escape(message)):
        PerturbedTopK(5).anneal(5, 4)


def test_repr():
    """The representation shows the settings."""
    assert repr(PerturbedTopK(3)) == "PerturbedTopK(k=3, sigma=0.05, samples=500, gradient='diagonal')"


@pytest.mark.parametrize("count", [4, 40, 961])
def test_of_equals_the_first_are_chosen(count):
    """Among equal scores the first ones are chosen, whatever their number."""
    scores = torch.zeros(2, count)
    scores[1, -1] = 1.0

    assert PerturbedTopK(3).eval()(scores).argmax(2).tolist() == [[0, 1, 2], [0, 1, count - 1]]
