"""Training through the loader equals training the same model written with dense tensors."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import conv2d, cross_entropy, grid_sample, pad

from foveal.pipeline import ZoomLoader
from foveal.sampler import SaliencyNet, SaliencySampler, lowres
from foveal.shards import ShardWriter
from tests.checks import check_close
from tests.pipeline.making import encode, picture

SIZE, LOOK, NODES, FWHM, TEMPERATURE = 24, (64, 64), 31, 8.0, 1 / 8


@pytest.fixture
def shard(tmp_path) -> str:
    """Return eleven lossless pictures of one size, which are more than a micro-batch."""
    with ShardWriter(tmp_path / "s.tar") as writer:
        for k in range(11):
            writer.write({"__key__": f"{k:02d}", "png": encode(picture(k, 90, 120), "PNG"), "cls": k % 3})
    return str(tmp_path / "s.tar")


def models() -> tuple[SaliencyNet, nn.Module]:
    torch.manual_seed(0)
    saliency = SaliencyNet((NODES, NODES))
    nn.init.normal_(saliency.detail.weight, std=0.05)  # as after some steps: a zoom that is worth the name
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.GroupNorm(2, 8), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)
    )
    model(torch.zeros(1, 3, SIZE, SIZE))
    return saliency, model


def dense_zoom(images: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Zoom by the paper's equations 3 and 4 in float64, with a two-dimensional convolution and torch's grid_sample."""
    images, logits = images.double(), logits.double()
    share = (logits / TEMPERATURE).flatten(1).softmax(1).view_as(logits)
    reach = NODES - 1
    offset = torch.arange(-reach, reach + 1, dtype=torch.float64)
    bell = torch.exp(-4 * np.log(2) * (offset / FWHM) ** 2)
    kernel = (bell[:, None] * bell)[None, None]
    wide = pad(share, (reach,) * 4, mode="reflect")
    place = torch.arange(-reach, 2 * reach + 1, dtype=torch.float64) / reach * 2 - 1
    x, y = place.expand(len(place), -1), place[:, None].expand(-1, len(place))
    total = conv2d(wide, kernel)
    nodes = torch.cat([conv2d(wide * at, kernel) / total for at in (x, y)], 1).clamp(-1, 1)
    centres = (2 * torch.arange(SIZE, dtype=torch.float64) + 1) / SIZE - 1
    at = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), -1).expand(len(images), -1, -1, -1)
    grid = grid_sample(nodes, at, align_corners=True).permute(0, 2, 3, 1)
    return grid_sample(images, grid, align_corners=False, padding_mode="border").float()


def gradients(loss: torch.Tensor, *modules: nn.Module) -> list[np.ndarray]:
    weights = [weight for module in modules for weight in module.parameters()]
    return [gradient.numpy() for gradient in torch.autograd.grad(loss, weights)]


def through_the_loader(shard: str, **options) -> tuple[float, list[np.ndarray]]:
    saliency, model = models()
    zoom = SaliencySampler(
        SIZE,
        saliency=saliency,
        lowres_size=LOOK,
        fwhm_cells=FWHM,
        temperature=TEMPERATURE,
        antialias=False,
        **options,
    )
    with ZoomLoader(shard, zoom, batch_size=11, num_threads=1) as loader:
        images, labels = next(iter(loader))
        loss = cross_entropy(model(images), labels)
        return float(loss.detach()), gradients(loss, saliency, model)


def dense(shard: str) -> tuple[float, list[np.ndarray]]:
    saliency, model = models()
    files = [picture(k, 90, 120) for k in range(11)]
    pixels = [torch.from_numpy(np.array(Image.open(io.BytesIO(encode(file, "PNG"))))) for file in files]
    images = torch.stack(pixels).permute(0, 3, 1, 2) / 255
    zoomed = dense_zoom(images, saliency(lowres(pixels, LOOK)))
    loss = cross_entropy(model(zoomed), torch.arange(11) % 3)
    return float(loss.detach()), gradients(loss, saliency, model)


def check_gradients(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    """Check each weight's gradient to 1e-4 of its largest value; the networks' float32 sums make up to 3e-6 of it."""
    for one, other in zip(ours, theirs, strict=True):
        largest = np.abs(other).max()
        assert largest > 0
        check_close(one / largest, other / largest, 1e-4)


def test_gradients_are_those_of_dense_tensors(shard):
    """The loss and the gradients of saliency network and classifier equal those of the dense model."""
    ours, theirs = through_the_loader(shard), dense(shard)

    check_close(ours[0], theirs[0], 1e-5)
    check_gradients(ours[1], theirs[1])


def test_another_zoom_has_others(shard):
    """The check fails for a different grid."""
    with pytest.raises(AssertionError):
        check_gradients(through_the_loader(shard, padding="replicate")[1], dense(shard)[1])
