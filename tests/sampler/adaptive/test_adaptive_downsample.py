"""A network whose resolution follows a mask: its names, depths and arguments, and what it computes."""

import math
import re

import numpy as np
import pytest
import torch
from torch import nn

from foveal.sampler import (
    AdaptiveDownsample,
    AdaptiveResNet,
    DilatedResNet,
    edge_mask,
    saliency_mask,
)
from tests.checks import check_close, unhooked
from tests.sampler.adaptive.networks import DEPTHS, batch, check_equal, trained

pytestmark = pytest.mark.usefixtures("one_thread")


def test_names_are_torchvisions():
    """A ResNet-50 has torchvision's 318 names without fc's two, and 23,508,032 weights; a ResNet-18 11,176,512."""
    for depth, names, weights in ((18, 120, 11_176_512), (50, 318, 23_508_032)):
        net = AdaptiveResNet(depth)
        state = net.state_dict()

        assert len(state) == names
        assert sum(p.numel() for p in net.parameters()) == weights
        assert {"layer3.0.downsample.1.running_var", "layer4.1.bn2.num_batches_tracked", "bn1.bias"} <= set(
            state
        )


@pytest.mark.parametrize("depth", DEPTHS)
def test_from_weights_reads_the_architecture(depth):
    """Kind, number and width of the blocks are read from the weights; a classifier's weights are left out."""
    weights = DilatedResNet(depth, width=8).state_dict()
    net = AdaptiveResNet.from_weights(
        weights | {"fc.weight": torch.zeros(1000, 3), "fc.bias": torch.zeros(1000)}, output_stride=32
    )

    assert net.state_dict().keys() == weights.keys()
    assert all(torch.equal(value, weights[name]) for name, value in net.state_dict().items())
    assert net.channels == (64 if depth == 18 else 256)


@pytest.mark.parametrize(("kind", "output_stride"), [(DilatedResNet, 8), (AdaptiveResNet, 16)])
def test_from_weights_alone(kind, output_stride):
    """Without an output stride, a network from weights has its class's own: the last stages take one stride, or none."""
    net = kind.from_weights(DilatedResNet(18, width=8).state_dict())

    assert type(net) is kind
    strides = [block.conv1.stride[0] for block in (*net.layer3, *net.layer4)]
    assert 8 * math.prod(strides) == output_stride


def test_any_resnet_of_torchvisions_names():
    """Any ResNet with torchvision's names works, also if its blocks have a ReLU of their own."""

    class Foreign(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(4, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4)
            self.relu = nn.ReLU(inplace=True)
            self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4)
            self.downsample = nn.Sequential(nn.Conv2d(4, 4, 1, 2, bias=False), nn.BatchNorm2d(4))
            self.stride = 2

        def forward(self, x):
            out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            return self.relu(out + self.downsample(x))

    block = Foreign().eval()
    image = torch.randn(1, 4, 6, 8)

    check_close(AdaptiveDownsample(block)(image, torch.ones(1, 1, 6, 8))[:, :, ::2, ::2], block(image), 1e-5)


@torch.no_grad()
def test_autocast():
    """Under autocast, the output is the same to half precision."""
    net = trained(18)
    images, mask = batch((64, 96))
    with torch.autocast("cpu", torch.bfloat16):
        half = net(images, mask)

    assert half.dtype == torch.bfloat16
    check_equal(half.float(), net(images, mask), 0.05)


def test_nodes_are_fewer():
    """With a quarter of the cells fine, 7 of 16 nodes are left."""
    net = trained(18)
    mask = saliency_mask(torch.rand(1, 1, 8, 12), (8, 12), keep=0.25)
    nodes = AdaptiveDownsample(net.layer3, net.layer4).nodes(torch.zeros(1, 16, 8, 12), mask)

    assert len(nodes.features) == 96 * 7 // 16


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (
            torch.zeros(1, 1, 4, 4),
            "mask must be (2, 1, 8, 12), one level for each cell of the features, got shape (1, 1, 4, 4).",
        ),
        (torch.full((2, 1, 8, 12), 2), "mask must be at most 1, the strides there are, got 2."),
        (
            torch.full((2, 1, 8, 12), torch.nan),
            "mask must be whole numbers from 0 on, got values from nan to nan – how many times",
        ),
        (torch.full((2, 1, 8, 12), torch.inf), "mask must be at most 1, the strides there are, got inf."),
    ],
)
def test_masks_that_do_not_fit(mask, message):
    """A mask of another size, with more levels than strides, or that is not finite, is refused."""
    net = AdaptiveResNet(18, width=8)
    with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
        AdaptiveDownsample(net.layer3, net.layer4)(torch.zeros(2, 16, 8, 12), mask)


def test_stages_without_a_stride():
    """A network without strides is refused."""
    net = DilatedResNet(18, width=8, output_stride=8)
    with pytest.raises(
        ValueError, match=re.escape("stages must have a stride to adapt, got none – give the strided")
    ):
        AdaptiveDownsample(net.layer3, net.layer4)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: DilatedResNet(20),
            "depth must be one of [18, 34, 50, 101, 152], or the blocks of four stages, got 20.",
        ),
        (lambda: DilatedResNet((1, 1, 1)), "or the blocks of four stages, got (1, 1, 1)."),
        (lambda: DilatedResNet((1, 1, 0, 1)), "depth of a stage must be at least 1, got 0."),
        (lambda: DilatedResNet("50"), "or the blocks of four stages, got '50'."),
        (lambda: DilatedResNet(18, width=0), "width must be at least 1, got 0."),
        (lambda: DilatedResNet(18, output_stride=4), "output_stride must be 8, 16 or 32, got 4."),
        (
            lambda: AdaptiveResNet(18, output_stride=8),
            "output_stride must be 16 or 32, coarser than 8, got 8.",
        ),
        (
            lambda: DilatedResNet.from_weights({"head.weight": torch.zeros(1)}),
            "weights must have conv1, layer1 to layer4, as torchvision names them, got ['head'].",
        ),
    ],
)
def test_arguments(build, message):
    """Each invalid argument is named with its value."""
    with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
        build()


def test_other_depths():
    """Four block counts make a network of another depth."""
    net = DilatedResNet((1, 1, 2, 1), width=8, bottleneck=False)

    assert [len(stage) for stage in (net.layer1, net.layer2, net.layer3, net.layer4)] == [1, 1, 2, 1]
    with unhooked():  # a list, as a file of settings has it
        assert len(DilatedResNet([1, 1, 2, 1], width=8, bottleneck=False).layer3) == 2
    assert net(torch.zeros(1, 3, 40, 56)).shape == (1, 64, 5, 7)
    assert np.prod(DilatedResNet(34).layer3[5].conv2.weight.shape) == 9 * 256 * 256


def test_no_images():
    """An empty batch has no features, and no error."""
    net, images = AdaptiveResNet(18).eval(), torch.zeros(0, 3, 64, 64)

    assert net(images, edge_mask(images)).shape == (0, 512, 8, 8)
