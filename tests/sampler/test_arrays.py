"""NumPy arrays in the place of tensors: each function says which argument it was, and what to write."""

import re

import numpy as np
import pytest
import torch

from foveal.sampler import (
    BoxSaliency,
    MapSaliency,
    SaliencySampler,
    UniformSampler,
    compose,
    invert_grid,
    keypoint_mask,
    lowres,
    saliency_entropy,
    saliency_mask,
    sample,
    to_lattice,
    token_positions,
    unzoom,
    warp_boxes,
    zoom_grid,
)
from tests.checks import unhooked

IMAGES = torch.zeros(1, 3, 20, 30)
GRID = torch.zeros(1, 4, 4, 2)
POINTS = np.array([[0.1, 0.2]])
MAP, NODES = np.ones((1, 1, 4, 4)), np.zeros((1, 4, 4, 2), np.float32)
VIEWS = np.eye(3)[None, :2]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("saliency", lambda: zoom_grid(MAP, 8)),
        ("saliency", lambda: saliency_mask(MAP, 4, keep=0.5)),
        ("saliency", lambda: saliency_entropy(MAP)),
        ("features", lambda: to_lattice(MAP, (5, 5))),
        ("features", lambda: unzoom([MAP], GRID, [(8, 8)])),
        ("grid", lambda: sample(IMAGES, NODES)),
        ("grid", lambda: compose(torch.zeros(1, 2, 3), NODES)),
        ("grid", lambda: invert_grid(NODES, 8)),
        ("grid", lambda: warp_boxes([torch.zeros(1, 4)], NODES, [(20, 30)])),
        ("grid", lambda: token_positions(NODES[None])),
        ("views", lambda: lowres(IMAGES, 8, views=VIEWS)),
        ("views", lambda: compose(VIEWS, GRID)),
        ("views", lambda: UniformSampler(8)(IMAGES, views=VIEWS)),
        ("views", lambda: invert_grid(GRID, 8, views=VIEWS)),
        ("points[0]", lambda: keypoint_mask([POINTS], 8, radii=(1,))),
        ("boxes[0]", lambda: SaliencySampler(8, saliency=BoxSaliency("json:b"))(IMAGES, boxes=[POINTS])),
        ("maps[0]", lambda: SaliencySampler(8, saliency=MapSaliency("npy"))(IMAGES, maps=[MAP[0, 0]])),
    ],
)
def test_an_array_is_named(name, call):
    """The message names the argument and says how to make a tensor of it."""
    message = f"{name} must be a tensor, got ndarray – torch.as_tensor(numpy.array(x)) makes one of a picture, an array or a list."
    with unhooked(), pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        call()
