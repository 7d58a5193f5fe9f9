"""The check of the loader before it is timed, and every fault that it must notice."""

import re

import pytest
import torch
from rich.console import Console

from foveal.pipeline import ZoomLoader
from foveal.sampler import SaliencySampler
from foveal.shards import Shards
from foveal.tools.bench._check_loader import FIELDS, check_exact, check_loader, check_near
from foveal.tools.scenes.scenes import write_shards


@pytest.fixture(scope="module")
def urls(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("scenes"), 3, console=Console(), per_shard=2)


def batches_of(urls, **options):
    torch.manual_seed(0)
    zoom = SaliencySampler(96, max_zoom=2.0).eval().requires_grad_(requires_grad=False)
    with ZoomLoader(urls, zoom, batch_size=2, fields=FIELDS, **options) as loader:
        return list(loader)


@pytest.fixture(scope="module")
def batches(urls):
    return batches_of(urls, decode="dali")


@pytest.fixture(scope="module")
def scaled(urls):
    return batches_of(urls, decode="auto")


def check(batches, urls, by=check_exact, first=3):
    check_loader(batches, Shards(urls), first=first, check=by)


def with_images(batch, images):
    return (images, *batch[1:])


def test_a_right_loader_passes(urls, batches, scaled):
    """Full decoding passes exactly, scaled decoding within a grey level and a half."""
    check(batches, urls)
    check(scaled, urls, by=check_near)


def test_what_is_checked_does_not_check_itself(urls, batches, monkeypatch):
    """The expected pixels are computed by plain torch alone, by no kernel of the processor."""

    def used(*_, **__):
        raise AssertionError

    monkeypatch.setattr("foveal.sampler.sampling._dense_op.average_dense_on_cpu", used)
    monkeypatch.setattr("foveal.sampler.kernels.cpu.average_dense_on_cpu", used)
    check(batches, urls)


def test_scaled_decoding_is_not_exact(urls, scaled):
    """Scaled decoding does not pass the exact check, so the images were decoded smaller."""
    with pytest.raises(ValueError, match=re.escape("scene-000000: pixels must agree to 0.0002, got a")):
        check(scaled, urls)


def test_wrong_pixels_are_noticed(urls, batches):
    """A pixel that is slightly wrong is an error that names the sample, unless it is masked."""
    wrong = batches[1][0].clone()
    wrong[0, 0, 3, 5] += 0.001
    moved = [batches[0], with_images(batches[1], wrong)]
    with pytest.raises(ValueError, match=re.escape("scene-000002: pixels must agree to 0.0002")):
        check(moved, urls)
    check(moved, urls, first=2)


def test_images_that_are_off_on_average_are_noticed(urls, scaled):
    """Two grey levels everywhere, or a shift by a pixel, are noticed."""
    brighter = with_images(scaled[0], scaled[0][0] + 2 / 255)
    shifted = with_images(scaled[0], scaled[0][0].roll(1, dims=3))
    for wrong in (brighter, shifted):
        with pytest.raises(ValueError, match=r"scene-000000: pixels must agree to 1\.5 grey levels on aver"):
            check([wrong, scaled[1]], urls, by=check_near)


def test_no_pixel_is_no_agreement():
    """NaN is never accepted."""
    with pytest.raises(ValueError, match="pixels must agree"):
        check_near("a", torch.full((3, 2, 2), torch.nan))
    with pytest.raises(ValueError, match="pixels must agree"):
        check_exact("a", torch.full((3, 2, 2), torch.nan))


def test_wrong_grid_is_noticed(urls, batches):
    """A grid other than the one that was sampled is noticed."""
    images, keys, grids, sizes = batches[0]
    with pytest.raises(ValueError, match=re.escape("scene-000000: pixels must agree")):
        check([(images, keys, grids + 0.01, sizes)], urls)


def test_wrong_size_is_noticed(urls, batches):
    """The size must be that of the original, also for scaled decoding."""
    images, keys, grids, sizes = batches[0]
    with pytest.raises(
        ValueError,
        match=re.escape("scene-000000: size must be [1280, 1920], the original's, got [640, 960]."),
    ):
        check([(images, keys, grids, sizes // 2)], urls)


def test_missing_and_repeated_samples_are_noticed(urls, batches):
    """Missing and repeated samples are noticed."""
    with pytest.raises(ValueError, match=re.escape("the loader must deliver all 3 samples, got 2.")):
        check(batches[:1], urls)
    with pytest.raises(ValueError, match="keys must be those of the shards from sample 2"):
        check([batches[0], batches[0]], urls)
