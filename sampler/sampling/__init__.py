"""Sampling: pixels at a grid's points, low-resolution copies, the form of the pixels."""

from foveal.sampler.sampling._lowres import lowres
from foveal.sampler.sampling._pixel_format import pixel_format
from foveal.sampler.sampling._sample import sample, sample_as

__all__ = ["lowres", "pixel_format", "sample", "sample_as"]
