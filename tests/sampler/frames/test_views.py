"""Zooming a view equals transforming the image first and then zooming."""

import io
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn.functional import affine_grid, grid_sample

from foveal.sampler import (
    FixedSaliency,
    SaliencyNet,
    SaliencySampler,
    UniformSampler,
    compose,
    lowres,
    sample,
    warp_points,
)
from foveal.sampler.frames import inverse
from foveal.sampler.grids import GridSettings, unchecked_grid
from foveal.shards import Shards
from tests.checks import check_close, check_psnr, unhooked
from tests.sampler.frames.views import CASES, IDENTITY, SIZE, any_views, cases, view_of
from tests.sampler.noise import noise
from tests.strategies import FAMILIES, softmax_map

pytestmark = pytest.mark.usefixtures("one_thread")


@settings(max_examples=30, deadline=None)
@given(any_views(), st.integers(0, 99))
def test_compose_is_the_affine_map_and_has_an_inverse(views, seed):
    """Composition is matrix multiplication as in NumPy, views are torch's affine_grid, and the inverse undoes them."""
    grid = 2 * torch.rand(2, 5, 7, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1
    ones = np.concatenate([grid.numpy(), np.ones((2, 5, 7, 1))], axis=-1)
    even = affine_grid(
        torch.eye(2, 3, dtype=torch.float64).repeat(2, 1, 1), [2, 3, 5, 7], align_corners=False
    )

    check_close(compose(views, grid), np.einsum("bij,bhwj->bhwi", views.numpy(), ones), 1e-14)
    check_close(compose(views, even), affine_grid(views, [2, 3, 5, 7], align_corners=False), 1e-14)
    check_close(compose(inverse(views), compose(views, grid)), grid, 1e-12)
    check_close(compose(views, compose(inverse(views), grid)), grid, 1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_grid_of_views_is_the_grid_composed_with_them(family):
    """The views may be applied to the nodes from which a grid is read: the points and all gradients are the same."""
    torch.manual_seed(0)
    weights = torch.rand(2, 1, 7, 9, dtype=torch.float64)
    weights = (weights / weights.sum(dim=(2, 3), keepdim=True)).requires_grad_()
    views = torch.randn(2, 2, 3, dtype=torch.float64).requires_grad_()
    how = (11, 17), GridSettings(family=family, max_zoom=2.0)
    grids = [unchecked_grid(weights, *how, views), compose(views, unchecked_grid(weights, *how))]
    by = torch.randn_like(grids[0])
    ours, expected = ([grid, *torch.autograd.grad(grid, (weights, views), by)] for grid in grids)

    for one, other in zip(ours, expected, strict=True):
        check_close(one, other, 1e-12 * other.abs().max().item())


def test_the_view_of_the_whole_changes_nothing():
    """The view of the whole image changes no bit in float32."""
    images = [noise(*SIZE), noise(30, 20)]
    zoom = SaliencySampler(16, lowres_size=(24, 24)).eval()
    small, views = lowres(images, (24, 24)), torch.tensor(IDENTITY).repeat(2, 1, 1)

    for with_view, without in zip(zoom(images, small, views), zoom(images, small), strict=True):
        assert torch.equal(with_view, without)
    for with_view, without in zip(
        UniformSampler(16)(images, views=views), UniformSampler(16)(images), strict=True
    ):
        assert torch.equal(with_view, without)


@pytest.mark.parametrize("family", ["separable", "kernel"])
@cases
def test_a_view_is_the_image_transformed_first(case, family):
    """Zooming the view equals zooming the flipped, rotated or cropped image, and the grid is in the source's frame.

    Kernel grids lean: a footprint sheared along rows is no longer quite the same after a quarter turn.
    """
    image, view = noise(*SIZE), view_of(case)
    moved = CASES[case][1](image).contiguous()
    zoom = SaliencySampler(
        (32, 36), saliency=FixedSaliency(softmax_map(7, 9, contrast=1.0)[0, 0].float()), family=family
    )
    ours, first = zoom([image], views=view), zoom([moved])
    inner = (slice(None), slice(None), slice(4, -4), slice(4, -4)) if case == "crop" else ...

    check_close(ours.saliency, first.saliency, 0)
    # The view is applied to the nodes of a kernel grid, before float32 points are read from them.
    check_close(ours.grid, compose(view, first.grid), 0 if family == "separable" else 3e-7)
    if family == "separable":
        check_close(ours.images[inner], first.images[inner], 2e-5)
    else:
        check_psnr(ours.images[inner], first.images[inner], 25)


@cases
def test_a_low_resolution_copy_of_a_view(case):
    """The copy is that of the transformed image; the cells of a crop end at its border."""
    image, view = noise(*SIZE), view_of(case)
    moved = CASES[case][1](image).contiguous()

    check_close(lowres([image], (24, 26), view), lowres([moved], (24, 26), torch.tensor([IDENTITY])), 1e-5)
    check_close(
        lowres(image.permute(2, 0, 1)[None].double(), (24, 26), view.double()) / 255,
        lowres([image], (24, 26), view),
        1e-5,
    )


def test_the_low_resolution_copy_of_the_whole_view(data_dir):
    """On photographs, it differs from the copy without a view by less than 0.02 on average, without a bias in brightness."""
    with Shards(str(data_dir / "photos" / "photos-000000.tar")) as shards:
        files = [shards[k].members["jpg"] for k in range(4)]
    images = [torch.from_numpy(np.array(Image.open(io.BytesIO(file)).convert("RGB"))) for file in files]
    off = lowres(images, (128, 128), torch.tensor(IDENTITY).repeat(len(images), 1, 1)) - lowres(
        images, (128, 128)
    )

    assert off.abs().mean(dim=(1, 2, 3)).max() < 0.02
    assert off.mean(dim=(1, 2, 3)).abs().max() < 0.002


@settings(max_examples=15, deadline=None)
@given(any_views(torch.float32, batch=1), st.integers(0, 99))
def test_points_of_turned_views_are_torchs(views, seed):
    """Points of rotated views equal torch's affine_grid and grid_sample, also beyond the image."""
    image = noise(17, 23, seed)
    theirs = grid_sample(
        image.permute(2, 0, 1)[None] / 255,
        affine_grid(views, [1, 3, 12, 15], align_corners=False),
        padding_mode="border",
        align_corners=False,
    )

    check_close(UniformSampler((12, 15), antialias=False)([image], views=views).images, theirs, 1e-4)


def test_beyond_the_image_is_its_border():
    """The corners of an image that is rotated by 45 degrees show the nearest border pixels."""
    image = torch.zeros(40, 40, 3, dtype=torch.uint8)
    image[0], image[-1], image[:, 0], image[:, -1] = 255, 255, 255, 255
    half = 0.5**0.5
    zoomed = UniformSampler(60)([image], views=torch.tensor([[[half, -half, 0], [half, half, 0]]]))

    assert zoomed.grid.abs().max() > 1.3
    assert zoomed.images[..., 0, 0].min() == zoomed.images[..., -1, -1].min() == 1


def test_gradients_pass():
    """Gradients reach the view, the grid, and the saliency network's weights."""
    views = torch.randn(2, 2, 3, dtype=torch.float64, requires_grad=True)
    grid = torch.randn(2, 3, 4, 2, dtype=torch.float64, requires_grad=True)
    zoom = SaliencySampler(12, saliency=SaliencyNet(), lowres_size=(32, 32))
    zoom([noise(*SIZE)], views=view_of("quarter")).images.square().sum().backward()

    assert torch.autograd.gradcheck(compose, (views, grid))
    assert all(p.grad.abs().sum() > 0 for p in zoom.parameters())


def test_a_mirrored_grid_needs_its_views():
    """A mirrored grid without its views, or with others, is refused, and the message says what is missing."""
    grid = compose(view_of("hflip"), UniformSampler(12)([noise(*SIZE)]).grid)

    for views in (None, view_of("vflip")):
        with pytest.raises(ValueError, match="pass the views that it was composed with"):
            warp_points([torch.tensor([[50.0, 50.0]])], grid, SIZE, views=views)


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (torch.eye(2, 3), "views must be (1, 2, 3), an affine map for each image, got shape (2, 3)."),
        (torch.eye(2, 3).repeat(2, 1, 1), "got shape (2, 2, 3)."),
    ],
)
def test_messages(views, message):
    """Each error shows the shape, whichever function is called."""
    image, grid = noise(*SIZE), torch.zeros(1, 4, 4, 2)
    asked = [
        lambda: compose(views, grid),
        lambda: lowres([image], (8, 8), views),
        lambda: SaliencySampler(8)([image], views=views),
        lambda: UniformSampler(8)([image], views=views),
    ]
    for ask in asked:
        with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
            ask()


@pytest.mark.parametrize("entry", [0.0, float("nan")])
def test_a_view_without_an_inverse(entry):
    """A view that is a line or a point, or not finite, is refused with its value."""
    views = torch.tensor([[[entry, 0, 0], [0, 1, 0]]])
    grid = SaliencySampler(4)([noise(*SIZE)]).grid

    with (
        unhooked(),
        pytest.raises(ValueError, match=re.escape("views must be finite and of some area, got [[")),
    ):
        warp_points([torch.zeros(1, 2)], grid, SIZE, views=views)


def test_sampling_happens_once():
    """A rotated view of a fine pattern is as sharp as one resampling allows; resampling twice is worse."""
    y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")

    def pattern(x, y):
        return 0.5 + 0.25 * torch.sin(x / 1.5) * torch.cos(y / 2)

    image = (pattern(x, y) * 255).round().byte()[..., None].expand(-1, -1, 3).contiguous()
    cos, sin = np.cos(0.3) * 0.4, np.sin(0.3) * 0.4
    views = torch.tensor([[[cos, -sin, 0], [sin, cos, 0]]], dtype=torch.float64)
    zoom = SaliencySampler(
        128, saliency=FixedSaliency(softmax_map(5, 5, contrast=0.3)[0, 0]), antialias=False
    )
    once = zoom([image], views=views)
    first = UniformSampler(104, antialias=False)([image], views=views.float()).images
    twice = sample(
        (first[0].permute(1, 2, 0) * 255).round().byte()[None].unbind(0), zoom([image]).grid, antialias=False
    )
    place = (once.grid + 1) * 128 - 0.5
    truth = pattern(place[..., 0], place[..., 1])

    assert (once.images[:, 0] - truth).abs().mean() < 0.6 * (twice[:, 0] - truth).abs().mean()
