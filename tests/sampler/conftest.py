"""Fixtures for the tests of the sampler."""

import functools

import numpy as np
import pytest
import torch

from tests.sampler.making import numbers_of, run_in


@pytest.fixture
def run_plain(tmp_path):
    """Run code in a fresh interpreter without the tests' shape checks, which torch.compile cannot trace."""
    return functools.partial(run_in, tmp_path)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            "cpu",
            marks=pytest.mark.skipif(
                torch.cuda.is_available(), reason="Triton compiles here: see the device's own case"
            ),
        ),
        pytest.param("cuda", marks=pytest.mark.gpu),
    ],
)
def triton_device(request):
    """The device of Triton's kernels: the CPU with Triton's interpreter, or a GPU."""
    triton = pytest.importorskip("triton", reason="no Triton: pip install '.[test]'")
    if (
        request.param == "cpu"
        and numbers_of(triton.__version__) < (3, 7)
        and numbers_of(np.__version__) >= (2, 4)
    ):
        pytest.skip(
            "Triton before 3.7 interprets no loops with NumPy 2.4: findings/triton_interpreter_refuses.sh"
        )
    return torch.device(request.param)


@pytest.fixture
def one_thread():
    """Use one torch thread, as tests with many operations on small tensors are slower with several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
