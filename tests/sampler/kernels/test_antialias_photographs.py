"""Anti-aliased sampling of photographs, beside the mean of many points."""

import io
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from foveal.sampler import SaliencySampler, SpectralSaliency, UniformSampler, sample
from tests import reference
from tests.checks import check_psnr


def photos(folder, largest=10**9):
    for path in sorted((folder / "photos").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if not member.name.endswith((".jpg", ".jpeg")):
                    continue
                image = Image.open(io.BytesIO(tar.extractfile(member).read()))
                if image.width * image.height <= largest:
                    upright = ImageOps.exif_transpose(image).convert("RGB")
                    yield member.name, torch.from_numpy(np.array(upright))


def zooms(size):
    yield "uniform", UniformSampler(size), 42
    for temperature, least in ((1.0, 42), (0.5, 42), (0.25, 39)):
        yield temperature, SaliencySampler(size, saliency=SpectralSaliency(), temperature=temperature), least


def check_photo(name, image, size):
    for zoom_name, zoom, least in zooms(size):
        zoomed, grid, _ = zoom([image])
        expected = reference.supersampled(image.numpy(), grid[0].numpy()) / 255
        point = reference.psnr(sample([image], grid, antialias=False)[0], expected)
        print(f"{name}, {zoom_name}: {reference.psnr(zoomed[0], expected):.1f} dB, points {point:.1f}")  # noqa: T201
        check_psnr(zoomed[0], expected, least)


def test_small_photographs(data_dir):
    """For a small photograph, the result is close to the mean of 256 points in each pixel."""
    for name, image in list(photos(data_dir, largest=2.5e6))[:1]:
        check_photo(name, image, 64)


@pytest.mark.slow
def test_photographs(data_dir):
    """For all photographs at 224 pixels it is, too, with mild and strong zooms."""
    for name, image in photos(data_dir):
        check_photo(name, image, 224)
