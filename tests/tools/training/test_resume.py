"""A training that is killed or interrupted, and resumed."""

import functools
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import pytest
import torch

from foveal.sampler import SaliencySampler
from foveal.tools import TrainOptions, train
from foveal.tools.training import train as _train
from foveal.tools.training.run import _write
from tests.full_disk import full_at
from tests.tools.command_line import run
from tests.tools.training.runs import SMALL, check_same_weights, interrupt, lines, metrics, weights


class KilledError(Exception):
    """Raised in place of a kill."""


AFTER = [
    0,
    2,
    7,
    "validation",
    "drawing",
    *(pytest.param(step, marks=pytest.mark.slow) for step in (1, 3, 5, 9)),
]


@pytest.fixture(scope="module")
def whole(shards, tmp_path_factory):
    """Return the folder of a run that was not killed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_train, "draw_validation", lambda *_, **__: None)
        train(shards, run, val=shards, options=SMALL)
    return run


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.usefixtures("no_sheets")
def test_resumed_it_ends_the_same(after, whole, shards, tmp_path, monkeypatch):
    """Whenever a run is killed, resuming gives bit-identical weights and the same metrics."""
    whole_step, left = _train._Training.train_step, [after]

    def killed(*args, **options):
        raise KilledError

    def killed_later(training, *batch):
        if training.step == left[0]:
            raise KilledError
        return whole_step(training, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(
            _train._Training,
            *(("validate", killed) if after == "validation" else ("train_step", killed_later)),
        )
        if after == "drawing":
            patch.setattr(_train, "draw_validation", killed)
        with pytest.raises(KilledError):
            train(shards, tmp_path / "run", val=shards, options=SMALL)
    train(shards, tmp_path / "run", val=shards, options=SMALL, resume=True)

    check_same_weights(tmp_path / "run", whole)
    for kind in ("step", "epoch"):
        assert metrics(tmp_path / "run", kind) == metrics(whole, kind)
    assert [line["step"] for line in lines(tmp_path / "run", "step")] == [2, 4, 6, 8, 10]


def test_other_weights_are_noticed(shards, tmp_path, no_sheets):
    """Runs with two seeds differ."""
    for seed in (0, 1):
        options = TrainOptions(out_size=16, epochs=1, batch_size=10, seed=seed, num_threads=1)
        train(shards, tmp_path / f"{seed}", options=options)

    with pytest.raises(AssertionError):
        check_same_weights(tmp_path / "0", tmp_path / "1")


def test_resuming_what_is_done_changes_nothing(shards, tmp_path, no_sheets):
    """Resuming a finished run returns its metrics and changes nothing."""
    first = train(shards, tmp_path / "run", options=SMALL)

    assert train(shards, tmp_path / "run", options=SMALL, resume=True) == first


def test_a_run_that_an_earlier_version_began(shards, tmp_path, no_sheets):
    """A checkpoint with old names of options can be resumed."""
    run = tmp_path / "run"
    train(shards, run, options=replace(SMALL, epochs=1))
    checkpoint = torch.load(run / "last.pt", weights_only=True)
    names = {"family": "grid", "out_size": "size"}
    checkpoint["options"] = {names.get(name, name): value for name, value in checkpoint["options"].items()}
    torch.save(checkpoint, run / "last.pt")
    before = (run / "metrics.jsonl").read_text()
    train(shards, run, options=replace(SMALL, epochs=1), resume=True)

    assert (run / "metrics.jsonl").read_text() == before
    with pytest.raises(ValueError, match="family must be 'kernel'"):
        train(shards, run, options=replace(SMALL, epochs=1, family="cdf"), resume=True)


def test_a_run_goes_on_with_other_threads_and_for_longer(shards, tmp_path, no_sheets):
    """A run may be resumed with other threads and more epochs; fewer epochs or other changes are refused."""
    train(shards, tmp_path / "run", options=SMALL)
    longer = replace(SMALL, epochs=3, num_threads=2, log_steps=5, checkpoint_steps=100)
    assert train(shards, tmp_path / "run", options=longer, resume=True)["epoch"] == 2

    message = f"epochs must be at least 3, as in the run that goes on in {str(tmp_path / 'run')!r}, got 2"
    with pytest.raises(ValueError, match=re.escape(message)):
        train(shards, tmp_path / "run", options=SMALL, resume=True)


def test_a_run_does_not_go_on_with_other_shards(shards, tmp_path, no_sheets):
    """Other shards are refused in words that also fit the command line; the run stays as it is."""
    train(shards, tmp_path / "run", options=SMALL)
    before = (tmp_path / "run/metrics.jsonl").read_text()
    message = (
        "shards must be those that the state was saved with, by name, number of samples and order, got 40 samples where there "
        "were 20 – name the same shards again."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        train([shards, shards], tmp_path / "run", options=replace(SMALL, epochs=3), resume=True)
    assert (tmp_path / "run/metrics.jsonl").read_text() == before


def test_a_run_of_a_version_with_fewer_options(shards, tmp_path, no_sheets):
    """A run of an earlier version is resumed with the defaults of later options."""
    train(shards, tmp_path / "run", options=replace(SMALL, epochs=1))
    checkpoint = torch.load(tmp_path / "run/last.pt", weights_only=True)
    for name in ("blur", "unfinished"):
        (checkpoint["options"] if name == "blur" else checkpoint).pop(name)
    torch.save(checkpoint, tmp_path / "run/last.pt")

    with pytest.raises(ValueError, match=r"blur must be 0\.0, as in the run"):
        train(shards, tmp_path / "run", options=replace(SMALL, blur=0.5), resume=True)
    assert train(shards, tmp_path / "run", options=SMALL, resume=True)["epoch"] == 1


def run_script(command: list[object]) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*map(str, command)], env=environment)


@pytest.mark.slow
def test_a_process_that_is_killed(shards, tmp_path):
    """Killed by SIGKILL at three random moments, the command ends with the same weights."""
    command = [
        sys.executable,
        "-m",
        "foveal.tools",
        "train",
        shards,
        "--val",
        shards,
        "--out-size",
        16,
        "--batch-size",
        4,
    ]
    command += ["--epochs", 12, "--num-threads", 1, "--classes", 3, "--resume", "--out"]
    assert run_script([*command, tmp_path / "whole"]).wait(300) == 0
    killed = 0
    for _ in range(3):
        process = run_script([*command, tmp_path / "run"])
        while process.poll() is None and len(list((tmp_path / "run").glob("epoch-*.png"))) < 3 * (killed + 1):
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        killed += process.wait(60) == -signal.SIGKILL
    assert killed == 3
    assert run_script([*command, tmp_path / "run"]).wait(300) == 0

    check_same_weights(tmp_path / "run", tmp_path / "whole")


SCRIPT = """
import sys
import torch
from torch import nn
from foveal.sampler import SaliencySampler
from foveal.tools import TrainOptions, train

shards, out, batch_size = sys.argv[1:]
torch.manual_seed(7)
conv = nn.Conv2d(3, 8, 3)
model = nn.Sequential(conv, nn.GroupNorm(2, 8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
options = TrainOptions(out_size=16, epochs=2, batch_size=int(batch_size), num_threads=1, trial=0.0)  # ranks draw their own numbers
zoom = SaliencySampler(16)
train(shards, out, val=shards, model=model, zoom=zoom, options=options)
"""


def test_a_checkpoint_without_sums(shards, tmp_path, no_sheets, monkeypatch):
    """A run that an earlier version stopped in the middle of an epoch goes on; its metrics are of the rest alone."""
    with monkeypatch.context() as patch:
        interrupt(patch, step=4)
        with pytest.raises(KeyboardInterrupt):
            train(shards, tmp_path / "run", options=replace(SMALL, epochs=1))
    checkpoint = torch.load(tmp_path / "run/last.pt", weights_only=True)
    assert checkpoint.pop("sums").shape == (1, 4)
    torch.save(checkpoint, tmp_path / "run/last.pt")

    last = train(shards, tmp_path / "run", options=replace(SMALL, epochs=1), resume=True)
    assert last["train_accuracy"] in {0, 0.25, 0.5, 0.75, 1}


@pytest.mark.slow
def test_two_ranks_train_as_one(shards, tmp_path):
    """Two ranks with half a batch each reach the same weights to rounding, and write one set of files."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    for name, command, batch_size in (("one", [sys.executable], 10), ("two", torchrun, 5)):
        assert run_script([*command, script, shards, tmp_path / name, batch_size]).wait(300) == 0
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")

    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-4
    ours, theirs = (lines(tmp_path / name, "epoch")[-1] for name in ("one", "two"))
    assert ours["val_loss"] == pytest.approx(theirs["val_loss"], abs=1e-4)
    assert ours["val_accuracy"] == theirs["val_accuracy"]
    assert ours["train_accuracy"] == theirs["train_accuracy"]


def test_a_full_disk_is_named(tmp_path):
    """If a checkpoint cannot be written whole, the error says why and which file, and the earlier one is kept."""
    path = tmp_path / "last.pt"
    zoom = SaliencySampler(8)
    _write(path, zoom.save_checkpoint)
    assert SaliencySampler.from_checkpoint(path).settings == zoom.settings
    before = path.read_bytes()
    with full_at(100_000), pytest.raises(OSError, match="File too large") as caught:
        _write(path, functools.partial(torch.save, torch.zeros(10**6)))

    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


def test_interrupted_it_says_how_to_go_on(shards, tmp_path, monkeypatch):
    """After Ctrl-C the command says that --resume goes on, if there is something to go on from."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("foveal.tools.training.train.train", interrupted)
    arguments = ("train", shards, "--out", tmp_path / "run", "--out-size", 16)
    assert "--resume" not in run(*arguments).output
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.pt").touch()

    stopped = run(*arguments)
    assert (
        f"With --resume the same command goes on from the last checkpoint in {tmp_path / 'run'}"
        in stopped.output
    )
