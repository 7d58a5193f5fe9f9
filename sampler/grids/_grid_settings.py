"""The settings of a grid as one value."""

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from foveal._choices import Family

Padding = Literal["reflect", "replicate"]
"""What lies beyond a map's border, as :func:`zoom_grid` has it."""

Compat = Literal["exact", "torch04", "torch13plus", "align_corners"]
"""Which code's grid it is, as :func:`zoom_grid` has it."""

_CHOICES = {"family": get_args(Family), "padding": get_args(Padding), "compat": get_args(Compat)}

FIRST_SETTINGS = frozenset(("family", "fwhm_cells", "padding", "max_zoom", "min_zoom"))
"""The settings that files of the first version have; where a later one is missing, it has its default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridSettings:
    """How saliency becomes a grid: the keywords of :func:`zoom_grid`, checked when they are put together.

    Functions and modules take these keywords one by one and pass them on as this value.

    Attributes:
        family: This and all others as in :func:`zoom_grid`.
        fwhm_cells: Width of the attraction.
        padding: What lies beyond the map.
        max_zoom: Bound on magnification.
        min_zoom: Bound on shrinking.
        compat: Which code's grid.

    Raises:
        ValueError: A setting is out of range, or two do not go together.
    """

    family: Family = "kernel"
    fwhm_cells: float = 8.0
    padding: Padding = "reflect"
    max_zoom: float | None = None
    min_zoom: float | None = None
    compat: Compat = "exact"

    def __post_init__(self) -> None:
        for name in ("fwhm_cells", "max_zoom", "min_zoom"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else float(value))
        self._check()
        if self.compat != "exact":
            self._check_published()

    @property
    def shortest_step(self) -> float | None:
        """The bound on magnification as a step between neighbouring points, in uniform steps; None for no bound."""
        return None if self.max_zoom is None else 1 / self.max_zoom

    @property
    def longest_step(self) -> float | None:
        """The bound on shrinking likewise."""
        return None if self.min_zoom is None else 1 / self.min_zoom

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON: those of the first version always, later ones if they are not the default."""
        return {
            each.name: value
            for each in fields(self)
            if (value := getattr(self, each.name)) != each.default or each.name in FIRST_SETTINGS
        }

    def _check(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed!r}, got {getattr(self, name)!r}.")
        if not self.fwhm_cells > 0:
            raise ValueError(f"fwhm_cells must be positive, got {self.fwhm_cells!r}.")
        if self.max_zoom is not None and not self.max_zoom >= 1:
            raise ValueError(f"max_zoom must be at least 1, got {self.max_zoom!r}: pass None for no bound.")
        if self.min_zoom is not None and not 0 < self.min_zoom <= 1:
            raise ValueError(f"min_zoom must be in (0, 1], got {self.min_zoom!r}: pass None for no bound.")

    def _check_published(self) -> None:
        if self.family == "cdf":
            raise ValueError(
                f"family must be 'kernel' or 'separable' with compat={self.compat!r}, got {self.family!r}."
            )
        for name in ("max_zoom", "min_zoom"):
            if (bound := getattr(self, name)) is not None:
                raise ValueError(
                    f"{name} must be None with compat={self.compat!r}, got {bound!r}: the published code has no bound."
                )
