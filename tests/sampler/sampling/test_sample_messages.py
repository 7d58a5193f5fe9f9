"""What `sample` says of wrong arguments."""

import re

import pytest
import torch
from PIL import Image

from foveal.sampler import MixedResolution, PatchSampler, SaliencySampler, UniformSampler, sample
from tests.checks import unhooked

IMAGE = torch.zeros(4, 4, 3, dtype=torch.uint8)
GRID = torch.zeros(1, 2, 2, 2)


@pytest.mark.parametrize(
    ("images", "grid", "error", "message"),
    [
        (
            [IMAGE.numpy()],
            GRID,
            TypeError,
            "images[0] must be a tensor, got ndarray – torch.as_tensor(numpy.array(x)) makes one of a picture, an array or a list.",
        ),
        (
            Image.new("RGB", (4, 4)),
            GRID,
            TypeError,
            "images must be a tensor or a list of tensors, got Image – torch.as_tensor",
        ),
        (
            [torch.zeros(4, 4, 3)],
            GRID,
            TypeError,
            "images[0] must be uint8 or uint16, got torch.float32: floating-point images go in as one",
        ),
        (
            [IMAGE[..., 0]],
            GRID,
            ValueError,
            "images[0] must be (height, width, 3), got shape (4, 4): permute to channels-last RGB.",
        ),
        (
            [IMAGE[..., :2]],
            GRID,
            ValueError,
            "images[0] must be (height, width, 3), got shape (4, 4, 2)",
        ),
        (
            [IMAGE[:0]],
            GRID,
            ValueError,
            "images[0] must have pixels, got shape (0, 4, 3): drop the image.",
        ),
        (
            torch.zeros(3, 4, 4),
            GRID,
            ValueError,
            (
                "images must be (batch, channel, height, width), got shape (3, 4, 4): images[None] is a batch of one (channel, height, "
                "width) image."
            ),
        ),
        (
            torch.zeros(4, 4, 3, dtype=torch.uint8),
            GRID,
            ValueError,
            (
                "images must be (batch, channel, height, width), got shape (4, 4, 3): pass single images as a list of (height, width, 3) "
                "uint8 tensors."
            ),
        ),
        (
            torch.zeros(1, 4, 5, 3, dtype=torch.uint8),
            GRID,
            ValueError,
            "images must have 3 channels as uint8, got 4: call images.permute(0, 3, 1, 2).",
        ),
        (
            torch.zeros(1, 3, 4, 4, dtype=torch.int64),
            GRID,
            TypeError,
            "images must be uint8 or floating point, got torch.int64: convert it first.",
        ),
        (
            torch.zeros(1, 3, 4, 4, dtype=torch.uint16),
            GRID,
            TypeError,
            "images must be uint8 or floating point, got torch.uint16: pass a list of (height, width, 3) tensors.",
        ),
        (
            torch.zeros(1, 4, 4, 4, dtype=torch.uint8),
            GRID,
            ValueError,
            "images must have 3 channels as uint8, got 4: convert to RGB or float.",
        ),
        (
            torch.zeros(1, 3, 0, 4),
            GRID,
            ValueError,
            "images must have pixels, got shape (1, 3, 0, 4): leave the batch out.",
        ),
        ([IMAGE], GRID.half(), TypeError, "grid must be float32 or float64, got torch.float16"),
        (
            [IMAGE],
            GRID[0],
            ValueError,
            "grid must be (batch, height, width, 2), got shape (2, 2, 2): (x, y) come last.",
        ),
        (
            [IMAGE],
            torch.zeros(1, 2, 2, 3),
            ValueError,
            "grid must be (batch, height, width, 2), got shape (1, 2, 2, 3)",
        ),
        (
            [IMAGE] * 3,
            GRID,
            ValueError,
            "grid must be one per image, got 1 for 3 images: repeat or cut it.",
        ),
        (
            [IMAGE],
            GRID.to("meta"),
            ValueError,
            "grid must be on the images' device cpu, got meta: call grid.to(...).",
        ),
    ],
)
def test_messages(images, grid, error, message):
    """Each error names the argument, its value and what to do."""
    with unhooked(), pytest.raises(error, match=re.escape(message)):
        sample(images, grid)


@pytest.mark.parametrize(
    "zoom",
    [
        UniformSampler(8),
        SaliencySampler(8),
        MixedResolution((4, 4), refined=2),
        PatchSampler(k=1, patch_size=4),
    ],
)
def test_samplers_say_the_same(zoom):
    """Each sampler says what it takes in the place of a picture."""
    with unhooked(), pytest.raises(TypeError, match=re.escape("images[0] must be a tensor, got Image – ")):
        zoom([Image.new("RGB", (40, 40))])
