"""Compiled code: the kernels of each device, and how torch calls them."""

from foveal.sampler.kernels._is_exporting import is_exporting
from foveal.sampler.kernels._kernels_for import kernels_for
from foveal.sampler.kernels._operator import operator

__all__ = ["is_exporting", "kernels_for", "operator"]
