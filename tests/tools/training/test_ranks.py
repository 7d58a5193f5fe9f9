"""What the ranks of a training know of each other."""

import pytest
import torch

from foveal.tools.training._ranks import Ranks
from tests.tools.training.runs import metrics
from tests.torchrun import on_two_ranks

CPU = torch.device("cpu")

SCRIPT = """
import sys
import torch
from torch import nn
from foveal.sampler import SaliencySampler
from foveal.tools import TrainOptions, train
from foveal.tools.training import train as _train

shards, out, last = sys.argv[1:]
whole_step = _train._Training.train_step

def interrupted(training, *batch):
    if str(training.step) == last:
        raise KeyboardInterrupt
    return whole_step(training, *batch)

_train._Training.train_step = interrupted
_train.draw_validation = lambda *_, **__: None
torch.manual_seed(7)
model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
options = TrainOptions(out_size=16, epochs=1, batch_size=2, checkpoint_steps=2, log_steps=1, num_threads=1)
try:
    train(shards, out, model=model, zoom=SaliencySampler(16), options=options, resume=True)
except KeyboardInterrupt:
    pass
"""


@pytest.mark.slow
def test_resumed_ranks_write_the_same_metrics(shards, tmp_path):
    """Two ranks that are resumed in the middle of an epoch write the metrics of two that were not stopped."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    for name, last in (("whole", "none"), ("run", "3"), ("run", "none")):
        on_two_ranks(script, shards, tmp_path / name, last)

    for kind in ("step", "epoch"):
        assert metrics(tmp_path / "run", kind) == metrics(tmp_path / "whole", kind)


@pytest.mark.slow
def test_the_metrics_of_a_step_are_of_all_ranks(shards, tmp_path):
    """The last step of an epoch has the means that the epoch has, over the images of both ranks."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    on_two_ranks(script, shards, tmp_path / "run", "none")
    (epoch,) = metrics(tmp_path / "run", "epoch")
    step = metrics(tmp_path / "run", "step")[-1]

    assert {
        name: step[name] for name in ("train_loss", "train_accuracy", "train_cells")
    }.items() <= epoch.items()


def test_each_rank_has_its_sums_back():
    """Each rank gets its own row back; if there are more or fewer ranks now, the sum over all stays the same."""
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    for count in (1, 2, 3):
        own = [Ranks(rank, count, CPU).own(rows) for rank in range(count)]

        assert torch.stack(own).sum(0).tolist() == [4, 6]
        assert count != 2 or torch.equal(torch.stack(own), rows)
