"""Which parts of a zoom are in training mode while it trains."""

import copy

import pytest
import torch
from torch import nn

from foveal.sampler import PriorSaliency, SaliencySampler
from foveal.tools import train
from foveal.tools.training._training_mode import set_training
from tests.tools.training.runs import SMALL


def network_with_statistics() -> nn.Module:
    """Return a saliency network of 31 x 31 cells for images of 64 x 64, with batch norm."""
    first = nn.Conv2d(3, 4, kernel_size=4, stride=2)
    return nn.Sequential(first, nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, kernel_size=1))


@pytest.mark.usefixtures("no_sheets")
def test_a_frozen_zoom_stays_as_it_is(shards, tmp_path):
    """A frozen zoom, and a frozen part of one that trains, keep the statistics of their batch norms; the rest of it learns."""
    frozen = network_with_statistics().requires_grad_(requires_grad=False)
    for name, network in {"all": frozen, "part": PriorSaliency(network_with_statistics(), frozen)}.items():
        zoom = SaliencySampler(16, saliency=network, lowres_size=(64, 64))
        before = copy.deepcopy(zoom.state_dict())
        train(shards, tmp_path / name, zoom=zoom, options=SMALL)
        after = zoom.state_dict()
        after.pop("saliency.taken_away", None)  # what the trial finds
        changed = {key for key, value in after.items() if not torch.equal(value, before[key])}

        assert {key.split(".")[1] for key in changed} == (set() if name == "all" else {"network"})
        assert any("running_mean" in key for key in changed) == (name == "part")


def test_what_has_no_weights_follows_the_part_that_it_is_in():
    """Dropout stays in training mode in a network that trains, and not in a frozen one."""
    trained, frozen = (nn.Sequential(nn.Linear(2, 2), nn.Dropout()) for _ in range(2))
    both = nn.Sequential(trained, frozen.requires_grad_(requires_grad=False)).eval()
    set_training(both)

    assert [each.training for each in both.modules()] == [True, True, True, True, False, False, False]
