import io
import re
import tarfile
import threading

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from foveal.sampler import lowres
from foveal.sampler.frames import even_grid
from foveal.sampler.sampling import shrink_by_area
from foveal.sampler.sampling._lowres import _lowres
from tests import reference
from tests.checks import check_close, unhooked
from tests.sampler.noise import noise


def photos(folder, count):
    with tarfile.open(next(iter(sorted((folder / "photos").glob("*.tar"))))) as tar:
        members = [m for m in tar if m.name.endswith((".jpg", ".jpeg"))][:count]
        return [
            torch.from_numpy(np.array(Image.open(io.BytesIO(tar.extractfile(m).read())).convert("RGB")))
            for m in members
        ]


@pytest.mark.parametrize("source", [(1, 1), (17, 11), (31, 400), (127, 131), (300, 260), (999, 1311)])
def test_constant_images_stay_constant(source):
    """A constant image keeps its brightness at any size, larger or smaller."""
    image = torch.tensor([0, 100, 255], dtype=torch.uint8).expand(*source, 3)

    check_close(
        lowres([image], (31, 29))[0], torch.tensor([0, 100 / 255, 1])[:, None, None].expand(3, 31, 29), 1e-6
    )


@pytest.mark.parametrize("source", [(256, 256), (1000, 1311), (517, 4096)])
def test_linear_ramps_stay_linear(source):
    """A ramp keeps its values to half a source pixel, as boxes are centred on their cells."""
    y, x = np.mgrid[: source[0], : source[1]]
    image = np.stack([x * 255 / source[1], y * 255 / source[0], (x + y) * 255 / sum(source)], axis=-1)
    expected = reference.area_mean(image, (16, 32)) / 255

    check_close(
        lowres([torch.from_numpy(image.astype(np.uint8))], (16, 32))[0], expected, 1 / min(source) + 1 / 255
    )


def test_noise_is_averaged():
    """White noise has the deviation of a mean over all pixels of a cell."""
    small = lowres([noise(1600, 1600)], (50, 50))

    assert small.std().item() == pytest.approx((256 / np.sqrt(12)) / 255 / 32, rel=0.1)


def test_photographs(data_dir):
    """On photographs the copy equals an exact area average."""
    for photo in photos(data_dir, 3):
        off = np.abs(
            lowres([photo], (128, 128))[0].numpy() - reference.area_mean(photo.numpy(), (128, 128)) / 255
        )

        assert off.mean() < 0.02


def test_ragged_equals_single():
    """A copy does not depend on the batch, the memory layout or the number of threads."""
    images = [noise(300, 200), noise(5, 4), noise(200, 310).permute(1, 0, 2), noise(64, 900)]
    single = torch.cat([lowres([image.contiguous()], (16, 16)) for image in images])

    assert torch.equal(lowres(images, (16, 16)), single)
    assert torch.equal(lowres(torch.stack([images[0]] * 2).permute(0, 3, 1, 2), (16, 16))[1], single[0])


def test_many_threads_at_once():
    """Eight concurrent calls give the result of one."""
    images, wrong = [noise(400, 300), noise(200, 500)], []
    expected = lowres(images, (32, 32))

    def hammer():
        wrong.extend(1 for _ in range(20) if not torch.equal(lowres(images, (32, 32)), expected))

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert not wrong
    assert not any(thread.is_alive() for thread in threads)


def test_dense_float_is_differentiable():
    """Floating-point images keep their scale, and have a gradient."""
    image = torch.randn(1, 2, 9, 8, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(lambda t: lowres(t, (3, 4)), image)
    assert lowres(image.bfloat16(), (3, 4)).dtype == torch.float32


def test_opcheck():
    """torch's checks of custom operators pass."""
    torch.library.opcheck(_lowres, ([noise(70, 50), noise(1, 1)], 4, 5))


def test_empty_batch():
    """An empty batch gives an empty result."""
    assert lowres([], (5, 7)).shape == (0, 3, 5, 7)


def test_the_device_of_no_images():
    """A tensor of no images has copies on its device, where the saliency network is."""
    none = torch.empty(0, 3, 9, 9, dtype=torch.uint8, device="meta")

    assert lowres(none, (4, 5)).device == none.device
    assert even_grid(none, (4, 5), None).device == none.device


def test_messages():
    """The error names the invalid size."""
    with unhooked(), pytest.raises(ValueError, match=re.escape("size must be at least 1 pixel, got (0, 3).")):
        lowres([noise(4, 4)], (0, 3))


@pytest.mark.gpu
def test_cuda_is_close_to_cpu():
    """On CUDA another filter gives nearly the same copy."""
    image = (
        noise(64, 64)
        .float()
        .mean(dim=2, keepdim=True)
        .byte()
        .repeat_interleave(8, 0)
        .repeat_interleave(8, 1)
        .repeat(1, 1, 3)
    )

    assert (lowres([image.cuda()], (32, 32)).cpu() - lowres([image], (32, 32))).abs().mean() < 0.05


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(0, 2), st.integers(1, 4)),
    st.integers(0, 99),
)
@example(source=(4, 1), size=(2, 1), batch_channels=(1, 2), seed=0)
@example(source=(9, 5), size=(3, 1), batch_channels=(2, 3), seed=0)
def test_the_cpus_copies_of_floats_are_torchs(source, size, batch_channels, seed):
    """Copies of floating-point images equal torch's in float64, larger or smaller, with either filter."""
    dense = torch.rand(*batch_channels, *source, generator=torch.Generator().manual_seed(seed)).double()
    learns = dense.clone().requires_grad_()
    triangle = (
        interpolate(dense, size, mode="bilinear", antialias=True)
        if len(dense)
        else dense.new_empty(0, batch_channels[1], *size)
    )
    if size[1] == 1 and len(dense):  # torch is wrong about results of one column
        turned = dense.mT.contiguous()
        triangle = interpolate(turned, (1, size[0]), mode="bilinear", antialias=True).mT
    area = adaptive_avg_pool2d(dense, size)

    check_close(lowres(dense, size), triangle, 1e-12)
    check_close(shrink_by_area(dense, size), area, 1e-12)
    check_close(lowres(dense.float(), size), triangle, 1e-5)
    check_close(shrink_by_area(dense.float(), size), area, 1e-6)
    assert lowres(learns, size).requires_grad == shrink_by_area(learns, size).requires_grad
    check_close(lowres(learns, size), triangle, 1e-12)


def test_a_copy_of_floats_has_a_gradient():
    """The gradient of a copy is its weights."""
    image = torch.rand(1, 1, 9, 11, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(lambda dense: lowres(dense, (4, 3)), image)
    assert torch.autograd.gradcheck(lambda dense: shrink_by_area(dense, (4, 3)), image)


def test_one_number_for_a_square():
    """A size may be one number, as everywhere."""
    images = [noise(30, 20)]

    assert torch.equal(lowres(images, 7), lowres(images, (7, 7)))
