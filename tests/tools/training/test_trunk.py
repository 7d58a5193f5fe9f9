"""Training a saliency network that reads a pretrained trunk."""

import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from foveal.sampler import PriorSaliency, SaliencySampler, TrunkSaliency
from foveal.tools import TrainOptions, train
from tests.sampler.saliency.models import small_timm
from tests.tools import command_line
from tests.tools.training.runs import SMALL

pytestmark = pytest.mark.usefixtures("no_sheets")


@pytest.fixture(autouse=True)
def _small_timm(monkeypatch):
    small_timm.install(monkeypatch)


@pytest.mark.parametrize("trunk_lr", [0, 0.1])
def test_the_head_learns_and_the_trunk_if_it_may(shards, tmp_path, trunk_lr):
    """On the command line, the head learns, and the trunk if allowed; the trained zoom needs no weights file."""
    before = small_timm.weights(tmp_path / "small.pth")
    run = ["train", shards, "--out", tmp_path / "run", "--out-size", 16, "--epochs", 1, "--batch-size", 10]
    named = ["--trunk", "timm:small", "--trunk-weights", tmp_path / "small.pth", "--trunk-lr", trunk_lr]
    done = command_line.run(*run, "--num-threads", 1, "--trial", 0, *named)
    assert done.exit_code == 0, done.exception
    (tmp_path / "small.pth").unlink()
    zoom = SaliencySampler.from_checkpoint(tmp_path / "run" / "saliency.pt")
    after = zoom.saliency.network.model.model.state_dict()
    changed = [name for name, weight in after.items() if not torch.equal(weight, before[name])]

    assert zoom.lowres_size == (224, 224)
    assert bool(zoom.saliency.network.head.weight.any())
    assert set(changed) == (
        {
            f"{layer}.{kind}"
            for layer in ("first.0", "first.1", "second.0", "third")
            for kind in ("weight", "bias")
        }
        if trunk_lr
        else set()
    )


def test_each_part_has_its_rate(tmp_path):
    """Classifier, head and trunk have their own learning rates; a frozen trunk is not optimised."""
    options = replace(SMALL, trunk="timm:small", lr=1.0, saliency_lr=0.3, trunk_lr=0.05)
    zoom, model = options.make_zoom(), nn.Linear(2, 2)
    groups = {group["peak_lr"]: group["params"] for group in options.parameter_groups(model, zoom)}

    assert isinstance(zoom.saliency, PriorSaliency)
    assert groups.keys() == {1.0, 0.3, 0.05}
    network = zoom.saliency.network
    model_weights = {id(p) for p in network.model.parameters()}
    assert {id(p) for p in groups[0.05]} == model_weights
    assert {id(p) for p in groups[0.3]} == {id(p) for p in zoom.parameters()} - model_weights
    frozen = replace(options, trunk_lr=0.0)
    assert len(frozen.parameter_groups(model, frozen.make_zoom())) == 2
    assert type(replace(options, prior="none").make_zoom().saliency) is TrunkSaliency


def test_a_run_goes_on_with_the_same_weights_alone(shards, tmp_path):
    """A run resumes with the same weights file under any name; another is refused."""
    small_timm.weights(tmp_path / "small.pth")
    small_timm.weights(tmp_path / "other.pth", seed=4)
    options = replace(SMALL, epochs=1, trunk="timm:small", trunk_weights=str(tmp_path / "small.pth"))
    train(shards, tmp_path / "run", options=options)
    copied = (tmp_path / "small.pth").rename(tmp_path / "copied.pth")

    train(shards, tmp_path / "run", options=replace(options, trunk_weights=str(copied)), resume=True)
    with pytest.raises(ValueError, match=r"^trunk_weights must be 'sha256 [0-9a-f]{16}', as in the run"):
        train(
            shards,
            tmp_path / "run",
            options=replace(options, trunk_weights=str(tmp_path / "other.pth")),
            resume=True,
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trunk": "timm:small", "trunk_lr": -1.0}, "trunk_lr must not be negative, got -1.0."),
        (
            {"trunk_lr": 0.1},
            "trunk_lr must be 0.0 with trunk=None, got 0.1 – give trunk, too, or leave it out.",
        ),
        (
            {"trunk_weights": "w.pth"},
            "trunk_weights must be None without a trunk, got 'w.pth' – name its model, e.g. timm:resnet18.",
        ),
        (
            {"trunk": "timm:small", "zoom": "uniform"},
            "trunk must be None with zoom='uniform', got 'timm:small' – leave one of the two out.",
        ),
        (
            {"trunk": "timm:small", "contrast": 0.03},
            "trunk must be None with contrast=0.03, got 'timm:small' – leave one of the two out.",
        ),
        (
            {"trunk": "timm:small", "saliency": "none.pt"},
            "trunk must be None with a file of saliency, got 'timm:small' – the training begins with the zoom in 'none.pt'; leave one of the two out.",
        ),
    ],
)
def test_options_that_do_not_go_together(options, message):
    """Contradicting options are refused by name."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        TrainOptions(**options)
