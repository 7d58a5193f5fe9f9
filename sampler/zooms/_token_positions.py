"""Positions and sizes of tokens, for a transformer's position encoding."""

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.frames import check_tensor


def token_positions(grid: Float[Tensor, "batch tokens rows cols 2"]) -> Float[Tensor, "batch tokens 4"]:
    """Return (x, y, width, height) of each token, computed from its grid.

    Args:
        grid: Where the pixels of each token look, from ``Zoomed.grid`` of a sampler that returns tokens, or from a
            loader's ``"__grid__"``: (x, y) in [-1, 1] of the source. At least 2 by 2 pixels.

    Returns:
        The centre (x, y) in [-1, 1] of the source, and the extent of the token along its own two axes, as a share of the
        source's sides: 1 is all of it. If a view rotates the source, these are lengths in that frame.

    Raises:
        ValueError: The grid has another shape, or a token is less than 2 by 2 pixels.
        TypeError: It is no tensor.

    Example:
        >>> _, grid, _ = MixedResolution(2, patch_size=8, refined=0)(torch.zeros(1, 3, 32, 64))
        >>> token_positions(grid)[0, 1]  # the upper right quarter
        tensor([ 0.5000, -0.5000,  0.5000,  0.5000])
    """
    check_tensor(grid, "grid")
    if grid.ndim != 5 or grid.shape[-1] != 2 or min(grid.shape[2:4]) < 2:
        raise ValueError(
            f"grid must be (batch, tokens, rows, cols, 2) with at least 2 x 2 pixels, got shape {tuple(grid.shape)!r}."
        )
    centre = grid.mean(dim=(2, 3))
    across = _span(grid[:, :, :, -1] - grid[:, :, :, 0], grid.shape[3])
    down = _span(grid[:, :, -1] - grid[:, :, 0], grid.shape[2])
    return torch.cat([centre, across, down], dim=-1)


def _span(ends: Float[Tensor, "batch tokens pixels 2"], pixels: int) -> Float[Tensor, "batch tokens 1"]:
    """Convert the distance of the outermost pixels' centres to that of their outer edges, as a share of [-1, 1]."""
    between: Tensor = torch.linalg.vector_norm(ends.mean(dim=2), dim=-1, keepdim=True)
    return between * (pixels / (pixels - 1)) / 2
