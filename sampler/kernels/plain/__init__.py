"""The sampling kernels in plain torch: the reference, and the fallback for any device and dtype."""

from foveal.sampler.kernels.plain._antialias import antialias_dense
from foveal.sampler.kernels.plain._lowres import BOX_FROM, fill_lowres_plainly, is_large, shrink, shrink_into
from foveal.sampler.kernels.plain._sample import sample_plainly, sample_reference

__all__ = [
    "BOX_FROM",
    "antialias_dense",
    "fill_lowres_plainly",
    "is_large",
    "sample_plainly",
    "sample_reference",
    "shrink",
    "shrink_into",
]
