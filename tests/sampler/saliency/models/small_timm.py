"""A stand-in for timm with one small model, whose classifier has weights that a trunk does not use."""

import sys
import types

import torch
from torch import nn


class Small(nn.Module):
    """Three convolutions, with total strides of 4, 8 and 16, and a classifier."""

    def __init__(self, classes=7):
        super().__init__()
        self.default_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
        self.feature_info = [{"reduction": 4}, {"reduction": 8}, {"reduction": 16}]
        self.first = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 6, 3, 2, padding=1), nn.Dropout(0.5), nn.ReLU())
        self.third = nn.Conv2d(6, 8, 3, 2, padding=1)
        self.fc = nn.Linear(8, classes) if classes else nn.Identity()

    def forward_intermediates(self, images, *, indices, intermediates_only):
        assert intermediates_only
        each = [images]
        for layer in (self.first, self.second, self.third):
            each.append(layer(each[-1]))
        return [each[1 + index] for index in indices]


def install(patch):
    """Make ``import timm`` return this module."""
    library = types.SimpleNamespace(create_model=create_model)
    patch.setitem(sys.modules, "timm", library)


def create_model(name, *, pretrained, num_classes):
    assert (name, pretrained) == ("small", False)
    return Small(num_classes)


def weights(path, wrap=lambda state: state, seed=3):
    """Write a classifier's weights to a file, and return them."""
    torch.manual_seed(seed)
    state = Small().state_dict()
    torch.save(wrap(state), path)
    return state
