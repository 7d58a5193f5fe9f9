"""Subsampling by as much as a blur allows (Pintea et al. 2021)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from foveal.sampler.kernels.plain import shrink

# A larger value would overflow the double exponential, and leaves a single pixel long before that.
_LARGEST = 1000.0
# A learned sigma is a power of two in float32: 64 pixels by 2.0000002 are to be 32.
_ROUNDING = 1 + 1e-6


def safe_subsample(
    features: Float[Tensor, "batch channel height width"],
    sigma: float | Float[Tensor, " scales"],
    *,
    r: float = 4.0,
    as_published: bool = False,
) -> Float[Tensor, "batch channel rows cols"]:
    """Return features on a lattice as coarse as a blur of ``sigma`` allows: one sample for each ``max(1, sigma / r)`` pixels.

    The Gaussian passes exp(-(pi r)^2 / 2) of the finest wave that such a lattice can hold: 0.7 % for r = 1, and less than
    float32's precision for the published 4. Resizing also averages (it is anti-aliased), so nothing aliases even if the
    features were not blurred. If there are several sigmas, the smallest decides. The size is a step function of sigma and
    has no gradient.

    Args:
        features: The output of a filter of this sigma.
        sigma: Standard deviation in pixels of the features.
        r: The standard deviation that remains, in pixels of the result.
        as_published: ``max(1, 2**sigma / r)`` pixels for each sample, of which the nearest is taken. The published code
            uses sigma as if it were its own logarithm: with r = 4, a sigma of 4 is subsampled 4 times, but 8 is 64 times.

    Returns:
        ``int(height / step)`` by ``int(width / step)``, at least one pixel; the features themselves for a step of 1.

    Raises:
        ValueError: sigma or r is not positive and finite.
    """
    finest = float(sigma.detach().min()) if isinstance(sigma, Tensor) else sigma
    check_positive(sigma=finest, r=r)
    step = max(1.0, (math.exp2(min(finest, _LARGEST)) if as_published else finest) / r)
    size = _shrunk(features.shape[2], step), _shrunk(features.shape[3], step)
    if size == features.shape[2:]:
        return features
    if as_published:
        return interpolate(features, size)
    # On the CPU there is no such operation for half precision, in which autocast leaves features.
    wide = features.to(torch.promote_types(features.dtype, torch.float32))
    return shrink(wide, size).to(features.dtype)


def check_positive(**numbers: float | None) -> None:
    """Raise for a number that is not a valid scale; None is allowed."""
    for name, value in numbers.items():
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} must be positive and finite, got {value!r}.")


def _shrunk(pixels: int, step: float) -> int:
    return max(1, int(pixels / step * _ROUNDING))
