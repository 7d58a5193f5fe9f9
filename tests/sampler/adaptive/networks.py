"""Adaptive networks with statistics, what they are given, and the ordinary networks with the same weights."""

import torch
from torch import nn

from foveal.sampler import (
    AdaptiveResNet,
    DilatedResNet,
)
from foveal.sampler.adaptive._levels import snapped
from tests.checks import check_close

DEPTHS = [18, 50]


def trained(depth, output_stride=16, seed=0, dtype=torch.float32):
    """Return an adaptive network whose batch norms have statistics, with features of about unit size."""
    torch.manual_seed(seed)
    net = AdaptiveResNet(depth, width=8, output_stride=output_stride).to(dtype)
    net.train()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # the mean of what it sees
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(std=0.2)
        net(*batch((64, 96), dtype=dtype, levels=1))
    return net.eval()


def batch(size, *, dtype=torch.float32, levels=1, count=2):
    """Return images, and a different mask for each."""
    generator = torch.Generator().manual_seed(size[0])
    images = torch.randn(count, 3, *size, generator=generator, dtype=dtype)
    cells = (-(-size[0] // 8), -(-size[1] // 8))
    wanted = levels * (torch.rand(count, 1, *cells, generator=generator) > 0.05).long()
    return images, snapped(wanted)


def dense(net, output_stride):
    """Return the ordinary network with the same weights, in the precision of these."""
    weights = net.state_dict()
    other = DilatedResNet.from_weights(weights, output_stride=output_stride).to(net.conv1.weight.dtype)
    other.load_state_dict(weights)
    return other.eval()


def check_equal(actual, expected, tolerance=1e-5):
    """Check that no value differs by more than this fraction of the largest."""
    largest = expected.abs().max()
    check_close(actual / largest, expected / largest, tolerance)
