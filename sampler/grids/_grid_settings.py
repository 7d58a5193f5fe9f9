"""The settings of a grid as one value."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from foveal._choices import Family

Padding = Literal["reflect", "replicate"]
"""What lies beyond a map's border, as :func:`zoom_grid` takes it."""

Compat = Literal["exact", "torch04", "torch13plus", "align_corners"]
"""The code whose grid is returned, as :func:`zoom_grid` takes it."""

Marginal = Literal["sum", "max"]
"""How a map is reduced to one axis, as :func:`zoom_grid` takes it."""

Bound = Literal["blend", "local", "axes"]
"""How ``max_zoom`` and ``min_zoom`` are held, as :func:`zoom_grid` takes it."""

_CHOICES = {
    "family": get_args(Family),
    "padding": get_args(Padding),
    "marginal": get_args(Marginal),
    "bound": get_args(Bound),
    "compat": get_args(Compat),
}

FIRST_SETTINGS = frozenset(("family", "fwhm_cells", "padding", "max_zoom", "min_zoom"))
"""The settings that files of the first version have."""


def _first_version(family: str, *, is_bounded: bool) -> dict[str, Any]:
    """Return the values of later settings that equal the behaviour of the first version, which bounded "kernel" grids along the axes alone."""
    axes = family == "kernel" and is_bounded
    return {"marginal": "sum", "bound": "axes" if axes else "blend", "compat": "exact"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GridKeywords:
    """The keywords of :func:`zoom_grid` as fields, checked together. Classes that take them one by one inherit them.

    Attributes:
        family: This and all others as in :func:`zoom_grid`.
        fwhm_cells: Width of the attraction.
        padding: What lies beyond the map.
        max_zoom: Bound on magnification; infinity becomes None, no bound.
        min_zoom: Bound on shrinking.
        marginal: How a map is reduced to one axis.
        bound: How the two bounds are held.
        compat: The code whose grid is returned.

    Raises:
        ValueError: A setting is out of range, or two do not go together.
    """

    family: Family = "kernel"
    fwhm_cells: float = 8.0
    padding: Padding = "reflect"
    max_zoom: float | None = None
    min_zoom: float | None = None
    marginal: Marginal = "sum"
    bound: Bound = "blend"
    compat: Compat = "exact"

    def __post_init__(self) -> None:
        for name in ("fwhm_cells", "max_zoom", "min_zoom"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else float(value))
        if self.max_zoom == math.inf:
            object.__setattr__(self, "max_zoom", None)
        self._check()
        if self.compat != "exact":
            self._check_published()

    @property
    def shortest_step(self) -> float | None:
        """The bound on magnification as a step between neighbouring points, in uniform steps; None for no bound."""
        return None if self.max_zoom is None else 1 / self.max_zoom

    @property
    def longest_step(self) -> float | None:
        """The bound on shrinking as a step between neighbouring points, in uniform steps; None for no bound."""
        return None if self.min_zoom is None else 1 / self.min_zoom

    @property
    def densities(self) -> tuple[float, float]:
        """The least and the largest density of points that the bounds allow; 1 is that of a uniform resize."""
        return self.min_zoom or 0.0, math.inf if self.max_zoom is None else self.max_zoom

    @property
    def attraction(self) -> tuple[float, Padding]:
        """The settings of the Gaussian's attraction: its full width at half maximum, in cells, and the padding."""
        return self.fwhm_cells, self.padding

    @property
    def is_bounded(self) -> bool:
        """Whether there is a bound on magnification or shrinking."""
        return self.max_zoom is not None or self.min_zoom is not None

    def _check(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed!r}, got {getattr(self, name)!r}.")
        if not self.fwhm_cells > 0:
            raise ValueError(f"fwhm_cells must be positive, got {self.fwhm_cells!r}.")
        if self.max_zoom is not None and not self.max_zoom >= 1:
            raise ValueError(
                f"max_zoom must be at least 1, got {self.max_zoom!r}: 1 is no zoom at all, None no bound."
            )
        if self.min_zoom is not None and not 0 < self.min_zoom <= 1:
            raise ValueError(
                f"min_zoom must be in (0, 1], got {self.min_zoom!r}: 1 is no zoom at all, None no bound."
            )

    def _check_published(self) -> None:
        if self.marginal != "sum":
            raise ValueError(f"marginal must be 'sum' with compat={self.compat!r}, got {self.marginal!r}.")
        if self.family == "cdf":
            raise ValueError(
                f"family must be 'kernel' or 'separable' with compat={self.compat!r}, got {self.family!r}."
            )
        for name in ("max_zoom", "min_zoom"):
            if (bound := getattr(self, name)) is not None:
                raise ValueError(
                    f"{name} must be None with compat={self.compat!r}, got {bound!r}: the published code has no bound."
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class GridSettings(GridKeywords):
    """How saliency becomes a grid, as one value that also goes to JSON and back.

    Functions and modules take the keywords one by one and pass them on as this value.
    """

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON: always those of the first version, and later ones if they differ from its behaviour."""
        had = _first_version(self.family, is_bounded=self.is_bounded)
        mine = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in mine.items() if name in FIRST_SETTINGS or value != had[name]}

    @property
    def version(self) -> int:
        """The first version of files that has all settings that :meth:`to_json` returns; earlier versions refuse later files."""
        return 2 if self.to_json().keys() - FIRST_SETTINGS else 1

    @classmethod
    def from_json(cls, settings: Mapping[str, Any]) -> "GridSettings":
        """Return the settings that :meth:`to_json` wrote, by this version or an earlier one.

        Raises:
            ValueError: One is out of range, or two do not go together.
        """
        named = dict(settings)
        bounded = named.get("max_zoom") is not None or named.get("min_zoom") is not None
        return cls(**(_first_version(named.get("family", "kernel"), is_bounded=bounded) | named))
