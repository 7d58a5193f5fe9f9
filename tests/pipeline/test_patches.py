"""Patches from the loader, and the training of their scorer through it."""

import re

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from foveal.pipeline import Augment, Boxes, ZoomCollate, ZoomLoader, decode
from foveal.sampler import PatchMean, PatchSampler, saliency_entropy
from foveal.shards import Shards


def test_a_batch_of_patches(small_shards):
    """Patches are cut from originals of different sizes; in evaluation they are the decoded pixels at the grid."""
    torch.manual_seed(0)
    zoom = PatchSampler(3, 24, lowres_size=48).eval()
    fields = ("image", "cls", "__grid__", "__saliency__")
    with ZoomLoader(small_shards, zoom, batch_size=10, fields=fields) as loader:
        (images, labels, grid, saliency), last = list(loader)
    with Shards(small_shards) as shards:
        pixels = decode([shards[k].members["jpg"] for k in range(10)])

    assert images.shape == (10, 3, 3, 24, 24)
    assert grid.shape == (10, 3, 24, 24, 2)
    assert saliency.shape == (10, 1, 5, 5)
    assert labels.tolist() == list(range(10))
    assert last[0].shape == (3, 3, 3, 24, 24)
    for pixel, patches, where in zip(pixels, images, grid, strict=True):
        whole = pixel.permute(2, 0, 1)[None].float().expand(3, -1, -1, -1) / 255
        read = nn.functional.grid_sample(whole, where, padding_mode="border", align_corners=False)
        torch.testing.assert_close(patches, read, atol=1e-4, rtol=0)


def test_the_scorer_learns_through_the_loader(small_shards):
    """A loss of patches and entropy has gradients for every weight of the scorer."""
    torch.manual_seed(0)
    zoom = PatchSampler(2, 24, lowres_size=48, samples=50)
    network, pool, head = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.Flatten()), PatchMean(), nn.Linear(36, 13)
    fields = ("image", "cls", "__saliency__")
    with ZoomLoader(small_shards, zoom, batch_size=10, fields=fields) as loader:  # of two micro-batches
        images, labels, saliency = next(iter(loader))
    logits = head(pool(network(images.flatten(0, 1)).view(10, 2, -1)))
    cross_entropy(logits, labels).backward(retain_graph=True)
    by_loss = [parameter.grad.clone() for parameter in zoom.parameters()]
    saliency_entropy(saliency).mean().backward()

    assert all(gradient.abs().sum() > 0 for gradient in by_loss)
    assert any(not torch.equal(p.grad, g) for p, g in zip(zoom.parameters(), by_loss, strict=True))


def test_training_is_reproducible(small_shards):
    """torch.manual_seed before an epoch fixes its noise."""
    zoom = PatchSampler(2, 16, lowres_size=32, samples=20, sigma=0.5)
    epochs = []
    with ZoomLoader(small_shards, zoom, batch_size=5) as loader:
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            epochs.append(torch.cat([images.detach() for images, _ in loader]))

    assert torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[0], epochs[2])


def test_patches_of_photographs(data_dir):
    """Patches of large photographs, some rotated by EXIF, are in [0, 1]: mixtures in training, crops in evaluation."""
    zoom = PatchSampler(3, 120, samples=50)
    urls = min(str(path) for path in (data_dir / "coins").glob("*.tar"))
    for training in (True, False):
        with ZoomLoader(urls, zoom.train(training), batch_size=3, fields=("image", "__grid__")) as loader:
            images, grid = next(iter(loader))

        assert images.shape == (3, 3, 3, 120, 120)
        assert images.requires_grad == training
        images, grid = images.detach(), grid.detach()
        assert 0 <= float(images.min()) < float(images.max()) <= 1
        assert float(grid.mean((2, 3)).abs().max()) < 1
        assert float(images.std((2, 3, 4)).min()) > 0


def test_as_a_collate_function():
    """PatchSampler works in ZoomCollate inside a DataLoader."""
    images = [torch.zeros(50, 40 + k, 3, dtype=torch.uint8) for k in range(3)]
    collate = ZoomCollate(PatchSampler(2, 8, lowres_size=32), with_grid=True)
    patches, labels, grid, _ = collate([(image, k) for k, image in enumerate(images)])

    assert patches.shape == (3, 2, 3, 8, 8)
    assert grid.shape == (3, 2, 8, 8, 2)
    assert labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("training", [True, False])
def test_labels_cannot_follow_several_patches(write_shard, small_shards, training):
    """A label field is refused by its name, because one box has no single place in K patches."""
    source = write_shard(
        [{**Shards(small_shards)[0].members, "__key__": "0", "json": {"boxes": [[1, 2, 3, 4]]}}], "boxes.tar"
    )
    zoom = PatchSampler(2, 16, lowres_size=32).train(training)
    message = (
        "fields must be without Boxes for a zoom that returns several images a sample, got a grid of shape (1, 2, 16, 16, 2) "
        '– ask for "__grid__" and the plain member instead.'
    )
    with (
        ZoomLoader(source, zoom, batch_size=4, fields=("image", Boxes("json:boxes"))) as loader,
        pytest.raises(ValueError, match=re.escape(message)),
    ):
        next(iter(loader))


def test_views_are_refused(small_shards):
    """Augmentation is refused, because PatchSampler takes no views."""
    with pytest.raises(TypeError, match="views"):
        ZoomLoader(small_shards, PatchSampler(2, 16), batch_size=4, augment=Augment(hflip=0.5))
