"""A classifier and its zoom, trained through the loader."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from foveal.pipeline import Augment, ZoomLoader
from foveal.sampler import PatchSampler, PriorSaliency, SaliencySampler, UniformSampler
from foveal.shards import ShardWarning, ShardWriter
from foveal.tools import TrainOptions, train
from foveal.tools.offline.recipe import Recipe
from foveal.tools.offline.zoom import RunOptions, zoom_shards
from foveal.tools.training import train as _train
from tests.pipeline.making import encode, picture
from tests.shards.reading import make_tar
from tests.tools import command_line
from tests.tools.training.runs import SMALL, check_same_weights, lines, weights


def test_what_it_leaves(shards, tmp_path, capsys):
    """A run writes metrics, a sheet for each epoch and safe checkpoints, and returns the last epoch's metrics."""
    run = tmp_path / "run"
    last = train(shards, run, val=shards, options=SMALL)

    names = ["epoch-001.png", "epoch-002.png", "last.pt", "metrics.jsonl", "model.pt", "saliency.pt"]
    assert sorted(path.name for path in run.iterdir()) == names
    assert [line["step"] for line in lines(run, "step")] == [2, 4, 6, 8, 10]
    assert [line["epoch"] for line in lines(run, "epoch")] == [0, 1]
    assert last == lines(run, "epoch")[-1]
    assert 0 <= last["val_accuracy"] <= 1
    assert 1 < last["val_cells"] < 31 * 31
    assert f"val saliency spread over {last['val_cells']:.4g} cells" in capsys.readouterr().out
    assert torch.load(run / "last.pt", weights_only=True)["step"] == 10


def test_a_uniform_zoom_reports_no_saliency(shards, tmp_path, capsys, no_sheets):
    """The lines of a run without saliency have its loss and accuracy, and say nothing of a saliency."""
    train(shards, tmp_path / "run", val=shards, options=replace(SMALL, zoom="uniform", epochs=1))

    printed = capsys.readouterr().out
    assert "val accuracy" in printed
    assert "saliency" not in printed


def test_both_learn(shards, tmp_path, no_sheets):
    """The classifier learns twenty pictures by heart, and the saliency network changes."""
    torch.manual_seed(SMALL.seed)
    before = SMALL.make_zoom().state_dict()
    options = TrainOptions(out_size=16, epochs=20, batch_size=5, num_threads=1)
    last = train(shards, tmp_path / "run", val=shards, options=options)
    after = weights(tmp_path / "run")

    assert last["val_accuracy"] >= 0.9
    assert all(not torch.equal(value, after[f"zoom.{name}"]) for name, value in before.items())


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


@pytest.mark.parametrize("after", AFTER)
def test_resumed_it_ends_the_same(after, shards, tmp_path, monkeypatch, no_sheets):
    """Whenever a run is killed, resuming gives bit-identical weights and the same metrics."""
    train(shards, tmp_path / "whole", val=shards, options=SMALL)
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

    check_same_weights(tmp_path / "run", tmp_path / "whole")
    ours, whole = (
        [(line["epoch"], line["val_loss"]) for line in lines(tmp_path / name, "epoch")]
        for name in ("run", "whole")
    )
    assert ours == whole
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


@pytest.mark.parametrize("zoom", [UniformSampler(16), PatchSampler(2, 8, lowres_size=32)])
def test_other_samplers_and_models(zoom, shards, tmp_path, no_sheets):
    """Any sampler and any model that fits it can be trained; without Foveal's sampler there is no saliency.pt."""
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(3)) if isinstance(zoom, PatchSampler) else None
    if model is not None:
        model(torch.zeros(1, 2, 3, 8, 8))
    last = train(shards, tmp_path / "run", model=model, zoom=zoom, options=SMALL)

    assert last["train_loss"] > 0
    assert not (tmp_path / "run" / "saliency.pt").exists()


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_mixed_precision(amp, shards, tmp_path, no_sheets):
    """The classifier's convolutions run in half precision, and the loss is about the same."""
    losses = [
        train(shards, tmp_path / kind, options=TrainOptions(out_size=16, epochs=1, batch_size=4, amp=kind))[
            "train_loss"
        ]
        for kind in ("off", amp)
    ]

    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)


@pytest.mark.slow
def test_entropy_keeps_the_saliency_even(shards, tmp_path, no_sheets):
    """With the reward, saliency covers more cells, up to --min-cells."""
    cells = []
    for entropy, min_cells in ((0.0, None), (10.0, None), (10.0, 1.5)):
        options = TrainOptions(
            out_size=16, epochs=4, batch_size=5, entropy=entropy, min_cells=min_cells, num_threads=1
        )
        run = tmp_path / f"{entropy} {min_cells}"
        cells.append(train(shards, run, options=options)["train_cells"])

    assert cells[0] < cells[1]
    assert cells[2] == cells[0]


def test_augmented_images(shards, tmp_path, monkeypatch, no_sheets):
    """Training has random views, validation the whole images; a resumed run has the same views."""
    seen: dict[str, list[torch.Tensor]] = {}

    def watch(training, name, images, *rest):
        seen.setdefault(name, []).append(images.detach().clone())
        return torch.zeros(4)

    monkeypatch.setattr(
        _train._Training,
        "train_step",
        lambda training, *batch: watch(training, training.run.folder.name, *batch),
    )
    plain = replace(SMALL, zoom="uniform", epochs=1)
    mirrored = replace(plain, augment=Augment(hflip=1.0))
    losses = [
        train(shards, tmp_path / name, val=shards, options=options)["val_loss"]
        for name, options in (("plain", plain), ("mirrored", mirrored))
    ]

    for ours, theirs in zip(seen["plain"], seen["mirrored"], strict=True):
        assert torch.allclose(ours.flip(3), theirs, atol=1e-6)
    assert losses[0] == losses[1]
    train(shards, tmp_path / "mirrored", options=mirrored, resume=True)
    message = "augment must be {'hflip': 1.0, 'vflip': 0.0, 'crop_scale': None, 'crop_ratio': (0.75, 1.3333333333333333), 'rotate_deg': 0.0}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}, as in the run"):
        train(shards, tmp_path / "mirrored", options=plain, resume=True)


def test_blurred_images(shards, tmp_path, no_sheets):
    """The blur differs from step to step, and ends as requested."""
    torch.manual_seed(0)
    images = torch.rand(2, 3, 70, 42)
    first, second = _train.blurred(images), _train.blurred(images)

    assert first.shape == images.shape
    assert not torch.equal(first, second)
    assert first.var() < images.var()
    assert torch.allclose(first.mean((2, 3)), images.mean((2, 3)), atol=0.02)
    last = train(
        shards, tmp_path / "run", options=TrainOptions(out_size=16, epochs=1, batch_size=4, blur=0.5)
    )
    assert last["train_loss"] > 0


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


def test_bad_samples_cost_themselves(tmp_path):
    """Samples without a label, with two, or with a truncated image are left out, in training and validation."""
    files = []
    for k in range(40):
        image = encode(picture(k, 50, 60))
        files.append((f"{k:03d}.jpg", image[:200] if k in (0, 39) else image))
        if k != 13:
            files += [(f"{k:03d}.cls", b"%d" % (k % 3))] * (2 if k == 20 else 1)
    make_tar(tmp_path / "s.tar", files)
    url, run = str(tmp_path / "s.tar"), tmp_path / "run"
    with pytest.warns(ShardWarning, match="4 bad sample"):
        last = train(url, run, val=url, options=replace(SMALL, epochs=1))

    assert last["step"] == 10
    assert (run / "epoch-001.png").exists()
    assert (run / "model.pt").exists()


@pytest.mark.parametrize("epochs", [1, 2])
def test_what_is_written_of_the_learning_rates(epochs, shards, tmp_path, no_sheets):
    """The logged learning rates are those of the optimiser."""
    stepped = []

    class Watched(torch.optim.AdamW):
        def step(self, *args):
            stepped.append([group["lr"] for group in self.param_groups])
            return super().step(*args)

    options = replace(SMALL, epochs=epochs, lr=0.004, saliency_lr=0.25, log_steps=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "AdamW", Watched)
        train(shards, tmp_path / "run", options=options)

    assert [[line["lr"], line["saliency_lr"]] for line in lines(tmp_path / "run", "step")] == stepped
    assert max(lr for lr, _ in stepped) <= 0.004
    assert len(stepped) == 5 * epochs


def test_a_run_goes_on_with_other_threads_and_for_longer(shards, tmp_path, no_sheets):
    """A run may be resumed with other threads and more epochs; fewer epochs or other changes are refused."""
    train(shards, tmp_path / "run", options=SMALL)
    longer = replace(SMALL, epochs=3, num_threads=2, log_steps=5, checkpoint_steps=100)
    assert train(shards, tmp_path / "run", options=longer, resume=True)["epoch"] == 2

    message = f"epochs must be at least 3, as in the run that goes on in {str(tmp_path / 'run')!r}, got 2"
    with pytest.raises(ValueError, match=re.escape(message)):
        train(shards, tmp_path / "run", options=SMALL, resume=True)


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


def test_frozen_it_is_as_it_was_trained(shards, tmp_path, no_sheets, no_sheet):
    """`foveal zoom --saliency` writes what the trained zoom shows, and the classifier is as accurate on it."""
    options = TrainOptions(out_size=16, epochs=4, batch_size=5, num_threads=1, trial=0.0)
    last = train(shards, tmp_path / "run", val=shards, options=options)
    recipe = Recipe(out_size=16, format="png", saliency=str(tmp_path / "run" / "saliency.pt"))
    zoom_shards([shards], recipe, out=str(tmp_path / "zoomed"), options=RunOptions(num_threads=1))
    model = _train.SmallConvNet(3).eval()
    model.load_state_dict(torch.load(tmp_path / "run" / "model.pt", weights_only=True))
    zoom = SaliencySampler.from_checkpoint(tmp_path / "run" / "saliency.pt").requires_grad_(
        requires_grad=False
    )
    uniform = UniformSampler(16)
    ways = ((shards, zoom), (str(tmp_path / "zoomed" / "train.tar"), uniform), (shards, uniform))
    images, labels = zip(*(one_batch(*way) for way in ways), strict=True)
    right = [int((model(each).argmax(1) == labels[0]).sum()) for each in images]

    assert torch.equal(labels[0], labels[1])
    assert float((images[0] - images[1]).abs().max()) <= 0.51 / 255  # as far as eight bits go
    assert float((images[0] - images[2]).abs().max()) > 5 / 255  # and it is a zoom
    assert right[0] == round(20 * last["val_accuracy"])
    assert abs(right[0] - right[1]) <= 1


def one_batch(url: str, zoom: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad(), ZoomLoader(url, zoom, batch_size=20) as loader:
        return next(iter(loader))


@pytest.mark.usefixtures("no_sheets")
def test_known_bad_samples_are_not_tried(tmp_path):
    """One that ``foveal verify`` listed is replaced without a word; an image above the limit is bad; a run keeps its limit."""
    with ShardWriter(tmp_path / "train.tar") as writer:
        for k in range(30):
            image = encode(picture(k, 50 + 20 * (k == 8), 60))
            writer.write({"__key__": f"{k}", "jpg": image if k else image[:99], "cls": k % 3})
    file = tmp_path / "bad.jsonl"
    assert command_line.run("verify", tmp_path / "train.tar", "--quarantine", file).exit_code == 1
    words = ["train", tmp_path / "train.tar", "--out-size", 16, "--batch-size", 10, "--num-threads", 1]
    words += ["--epochs", 1, "--out", tmp_path / "run"]
    with pytest.warns(ShardWarning) as warned:
        done = command_line.run(*words, "--quarantine", file, "--max-pixels", 3500)
    assert done.exit_code == 0, done.exception

    [message] = [str(each.message) for each in warned]
    assert "has more pixels than max_pixels=3500" in message
    again = command_line.run(*words, "--resume", "--max-pixels", 3500)
    assert again.exit_code == 0, again.exception
    other = command_line.run(*words, "--resume")
    assert str(other.exception).startswith("max_pixels must be 3500, as in the run that goes on in")
