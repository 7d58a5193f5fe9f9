"""Grids: from a saliency map to where each output pixel looks."""

from foveal._choices import Family
from foveal.sampler.grids._grid_settings import (
    FIRST_SETTINGS,
    Bound,
    Compat,
    GridKeywords,
    GridSettings,
    Marginal,
    Padding,
)
from foveal.sampler.grids._zoom_grid import unchecked_grid, zoom_grid

__all__ = [
    "FIRST_SETTINGS",
    "Bound",
    "Compat",
    "Family",
    "GridKeywords",
    "GridSettings",
    "Marginal",
    "Padding",
    "unchecked_grid",
    "zoom_grid",
]
