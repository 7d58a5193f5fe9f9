"""The sampling kernels for the CPU, compiled by numba on the first call."""

from foveal.sampler.kernels.cpu._bound import find_tightest_on_cpu
from foveal.sampler.kernels.cpu._invert import fill_nodes_on_cpu, find_places_on_cpu
from foveal.sampler.kernels.cpu._lowres import fill_lowres_on_cpu
from foveal.sampler.kernels.cpu._sample import pull_back_on_cpu, sample_on_cpu
from foveal.sampler.kernels.cpu._sample_dense import (
    average_dense_on_cpu,
    dense_to_grid_on_cpu,
    dense_to_images_on_cpu,
)
from foveal.sampler.kernels.cpu._shrink import Filter, shrink_on_cpu

__all__ = [
    "Filter",
    "average_dense_on_cpu",
    "dense_to_grid_on_cpu",
    "dense_to_images_on_cpu",
    "fill_lowres_on_cpu",
    "fill_nodes_on_cpu",
    "find_places_on_cpu",
    "find_tightest_on_cpu",
    "pull_back_on_cpu",
    "sample_on_cpu",
    "shrink_on_cpu",
]
