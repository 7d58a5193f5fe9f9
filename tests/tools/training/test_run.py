"""The folder of a training."""

import pytest
import torch
from torch import nn

from foveal.sampler import SaliencySampler, UniformSampler
from foveal.tools.training._ranks import in_ranks
from foveal.tools.training.run import TrainRun


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("kind", [SaliencySampler, UniformSampler])
def test_the_zoom_is_written_if_it_can_be_saved(kind, compiled, tmp_path):
    """Also if it was compiled; a sampler without a file of its own is left out."""
    zoom = torch.compile(kind(8), backend="eager") if compiled else kind(8)
    with in_ranks() as ranks:
        TrainRun(tmp_path / "run", ranks, {}, defaults={}, resume=False).finish(nn.Linear(1, 1), zoom)
    written = tmp_path / "run" / "saliency.pt"

    assert written.exists() == (kind is SaliencySampler)
    assert not written.exists() or SaliencySampler.from_checkpoint(written).settings == zoom.settings
