"""The last layer of a saliency network."""

import torch
from torch import nn

from foveal.sampler.saliency._one_channel_conv import OneChannelConv2d
from tests.checks import check_close


def test_it_is_a_convolution():
    """Values and gradients are those of a Conv2d with the same state_dict."""
    torch.manual_seed(0)
    ours, theirs = OneChannelConv2d(5), nn.Conv2d(5, 1, kernel_size=1, bias=False)
    theirs.load_state_dict(ours.state_dict())
    images = torch.rand(3, 5, 7, 9)
    found, expected = ours(images), theirs(images)
    found.square().mean().backward()
    expected.square().mean().backward()

    check_close(found, expected, 1e-6)
    check_close(ours.weight.grad, theirs.weight.grad, 1e-6)
    assert ours.weight.grad.stride() == ours.weight.stride()  # as DistributedDataParallel expects
