"""Tokens of mixed resolution: coarse ones for the whole image, fine ones for its most salient cells."""

import copy
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from foveal.pipeline import Augment, ZoomCollate, ZoomLoader
from foveal.sampler import (
    BoxSaliency,
    FixedSaliency,
    MixedResolution,
    PriorSaliency,
    SaliencyNet,
    SpectralSaliency,
    UniformSampler,
    lowres,
    token_positions,
)
from foveal.shards import ShardWriter
from tests.checks import check_close, unhooked
from tests.pipeline.making import encode, picture
from tests.reference import means_over_cells

pytestmark = pytest.mark.usefixtures("one_thread")

SIZES = [(61, 97), (128, 50), (240, 320), (9, 7)]


def images(sizes=SIZES):
    return [torch.from_numpy(picture(k, *size).copy()) for k, size in enumerate(sizes)]


def any_map(nodes, seed=0):
    """Return a random saliency map on this many nodes."""
    return np.random.default_rng(seed).random(nodes) + 0.01


def cut(pixels, cells):
    """Cut (3, height, width) into (cells, 3, p, p) by slicing."""
    height, width = pixels.shape[1] // cells[0], pixels.shape[2] // cells[1]
    return torch.stack(
        [
            pixels[:, row * height : (row + 1) * height, col * width : (col + 1) * width]
            for row in range(cells[0])
            for col in range(cells[1])
        ]
    )


@st.composite
def any_zoom(draw):
    """Return a sampler with random settings and map, and the saliency of each of its cells."""
    cells = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    refined = draw(st.integers(0, cells[0] * cells[1]))
    weights = any_map((draw(st.integers(1, 6)), draw(st.integers(1, 6))), draw(st.integers(0, 99)))
    zoom = MixedResolution(
        cells,
        patch_size=draw(st.integers(2, 6)),
        refined=refined,
        refine=draw(st.integers(2, 3)),
        saliency=FixedSaliency(torch.from_numpy(weights)),
    )
    return zoom, means_over_cells(weights, cells).astype(np.float32)


@settings(max_examples=15, deadline=None)
@given(any_zoom())
def test_tokens_are_the_uniform_pictures_cut(drawn):
    """Coarse tokens are pieces of a uniform resize; fine ones are the most salient cells of a larger one."""
    zoom, weights = drawn
    rows, cols = zoom.cells
    tokens, grid, _ = zoom(images())
    most = sorted(np.argsort(-weights.ravel(), kind="stable")[: zoom.refined])
    coarse = UniformSampler((rows * zoom.patch_size, cols * zoom.patch_size))(images())
    side = zoom.patch_size * zoom.refine
    fine = UniformSampler((rows * side, cols * side))(images())

    assert tokens.shape == (4, zoom.tokens, 3, zoom.patch_size, zoom.patch_size)
    assert grid.shape == (4, zoom.tokens, zoom.patch_size, zoom.patch_size, 2)
    for k in range(4):
        check_close(tokens[k, : rows * cols], cut(coarse.images[k], zoom.cells), 1e-5)
        expected = [cut(cell, (zoom.refine, zoom.refine)) for cell in cut(fine.images[k], zoom.cells)[most]]
        if expected:
            check_close(tokens[k, rows * cols :], torch.cat(expected), 1e-5)
            places = [
                cut(cell, (zoom.refine, zoom.refine))
                for cell in cut(fine.grid[k].permute(2, 0, 1), zoom.cells)[most]
            ]
            check_close(grid[k, rows * cols :].permute(0, 3, 1, 2), torch.cat(places), 0)


@settings(max_examples=15, deadline=None)
@given(any_zoom())
def test_positions_and_scales(drawn):
    """Fine tokens tile the cell that they refine."""
    zoom, weights = drawn
    rows, cols = zoom.cells
    places = token_positions(zoom(images()[:1]).grid)[0].double().numpy()
    coarse, fine = places[: rows * cols], places[rows * cols :].reshape(zoom.refined, zoom.refine**2, 4)
    row, col = np.divmod(np.arange(rows * cols), cols)
    most = sorted(np.argsort(-weights.ravel(), kind="stable")[: zoom.refined])

    check_close(coarse[:, 0], (2 * col + 1) / cols - 1, 1e-5)
    check_close(coarse[:, 1], (2 * row + 1) / rows - 1, 1e-5)
    check_close(coarse[:, 2:], np.broadcast_to((1 / cols, 1 / rows), (rows * cols, 2)), 1e-5)
    check_close(fine.mean(1)[:, :2], coarse[most][:, :2], 1e-5)
    check_close(
        fine[..., 2:] * zoom.refine, np.broadcast_to(coarse[most][:, None, 2:], fine[..., 2:].shape), 1e-5
    )
    for cell, parts in zip(coarse[most], fine, strict=True):
        low, high = cell[:2] - cell[2:], cell[:2] + cell[2:]  # a share of [-1, 1] is half of it
        assert (parts[:, :2] - parts[:, 2:] >= low - 1e-5).all()
        assert (parts[:, :2] + parts[:, 2:] <= high + 1e-5).all()
        assert len({tuple(p) for p in parts[:, :2].round(5)}) == zoom.refine**2


def test_a_source_as_large_as_all_fine_tokens_is_shown_pixel_by_pixel():
    """If the source has as many pixels as all fine tokens, these are its pixels; source_px asks for twice as many."""
    zoom = MixedResolution((2, 3), patch_size=4, refined=6, saliency=FixedSaliency(torch.ones(3, 3)))
    image = torch.randint(256, (16, 24, 3), dtype=torch.uint8)
    pixels = cut(image.permute(2, 0, 1) / 255, (4, 6))
    own = [[2 * r + i, 2 * c + j] for r in range(2) for c in range(3) for i in range(2) for j in range(2)]

    assert zoom.source_px == (32, 48)
    check_close(zoom([image]).images[0, 6:], pixels[[6 * row + col for row, col in own]], 1e-6)
    assert MixedResolution((2, 3), patch_size=4, refined=0).source_px == (16, 24)


def test_every_image_has_as_many_tokens():
    """Every image has the same number of tokens; among equally salient cells the upper left ones are refined."""
    zoom = MixedResolution(4, patch_size=4, refined=5, saliency=FixedSaliency(torch.ones(4, 4)))
    places = token_positions(zoom(images()).grid)[:, 16::4]

    assert zoom.tokens == 16 + 5 * 4
    assert zoom(images()).images.shape[1] == zoom.tokens
    assert torch.equal(places, places[:1].expand_as(places))
    check_close(places[0, :, 0], np.array([0, 1, 2, 3, 0]) / 2 - 1 + 1 / 8, 1e-6)


def test_what_stands_out_is_refined():
    """In a flat picture with a disc, the disc's cells are refined without training."""
    y, x = torch.meshgrid(torch.arange(600), torch.arange(800), indexing="ij")
    image = torch.full((600, 800, 3), 90, dtype=torch.uint8)
    image[(y - 450) ** 2 + (x - 620) ** 2 < 30**2] = torch.tensor([220, 30, 30], dtype=torch.uint8)
    places = token_positions(MixedResolution(8, refined=4)([image]).grid)[0, 64:]
    distance = torch.hypot(places[:, 0] - (620 / 400 - 1), places[:, 1] - (450 / 300 - 1))

    assert distance.min() < 0.15


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_precisions(dtype):
    """Images and networks may be of any precision, each on its own, as with the other samplers."""
    torch.manual_seed(0)
    images = torch.rand(2, 3, 40, 50)
    zoom = MixedResolution(3, patch_size=4, refined=2, saliency=PriorSaliency()).eval()
    expected = zoom(images)
    for found in (zoom(images.to(dtype)), copy.deepcopy(zoom).to(dtype)(images)):
        check_close(found.saliency.float(), expected.saliency, 2e-3)
        assert found.images.shape == expected.images.shape
        assert not found.images.isnan().any()


def test_numbers_of_numpy():
    """The number of cells may be NumPy's."""
    with unhooked():
        assert MixedResolution(np.int64(7), refined=3).cells == (7, 7)


def test_gradients():
    """Pixels have gradients to the images but not to the saliency, as selection is hard; saliency has gradients to its module."""
    torch.manual_seed(0)
    zoom = MixedResolution(3, patch_size=4, refined=2, saliency=SaliencyNet())
    dense = torch.rand(2, 3, 40, 60, requires_grad=True)
    tokens, grid, saliency = zoom(dense)
    tokens.sum().backward(retain_graph=True)

    assert not grid.requires_grad
    assert dense.grad.abs().min() > 0
    assert all(p.grad is None for p in zoom.parameters())
    saliency[:, :, :10].sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in zoom.parameters())


def test_forms_of_images():
    """Ragged, dense uint8 and dense float images give the same tokens; float images may have any channels."""
    zoom = MixedResolution(3, patch_size=4, refined=2)
    dense = torch.randint(256, (2, 3, 40, 60), dtype=torch.uint8)
    ragged = zoom(list(dense.permute(0, 2, 3, 1)))
    floats = zoom(dense / 255)

    check_close(zoom(dense).images, ragged.images, 0)
    check_close(floats.images, ragged.images, 1e-5)
    assert torch.equal(floats.grid, ragged.grid)
    fixed = MixedResolution(3, patch_size=4, refined=2, saliency=FixedSaliency(torch.ones(3, 3)))
    assert fixed(torch.rand(2, 5, 40, 60).double()).images.shape == (2, 17, 5, 4, 4)
    assert fixed(torch.rand(2, 5, 40, 60).double()).images.dtype == torch.float64


def test_views():
    """A flipped view has the tokens of the flipped image, with their positions in the source."""
    zoom = MixedResolution((3, 4), patch_size=4, refined=3)
    flip = torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]]).repeat(4, 1, 1)
    seen = zoom(images(), views=flip)
    mirrored = zoom([image.flip(1) for image in images()], lowres(images(), zoom.lowres_size, flip))
    places = token_positions(seen.grid)

    check_close(seen.images, mirrored.images, 5e-3)
    check_close(places[..., 0], -token_positions(mirrored.grid)[..., 0], 1e-6)
    check_close(places[..., 2:], token_positions(mirrored.grid)[..., 2:], 1e-6)


def test_nothing_to_sample():
    """An empty batch has no tokens."""
    for saliency in (SpectralSaliency(), SaliencyNet()):
        zoom = MixedResolution(3, patch_size=4, refined=2, saliency=saliency)
        zoomed = zoom([], torch.zeros(0, 3, 128, 128))

        assert zoomed.images.shape == (0, 17, 3, 4, 4)
        assert zoomed.grid.shape == (0, 17, 4, 4, 2)


def test_points_instead_of_areas():
    """With antialias=False, each pixel is one point of the source."""
    noise = [torch.randint(256, (203, 301, 3), dtype=torch.uint8)]
    averaged, points = (
        MixedResolution(4, patch_size=4, refined=1, antialias=antialias)(noise).images
        for antialias in (True, False)
    )

    assert averaged.std() < 0.1
    assert points.std() > 0.15


@pytest.fixture
def shard(tmp_path):
    """Return a shard of six pictures of different sizes."""
    with ShardWriter(tmp_path / "s.tar") as writer:
        for k in range(6):
            writer.write({"__key__": f"{k}", "jpg": encode(picture(k, 60 + 9 * k, 90 - 5 * k)), "cls": k})
    return str(tmp_path / "s.tar")


def test_in_a_loader(shard):
    """A loader delivers the tokens, positions and saliency that the sampler returns."""
    zoom = MixedResolution(4, patch_size=8, refined=3)
    fields = ("image", "cls", "__grid__", "__saliency__")
    with ZoomLoader(shard, zoom, batch_size=4, fields=fields) as loader:
        batches = list(loader)

    assert [tuple(batch[0].shape) for batch in batches] == [(4, 28, 3, 8, 8), (2, 28, 3, 8, 8)]
    assert batches[0][1].tolist() == [0, 1, 2, 3]
    assert batches[0][2].shape == (4, 28, 8, 8, 2)
    assert batches[0][3].shape == (4, 1, 31, 31)
    assert torch.isfinite(batches[0][0]).all()
    assert token_positions(batches[0][2]).shape == (4, 28, 4)


def test_in_a_loader_that_augments_and_learns(shard):
    """Tokens follow the views, and trainable saliency has its graph in the batch."""
    zoom = MixedResolution(4, patch_size=8, refined=3, saliency=SaliencyNet())
    fields = ("image", "__saliency__")
    with ZoomLoader(shard, zoom, batch_size=6, fields=fields, augment=Augment(hflip=0.5)) as loader:
        for tokens, saliency in loader:
            assert not tokens.requires_grad
            saliency[:, :, 15, 15].log().sum().backward()

    assert all(p.grad is not None for p in zoom.parameters())


def test_in_another_loader(shard):
    """It works as a collate_fn, and pickles."""
    zoom = copy.deepcopy(MixedResolution(4, patch_size=8, refined=3))
    samples = [(image, k) for k, image in enumerate(images())]
    [(tokens, labels)] = DataLoader(samples, batch_size=4, collate_fn=ZoomCollate(zoom))

    check_close(tokens, zoom(images()).images, 0)
    assert labels.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cells": 0, "refined": 0}, "cells must be at least (1, 1), got 0."),
        (
            {"cells": 2, "refined": 1, "saliency": BoxSaliency()},
            "saliency must need nothing but images, got BoxSaliency – SaliencySampler passes boxes and maps.",
        ),
        ({"cells": 2, "refined": 5}, "refined must be from 0 to the 4 cells there are, got 5."),
        ({"cells": 2, "refined": 1, "refine": 1}, "refine must be at least 2, got 1."),
        ({"cells": 2, "refined": -1}, "refined must be at least 0, got -1."),
        ({"cells": 2, "refined": 1, "patch_size": 1}, "patch_size must be at least 2, got 1."),
    ],
)
def test_arguments(options, message):
    """Each invalid argument is named with its value."""
    with pytest.raises(ValueError, match=re.escape(message)):
        MixedResolution(**options)


@pytest.mark.parametrize("name", ["patch_size", "refined", "refine"])
@pytest.mark.parametrize("value", [2.5, True, "2"])
def test_what_is_no_whole_number(name, value):
    """A number that is not whole is named when the sampler is made, not when it is called."""
    message = f"{name} must be a whole number, got {value!r}."
    with unhooked(), pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        MixedResolution(**{"cells": 2, "refined": 1, name: value})


@pytest.mark.parametrize("shape", [(1, 4, 4, 2), (1, 3, 1, 4, 2), (1, 3, 4, 4, 3)])
def test_what_is_no_grid_of_tokens(shape):
    """A grid of one token, tokens of single pixels, and wrong types are refused."""
    message = f"grid must be (batch, tokens, rows, cols, 2) with at least 2 x 2 pixels, got shape {shape!r}."
    with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
        token_positions(torch.zeros(shape))


def test_it_says_what_it_is():
    """The representation shows the settings and the saliency module."""
    assert "cells=(4, 6), patch_size=8, refined=3, refine=2" in repr(
        MixedResolution((4, 6), patch_size=8, refined=3)
    )
