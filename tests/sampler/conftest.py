"""What the tests of the sampler ask for."""

import functools

import pytest
import torch

from tests.sampler.making import run_in


@pytest.fixture
def run_plain(tmp_path):
    """Run code in a fresh interpreter, without the shape checks of the tests: torch.compile cannot trace them."""
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
    """Where Triton's kernels run: in its interpreter, on the CPU, or on the device that they are made for."""
    pytest.importorskip("triton", reason="no Triton: pip install '.[test]'")
    return torch.device(request.param)


@pytest.fixture
def one_thread():
    """For many operations on small tensors: beside other work, threads would mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
