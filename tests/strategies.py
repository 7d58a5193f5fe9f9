"""Hypothesis strategies for saliency maps and zooms."""

import random

import torch
from hypothesis import strategies as st

from foveal.sampler import zoom_grid

FAMILIES = ["kernel", "separable", "cdf"]
PADDINGS = ["reflect", "replicate"]


def softmax_map(rows, cols, batch=1, contrast=2.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(rows * 100 + cols)
    logits = contrast * torch.randn(batch, rows * cols, generator=generator, dtype=dtype)
    return logits.softmax(dim=1).view(batch, 1, rows, cols)


def bump(amplitude, row=15, col=15, cells=2.0):
    i, j = torch.meshgrid(torch.arange(31.0), torch.arange(31.0), indexing="ij")
    logits = amplitude * torch.exp(-((i - row) ** 2 + (j - col) ** 2) / (2 * cells**2))
    return logits.flatten().softmax(dim=0).view(1, 1, 31, 31)


@st.composite
def any_saliency(draw, dtype=torch.float32, batch=2):
    """Draw maps of one size, from uniform to almost one-hot, some of them mostly zeros."""
    rows, cols = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    logits = draw(st.floats(0, 60)) * torch.randn(batch, rows * cols, generator=generator, dtype=dtype)
    weights = logits.softmax(dim=1)
    if draw(st.booleans()):
        weights = weights * (weights >= weights.quantile(0.7, dim=1, keepdim=True))
    return weights.view(batch, 1, rows, cols)


@st.composite
def any_grid(draw, dtype=torch.float64, batch=2, least=1):
    """Draw grids of any family, padding and kernel width, bounded or not."""
    saliency = draw(any_saliency(dtype, batch))
    size = draw(st.integers(least, 40)), draw(st.integers(least, 40))
    chosen = {
        "family": draw(st.sampled_from(FAMILIES)),
        "padding": draw(st.sampled_from(PADDINGS)),
        "fwhm_cells": draw(st.floats(1, 13)),
        "max_zoom": draw(st.none() | st.floats(1.5, 20)),
        "min_zoom": draw(st.none() | st.floats(0.05, 0.9)),
    }
    # The first grid of all compiles kernels, for which Numba draws a random number: hypothesis refuses that of a strategy.
    before = random.getstate()
    try:
        return zoom_grid(saliency, size, **chosen)
    finally:
        random.setstate(before)
