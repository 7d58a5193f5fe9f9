"""The figures of the page on published systems are what the formulas give."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from foveal.pipeline.fields import encode_array
from foveal.sampler import (
    BoxSaliency,
    FixedSaliency,
    MapSaliency,
    PriorSaliency,
    ResNet18Saliency,
    SaliencySampler,
    zoom_grid,
)
from foveal.shards import ShardWriter
from tests import reference
from tests.checks import check_close
from tests.docs.blocks import python_blocks
from tests.pipeline.making import encode, picture
from tests.strategies import bump, softmax_map

PAGE = (Path(__file__).parents[2] / "docs" / "samplers.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| system")
]
ROWS = [row for row in ROWS if len(row) == 4]
BLOCKS = python_blocks(PAGE)
STATED = {name: float(difference.removesuffix(" %")) for name, _, difference, _ in ROWS}
SETTINGS = {name: settings for name, settings, _, _ in ROWS}


def settings_of(row, **names):
    """Return the keywords in a row of the table."""
    inner = re.fullmatch(r"`(.*)`", SETTINGS[row])[1]
    return eval(f"dict({inner})", {"BoxSaliency": BoxSaliency, "FixedSaliency": FixedSaliency, **names})


def share(ours, theirs):
    """Return the largest difference of two grids, as a percentage of the image's side."""
    return float(np.abs(np.asarray(ours, np.float64) - theirs).max() / 2 * 100)


def of_learning_to_zoom(compat):
    """Return the grid that the published code gives to grid_sample, for sharp maps."""
    how = settings_of("Learning to Zoom, torch 0.4 to 1.2 (Recasens et al. 2018)") | {"compat": compat}
    how = {name: how[name] for name in ("fwhm_cells", "padding", "compat")}
    maps = [softmax_map(31, 31, contrast=contrast) for contrast in (1.0, 4.0)]
    return max(
        share(
            zoom_grid(each.float(), (40, 40), **how)[0],
            reference.published_grid(each[0, 0].numpy(), (40, 40), family="kernel", **how),
        )
        for each in maps
    )


def of_fovea():
    """Return the grid for boxes of a few sizes, on an image of 1200 by 1920 pixels."""
    how = settings_of("FOVEA (Thavamani et al. 2021)")
    boxes = torch.tensor([[0.2, 0.3, 0.25, 0.4], [0.6, 0.5, 0.9, 0.7], [0.62, 0.4, 0.66, 0.45]])
    zoom = SaliencySampler((60, 96), **how)
    image = torch.zeros(1, 3, 1200, 1920)
    pixels = boxes.double().numpy() * ([1920, 1200] * 2)
    saliency = reference.fovea_saliency(pixels, (31, 51), (1200, 1920))
    theirs = reference.published_grid(
        saliency,
        (60, 96),
        family="separable",
        fwhm_cells=4.0,
        padding="reflect",
        compat="align_corners",
    )
    return share(zoom(image, boxes=[boxes]).grid[0], theirs * (1 - 1 / np.array([1920, 1200])))


def of_lzu():
    """Return the grid of a fixed map with 27 x 48 nodes."""
    prior = softmax_map(27, 48)[0, 0]
    how = settings_of("LZU (Thavamani et al. 2023)", prior=prior.float())
    theirs = reference.published_grid(
        prior.numpy(),
        (30, 40),
        family="separable",
        fwhm_cells=10.0,
        padding="reflect",
        compat="align_corners",
    )
    ours = SaliencySampler((30, 40), **how)(torch.zeros(1, 3, 300, 400)).grid[0]
    return share(ours, theirs * (1 - 1 / np.array([400, 300])))


def of_attwarp():
    """Return the grid of attention as large as the image, as the published code takes it."""
    attention = torch.nn.functional.interpolate(
        softmax_map(24, 24, contrast=1.5), (480, 640), mode="bilinear", align_corners=True
    )
    how = settings_of("AttWarp (Dalal et al. 2025), square root", attention=attention[0, 0])
    ours = SaliencySampler((240, 320), **how)(torch.zeros(1, 3, 480, 640)).grid[0, 0, :, 0]
    return share(ours, reference.attwarp_places(attention[0, 0].numpy(), 640, 320))


def of_tasn():
    """Return the grid of attention on 28 x 28 cells, enlarged and squared, with some places above the bound."""
    smooth = torch.nn.functional.avg_pool2d(softmax_map(28, 28, contrast=2.0), 5, 1, 2)
    large = torch.nn.functional.interpolate(smooth, (512, 512), mode="bilinear", align_corners=True)
    how = settings_of("TASN (Zheng et al. 2019)", attention=large[0, 0])
    grid = SaliencySampler((224, 224), **how)(torch.zeros(1, 3, 512, 512)).grid[0]
    squared = large[0, 0].numpy() ** 2
    x, y = reference.tasn_places([squared.max(0), squared.max(1)], 224)
    assert 1 / (np.diff(x) * 112).min() > 4.2, "its bound of 4 holds"
    return max(share(grid[0, :, 0], x * (1 - 1 / 512)), share(grid[:, 0, 1], y * (1 - 1 / 512)))


MEASURED = {
    "TASN (Zheng et al. 2019)": of_tasn,
    "Learning to Zoom, torch 0.4 to 1.2 (Recasens et al. 2018)": lambda: of_learning_to_zoom("torch04"),
    "Learning to Zoom, torch 1.3 and later": lambda: of_learning_to_zoom("torch13plus"),
    "FOVEA (Thavamani et al. 2021)": of_fovea,
    "LZU (Thavamani et al. 2023)": of_lzu,
    "AttWarp (Dalal et al. 2025), square root": of_attwarp,
}


def test_every_row_is_measured():
    """Each row of the table has a formula here."""
    assert STATED.keys() == MEASURED.keys()


@pytest.mark.parametrize("row", MEASURED)
def test_the_largest_difference_is_as_stated(row):
    """The largest difference is at most the stated one, and at least half of it unless it is rounding."""
    measured = MEASURED[row]()

    assert measured <= STATED[row]
    assert measured >= STATED[row] / 2 or STATED[row] <= 1e-4


def sharp_maps():
    """Return ten maps of independent cells, a few of which have nearly all mass."""
    draw = torch.Generator().manual_seed(0)
    return [(8 * torch.randn(1, 1, 31, 31, generator=draw)).double().exp() for _ in range(10)]


@pytest.mark.parametrize(
    ("compat", "place"), [("torch13plus", 0), ("align_corners", 3)], ids=["learning to zoom", "fovea"]
)
def test_how_far_exact_is_from_published(compat, place):
    """The stated distances between compat="exact" and published grids are right for an image of 400 pixels."""
    stated = [float(number) for number in re.findall(r"([\d.]+) %", PAGE.split("The default")[1])]
    scale = 1 - 1 / 400 if compat == "align_corners" else 1
    how = {"fwhm_cells": 13.0, "padding": "replicate"}

    def off(saliency):
        theirs = reference.published_grid(
            saliency[0, 0].numpy(), (224, 224), family="kernel", compat=compat, **how
        )
        return share(zoom_grid(saliency, (224, 224), **how)[0], scale * theirs)

    maps = [torch.ones(1, 1, 31, 31).double()], [bump(8.0).double()], sharp_maps()
    for k, each in enumerate(maps):
        assert max(map(off, each)) == pytest.approx(stated[place + k], rel=0.1)


def test_maps_of_the_page(tmp_path):
    """The second example runs on other data, and zooms to the map's maximum."""
    attention = np.zeros((24, 24), np.float32)
    attention[5, 18] = 1
    with ShardWriter(tmp_path / "a.tar") as writer:
        for k in range(3):
            image = encode(picture(k, 90, 120))
            writer.write(
                {"__key__": f"{k}", "jpg": image, "cls": k, "attention.npy": encode_array(attention + 0.01)}
            )
    code = BLOCKS[1].replace("train-{000000..000146}.tar", str(tmp_path / "a.tar")).replace("=64", "=3")
    assert str(tmp_path) in code
    found = {}
    exec(compile(code, "samplers.md", "exec"), found)
    [saliency] = found["zoom"]([torch.zeros(90, 120, 3).byte()], maps=[torch.from_numpy(attention)]).saliency

    assert found["images"].shape == (3, 3, 224, 224)
    assert divmod(int(saliency.argmax()), 31) == (7, 23)


def test_a_map_with_a_network_beside_it():
    """The zoom starts as the map's, and the network's last layers have a gradient, also where the map is zero."""
    attention = torch.zeros(24, 24)
    attention[5, 18] = 1
    [code] = re.findall(r"`(PriorSaliency\(.*?\))` starts", PAGE)
    both = eval(code, {"PriorSaliency": PriorSaliency, "MapSaliency": MapSaliency})
    image = torch.rand(1, 3, 90, 120, generator=torch.Generator().manual_seed(0))
    zoomed = SaliencySampler(16, saliency=both.eval())(image, maps=[attention])
    alone = SaliencySampler(16, saliency=both.prior)(image, maps=[attention])
    zoomed.images.square().sum().backward()

    check_close(zoomed.saliency, alone.saliency, 1e-6)
    assert both.network.head.weight.grad.abs().sum() > 0


def test_a_map_as_a_channel_of_the_page():
    """The zoom starts as the map's, and the network has a fourth channel."""
    found = {}
    exec(compile(BLOCKS[2], "samplers.md", "exec"), found)
    maps, image = [torch.rand(24, 24)], torch.rand(1, 3, 90, 120)
    alone = SaliencySampler(224, saliency=found["prior"])

    check_close(found["zoom"].eval()(image, maps=maps).grid, alone(image, maps=maps).grid, 1e-5)
    assert found["zoom"].saliency.network.network.channels == 4


def moving(number):
    """Return a bright square of 20 pixels that moves to the right and down, and its box."""
    x, y = 100 + 12 * number, 60 + 8 * number
    frame = np.full((300, 400, 3), 40, np.uint8)
    frame[y : y + 20, x : x + 20] = 230
    return frame, [x, y, x + 20, y + 20]


def bright(images):
    """Return the box around bright pixels, as a detector of one class would."""
    rows, cols = torch.where(images[0, 0] > 0.5)
    return torch.tensor([[cols.min(), rows.min(), cols.max() + 1, rows.max() + 1]]).float()


def test_the_video_of_the_page(tmp_path, monkeypatch):
    """Both examples run: from the second frame on, the square is magnified, and is detected in its place."""
    monkeypatch.chdir(tmp_path)
    clip = [moving(number) for number in range(6)]
    found = {"frames": [(encode(frame), [box]) for frame, box in clip]}
    found |= {"video": [torch.from_numpy(frame) for frame, _ in clip], "detector": bright}
    exec(compile(BLOCKS[3], "samplers.md", "exec"), found)
    shown = [each for _, labels in found["loader"] for each in labels.boxes]
    exec(compile(BLOCKS[4], "samplers.md", "exec"), found)
    areas = [float((each[:, 2:] - each[:, :2]).prod()) for each in shown]
    x0, y0, x1, y1 = (found["before"][0] * torch.tensor([400, 300, 400, 300])).tolist()

    assert areas[0] == pytest.approx(20 * 20 * 224 * 224 / (300 * 400), rel=0.01)
    assert min(areas[1:]) > 3 * areas[0]
    assert (x0, y0, x1, y1) == pytest.approx(clip[-1][1], abs=1.5)


def test_the_condition_of_the_page(tmp_path):
    """The example of a condition runs on other data, and gradients reach the module that makes it."""
    with ShardWriter(tmp_path / "a.tar") as writer:
        for k in range(3):
            query = encode_array(np.full(16, k, np.float32))
            image = encode(picture(k, 90, 120))
            writer.write({"__key__": f"{k}", "jpg": image, "cls": k, "query.npy": query})
    code = BLOCKS[5].replace("train-{000000..000146}.tar", str(tmp_path / "a.tar")).replace("=64", "=3")
    found = {"__name__": "page"}
    exec(compile(code, "samplers.md", "exec"), found)
    found["images"].square().sum().backward()

    assert found["images"].shape == (3, 3, 224, 224)
    assert found["zoom"].saliency.choose.weight.grad.abs().sum() > 0


def test_the_published_checkpoint_of_the_page(tmp_path, monkeypatch):
    """The example runs on a file with the names of the published code."""
    ours = ResNet18Saliency()
    names = {f"localization.{k}": v for k, v in ours.state_dict().items() if not k.startswith("head.")}
    names |= {"conv_last.weight": ours.head.weight.detach(), "conv_last.bias": ours.head.bias.detach()}
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": names}, "published.pth")
    found = {}
    exec(compile(BLOCKS[0], "samplers.md", "exec"), found)

    check_close(found["zoom"].saliency.conv1.weight, ours.conv1.weight, 0)
    assert found["zoom"].settings["compat"] == "torch13plus"
    assert found["zoom"].saliency.frame == "cells"


def test_the_attention_of_the_page(tmp_path, monkeypatch):
    """The example of attention runs on other data, with a small transformer."""

    class Vit(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.patch = torch.nn.Conv2d(3, 8, 16, 16)
            self.token = torch.nn.Parameter(torch.randn(1, 1, 8))
            self.layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

        def forward(self, x):
            patches = self.patch(x).flatten(2).mT
            return self.layer(torch.cat([self.token.expand(len(x), -1, -1), patches], 1))[:, 0]

    monkeypatch.setattr(torch.hub, "load", lambda *_: Vit())
    with ShardWriter(tmp_path / "a.tar") as writer:
        for k in range(3):
            writer.write({"__key__": f"{k}", "jpg": encode(picture(k, 90, 120)), "cls": k})
    code = BLOCKS[6].replace("train-{000000..000146}.tar", str(tmp_path / "a.tar")).replace("=64", "=3")
    assert str(tmp_path) in code
    found = {}
    exec(compile(code, "samplers.md", "exec"), found)

    assert found["images"].shape == (3, 3, 448, 448)
    assert found["zoom"].saliency.patches == (14, 14)
    assert found["zoom"].saliency.layer == "layer.self_attn"
