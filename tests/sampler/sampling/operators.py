"""The operators behind ``sample`` and ``lowres``, for the tests of the kernels that they call."""

from typing import Any

from foveal.sampler.sampling import _lowres, _sample_op

sample_op, sample_with_slope_op = _sample_op.sample_op, _sample_op.sample_with_slope_op


def use_triton(monkeypatch: Any) -> None:
    """Let both take Triton's kernels, whatever the device."""
    for module in (_lowres, _sample_op):
        monkeypatch.setattr(module, "kernels_for", lambda *_: "triton")
