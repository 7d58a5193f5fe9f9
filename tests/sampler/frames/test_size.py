"""Whole numbers and sizes that users give."""

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

from foveal.sampler import (
    PatchTransformer,
    PerturbedTopK,
    SaliencyNet,
    SaliencySampler,
    UniformSampler,
    saliency_mask,
    to_lattice,
    warp_points,
    zoom_grid,
)
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


def test_numbers_of_numpy():
    """Sizes, shares and bounds may be numbers of NumPy, and a bound may be infinite."""
    grid = zoom_grid(torch.rand(1, 1, 9, 9), 8)
    with unhooked():
        assert zoom_grid(torch.ones(1, 1, 4, 4), np.int64(6)).shape == (1, 6, 6, 2)
        assert saliency_mask(torch.rand(1, 1, 9, 9), (8, 8), keep=np.float32(0.25)).shape == (1, 1, 8, 8)
        assert len(warp_points([torch.rand(1, 2)], grid, (np.int64(480), np.int64(640)))) == 1
        assert to_lattice(torch.rand(1, 1, 9, 9), 31).shape == (1, 1, 31, 31)
    zoom = SaliencySampler(8, max_zoom=math.inf)
    assert (zoom.max_zoom, zoom.source_px) == (None, None)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: zoom_grid(torch.ones(1, 1, 9, 9), (8.5, 8)),
            TypeError,
            "out_size must be a whole number of pixels, or (height, width), got (8.5, 8).",
        ),
        (lambda: SaliencyNet(9.5), TypeError, "map_size must be a whole number, or (rows, cols), got 9.5."),
        (lambda: PerturbedTopK(2.5), TypeError, "k must be a whole number, got 2.5."),
        (lambda: PatchTransformer(64, heads=0), ValueError, "heads must be at least 1, got 0."),
        (lambda: SaliencySampler(8, temperature="1"), ValueError, "temperature must be positive, got '1'."),
    ],
)
def test_arguments_of_other_kinds(call: Callable[[], object], error, message):
    """They are refused with their values by all that takes them."""
    with unhooked(), pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()
