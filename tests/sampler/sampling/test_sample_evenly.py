"""Uniform sampling of views: each output pixel is the mean over its part of the view, also at the border."""

import pytest
import torch

from foveal.sampler import UniformSampler, lowres

UPPER_LEFT = torch.tensor([[[0.5, 0.0, -0.5], [0.0, 0.5, -0.5]]])


@pytest.mark.parametrize("size", [(1, 1), (1, 8), (8, 1), (2, 2)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_one_pixel_shows_its_view(size, channels_last):
    """A crop of a white quarter is white, at any output size."""
    image = torch.zeros(40, 40, 3, dtype=torch.uint8)
    image[:20, :20] = 255
    images = UniformSampler(size, channels_last=channels_last)([image], views=UPPER_LEFT).images

    assert images.shape == (1, 3, *size)
    assert images.min() > 0.98  # of a footprint at the view's edge a sliver is outside
    assert lowres([image], size, UPPER_LEFT).min() > 0.98
    assert UniformSampler(size)([image]).images.mean() == pytest.approx(0.25, abs=1e-5)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_result_that_is_changed_spoils_no_other(batch):
    """The grid and the saliency of a batch belong to the caller: writing to them changes no later result."""
    images = torch.rand(batch, 3, 9, 9)
    first = UniformSampler(4)(images)
    expected = first.grid.clone(), first.saliency.clone()
    first.grid.add_(1).mul_(4)
    first.saliency.mul_(0)
    later = UniformSampler(4)(images)

    assert torch.equal(later.grid, expected[0])
    assert torch.equal(later.saliency, expected[1])
