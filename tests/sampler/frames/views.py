"""Views of an image, and what they do to its pixels and to points in it."""

import pytest
import torch
from hypothesis import strategies as st

SIZE = (90, 120)
IDENTITY = [[1.0, 0, 0], [0, 1, 0]]
CROP = (11, 30, 75, 110)  # top, left, bottom, right


def crop_view(top, left, bottom, right):
    height, width = SIZE
    across = [(right - left) / width, 0, (left + right) / width - 1]
    return [across, [0, (bottom - top) / height, (top + bottom) / height - 1]]


def cut(image):
    top, left, bottom, right = CROP
    return image[top:bottom, left:right]


# What each view says, what does it to pixels, and what does it to points in pixels of an image of SIZE.
CASES = {
    "hflip": (
        [[-1.0, 0, 0], [0, 1, 0]],
        lambda i: i.flip(1),
        lambda p: torch.stack([120 - p[:, 0], p[:, 1]], dim=1),
    ),
    "vflip": (
        [[1.0, 0, 0], [0, -1, 0]],
        lambda i: i.flip(0),
        lambda p: torch.stack([p[:, 0], 90 - p[:, 1]], dim=1),
    ),
    "quarter": (
        [[0.0, -1, 0], [1, 0, 0]],
        lambda i: i.rot90(1),
        lambda p: torch.stack([p[:, 1], 120 - p[:, 0]], dim=1),
    ),
    "half": ([[-1.0, 0, 0], [0, -1, 0]], lambda i: i.rot90(2), lambda p: torch.tensor([120, 90]) - p),
    "three quarters": (
        [[0.0, 1, 0], [-1, 0, 0]],
        lambda i: i.rot90(3),
        lambda p: torch.stack([90 - p[:, 1], p[:, 0]], dim=1),
    ),
    "crop": (crop_view(*CROP), cut, lambda p: p - torch.tensor([CROP[1], CROP[0]])),
}
cases = pytest.mark.parametrize("case", CASES)


def view_of(case, batch=1, dtype=torch.float32):
    return torch.tensor(CASES[case][0], dtype=dtype).repeat(batch, 1, 1)


@st.composite
def any_views(draw, dtype=torch.float64, batch=2):
    """Draw views that are flipped, stretched, rotated and moved, of at least a tenth of the side."""
    sides = [draw(st.floats(0.1, 1)) * draw(st.sampled_from([-1, 1])) for _ in range(2 * batch)]
    angles = torch.tensor([draw(st.floats(-4, 4)) for _ in range(batch)], dtype=dtype)
    turn = torch.stack([angles.cos(), -angles.sin(), angles.sin(), angles.cos()], dim=1).view(batch, 2, 2)
    middle = torch.tensor([draw(st.floats(-0.5, 0.5)) for _ in range(2 * batch)], dtype=dtype)
    linear = turn * torch.tensor(sides, dtype=dtype).view(batch, 1, 2)
    return torch.cat([linear, middle.view(batch, 2, 1)], dim=2)
