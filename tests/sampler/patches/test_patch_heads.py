"""One vector for an image out of those of its patches."""

import re

import pytest
import torch

from foveal.sampler import PatchMax, PatchMean, PatchTransformer
from tests.checks import check_close, unhooked


def test_mean_and_maximum():
    """Over the patches, feature by feature; places are not looked at."""
    features = torch.randn(4, 5, 7)

    check_close(PatchMean()(features, torch.rand(4, 5, 2)), features.numpy().mean(1), 1e-6)
    check_close(PatchMax()(features), features.numpy().max(1), 0)


def test_transformer_sees_places():
    """Where a patch lies counts, the order of the list does not; without places only what patches show does."""
    torch.manual_seed(0)
    head = PatchTransformer(32, heads=4).eval()
    features, positions, order = torch.randn(3, 6, 32), torch.rand(3, 6, 2) * 2 - 1, torch.randperm(6)
    answer = head(features, positions)

    assert answer.shape == (3, 32)
    check_close(head(features[:, order], positions[:, order]), answer.detach(), 1e-4)
    assert (head(features[:, order], positions) - answer).abs().max() > 1e-2
    check_close(head(features[:, order]), head(features).detach(), 1e-4)


def test_transformer_learns_from_features_and_places():
    """Every weight receives a gradient, and so do the places."""
    head, positions = PatchTransformer(16, layers=1, heads=2), torch.rand(2, 3, 2, requires_grad=True)
    head(torch.randn(2, 3, 16), positions).square().sum().backward()

    assert all(weight.grad is not None for weight in head.parameters())
    assert positions.grad.abs().sum() > 0


def test_message():
    """Heads share the width evenly."""
    with unhooked(), pytest.raises(ValueError, match=re.escape("dim must be a multiple of heads=8, got 20.")):
        PatchTransformer(20)
