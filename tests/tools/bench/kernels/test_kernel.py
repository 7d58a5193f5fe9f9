import json
import re

import numpy as np
import pytest
import torch

from foveal.tools.bench.kernels import kernel as bench
from foveal.tools.bench.kernels.sample import example_grid
from foveal.tools.bench.timing import Timing

SIZE = (60, 80)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_small_run(tmp_path, capsys, device):
    """A small run prints its table and writes its file; rates are relative to a copy."""
    file = tmp_path / "kernel.json"
    shares = bench.bench_kernel(
        repeats=1, size=16, batch=3, image_size=SIZE, device=device, copied=1 << 16, json_path=file
    )

    assert json.loads(file.read_text())["shares"] == shares
    assert list(shares) == ["points", "anti-aliased", "anti-aliased, for training", "plain copy"]
    assert shares["plain copy"] == 1
    assert "3 images (3 in memory)" in capsys.readouterr().out


def test_share_of_the_copy():
    """Half of the bytes in a quarter of the time is twice the rate; medians are of ratios within a round."""
    timings = {"ours": Timing([1.0, 2.0, 9.0], 0), "plain copy": Timing([4.0, 8.0, 9.0], 0)}

    assert bench.shares_of_copy(timings, {"ours": 50, "plain copy": 100}) == {"ours": 2.0, "plain copy": 1.0}


def test_wrong_pixels_are_noticed(monkeypatch):
    """A device whose pixels are slightly wrong is not timed."""
    images, grid = bench.full_images(2, 2, SIZE, torch.device("cpu")), example_grid(9).repeat(2, 1, 1, 1)
    exact, factors = bench.sample, iter([1.001, 1])

    assert bench.check_on_device(images, grid, antialias=True) == 0
    monkeypatch.setattr(bench, "sample", lambda *a, **k: exact(*a, **k) * next(factors))
    message = "the device's and the CPU's pixels must agree to 0.0001, got a difference of 0.0"
    with pytest.raises(ValueError, match=re.escape(message)):
        bench.check_on_device(images, grid, antialias=True)


def test_sectors_by_hand():
    """Points read two pixels in each of two rows; a resize to the same size reads all sectors."""
    middle = torch.tensor([[[[0.01, 0.01]]]])
    pixels = bench.pixels_read(middle, (20, 30), antialias=False)
    everything = torch.nn.functional.affine_grid(torch.eye(2, 3)[None], [1, 3, 20, 30], align_corners=False)

    assert np.argwhere(pixels.numpy()).tolist() == [[9, 14], [9, 15], [10, 14], [10, 15]]
    # Bytes 9 * 90 + 42 to 9 * 90 + 47 are of sector 26, and those of the row below, 90 on, of sector 29.
    assert bench.sectors_read(middle, (20, 30), antialias=False) == 2
    assert bench.sectors_read(everything, (20, 30), antialias=True) == -(-20 * 30 * 3 // 32)


@pytest.mark.parametrize("antialias", [False, True])
def test_pixels_that_do_not_count_may_be_anything(antialias):
    """Pixels outside of the mask do not matter, those inside do."""
    grid, draw = example_grid(5), torch.Generator().manual_seed(0)
    counts = bench.pixels_read(grid, SIZE, antialias=antialias)[:, :, None]
    image, other = (torch.randint(256, (*SIZE, 3), dtype=torch.uint8, generator=draw) for _ in range(2))
    plain = bench.sample([image], grid, antialias=antialias)

    assert 0 < counts.sum() < counts.numel()
    assert torch.equal(bench.sample([torch.where(counts, image, other)], grid, antialias=antialias), plain)
    assert not torch.equal(
        bench.sample([torch.where(counts, other, image)], grid, antialias=antialias), plain
    )


def test_moved_bytes():
    """Moved bytes are what is read, a grid of two floats, and the values of each output pixel."""
    grid = example_grid(7).repeat(4, 1, 1, 1)
    sectors = bench.sectors_read(grid[:1], SIZE, antialias=True)

    assert bench.moved_bytes(grid, SIZE, antialias=True, values=9) == 4 * (32 * sectors + 44 * 49)


def test_images_take_turns(monkeypatch):
    """If the batch does not fit in half of the free memory, images are used several times; there is always one."""
    a_photo, cuda = (3000, 4000), torch.device("cuda", 0)
    for free, fit in ((180_000_000, 2), (10**12, 5), (0, 1)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, free=free: (free, 10**12))

        assert bench.fitting(5, a_photo, cuda) == fit
    images = bench.full_images(5, 2, SIZE, torch.device("cpu"))

    assert [image.data_ptr() == images[0].data_ptr() for image in images] == [True, False, True, False, True]
