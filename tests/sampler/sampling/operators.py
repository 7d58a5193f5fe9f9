"""The operators behind ``sample`` and ``lowres``, for tests of the kernels."""

from typing import Any

from foveal.sampler.sampling import _lowres, _sample_op

sample_op, sample_with_slope_op = _sample_op.sample_op, _sample_op.sample_with_slope_op


def use_triton(monkeypatch: Any) -> None:
    """Let both use Triton's kernels on any device."""
    for module in (_lowres, _sample_op):
        monkeypatch.setattr(module, "kernels_for", lambda *_: "triton")
