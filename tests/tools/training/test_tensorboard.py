"""TensorBoard shows what metrics.jsonl has."""

import re
import sys
import threading
from dataclasses import replace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from foveal.tools import TrainOptions, train
from foveal.tools._main import _EXTRAS
from foveal.tools.training._tensorboard import TensorBoard
from tests.full_disk import full_at
from tests.tools.training.runs import SMALL, interrupt, lines

OPTIONS = replace(SMALL, log="tensorboard")


class NoTensorBoard:
    """Says of TensorBoard what Python says of a package that is not installed."""

    def find_spec(self, name, *_):
        if name == "tensorboard":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def curves(run):
    """Return what the event files hold: steps and values by name, and the sizes of pictures."""
    events = EventAccumulator(str(run))
    events.Reload()
    scalars = {
        name: [(each.step, each.value) for each in events.Scalars(name)] for name in events.Tags()["scalars"]
    }
    return scalars, [
        (each.step, each.width) for name in events.Tags()["images"] for each in events.Images(name)
    ]


def test_events_that_do_not_fit(tmp_path):
    """If the disk is full, the error names the event file, and nothing else is said: no thread of TensorBoard's writes it."""
    threads = threading.enumerate()
    board = TensorBoard(tmp_path, 0)
    (path,) = tmp_path.iterdir()
    with full_at(200), pytest.raises(OSError, match=re.escape(f"File too large: {str(path)!r}")):
        [board.log("step", {"step": step, "loss": 1.0}) for step in range(99)]
    assert threading.enumerate() == threads


def test_curves_and_pictures(shards, tmp_path):
    """The event files have every number of metrics.jsonl, and a sheet for each epoch."""
    train(shards, tmp_path / "run", val=shards, options=OPTIONS)
    scalars, pictures = curves(tmp_path / "run")
    written = {
        f"{kind}/{name}": [
            (line["step"], pytest.approx(line[name], rel=1e-6)) for line in lines(tmp_path / "run", kind)
        ]
        for kind in ("step", "epoch", "trial")
        for name in lines(tmp_path / "run", kind)[0].keys() - {"kind", "step", "epoch"}
    }

    assert scalars == written
    assert [step for step, _ in pictures] == [5, 10]
    assert all(width > 300 for _, width in pictures)


def test_a_run_that_goes_on_shows_each_step_once(shards, tmp_path, monkeypatch, no_sheets):
    """After a resume, steps that were logged after the last checkpoint are hidden."""
    options = replace(OPTIONS, log_steps=1, checkpoint_steps=3)
    with monkeypatch.context() as patch:
        interrupt(patch, step=7)
        with pytest.raises(KeyboardInterrupt):
            train(shards, tmp_path / "run", options=options)
    train(shards, tmp_path / "run", options=options, resume=True)

    assert [step for step, _ in curves(tmp_path / "run")[0]["step/train_loss"]] == list(range(1, 11))


def test_a_run_may_go_on_with_it(shards, tmp_path, no_sheets):
    """A run may be resumed with another --log."""
    train(shards, tmp_path / "run", options=replace(OPTIONS, log="json", epochs=1))
    train(shards, tmp_path / "run", options=OPTIONS, resume=True)

    assert curves(tmp_path / "run")[0]["epoch/train_loss"][0][0] == 10


def test_without_the_package(shards, tmp_path, monkeypatch):
    """Without the package, the command line names the extra."""
    for name in [name for name in sys.modules if "tensorboard" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [NoTensorBoard(), *sys.meta_path])

    with pytest.raises(ModuleNotFoundError) as error:
        train(shards, tmp_path / "run", options=OPTIONS)
    assert _EXTRAS[error.value.name] == "tensorboard"


def test_another_word():
    """An unknown kind of log is refused."""
    with pytest.raises(
        ValueError, match="^" + re.escape("log must be one of json, tensorboard, got 'wandb'.") + "$"
    ):
        TrainOptions(log="wandb")
