"""Modules that join the features of an image's patches."""

import re

import pytest
import torch

from foveal.sampler import PatchMax, PatchMean, PatchTransformer
from tests.checks import check_close, unhooked


def test_mean_and_maximum():
    """The mean or maximum is taken over patches for each feature, without regard to positions."""
    features = torch.randn(4, 5, 7)

    check_close(PatchMean()(features, torch.rand(4, 5, 2)), features.numpy().mean(1), 1e-6)
    check_close(PatchMax()(features), features.numpy().max(1), 0)


def test_transformer_sees_places():
    """The position of a patch matters, the order of patches does not; without positions only features matter."""
    torch.manual_seed(0)
    head = PatchTransformer(32, heads=4).eval()
    features, positions, order = torch.randn(3, 6, 32), torch.rand(3, 6, 2) * 2 - 1, torch.randperm(6)
    answer = head(features, positions)

    assert answer.shape == (3, 32)
    check_close(head(features[:, order], positions[:, order]), answer.detach(), 1e-4)
    assert (head(features[:, order], positions) - answer).abs().max() > 1e-2
    check_close(head(features[:, order]), head(features).detach(), 1e-4)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.2), (torch.float64, 1e-4)])
def test_transformer_in_other_precisions(dtype, tolerance):
    """The head computes in the dtype of its weights, whatever that of the positions is."""
    torch.manual_seed(0)
    head = PatchTransformer(32, layers=1, heads=4).eval()
    features, positions = torch.randn(3, 6, 32), torch.rand(3, 6, 2) * 2 - 1
    expected = head(features, positions).detach()
    for places in (positions, positions.double()):
        found = head.to(dtype)(features.to(dtype), places)

        assert found.dtype == dtype
        check_close(found.detach().double(), expected.double(), tolerance)


def test_transformer_learns_from_features_and_places():
    """Every weight has a gradient, and so do the positions."""
    head, positions = PatchTransformer(16, layers=1, heads=2), torch.rand(2, 3, 2, requires_grad=True)
    head(torch.randn(2, 3, 16), positions).square().sum().backward()

    assert all(weight.grad is not None for weight in head.parameters())
    assert positions.grad.abs().sum() > 0


def test_message():
    """A width that the number of heads does not divide is refused."""
    with unhooked(), pytest.raises(ValueError, match=re.escape("dim must be a multiple of heads=8, got 20.")):
        PatchTransformer(20)
