"""Saliency from a classifier's class activation, compared with a map that is computed by hand."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import max_pool2d

from foveal.sampler import ClassActivationSaliency, SaliencySampler
from tests.checks import check_close, unhooked

pytestmark = pytest.mark.usefixtures("one_thread")


class Residual(nn.Module):
    """A block with two branches, as the first block of a ResNet's stage."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.downsample = nn.Conv2d(inputs, outputs, 1, 2, bias=False)

    def forward(self, x):
        return (self.conv2(self.conv1(x).relu()) + self.downsample(x)).relu()


STEMS = {  # each an eighth of the resolution
    "resnet": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 7, 2, 3, bias=False), nn.MaxPool2d(3, 2, 1), Residual(6, 8)
    ),
    "vgg": lambda: nn.Sequential(
        *(
            layer
            for inputs in (3, 8, 8)
            for layer in (nn.Conv2d(inputs, 8, 3, padding="same", bias=False), nn.ReLU(), nn.MaxPool2d(2))
        )
    ),
    "patches": lambda: nn.Sequential(nn.Conv2d(3, 8, 4, 4, bias=False), nn.Conv2d(8, 8, 2, 2, bias=False)),
    "mixed": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.AvgPool2d(2), nn.Conv2d(8, 8, 3, 2, 0, bias=False)
    ),
}


class Classifier(nn.Module):
    def __init__(self, stem, classes=5, channels=8):
        super().__init__()
        self.stem, self.fc = stem, nn.Linear(channels, classes)

    def forward(self, images):
        return self.fc(self.stem(images).mean((2, 3)))


def seeded(kind, **options):
    torch.manual_seed(0)
    return Classifier(STEMS[kind](), **options).eval().requires_grad_(requires_grad=False)


PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "layer": "stem"}


def test_it_is_the_map_by_hand():
    """The map is the weighted features of the predicted class, clipped at zero, in the frame of the features."""
    net = seeded("patches")
    images = torch.rand(6, 3, 1, 1) * torch.rand(6, 3, 64, 96)
    saliency = ClassActivationSaliency(net, layer="stem", lowres_size=(64, 96), map_size=(17, 25), floor=0.2)
    mean, std = (torch.tensor(each)[:, None, None] for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    normal = (images - mean) / std
    features = net.stem(normal).double().numpy()
    best = net(normal).argmax(1).numpy()
    assert len(set(best)) > 1
    evidence = np.maximum(np.einsum("bkhw,bk->bhw", features, net.fc.weight.double().numpy()[best]), 0)
    expected = []
    for each in evidence:  # nodes k / (n - 1) between cells (k + 0.5) / n, outer cells going on to the edges
        lines = np.array([np.interp(np.arange(25) / 24, (np.arange(12) + 0.5) / 12, line) for line in each])
        nodes = np.array(
            [np.interp(np.arange(17) / 16, (np.arange(8) + 0.5) / 8, line) for line in lines.T]
        ).T
        expected.append(0.8 * nodes / nodes.sum() + 0.2 / (17 * 25))

    check_close(saliency(images).exp()[:, 0], np.stack(expected), 1e-6)
    assert np.ptp(np.stack(expected)) > 2e-3


@pytest.mark.parametrize("side", [64, 65])
@pytest.mark.parametrize("kind", STEMS)
def test_evidence_is_found_where_it_is(kind, side):
    """The centre of mass of a dot's map is on the dot, to 1.5 % of the width, for any strides."""
    net = seeded(kind, classes=1)
    for each in net.parameters():
        each.fill_(0.1)
    saliency = ClassActivationSaliency(net, **PLAIN, lowres_size=side, map_size=(64, 64), floor=0.0)
    off = []
    for at in range(24, 40):
        image = torch.zeros(1, 3, side, side)
        image[:, :, 30:34, at : at + 2] = 1
        found = saliency(image).exp()[0, 0].sum(0)
        off.append(float(found @ torch.linspace(0, 1, 64)) - (at + 1) / side)

    assert abs(np.mean(off)) < 0.015


def test_tiling_cells_would_not_pass():
    """The check above fails if features are taken to tile the image, 3.5 pixels beside their places."""
    saliency = ClassActivationSaliency(seeded("resnet"), **PLAIN, lowres_size=64)

    assert saliency._first == (0.5 / 64, 0.5 / 64)
    assert saliency._step == (8 / 64, 8 / 64)
    assert abs(saliency._first[0] - 0.5 / 8) > 0.05


def test_functions_that_are_no_modules():
    """If the strides cannot be found, features are taken to tile the image."""

    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, padding=1)

        def forward(self, x):
            return max_pool2d(self.conv(x), 4)

    saliency = ClassActivationSaliency(Classifier(Pooled()), **PLAIN, lowres_size=64)

    assert saliency._first == (0.5 / 16, 0.5 / 16)


def test_a_mirrored_image_has_the_mirrored_map():
    """For a symmetric network whose strides end on the edges, a mirrored image has the mirrored map."""
    net = seeded("resnet")
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.copy_(module.weight + module.weight.flip(3))
    saliency = ClassActivationSaliency(net, layer="stem", lowres_size=65, map_size=(9, 14))
    image = torch.rand(1, 3, 65, 65)

    check_close(saliency(image.flip(3)).flip(3), saliency(image), 1e-4)


def test_frozen_and_trained():
    """A frozen model stays in evaluation mode; in training, gradients reach features and head."""
    images = torch.rand(2, 3, 60, 80)
    zoom = SaliencySampler(8, saliency=ClassActivationSaliency(seeded("vgg"), layer="stem", lowres_size=64))
    assert not zoom.train().saliency.model.training
    assert not zoom(images).images.requires_grad

    net = seeded("vgg").requires_grad_()
    zoom = SaliencySampler(8, saliency=ClassActivationSaliency(net, layer="stem", lowres_size=64)).train()
    zoom(images).images.square().sum().backward()
    gradients = [net.fc.weight.grad, net.stem[0].weight.grad]
    assert net.training
    assert all(bool(each.isfinite().all()) and float(each.abs().max()) > 0 for each in gradients)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"layer": "body"},
            "layer must be the name of a module of Classifier, got 'body' – print(model) shows them.",
        ),
        (
            {"layer": "fc"},
            "head must have weights for the features of 'fc', (5,), got 8 to a class in 'fc'.",
        ),
        (
            {"layer": "stem.0", "head": "stem.1"},
            "head must have weights for the features of 'stem.0', (8, 16, 16), got 32 to a class in 'stem.1'.",
        ),
    ],
)
def test_what_it_refuses(options, message):
    """Each invalid argument is refused when the module is made."""
    with unhooked(), pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ClassActivationSaliency(seeded("patches"), lowres_size=64, **options)


def test_a_model_without_a_linear_layer():
    """A model without a linear layer needs the name of its head, which may be a 1 x 1 convolution."""
    net = nn.Sequential(STEMS["vgg"](), nn.Conv2d(8, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    message = "head must be given for a model without a linear layer, got None for Sequential."
    with unhooked(), pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ClassActivationSaliency(net, layer="0")

    assert ClassActivationSaliency(net, layer="0", head="1")(torch.rand(1, 3, 32, 32)).shape == (1, 1, 31, 31)
