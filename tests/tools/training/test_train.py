"""A classifier and its zoom, trained through the loader."""

import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from foveal.pipeline import Augment, ZoomLoader
from foveal.sampler import PatchSampler, SaliencySampler, UniformSampler
from foveal.tools import TrainOptions, train
from foveal.tools.offline.recipe import Recipe
from foveal.tools.offline.zoom import RunOptions, zoom_shards
from foveal.tools.training import train as _train
from tests.tools.training.runs import SMALL, lines, weights


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


@pytest.mark.parametrize("given", [{"zoom": "uniform"}, {}])
def test_a_uniform_zoom_reports_no_saliency(shards, tmp_path, capsys, no_sheets, given):
    """The lines of a run without saliency have its loss and accuracy, and say nothing of a saliency, however the zoom is given."""
    zoom = None if given else UniformSampler(16)
    train(shards, tmp_path / "run", val=shards, options=replace(SMALL, **given, epochs=1), zoom=zoom)

    printed = capsys.readouterr().out
    assert "val accuracy" in printed
    assert "saliency" not in printed


def test_a_baseline_begins_with_the_same_classifier(shards, tmp_path, no_sheets, monkeypatch):
    """With a zoom and without one, the first weights of the classifier are the same for a seed, though the zoom draws some, too."""
    begun = []

    def watched(training, *_):
        begun.append(training.model.head.weight.detach().clone())
        return torch.zeros(4)

    monkeypatch.setattr(_train._Training, "train_step", watched)
    for name, options in {"zoom": {}, "none": {"zoom": "uniform"}, "seed": {"seed": 1}}.items():
        train(shards, tmp_path / name, options=replace(SMALL, epochs=1, **options))
    zoomed, uniform, seeded = begun[:: len(begun) // 3]

    assert torch.equal(zoomed, uniform)
    assert not torch.equal(zoomed, seeded)


def test_both_learn(shards, tmp_path, no_sheets):
    """The classifier learns twenty pictures by heart, and the saliency network changes."""
    torch.manual_seed(SMALL.seed)
    before = SMALL.make_zoom().state_dict()
    options = TrainOptions(out_size=16, epochs=20, batch_size=5, num_threads=1)
    last = train(shards, tmp_path / "run", val=shards, options=options)
    after = weights(tmp_path / "run")

    assert last["val_accuracy"] >= 0.9
    assert all(not torch.equal(value, after[f"zoom.{name}"]) for name, value in before.items())


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
            out_size=16,
            epochs=4,
            batch_size=5,
            entropy=entropy,
            min_cells=min_cells,
            trial=0.0,
            num_threads=1,
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
