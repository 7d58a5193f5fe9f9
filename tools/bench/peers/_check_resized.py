"""Checks that a loader delivers every image once, in any order, correctly resized."""

from collections.abc import Iterable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from foveal.pipeline import DecodeError, decode
from foveal.shards import Shards
from foveal.tools.pictures.originals import read_originals

WORST, MEAN = 4.0, 2.0
"""Allowed differences, in grey levels of 255, for one image and on average over all: filters and decoders differ by 0.6 to 1.5, sampling one point for each pixel by 5, and a shift by one pixel by as much."""

Images = Float[Tensor, "count 3 size size"]


def resized_originals(shards: Shards, size: int) -> Images:
    """Return every image, decoded in full and resized by torch: bilinear, anti-aliased; in [0, 1]."""
    originals = (read_originals(shards, [ordinal])[0] for ordinal in range(len(shards)))
    return torch.stack([_resized(original, size) for original in originals])


def resized_file(file: bytes, size: int) -> Float[Tensor, "3 size size"] | None:
    """Return the same of one file, None if Foveal cannot decode it."""
    try:
        return _resized(decode([file])[0], size)
    except DecodeError:
        return None


def _resized(original: UInt8[Tensor, "height width 3"], size: int) -> Float[Tensor, "3 size size"]:
    dense = original.permute(2, 0, 1)[None]
    small: Tensor = interpolate(dense, (size, size), mode="bilinear", antialias=True)
    return small[0].float() / 255


def check_resized(batches: Iterable[Tensor], expected: Images, *, most: float = MEAN) -> float:
    """Check what a loader delivers in an epoch.

    Args:
        batches: (batch, 3, size, size), in [0, 1].
        expected: All images, each of which must come once.
        most: Largest allowed difference on average over all images, in grey levels.

    Returns:
        The average difference in grey levels.

    Raises:
        ValueError: Number or shape differ, or pixels differ by more than ``WORST`` or ``most``.
    """
    parts = list(batches)
    delivered = torch.cat(parts) if parts else torch.empty(0)
    if delivered.shape != expected.shape:
        raise ValueError(f"images must be {tuple(expected.shape)!r} in all, got {tuple(delivered.shape)!r}.")
    if not delivered.is_floating_point():
        raise ValueError(f"images must be floating-point, in [0, 1], got {delivered.dtype}.")
    off = 255 * (delivered[_partners(delivered, expected)] - expected).abs().mean(dim=(1, 2, 3))
    for bound, found, what in (
        (WORST, float(off.max()), "each image"),
        (most, float(off.mean()), "all images"),
    ):
        if not found <= bound:
            raise ValueError(
                f"{what} must agree to {bound} grey levels on average, got a difference of {found:.1f}."
            )
    return float(off.mean())


def _partners(delivered: Images, expected: Images) -> list[int]:
    """Return for each expected image the most similar one that is not assigned yet, comparing small copies."""
    wanted, found = (adaptive_avg_pool2d(images, 16).flatten(1) for images in (expected, delivered))
    distances = torch.cdist(wanted, found, p=1)
    partners = []
    for row in distances:
        partners.append(int(row.argmin()))
        distances[:, partners[-1]] = torch.inf
    return partners
