"""Threads of the CPU kernels."""

from foveal.sampler.threads._ending import let_forks_wait
from foveal.sampler.threads._one_thread import use_one_torch_thread
from foveal.sampler.threads._spread import spread, spread_over, spread_rows

__all__ = ["let_forks_wait", "spread", "spread_over", "spread_rows", "use_one_torch_thread"]
