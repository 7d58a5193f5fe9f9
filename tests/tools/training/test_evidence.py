"""A training in which the classifier teaches the saliency network where it found its evidence."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from foveal.pipeline import Augment
from foveal.sampler import EvidenceTeacher, PriorSaliency, SaliencyNet, SaliencySampler, SaliencyUNet
from foveal.tools import train
from tests.tools.training.runs import SMALL, check_same_weights, interrupt

TAUGHT = replace(SMALL, trial=0.0)


class CornerNet(nn.Module):
    """A classifier that looks at the upper left corner of the zoomed image alone."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images):
        return self.scale * images[:, :, :4, :4].mean((1, 2, 3))[:, None] * torch.tensor([1.0, 0.0, 0.0])


class OneMap(nn.Module):
    """A saliency network that learns one map for all images."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(1, 1, 31, 31))

    def forward(self, small):
        return self.logits.expand(len(small), -1, -1, -1)


@pytest.mark.parametrize("augment", [None, Augment(hflip=1.0)])
@pytest.mark.parametrize("evidence", [0.0, 1.0])
@pytest.mark.usefixtures("no_sheets")
def test_the_network_looks_where_the_classifier_does(augment, evidence, shards, tmp_path):
    """The network's own map moves to the corner that the classifier looks at, also in mirrored images, but not without evidence."""
    zoom = SaliencySampler(16, saliency=PriorSaliency(OneMap()))
    options = replace(TAUGHT, evidence=evidence, augment=augment, epochs=6, lr=0.02, saliency_lr=1.0)
    train(shards, tmp_path / "run", model=CornerNet(), zoom=zoom, options=options)
    told = (zoom.saliency.gain * zoom.saliency.network.logits.detach()).flatten().softmax(0)
    corner = float(told.view(31, 31)[:15, :15].sum())

    assert corner > 0.4 if evidence else corner < 0.3


def test_a_new_network_is_a_larger_one():
    """What the classifier teaches is a `SaliencyUNet`, as of a new sampler; without evidence it is a `SaliencyNet`."""
    options = [SMALL, replace(SMALL, evidence=0.0), replace(SMALL, contrast=0.03)]
    networks = [each.make_zoom().saliency.network for each in options] + [
        SaliencySampler(16).saliency.network
    ]

    assert [type(each) for each in networks] == [SaliencyUNet, SaliencyNet, SaliencyNet, SaliencyUNet]


@pytest.mark.parametrize("options", [TAUGHT, replace(TAUGHT, trial=0.4, augment=Augment(hflip=0.5))])
@pytest.mark.usefixtures("no_sheets")
def test_resumed_it_ends_the_same(options, shards, tmp_path, monkeypatch):
    """A run with evidence that is interrupted and resumed has the weights of one that was not."""
    train(shards, tmp_path / "whole", options=options)
    with monkeypatch.context() as patch:
        interrupt(patch, step=7)
        with pytest.raises(KeyboardInterrupt):
            train(shards, tmp_path / "run", options=options)
    train(shards, tmp_path / "run", options=options, resume=True)

    check_same_weights(tmp_path / "run", tmp_path / "whole")


def test_a_smoothed_loss_teaches_through_the_plain_losses():
    """Label smoothing that is added beside the losses, as docs/train.md says, is torch's own, and the teacher still teaches."""
    torch.manual_seed(0)
    images, labels, s = torch.rand(4, 3, 60, 60), torch.arange(4) % 3, 0.1
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3))
    taught = {}
    for strength in (0.5, 1.0):
        torch.manual_seed(1)
        zoom = SaliencySampler(16)
        teacher = EvidenceTeacher(zoom, strength=strength)
        logits = model(zoom(images).images)
        losses = cross_entropy(logits, labels, reduction="none")
        teacher.observe(losses)
        loss = (1 - s) * losses.mean() - s * logits.log_softmax(1).mean()
        assert torch.allclose(loss, cross_entropy(logits, labels, label_smoothing=s))
        loss.backward()
        taught[strength] = zoom.saliency.network.head.weight.grad.clone()

    assert not torch.allclose(taught[0.5], taught[1.0])


@pytest.mark.usefixtures("no_sheets")
def test_afterwards_nobody_listens(shards, tmp_path):
    """A zoom of one's own keeps no hook after the training."""
    zoom = SaliencySampler(16, saliency=PriorSaliency(SaliencyUNet()))
    train(shards, tmp_path / "run", zoom=zoom, options=replace(TAUGHT, epochs=1))

    assert not zoom._forward_hooks
    assert not zoom.saliency.network._forward_hooks
