"""The folder of a training."""

import re

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from foveal.sampler import SaliencySampler, UniformSampler
from foveal.tools.training._ranks import in_ranks
from foveal.tools.training.run import TrainRun
from tests.full_disk import full_at


@pytest.mark.parametrize(
    "wrap", [lambda zoom: zoom, lambda zoom: torch.compile(zoom, backend="eager"), AveragedModel]
)
@pytest.mark.parametrize("kind", [SaliencySampler, UniformSampler])
def test_the_zoom_is_written_if_it_can_be_saved(kind, wrap, tmp_path):
    """Also if it is wrapped; a sampler without a file of its own is left out."""
    zoom = kind(8)
    with in_ranks() as ranks:
        TrainRun(tmp_path / "run", ranks, {}, defaults={}, resume=False).finish(nn.Linear(1, 1), wrap(zoom))
    written = tmp_path / "run" / "saliency.pt"

    assert written.exists() == (kind is SaliencySampler)
    assert not written.exists() or SaliencySampler.from_checkpoint(written).settings == zoom.settings


def test_metrics_that_do_not_fit(tmp_path):
    """If the disk is full, the error names the file of the metrics; the lines that fit are read."""
    with in_ranks() as ranks:
        run = TrainRun(tmp_path, ranks, {}, defaults={}, resume=False)
        run.log("epoch", step=1, val_loss=0.5)
        path = tmp_path / "metrics.jsonl"
        with full_at(60), pytest.raises(OSError, match=re.escape(f"File too large: {str(path)!r}")):
            run.log("epoch", step=2, val_loss=0.25)

        assert run.last_epoch() == {"kind": "epoch", "step": 1, "val_loss": 0.5}
