"""Gaussian derivatives of a learned scale (Pintea et al., "Resolution learning in deep convolutional networks", TIP 2021).

The n-th derivative of a Gaussian, times sigma^n so that its size does not depend on the scale, is

    b_n(x) = (-1)^n He_n(x / sigma) g(x),    He_(n+1)(t) = t He_n(t) - n He_(n-1)(t)

with He_n the Hermite polynomials, which are those orthogonal under g. A kernel has a finite size, and pixels are
discrete: under the g that is really summed, Hermite polynomials are no longer orthogonal, and an even derivative that is
cut off at 2 sigma responds to constant brightness (-0.21 of it at order 4, sigma 2.3). Therefore they are replaced by the
polynomials P_n that are orthogonal under this g, from the same recurrence with other coefficients:

    P_(n+1)(t) = t P_n(t) - (|P_n|^2 / |P_(n-1)|^2) P_(n-1)(t),    |P|^2 = sum over x of g(x) P(x / sigma)^2

A polynomial that is orthogonal to 1, x, ..., x^(n-1) under g gives a kernel that does not respond to them: order n does
not respond to constants, ramps and so on below its own degree. P_n = He_n + lower degrees, so sums over the orders up to
N can be the same kernels as before, with other coefficients. The wider the kernel, the smaller the change.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.frames import whole
from foveal.sampler.njet._safe_subsample import check_positive

MAX_ORDER = 10
# A polynomial that vanishes on all pixels of a small kernel has a norm of zero, and so have all later ones.
_NOTHING = 1e-300


@dataclass(frozen=True)
class GaussianJet:
    """The two-dimensional Gaussian derivatives up to an order, as filters: ``(order + 1) (order + 2) / 2`` of them.

    Each is the product of a derivative along the rows' axis and one along the columns', times sigma to the power of its
    order, built in float64. As the impulse response of a convolution it differentiates; ``conv2d`` computes a
    correlation, so it returns odd orders with the opposite sign.

    Args:
        order: Highest order of the derivatives, rows and columns taken together; 0 to 10.
        truncate: A kernel reaches ``ceil(truncate * sigma + 0.5)`` pixels to each side. The outer lobes of orders above 2
            lie beyond the published value of 2: use 3 if they are to have the shape of derivatives.
        as_published: Hermite polynomials on a kernel that ends abruptly. If false, two things differ. An order does not
            respond to polynomials of lower degree (in the published filters an even order responds to brightness). And
            the outermost pixels fade in as sigma grows, so that the filters and their derivative with respect to sigma
            are continuous when the kernel gets larger, where the published ones jump.

    Raises:
        TypeError: ``order`` is no whole number.
        ValueError: An argument is out of range.

    Example:
        >>> jet = GaussianJet(2)
        >>> jet.orders
        ((0, 2), (0, 1), (0, 0), (1, 1), (1, 0), (2, 0))
        >>> jet.filters(torch.tensor([1.0])).shape
        torch.Size([1, 6, 7, 7])
    """

    order: int = 2
    truncate: float = 2.0
    as_published: bool = False

    def __post_init__(self) -> None:
        """Raise if there are no filters for the arguments."""
        if whole(self.order, "order", least=0) > MAX_ORDER:
            raise ValueError(
                f"order must be between 0 and {MAX_ORDER}, got {self.order!r} – higher orders are lost in rounding; "
                "put a second layer behind the first instead."
            )
        check_positive(truncate=self.truncate)

    @property
    def orders(self) -> tuple[tuple[int, int], ...]:
        """Orders of each filter, (along the rows' axis, along the columns'), as published: N = 1 is (0, 1), (0, 0), (1, 0)."""
        return tuple((i, j) for i in range(self.order + 1) for j in range(self.order - i, -1, -1))

    def radius(self, sigma: Float[Tensor, " scales"]) -> int:
        """Return how many pixels the kernel of the largest sigma reaches to each side.

        Raises:
            ValueError: A sigma is zero, negative, infinite or NaN.
        """
        low, high = (float(end) for end in sigma.detach().aminmax())
        if not (low > 0 and math.isfinite(high)):
            raise ValueError(
                f"sigma must be positive and finite, got {low!r} to {high!r} – where it was learned, take a lower learning rate."
            )
        return math.ceil(self.truncate * high + 0.5)

    def filters(self, sigma: Float[Tensor, " scales"]) -> Float[Tensor, "scales filters size size"]:
        """Return the filters of each sigma, in pixels, in the order of :attr:`orders`; float64, differentiable with respect to sigma.

        All have the size of the largest sigma's, ``2 * radius + 1``: smaller ones are padded with zeros.
        """
        profiles = self.profiles(sigma)
        down, across = zip(*self.orders, strict=True)
        return profiles[:, down, :, None] * profiles[:, across, None, :]

    def profiles(self, sigma: Float[Tensor, " scales"]) -> Float[Tensor, "scales orders size"]:
        """Return the one-dimensional derivatives that the filters are products of, orders from 0 on."""
        sigma = sigma.double()
        radius = self.radius(sigma)
        place = torch.arange(-radius, radius + 1, device=sigma.device)
        mass = self._window(place, sigma) * torch.exp(-0.5 * (place / sigma[:, None]) ** 2)
        mass = mass / mass.sum(dim=1, keepdim=True)
        polynomials = self._polynomials(place / sigma[:, None], mass)
        return torch.stack([(-1) ** n * p * mass for n, p in enumerate(polynomials)], dim=1)

    def _window(self, place: Tensor, sigma: Float[Tensor, " scales"]) -> Float[Tensor, "scales size"]:
        """Weights of the pixels of each sigma's kernel: 1 inside, and a smooth step for the outermost pixels."""
        reach = self.truncate * sigma[:, None] + 0.5
        inside = reach - place.abs() + 1
        if self.as_published:
            return (inside > 0).to(sigma)
        part = inside.clamp(0, 1)
        return part * part * (3 - 2 * part)

    def _polynomials(
        self, t: Float[Tensor, "scales size"], mass: Float[Tensor, "scales size"]
    ) -> list[Float[Tensor, "scales size"]]:
        found = [torch.ones_like(t), t]
        norms = [(p.square() * mass).sum(dim=1, keepdim=True) for p in found]
        for n in range(1, self.order):
            back = n if self.as_published else norms[n] / norms[n - 1].clamp(min=_NOTHING)
            found.append(t * found[n] - back * found[n - 1])
            norms.append((found[-1].square() * mass).sum(dim=1, keepdim=True))
        return found[: self.order + 1]
