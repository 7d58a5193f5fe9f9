"""Grids: from a saliency map to where each output pixel looks."""

from foveal._choices import Family
from foveal.sampler.grids._grid_settings import FIRST_SETTINGS, Compat, GridSettings, Padding
from foveal.sampler.grids._zoom_grid import unchecked_grid, zoom_grid

__all__ = [
    "FIRST_SETTINGS",
    "Compat",
    "Family",
    "GridSettings",
    "Padding",
    "unchecked_grid",
    "zoom_grid",
]
