"""The operator `sample` with the CUDA kernels: graphs, waiting, streams and devices."""

import re
import warnings

import pytest
import torch

from foveal.sampler import lowres, sample
from foveal.sampler.kernels.cuda._image_table import image_table
from tests.checks import check_close
from tests.sampler.kernels.launches import MEAN, STD, either, wavy
from tests.sampler.making import waiting_raises
from tests.sampler.noise import noise
from tests.sampler.sampling.operators import sample_op, sample_with_slope_op, use_triton


@either
def test_the_operator_with_these_kernels(triton_device, monkeypatch, antialias):
    """`sample` and its gradient equal those of the CPU."""
    images, here = [noise(9, 7), noise(30, 20, 1)], wavy(2, 3, 4, 0.2).requires_grad_()
    form = {"antialias": antialias, "mean": MEAN, "std": STD, "dtype": torch.float16, "channels_last": True}
    expected = sample(images, here, **form)
    expected.float().square().sum().backward()
    use_triton(monkeypatch)
    there = here.detach().to(triton_device).requires_grad_()
    pixels = sample([image.to(triton_device) for image in images], there, **form)
    pixels.float().square().sum().backward()

    assert pixels.is_contiguous(memory_format=torch.channels_last)
    check_close(pixels, expected, 4e-3)
    check_close(there.grad, here.grad, 2e-3 * here.grad.abs().max())


def test_no_cuda_graph(monkeypatch):
    """Capture in a CUDA graph is refused, because it would keep the addresses of freed images."""
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    message = (
        "the current stream must not be capturing a CUDA graph, got one that is – sample and take low-res"
    )
    with pytest.raises(RuntimeError, match=re.escape(message)):
        image_table([noise(2, 2)], torch.device("cuda"))
    for operator in (sample_op, sample_with_slope_op, torch.ops.foveal.lowres.default):
        assert torch.Tag.cudagraph_unsafe in operator.tags


@pytest.mark.gpu
@either
def test_nothing_waits_for_the_device(antialias):
    """Forward, backward and the low-resolution copy do not synchronise with the device."""
    images = [noise(400, 300).cuda(), noise(90, 80, 1).cuda()]
    grid = wavy(2, 16, 16).cuda().requires_grad_()

    def step():
        lowres(images, (8, 8))
        sample(images, grid, antialias=antialias).square().sum().backward()

    step()  # compiles
    torch.cuda.synchronize()
    with waiting_raises():
        step()
        with pytest.raises(RuntimeError, match="synchroniz"):
            grid.grad.sum().item()


def test_waiting_is_allowed_again_afterwards(monkeypatch):
    """The mode ends with the block, also if torch warns of it when it begins, as it does the first time."""
    modes = []

    def set_mode(mode):
        modes.append(mode)
        if mode == "error":
            warnings.warn("Synchronization debug mode is a prototype feature", stacklevel=2)

    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", set_mode)
    with waiting_raises():
        assert modes == ["error"]
    with pytest.raises(ZeroDivisionError), waiting_raises():
        _ = 1 / 0

    assert modes == ["error", "default"] * 2


@pytest.mark.gpu
@either
def test_images_of_another_stream_may_go_at_once(antialias):
    """Memory allocated on another stream is not reused before it has been read."""
    grid, decoding = wavy(1, 64, 64).cuda(), torch.cuda.Stream()
    source = noise(900, 700).cuda()
    expected = sample([source], grid, antialias=antialias)
    decoding.wait_stream(torch.cuda.current_stream())
    for _ in range(10):
        with torch.cuda.stream(decoding):
            image = source.clone()
        torch.cuda.current_stream().wait_stream(decoding)
        torch.cuda._sleep(10_000_000)
        pixels = sample([image], grid, antialias=antialias)
        del image
        with torch.cuda.stream(decoding):
            poison = [torch.full_like(source, 255) for _ in range(3)]

        assert torch.equal(pixels, expected)
        del poison


@pytest.mark.gpu
@either
def test_opcheck(antialias):
    """torch's checks of custom operators pass on the device."""
    images, grid = [noise(7, 5).cuda(), noise(1, 1).cuda()], wavy(2, 4, 3).cuda()
    arguments = (images, grid, antialias, [1.0] * 3, [0.0] * 3, torch.float32, False)

    torch.library.opcheck(sample_op, arguments)
    torch.library.opcheck(sample_with_slope_op, arguments)


@pytest.mark.gpu
def test_the_last_device():
    """Kernels run on the device of the images, whichever device is the current one."""
    last = torch.device("cuda", torch.cuda.device_count() - 1)
    images, grid = [noise(50, 40)], wavy(1, 4, 5)

    check_close(sample([images[0].to(last)], grid.to(last)), sample(images, grid), 1e-6)
