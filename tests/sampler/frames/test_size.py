"""Whole numbers and sizes that users give."""

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

from foveal.sampler import SaliencySampler, UniformSampler, zoom_grid
from foveal.sampler.frames import height_and_width, whole
from tests.checks import unhooked


@pytest.mark.parametrize(
    ("given", "size"),
    [
        (32, (32, 32)),
        ((32, 48), (32, 48)),
        ([32, 48], (32, 48)),
        (np.int64(7), (7, 7)),
        (torch.Size([2, 3]), (2, 3)),
    ],
)
def test_sizes(given, size):
    """One number is a square, two are height and width, and all become plain numbers."""
    with unhooked():
        found = height_and_width(given, "out_size")
        zoom = UniformSampler(given)

    assert found == zoom.out_size == size
    assert [type(side) for side in found] == [int, int]


def test_a_grid_of_a_square():
    """zoom_grid takes one number for both sides, as the samplers do."""
    assert zoom_grid(torch.ones(1, 1, 4, 4), 6).shape == (1, 6, 6, 2)


@pytest.mark.parametrize("given", [32.5, (3,), (3, 4, 5), "32", None, True, (3.5, 4), (True, 4)])
def test_what_is_no_size(given):
    """Everything else is refused with its value."""
    message = f"out_size must be a whole number of pixels, or (height, width), got {given!r}."
    with unhooked(), pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        SaliencySampler(given)


@pytest.mark.parametrize("given", [0, (0, 4), (4, -1)])
def test_sizes_without_pixels(given):
    """A side below one pixel is refused."""
    with (
        unhooked(),
        pytest.raises(
            ValueError, match=f"^{re.escape(f'lowres_size must be at least 1 pixel, got {given!r}.')}$"
        ),
    ):
        SaliencySampler(8, lowres_size=given)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: whole(2.0, "k"), TypeError, "k must be a whole number, got 2.0."),
        (lambda: whole("2", "k"), TypeError, "k must be a whole number, got '2'."),
        (lambda: whole(True, "k"), TypeError, "k must be a whole number, got True."),
        (lambda: whole(0, "k"), ValueError, "k must be at least 1, got 0."),
        (lambda: whole(-1, "k", 0), ValueError, "k must be at least 0, got -1."),
    ],
)
def test_numbers_that_are_refused(call: Callable[[], int], error, message):
    """What is not a whole number, or is too small, is named with its value."""
    with unhooked(), pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()
    assert whole(np.int32(3), "k") == 3
