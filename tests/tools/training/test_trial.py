"""The trial of a zoom in a training."""

import numpy as np
import pytest
import torch
from torch import nn

from foveal.sampler import PriorSaliency, SaliencySampler
from foveal.shards import ShardWriter
from foveal.tools import TrainOptions, train
from tests.pipeline.making import encode
from tests.tools.training.runs import lines


class BrightNet(nn.Module):
    """A classifier whose loss depends on the zoom alone: it is sure of label 1, the more the brighter an image is."""

    def __init__(self, sign: float) -> None:
        super().__init__()
        self.bias, self.sign, self.calls = nn.Parameter(torch.zeros(3)), sign, 0

    def forward(self, images):
        self.calls += self.training
        if self.calls == self.interrupted_at:
            raise KeyboardInterrupt
        return self.bias + self.sign * 8 * images.mean((1, 2, 3))[:, None] * torch.tensor([0.0, 1.0, 0.0])

    interrupted_at = -1


@pytest.fixture(scope="module")
def bright_shard(tmp_path_factory):
    """Write a shard of 320 images of one class, which are brighter the more they are zoomed: their saliency is where they are bright."""
    path = tmp_path_factory.mktemp("bright") / "train.tar"
    with ShardWriter(path) as writer:
        for k in range(320):
            image = np.zeros((48, 48, 3), np.uint8)
            image[20:28, 20:28] = 255
            writer.write({"__key__": f"{k:03d}", "png": encode(image, "png"), "cls": 1})
    return path


def on_trial(shard, out, sign: float, **changes):
    """Train `BrightNet`; return its zoom and the last line."""
    zoom = SaliencySampler(16, temperature=0.5)
    options = TrainOptions(out_size=16, epochs=4, batch_size=32, classes=3, num_threads=1, lr=1e-6, **changes)
    return zoom, train(shard, out, model=BrightNet(sign), zoom=zoom, options=options)


@pytest.mark.parametrize(("sign", "helps"), [(1.0, True), (-1.0, False)])
@pytest.mark.usefixtures("no_sheets")
def test_the_zoom_is_on_trial(sign, helps, bright_shard, tmp_path, capsys):
    """A zoom that lowers the loss stays; one that does not is taken away, in the rest of the run and in `saliency.pt`."""
    run = tmp_path / "run"
    zoom, last = on_trial(bright_shard, run, sign)
    (line,) = lines(run, "trial")
    kept = SaliencySampler.from_checkpoint(run / "saliency.pt").saliency

    assert line["helps"] == helps
    assert line["step"] < 16 if helps else line["step"] == 16
    assert (line["standard_errors"] < -4) == helps
    assert (zoom.saliency.gain > 0) == (kept.gain > 0) == helps
    assert (last["train_cells"] < 960) == helps
    printed = " ".join(capsys.readouterr().out.split())
    assert ("so the zoom stays" if helps else "so from here on all are resized evenly") in printed


def test_without_a_trial_the_zoom_stays(bright_shard, tmp_path, no_sheets):
    """With a share of 0 the zoom is at its own strength from the first step, whatever it brings."""
    zoom, last = on_trial(bright_shard, tmp_path / "run", -1.0, trial=0.0)

    assert not lines(tmp_path / "run", "trial")
    assert zoom.saliency.gain == PriorSaliency().gain
    assert last["train_cells"] < 960


def test_an_interrupted_run_ends_the_trial(bright_shard, tmp_path, no_sheets, monkeypatch):
    """A zoom is no longer on trial after its training was interrupted."""
    monkeypatch.setattr(BrightNet, "interrupted_at", 3)
    zoom = SaliencySampler(16)
    options = TrainOptions(out_size=16, epochs=2, batch_size=32, classes=3, num_threads=1)
    with pytest.raises(KeyboardInterrupt):
        train(bright_shard, tmp_path / "run", model=BrightNet(1.0), zoom=zoom, options=options)

    image = torch.rand(2, 3, 40, 40)
    assert torch.equal(zoom(image).grid, zoom(image).grid)
