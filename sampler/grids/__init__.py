"""Grids: from a saliency map to where each output pixel looks."""

from foveal.sampler.grids._kernel_grid import Padding
from foveal.sampler.grids._zoom_grid import Family, check_zoom, unchecked_grid, zoom_grid

__all__ = ["Family", "Padding", "check_zoom", "unchecked_grid", "zoom_grid"]
