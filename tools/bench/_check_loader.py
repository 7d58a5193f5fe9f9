"""Checks a loader's epoch against an independent computation: each image decoded at full size and sampled by plain torch."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from jaxtyping import Float, UInt8
from torch import Tensor

from foveal.sampler.kernels.plain import average_dense
from foveal.shards import Shards
from foveal.tools.pictures.originals import read_originals

FIELDS = ("image", "__key__", "__grid__", "__size__")
# For values in [0, 1] from another kernel. On 24 megapixels, plain torch in float32 is itself off by 1.1e-4.
TOLERANCE = 2e-4
GREY_LEVELS = 1.5  # of 255, on average over an image, if it is decoded at a smaller scale; the worst photograph is off by 1.1

Difference = Float[Tensor, "3 out_height out_width"]
Check = Callable[[str, Difference], None]


def check_exact(key: str, difference: Difference) -> None:
    """Check that no value differs by more than ``TOLERANCE``.

    Raises:
        ValueError: One is.
    """
    worst = float(difference.max())
    if not worst <= TOLERANCE:
        raise ValueError(f"{key}: pixels must agree to {TOLERANCE}, got a difference of {worst!r}.")


def check_near(key: str, difference: Difference) -> None:
    """Check that values differ by no more than ``GREY_LEVELS`` of 255 on average.

    Raises:
        ValueError: They are.
    """
    mean = 255 * float(difference.mean())
    if not mean <= GREY_LEVELS:
        raise ValueError(f"{key}: pixels must agree to {GREY_LEVELS} grey levels on average, got {mean!r}.")


def check_loader(loader: Iterable[Sequence[Any]], shards: Shards, *, first: int, check: Check) -> None:
    """Check an epoch, in order: keys as the shards have them, pixels and sizes as the originals have them.

    Args:
        loader: Yields ``FIELDS``.
        shards: What it reads.
        first: The pixels of this many images are checked, from the first.
        check: The check of their pixels.

    Raises:
        ValueError: Something differs; the message says what, and in which sample.
    """
    seen = 0
    for images, keys, grids, sizes in loader:
        ordinals = range(seen, min(seen + len(keys), len(shards)))
        expected = [shards.key(ordinal) for ordinal in ordinals]
        if keys != expected:
            raise ValueError(
                f"keys must be those of the shards from sample {seen}, {expected!r}, got {keys!r}."
            )
        originals = read_originals(shards, ordinals[: max(0, first - seen)])
        for key, original, *seen_of_it in zip(keys, originals, images, grids, sizes.tolist(), strict=False):
            _check_image(key, original, *seen_of_it, check=check)
        seen += len(keys)
    if seen != len(shards):
        raise ValueError(f"the loader must deliver all {len(shards)} samples, got {seen}.")


def _check_image(
    key: str,
    original: UInt8[Tensor, "height width 3"],
    image: Float[Tensor, "3 out_height out_width"],
    grid: Float[Tensor, "out_height out_width 2"],
    size: list[int],
    *,
    check: Check,
) -> None:
    if size != list(original.shape[:2]):
        raise ValueError(f"{key}: size must be {list(original.shape[:2])!r}, the original's, got {size!r}.")
    dense = original.permute(2, 0, 1)[None].float() / 255
    # Not by sample(), whose kernel for floating point finds footprints as the one that is checked does.
    check(key, (image.cpu() - average_dense(dense, grid[None].cpu())[0]).abs())
