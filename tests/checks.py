"""Checks that many tests share. test_checks.py shows for each of them that it fails if it is given something wrong."""

import contextlib

import jaxtyping
import numpy as np
import torch

from tests import reference


def check_close(actual, expected, tolerance):
    """Check that two tensors have the same shape and differ nowhere by more than the tolerance; NaN is never close."""
    actual, expected = (
        np.asarray(v.detach().cpu() if isinstance(v, torch.Tensor) else v, dtype=np.float64)
        for v in (actual, expected)
    )

    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    worst = np.abs(actual - expected).max(initial=0)
    assert worst <= tolerance, f"off by {worst}, allowed {tolerance}"


def check_psnr(actual, expected, least):
    """Check that values in [0, 1] are near the expected ones: their peak signal-to-noise ratio is at least this many decibels."""
    found = reference.psnr(actual, expected)

    assert found >= least, f"{found:.1f} dB, at least {least} asked for"


def check_grid(grid):
    """Check that a grid is finite, lies in [-1, 1] and never folds: x grows along the width and y along the height."""
    assert bool(grid.isfinite().all()), "not finite"
    assert grid.abs().max() <= 1, f"outside the image: {grid.abs().max()}"
    slack = -2 * torch.finfo(grid.dtype).eps  # two equal points may come out one rounding apart
    assert bool((grid[..., 0].diff(dim=2) >= slack).all()), "x folds back"
    assert bool((grid[..., 1].diff(dim=1) >= slack).all()), "y folds back"


def uniform_steps(grid):
    """Return all steps between neighbouring points along their own axis, in uniform steps: for each axis (batch, n)."""
    height, width = grid.shape[1:3]
    return torch.cat(
        [
            grid[..., 0].diff(dim=2).flatten(1) * width / 2,
            grid[..., 1].diff(dim=1).flatten(1) * height / 2,
        ],
        dim=1,
    )


def singular_values(grid):
    """Return the singular values of the grid's Jacobian, in uniform steps, at the four corners of every cell: (batch, n)."""
    height, width = grid.shape[1:3]
    in_steps = grid.double() * torch.tensor([width / 2, height / 2], dtype=torch.float64)
    across, down = in_steps.diff(dim=2), in_steps.diff(dim=1)
    matrices = [
        torch.stack([a, d], dim=-1)
        for a in (across[:, :-1], across[:, 1:])
        for d in (down[:, :, :-1], down[:, :, 1:])
    ]
    return torch.linalg.svdvals(torch.stack(matrices, dim=1)).flatten(1)


def border_gaps(grid):
    """Return the distances from the image's edges to the outermost points, as multiples of those of the identity grid."""
    height, width = grid.shape[1:3]
    x, y = grid.unbind(dim=-1)
    return torch.cat(
        [
            (1 + x[:, :, 0]) * width,
            (1 - x[:, :, -1]) * width,
            (1 + y[:, 0]) * height,
            (1 - y[:, -1]) * height,
        ],
        dim=1,
    )


def check_bounds(grid, max_zoom, min_zoom, slack):
    """Check that a grid magnifies and shrinks no more than the bounds allow, in any direction and at the border."""
    steps, gaps = uniform_steps(grid), border_gaps(grid)
    steps = torch.cat([steps, singular_values(grid)], dim=1)

    if max_zoom is not None:
        assert bool((steps >= 1 / max_zoom - slack).all()), f"magnified {1 / steps.min()} times"
    if min_zoom is not None:
        assert bool((steps <= 1 / min_zoom + slack).all()), f"shrunk to {1 / steps.max()}"
        assert bool((gaps <= 1 / min_zoom + slack).all()), f"border shrunk to {1 / gaps.max()}"


def check_operator(function, *tensors):
    """Check that an operator is deterministic, writes to no input, and does not depend on strides."""
    before = [t.clone() for t in tensors]
    first = function(*tensors)

    assert torch.equal(first, function(*tensors)), "two calls differ"
    assert all(torch.equal(a, b) for a, b in zip(before, tensors, strict=True)), "an input was written to"
    strided = [torch.stack([t, t], dim=-1)[..., 0] for t in tensors]
    assert torch.equal(first, function(*strided)), "strides change the answer"


@contextlib.contextmanager
def unhooked():
    """Run without the tests' shape checks, as users do: the checks would refuse bad input before our messages can."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
