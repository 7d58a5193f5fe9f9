"""The sampling kernels in plain torch: the reference, and the fallback for any device and dtype."""

from foveal.sampler.kernels.plain._antialias import average_dense
from foveal.sampler.kernels.plain._exported import average_in_graph
from foveal.sampler.kernels.plain._lowres import fill_lowres_plainly, shrink
from foveal.sampler.kernels.plain._pull_back import (
    footprints_to_grid,
    to_footprints,
    to_images,
    twice_differentiable,
)
from foveal.sampler.kernels.plain._sample import sample_plainly, sample_reference

__all__ = [
    "average_dense",
    "average_in_graph",
    "fill_lowres_plainly",
    "footprints_to_grid",
    "sample_plainly",
    "sample_reference",
    "shrink",
    "to_footprints",
    "to_images",
    "twice_differentiable",
]
