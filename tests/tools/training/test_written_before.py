"""A training run of an earlier version can be resumed (tests/golden/regenerate.py)."""

import shutil
from pathlib import Path

import torch
from torch import nn

from foveal.pipeline import ZoomLoader
from foveal.sampler import SaliencyNet, SaliencySampler
from foveal.tools.console.old_names import with_current_names
from foveal.tools.training._ranks import in_ranks
from foveal.tools.training.run import TrainRun

WRITTEN = Path(__file__).parents[2] / "golden" / "written"


def test_a_training_goes_on(tmp_path):
    """Weights, optimiser and loader continue at the step at which the run stopped."""
    written = shutil.copytree(WRITTEN, tmp_path / "written")
    saved = torch.load(written / "run" / "last.pt", weights_only=True)
    model = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 3))
    zoom = SaliencySampler(16, saliency=SaliencyNet())
    optimizer = torch.optim.AdamW([{"params": list(model.parameters())}, {"params": list(zoom.parameters())}])
    url = str(written / "samples.tar")
    with in_ranks() as ranks, ZoomLoader(url, zoom, batch_size=3, shuffle=True, last_batch="drop") as loader:
        parts = {"model": model, "zoom": zoom, "optimizer": optimizer, "loader": loader}
        run = TrainRun(written / "run", ranks, with_current_names(saved["options"]), defaults={}, resume=True)
        assert run.load(parts) == 2

        assert loader.epoch == 1
    for name, weight in zoom.state_dict().items():
        assert torch.equal(weight, saved["zoom"][name]), name
    assert optimizer.state_dict()["state"].keys() == saved["optimizer"]["state"].keys()
