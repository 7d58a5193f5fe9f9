"""The last layer of the saliency networks."""

import pytest
import torch
from torch import nn

from foveal.sampler.saliency._one_channel_conv import OneChannelConv2d
from tests.checks import check_close


@pytest.mark.parametrize("bias", [False, True])
def test_it_is_a_convolution(bias):
    """Values and gradients are those of a Conv2d with the same state_dict."""
    torch.manual_seed(0)
    ours, theirs = OneChannelConv2d(5, bias=bias), nn.Conv2d(5, 1, kernel_size=1, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    images = torch.rand(3, 5, 7, 9)
    found, expected = ours(images), theirs(images)
    found.square().mean().backward()
    expected.square().mean().backward()

    check_close(found, expected, 1e-6)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        check_close(mine.grad, other.grad, 1e-5)
        assert mine.grad.stride() == mine.stride()
