"""A small training, and the files of a run."""

import json
from pathlib import Path

import pytest
import torch

from foveal.sampler import SaliencySampler
from foveal.tools import TrainOptions
from foveal.tools.training import train as _train

SMALL = TrainOptions(out_size=16, epochs=2, batch_size=4, checkpoint_steps=2, log_steps=2, num_threads=1)


def interrupt(patch: pytest.MonkeyPatch, step: int) -> None:
    """Let trainings be interrupted before this step."""
    whole_step = _train._Training.train_step

    def interrupted(training, *batch):
        if training.step == step:
            raise KeyboardInterrupt
        return whole_step(training, *batch)

    patch.setattr(_train._Training, "train_step", interrupted)


def lines(run: Path, kind: str) -> list[dict]:
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in found if line["kind"] == kind]


def metrics(run: Path, kind: str) -> list[dict]:
    """Return lines without the speed, which differs from run to run."""
    return [
        {name: value for name, value in line.items() if name != "train_images_per_s"}
        for line in lines(run, kind)
    ]


def weights(run: Path) -> dict[str, torch.Tensor]:
    """Return all trained weights, by name."""
    model = torch.load(run / "model.pt", weights_only=True)
    zoom = SaliencySampler.from_checkpoint(run / "saliency.pt")
    return {**model, **{f"zoom.{name}": value for name, value in zoom.state_dict().items()}}


def check_same_weights(run: Path, other: Path) -> None:
    ours, theirs = weights(run), weights(other)

    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
