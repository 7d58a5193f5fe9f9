"""The CUDA kernel of `lowres`, in Triton's interpreter or on a GPU."""

import pytest
import torch

from foveal.sampler import lowres
from tests import reference
from tests.checks import check_close
from tests.sampler.noise import noise
from tests.sampler.sampling.operators import use_triton


@pytest.fixture
def on_device(triton_device, monkeypatch):
    """Return `lowres` as it runs on CUDA with Triton."""

    def answer(images, size):
        with monkeypatch.context() as patch:
            use_triton(patch)
            return lowres([image.to(triton_device) for image in images], size).cpu()

    return answer


def test_equals_the_kernel_of_the_cpu(on_device):
    """The means equal the CPU's to the last bit but one, for images of all sizes in one batch."""
    images = [
        noise(20, 28),
        noise(61, 47, 1),
        noise(9, 300, 2),
        noise(333, 300, 3),
        noise(1, 1),
        noise(300, 9),
    ]

    check_close(on_device(images, (5, 7)), lowres(images, (5, 7)), 1e-6)


def test_equals_the_formula(on_device):
    """Each cell is the mean over its area, with border pixels counted in part."""
    image = noise(17, 71)

    check_close(on_device([image], (2, 2))[0], reference.area_mean(image.numpy(), (2, 2)) / 255, 1e-6)
    assert on_device([image + 1], (2, 2)).sub(lowres([image], (2, 2))).abs().max() > 1e-3


def test_white_stays_white(on_device):
    """No mean leaves [0, 1] by rounding."""
    small = on_device([torch.full((400, 399, 3), 255, dtype=torch.uint8)], (3, 5))

    assert torch.equal(small, torch.ones(1, 3, 3, 5))


def test_strides(on_device):
    """Images with any strides give the same as their copies."""
    planar = noise(30, 31).permute(2, 0, 1).contiguous().permute(1, 2, 0)

    assert torch.equal(on_device([planar], (2, 3)), on_device([planar.contiguous()], (2, 3)))
