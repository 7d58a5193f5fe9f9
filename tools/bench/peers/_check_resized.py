"""Checks that a loader delivers every image once, in any order, correctly resized.

Loaders resize with different filters, which differ in the finest detail. Of small images that is more, always some 0.25 of what
a shift by one pixel changes, so the bounds grow with that. In copies of a quarter of the size hardly anything is left of
it, and there they do not grow: colours and brightness must be right.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from foveal.pipeline import DecodeError, decode
from foveal.shards import Shards
from foveal.tools.pictures.originals import read_originals

WORST, MEAN = 4.0, 2.0
"""Allowed differences, in grey levels of 255, for one image and on average over all: at 224 pixels, filters and decoders differ by 0.6 to 1.5, sampling one point for each pixel by 5, and a shift by one pixel by as much."""
SHIFT = 5.0
"""Where a shift by one pixel changes more grey levels than this, the bounds are larger in proportion: 0.8 and 0.4 of its change. On average over photographs of 8 to 224 pixels, filters and decoders differ by up to 0.28 of it, sampling one point for each pixel by 0.6 to 1.5."""

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
        most: Largest allowed difference on average over all images, in grey levels, as long as a shift by one pixel changes no
            more than ``SHIFT``.

    Returns:
        The average difference in grey levels.

    Raises:
        ValueError: Number or shape differ, or pixels differ by more than ``WORST`` or ``most``, or more than these in
            proportion to a shift by one pixel.
    """
    parts = list(batches)
    delivered = torch.cat(parts) if parts else torch.empty(0)
    if delivered.shape != expected.shape:
        raise ValueError(f"images must be {tuple(expected.shape)!r} in all, got {tuple(delivered.shape)!r}.")
    if not delivered.is_floating_point():
        raise ValueError(f"images must be floating-point, in [0, 1], got {delivered.dtype}.")
    difference, shift = delivered[_partners(delivered, expected)] - expected, _by_a_pixel(expected)
    coarse = _grey_levels(adaptive_avg_pool2d(difference, max(1, expected.shape[-1] // 4)))
    _check_off(coarse, torch.ones_like(coarse), most)
    off = _grey_levels(difference)
    _check_off(off, (shift / SHIFT).clamp(min=1), most)
    return float(off.mean())


def _check_off(off: Float[Tensor, " count"], growth: Float[Tensor, " count"], most: float) -> None:
    worst = int((off / growth).argmax())  # NaN counts as the largest
    for bound, found, what in (
        (WORST * float(growth[worst]), float(off[worst]), "each image"),
        (most * float(growth.mean()), float(off.mean()), "all images"),
    ):
        if not found <= bound:
            raise ValueError(
                f"{what} must agree to {bound:.1f} grey levels on average, got a difference of {found:.1f}."
            )


def _grey_levels(difference: Float[Tensor, "count 3 _rows _cols"]) -> Float[Tensor, " count"]:
    return 255 * difference.abs().mean(dim=(1, 2, 3))


def _by_a_pixel(images: Images) -> Float[Tensor, " count"]:
    """Return by how much each image differs from itself one pixel to the side, or above, whichever is less."""
    return torch.minimum(*(_grey_levels(images.diff(dim=dim)) for dim in (2, 3)))


def _partners(delivered: Images, expected: Images) -> list[int]:
    """Return for each expected image the most similar one that is not assigned yet, comparing small copies."""
    wanted, found = (adaptive_avg_pool2d(images, 16).flatten(1) for images in (expected, delivered))
    distances = torch.cdist(wanted, found, p=1)
    partners = []
    for row in distances:
        partners.append(int(row.argmin()))
        distances[:, partners[-1]] = torch.inf
    return partners
