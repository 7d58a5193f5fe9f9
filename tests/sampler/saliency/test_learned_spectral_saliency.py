"""Spectral saliency whose powers have trained weights."""

import re

import pytest
import torch

from foveal.sampler import LearnedSpectralSaliency, PriorSaliency, SaliencySampler, SpectralSaliency
from tests.checks import check_close


@pytest.fixture
def small() -> torch.Tensor:
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def test_it_is_the_weighted_sum(small):
    """The logits are those of the powers, each times its weight; black images and empty batches have some, too."""
    learned = LearnedSpectralSaliency((9, 7), powers=(2.0, 5.0))
    with torch.no_grad():
        learned.scaled_weights.copy_(torch.tensor([0.0625, 0.0125]))
        square, fifth = (SpectralSaliency((9, 7), power=power)(small) for power in (2.0, 5.0))

        check_close(learned(small), 2.0 * square + 0.4 * fifth, 1e-4)
        assert learned(torch.zeros(1, 3, 32, 32)).isfinite().all()
        assert learned(small[:0]).shape == (0, 1, 9, 7)


def test_weights_are_learned_from_few_images():
    """If the label lies where the square points and not the strongest place, some steps move the weights to the square, else to the high power."""
    image = torch.full((1, 3, 128, 128), 0.5)
    image[:, :, 20:60, 20:60] += 0.12 * torch.randn(3, 40, 40, generator=torch.Generator().manual_seed(0))
    image[:, :, 96:99, 96:99] = 1  # small and strong
    shares = {}
    for name, box in {
        "textured": (slice(3, 16), slice(3, 16)),
        "strong": (slice(21, 27), slice(21, 27)),
    }.items():
        learned = LearnedSpectralSaliency()
        optimizer = torch.optim.AdamW(learned.parameters(), lr=1e-3)
        for _ in range(100):
            found = (3 * learned(image)).flatten(1).softmax(1).reshape(31, 31)
            loss = -found[box].sum().log()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        shares[name] = learned.weights.tolist()

    square, strongest = shares["textured"]
    assert square > strongest + 0.4
    square, strongest = shares["strong"]
    assert strongest > square + 0.4


def test_what_no_zoom_helps_is_left_uniform():
    """If the label lies where nothing stands out, both weights fall to about zero."""
    image = torch.full((1, 3, 128, 128), 0.5)
    image[:, :, 96:99, 96:99] = 1
    learned = LearnedSpectralSaliency()
    optimizer = torch.optim.AdamW(learned.parameters(), lr=1e-3)
    for _ in range(100):
        loss = -(3 * learned(image)).flatten(1).log_softmax(1).reshape(31, 31)[:16, :16].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    assert learned.weights.max() < 0.1


def test_weights_are_not_negative():
    """Saliency is not turned into its opposite: a step past zero leaves a small weight, which can rise again."""
    learned = LearnedSpectralSaliency()
    learned.scaled_weights.data.fill_(-1 / 64)
    learned.weights.sum().backward()

    assert learned.weights.tolist() == [0.5, 0.5]
    assert learned.scaled_weights.grad.tolist() == [-32.0, -32.0]


@pytest.mark.parametrize(("power", "weights"), [(2.0, [1.0, 0.0]), (6.0, [0.0, 1.0])])
def test_files_of_before_keep_their_power(power, weights, small):
    """Weights that were saved with one power give the same map in the prior that has two."""
    before, now = PriorSaliency(prior=SpectralSaliency(power=power), gain=4.0), PriorSaliency()
    now.load_state_dict(before.state_dict())

    assert now.prior.weights.tolist() == weights
    with torch.no_grad():
        check_close(now(small), before(small), 1e-5)


def test_weights_of_an_unknown_power_are_refused():
    """A file of a power that the prior does not have is an error that names what is missing."""
    with pytest.raises(RuntimeError, match=re.escape("prior.scaled_weights")):
        PriorSaliency().load_state_dict(PriorSaliency(prior=SpectralSaliency(power=3.0)).state_dict())


def test_a_checkpoint_keeps_the_weights(tmp_path):
    """A checkpoint restores powers and weights."""
    zoom = SaliencySampler(8, saliency=PriorSaliency(prior=LearnedSpectralSaliency(powers=(1.0, 4.0))))
    zoom.saliency.prior.scaled_weights.data.copy_(torch.tensor([0.03, 0.01]))
    zoom.save_checkpoint(tmp_path / "zoom.pt")
    prior = SaliencySampler.from_checkpoint(tmp_path / "zoom.pt").saliency.prior

    assert prior.powers == (1.0, 4.0)
    assert prior.weights.tolist() == zoom.saliency.prior.weights.tolist()


@pytest.mark.parametrize("powers", [(), (2.0, 0.0)])
def test_messages(powers):
    """Powers that are none are refused by value."""
    with pytest.raises(
        ValueError, match=re.escape(f"powers must be one or more positive numbers, got {powers!r}.")
    ):
        LearnedSpectralSaliency(powers=powers)
