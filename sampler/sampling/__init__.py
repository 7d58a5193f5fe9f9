"""Sampling: pixels at a grid's points, low-resolution copies, the form of the pixels."""

from foveal.sampler.sampling._halves import are_deep, halves, joined
from foveal.sampler.sampling._lowres import lowres
from foveal.sampler.sampling._pixel_format import pixel_format
from foveal.sampler.sampling._sample import sample, sample_as
from foveal.sampler.sampling._sample_evenly import sample_evenly
from foveal.sampler.sampling._shrink import shrink_by_area

__all__ = [
    "are_deep",
    "halves",
    "joined",
    "lowres",
    "pixel_format",
    "sample",
    "sample_as",
    "sample_evenly",
    "shrink_by_area",
]
