"""Computes how much of a Jacobian can be kept in a blend with the identity that is within given bounds.

A 2 x 2 matrix of trace T, determinant D, skew K (the difference of its two off-diagonal entries) and

    Q = hypot(difference of its diagonal entries, sum of its off-diagonal entries)

has the singular values ``(P - Q) / 2`` and ``(P + Q) / 2`` with ``P = hypot(T, K)``. For ``r J + (1 - r) I`` the trace is
``2 + r (T - 2)``, and K and Q are multiplied by r. So ``(P - Q) / 2 >= s`` is equivalent to

    r^2 (D - T + 1) + r (T - 2 - s Q) + 1 - s^2 >= 0,

and ``(P + Q) / 2 <= l`` to the same with -l in place of s and <= in place of >=. The smallest positive root is the largest r
that is allowed. A step d along an axis becomes ``r d + 1 - r``.
"""

from typing import NamedTuple

import torch
from torch import Tensor

Cells = tuple[Tensor, Tensor, Tensor, Tensor]
"""Four neighbouring points (2, ...) of each cell: upper left, upper right, lower left, lower right."""

Parts = tuple[Tensor, Tensor, Tensor, Tensor]
"""The entries of Jacobians: dx / dcolumn, dy / dcolumn, dx / drow, dy / drow."""

TINY = 1e-30
"""The least square of which a root is taken: the root of zero has no derivative."""


class Bounds(NamedTuple):
    """Bounds on the steps along the axes, and if ``singular`` also on the singular values; None for no bound."""

    shortest: float | None
    longest: float | None
    singular: bool = True


def corners_of(cells: Cells, step: tuple[float, float]) -> tuple[Parts, Parts, Parts, Parts]:
    """Return the Jacobians at the four corners of cells; ``step`` is the uniform step in (x, y)."""
    upper_left, upper_right, lower_left, lower_right = cells
    across, down = (
        [(b[0] - a[0], b[1] - a[1]) for a, b in ends]
        for ends in (
            ((upper_left, upper_right), (lower_left, lower_right)),
            ((upper_left, lower_left), (upper_right, lower_right)),
        )
    )
    (top, bottom), (left, right) = ([(x / step[0], y / step[1]) for x, y in each] for each in (across, down))
    return (*top, *left), (*top, *right), (*bottom, *left), (*bottom, *right)


def invariants(parts: Parts) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return trace, determinant, skew and Q."""
    xx, yx, xy, yy = parts
    q = torch.sqrt(((xx - yy).square() + (xy + yx).square()).clamp(min=TINY))
    return xx + yy, xx * yy - xy * yx, xy - yx, q


def kept_of(parts: Parts, bounds: Bounds) -> Tensor:
    """Return the largest r >= 0 for which r times each Jacobian plus 1 - r times the identity is within the bounds."""
    trace, determinant, _, q = invariants(parts)
    square = determinant - trace + 1
    kept = [torch.full_like(trace, torch.inf)]
    if bounds.shortest is not None:
        lesser = torch.minimum(parts[0], parts[3])
        kept.append(_along(1 - lesser, 1 - bounds.shortest))
        if bounds.singular:
            kept.append(_first_root(square, trace - 2 - bounds.shortest * q, 1 - bounds.shortest**2))
    if bounds.longest is not None:
        larger = torch.maximum(parts[0], parts[3])
        kept.append(_along(larger - 1, bounds.longest - 1))
        if bounds.singular:
            kept.append(_first_root(-square, 2 - trace - bounds.longest * q, bounds.longest**2 - 1))
    return torch.stack(kept).amin(dim=0)


def _along(excess: Tensor, allowed: float) -> Tensor:
    """Return the largest r with ``r * excess <= allowed``; infinite if the excess is allowed."""
    over = excess > allowed
    return torch.where(over, allowed / torch.where(over, excess, 1.0), torch.inf)


def _first_root(a: Tensor, b: Tensor, c: float) -> Tensor:
    """Return the smallest positive root of ``a r^2 + b r + c`` with c >= 0; infinite if there is none."""
    under = b.square() - 4 * a * c
    below = torch.sqrt(under.clamp(min=TINY)) - b
    there = (under >= 0) & (below > 0)
    return torch.where(there, 2 * c / torch.where(there, below, 1.0), torch.inf)
