"""The sampling kernels for CUDA, compiled by Triton on the first call."""

from foveal.sampler.kernels.cuda._lowres import fill_lowres_on_cuda
from foveal.sampler.kernels.cuda._sample import pull_back_on_cuda, sample_on_cuda

__all__ = ["fill_lowres_on_cuda", "pull_back_on_cuda", "sample_on_cuda"]
