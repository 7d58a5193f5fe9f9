"""With ``compat`` a sampler gives the pixels of the published code, which are computed here from formulas in float64."""

import re

import numpy as np
import pytest
import torch
from torch.nn import functional

from foveal.pipeline import Augment, ZoomLoader
from foveal.sampler import FixedSaliency, ResNet18Saliency, SaliencySampler, ZoomNeeds, ZoomRecord
from foveal.sampler.zooms._as_published import area_lowres
from foveal.shards import ShardWriter
from tests import reference
from tests.checks import check_close, unhooked
from tests.pipeline.making import encode
from tests.strategies import softmax_map

pytestmark = pytest.mark.usefixtures("one_thread")

COMPATS = ["torch04", "torch13plus", "align_corners"]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PAPER = {
    "lowres_size": (224, 224),
    "fwhm_cells": 13.0,
    "padding": "replicate",
    "antialias": False,
    "mean": MEAN,
    "std": STD,
}


def smooth(height, width, seed=0):
    """Return a smooth picture as uint8."""
    coarse = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(seed))
    fine = functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    return (fine[0] * 255).round().byte().permute(1, 2, 0).contiguous()


def published_pixels(image, saliency, size, **how):
    """Return the published code's result for an image that its data loader normalises first."""
    normalised = (image.numpy() / 255 - MEAN) / STD
    grid = reference.published_grid(saliency, size, **how)
    return reference.grid_sample(normalised, grid, align_corners=how["compat"] != "torch13plus")


@pytest.mark.parametrize("padding", ["replicate", "reflect"])
@pytest.mark.parametrize("family", ["kernel", "separable"])
@pytest.mark.parametrize("compat", COMPATS)
def test_pixels_are_the_published_ones(compat, family, padding):
    """The pixels are the published ones, for uint8 images of several sizes and for a dense tensor, borders included."""
    saliency = softmax_map(9, 14)[0, 0].float()
    how = {"family": family, "fwhm_cells": 5.0, "padding": padding, "compat": compat}
    images = [smooth(37, 53), smooth(80, 41, 1)]
    zoom = SaliencySampler(
        (20, 30), saliency=FixedSaliency(saliency), antialias=False, mean=MEAN, std=STD, **how
    )
    dense = torch.stack([images[0], images[0].flip(0)]).permute(0, 3, 1, 2).double() / 255

    for k, image in enumerate(images):
        expected = published_pixels(image, saliency.double().numpy(), (20, 30), **how)
        check_close(zoom(images).images[k], expected, 2e-4)
    expected = published_pixels(images[0], saliency.double().numpy(), (20, 30), **how)
    check_close(zoom(dense).images[0], expected, 2e-4)


def test_the_eras_differ():
    """The pixels of different torch versions differ, so the test above can fail."""
    saliency = softmax_map(9, 14)[0, 0].double().numpy()
    how = {"family": "kernel", "fwhm_cells": 5.0, "padding": "replicate"}
    eras = [published_pixels(smooth(37, 53), saliency, (20, 30), compat=c, **how) for c in COMPATS]

    assert all(np.abs(a - b).max() > 0.1 for a, b in zip(eras, [*eras[1:], eras[0]], strict=True))


def published_checkpoint():
    """Return a state_dict with the names of the paper's code, as saved by a DataParallel model."""
    torch.manual_seed(0)
    ours = ResNet18Saliency()
    weights = {
        f"localization.{k}": v.clone() for k, v in ours.state_dict().items() if not k.startswith("head.")
    }
    for name, value in weights.items():
        if name.endswith(("running_mean", "bias")):
            value.normal_(std=0.1)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
    weights |= {"localization.layer4.0.conv1.weight": torch.ones(2), "localization.fc.weight": torch.ones(2)}
    weights |= {"conv_last.weight": torch.randn(1, 256, 1, 1) / 2, "conv_last.bias": torch.ones(1)}
    weights |= {"hi_res.conv1.weight": torch.ones(2), "filter.weight": torch.ones(1, 1, 61, 61)}
    return {f"module.{name}": value for name, value in weights.items()}


def published_map(weights, small):
    """Return the published saliency of a normalised (1, 3, 224, 224) copy, in float64."""
    w = {name.removeprefix("module.localization."): value.double() for name, value in weights.items()}

    def conv_bn(x, conv, bn, stride, padding):
        x = functional.conv2d(x, w[f"{conv}.weight"], stride=stride, padding=padding)
        return functional.batch_norm(
            x, w[f"{bn}.running_mean"], w[f"{bn}.running_var"], w[f"{bn}.weight"], w[f"{bn}.bias"]
        )

    def block(x, name, stride):
        out = functional.relu(conv_bn(x, f"{name}.conv1", f"{name}.bn1", stride, 1))
        out = conv_bn(out, f"{name}.conv2", f"{name}.bn2", 1, 1)
        if f"{name}.downsample.0.weight" in w:
            x = conv_bn(x, f"{name}.downsample.0", f"{name}.downsample.1", stride, 0)
        return functional.relu(out + x)

    x = functional.max_pool2d(functional.relu(conv_bn(small, "conv1", "bn1", 2, 3)), 3, 2, 1)
    for stage, stride in ((1, 1), (2, 2), (3, 2)):
        x = block(block(x, f"layer{stage}.0", stride), f"layer{stage}.1", 1)
    x = functional.conv2d(
        x, weights["module.conv_last.weight"].double(), weights["module.conv_last.bias"].double()
    )
    x = functional.interpolate(x, (31, 31), mode="bilinear", align_corners=False)
    return x.flatten().softmax(dim=0).view(31, 31).numpy()


@pytest.mark.parametrize("compat", ["torch04", "torch13plus"])
def test_a_published_checkpoint_runs(compat):
    """A checkpoint of the paper's code gives the paper's pixels."""
    weights, image = published_checkpoint(), smooth(300, 410)
    network = ResNet18Saliency()
    network.load_published(weights)
    zoom = SaliencySampler(40, saliency=network, compat=compat, **PAPER).eval()
    with torch.no_grad():
        zoomed = zoom([image])
    small = (reference.adaptive_means(image.numpy() / 255, (224, 224)).T - MEAN) / STD
    expected = published_map(weights, torch.from_numpy(small.T.copy())[None])
    how = {"family": "kernel", "fwhm_cells": 13.0, "padding": "replicate", "compat": compat}

    assert expected.max() > 3 * expected.min()
    check_close(zoomed.saliency[0, 0].numpy() / expected, np.ones((31, 31)), 1e-3)
    check_close(zoomed.images[0], published_pixels(image, expected, (40, 40), **how), 2e-3)


def test_a_published_checkpoint_that_lacks_a_weight():
    """torch reports a missing weight."""
    weights = published_checkpoint()
    del weights["module.conv_last.weight"]

    with pytest.raises(RuntimeError, match=re.escape('Missing key(s) in state_dict: "head.weight"')):
        ResNet18Saliency().load_published(weights)


def test_gradients_reach_the_map_through_a_faded_border():
    """Gradients through the faded border agree with finite differences in float64."""

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.logits = torch.nn.Parameter(torch.randn(1, 1, 4, 5, dtype=torch.float64))

        def forward(self, small):
            return self.logits.expand(len(small), -1, -1, -1)

    torch.manual_seed(0)
    zoom = SaliencySampler(
        (4, 5), saliency=Logits(), lowres_size=(4, 4), compat="torch13plus", antialias=False, fwhm_cells=3.0
    )
    image = torch.randn(1, 3, 6, 7, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(lambda i, _: zoom(i).images, (image, zoom.saliency.logits))


@pytest.mark.parametrize("compat", COMPATS)
def test_through_the_loader_and_back(compat, tmp_path):
    """A loader gives the same pixels, and record and checkpoint restore the grid."""
    with ShardWriter(tmp_path / "a.tar") as writer:
        writer.write({"__key__": "a", "png": encode(smooth(90, 70).numpy(), "PNG"), "cls": 0})
    zoom = SaliencySampler(
        24, saliency=FixedSaliency(softmax_map(7, 7)[0, 0].float()), compat=compat, antialias=False
    )
    with ZoomLoader(
        tmp_path / "a.tar", zoom, batch_size=1, fields=("png", "__grid__"), cache_dir=tmp_path
    ) as loader:
        images, grid = next(iter(loader))
    alone = zoom([smooth(90, 70)])
    record = ZoomRecord.from_json(ZoomRecord.of(zoom, alone.saliency[0], (90, 70)).to_json())
    zoom.save_checkpoint(tmp_path / "zoom.pt")
    again = SaliencySampler.from_checkpoint(tmp_path / "zoom.pt", saliency=zoom.saliency)

    check_close(images, alone.images, 1e-6)
    check_close(grid, alone.grid, 1e-6)
    check_close(record.grid(), alone.grid, 1e-6)
    assert again.settings == zoom.settings
    assert record.to_json()["version"] == 2


def test_what_a_loader_may_not_pass():
    """Views and a low-resolution copy are refused."""
    zoom = SaliencySampler(24, compat="torch04", antialias=False)

    assert (ZoomNeeds.of(zoom).takes_views, ZoomNeeds.of(zoom).lowres_size) == (False, None)
    with pytest.raises(TypeError, match="zoom must take views where augment is given, got SaliencySampler"):
        ZoomLoader("none.tar", zoom, batch_size=1, augment=Augment(hflip=0.5))
    with (
        unhooked(),
        pytest.raises(ValueError, match=re.escape("views must be None with compat='torch04', got (1, 2, 3)")),
    ):
        zoom([smooth(9, 9)], views=torch.eye(2, 3)[None])


def test_antialiasing_was_not_published():
    """antialias=True is refused with ``compat``."""
    message = "antialias must be False with compat='torch04', got True: the published code reads points."
    with pytest.raises(ValueError, match=re.escape(message)):
        SaliencySampler(24, compat="torch04")


def test_no_image():
    """An empty batch gives an empty result."""
    assert SaliencySampler(8, compat="torch13plus", antialias=False)([]).images.shape == (0, 3, 8, 8)
    none = torch.empty(0, 3, 9, 9, dtype=torch.uint8, device="meta")
    assert area_lowres(none, (4, 5)).device == none.device
