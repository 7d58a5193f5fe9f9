"""Training a saliency network that reads a pretrained trunk."""

import copy
import re
from dataclasses import replace

import pytest
import torch
from rich.console import Console
from torch import nn

from foveal.sampler import PriorSaliency, SaliencySampler, TrunkSaliency
from foveal.shards import ShardWriter
from foveal.tools import TrainOptions, train
from foveal.tools.training._ranks import in_ranks
from foveal.tools.training.teach import teach
from tests.pipeline.making import encode, picture
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


@pytest.mark.parametrize("trunk_lr", [0.0, 0.001])
def test_boxes_teach_the_trunk_at_its_own_rate(tmp_path, trunk_lr):
    """While boxes teach, the head moves at the full learning rate and the trunk at `trunk_lr` of it, as in the training."""
    shard, moved = tmp_path / "boxes.tar", {}
    with ShardWriter(shard) as writer:
        for k in range(4):
            boxes = {"boxes": [[2, 2, 20, 20]]}
            writer.write({"__key__": f"{k}", "jpg": encode(picture(k, 50, 60)), "cls": k % 2, "json": boxes})
    options = replace(
        SMALL, trunk="timm:small", trunk_lr=trunk_lr, boxes="json:boxes", teach_epochs=5, lr=0.01
    )
    zoom = options.make_zoom()
    before = copy.deepcopy(zoom.saliency.state_dict())
    with in_ranks() as ranks:
        teach(str(shard), zoom, options, ranks, log=lambda *_, **__: None, console=Console(quiet=True))
    for name, value in zoom.saliency.state_dict().items():
        part = "trunk" if name.startswith("model.") else "head"
        moved[part] = max(moved.get(part, 0.0), float((value - before[name]).abs().max()))

    assert moved["head"] > 1e-3
    assert (0 < moved["trunk"] < 1e-4) if trunk_lr else moved["trunk"] == 0


@pytest.mark.parametrize("frozen", [True, False])
def test_a_trunk_of_ones_own(frozen, shards, tmp_path):
    """A trunk in a given zoom learns at `trunk_lr` unless it is frozen; a rate that does not fit it is refused."""
    trunk = small_timm.Small(classes=0)
    zoom = own_zoom(trunk, frozen=frozen)
    before = copy.deepcopy(trunk.state_dict())
    if frozen:
        rate, message = 0.1, NO_TRUNK
    else:
        rate, message = (
            0.0,
            (
                "trunk_lr must be positive for a zoom with a trunk that is not frozen, got 0.0 – choose a rate, e.g. 0.03, or make "
                "TrunkSaliency with frozen=True."
            ),
        )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        train(shards, tmp_path / "run", zoom=zoom, options=replace(SMALL, trunk_lr=rate))
    assert not (tmp_path / "run").exists()
    train(shards, tmp_path / "run", zoom=zoom, options=replace(SMALL, trunk_lr=0.1 - rate))

    changed = [name for name, weight in trunk.state_dict().items() if not torch.equal(weight, before[name])]
    assert bool(changed) != frozen


def own_zoom(trunk: nn.Module, *, frozen: bool) -> SaliencySampler:
    network = TrunkSaliency(OneMap(trunk), frozen=frozen, lowres_size=(64, 64))
    return SaliencySampler(16, saliency=PriorSaliency(network), lowres_size=(64, 64))


class OneMap(nn.Module):
    """The trunk's first features."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.first = trunk.first

    def forward(self, images):
        return self.first(images)


@pytest.mark.parametrize("before", [0.0, 0.1])
@pytest.mark.parametrize("now", [0.0, 0.1])
def test_the_trunk_of_a_file(before, now, shards, tmp_path):
    """The trunk of an earlier run's zoom learns if this run gives it a rate, whether it was frozen there or not."""
    options = replace(SMALL, epochs=1)
    replace(options, trunk="timm:small", trunk_lr=before).make_zoom().save_checkpoint(
        tmp_path / "saliency.pt"
    )
    options = replace(options, saliency=str(tmp_path / "saliency.pt"), trunk_lr=now)
    train(shards, tmp_path / "run", options=options)
    theirs, ours = (
        SaliencySampler.from_checkpoint(path / "saliency.pt").saliency.network
        for path in (tmp_path, tmp_path / "run")
    )

    assert ours.frozen == (now == 0)
    assert torch.equal(ours.model.model.third.weight, theirs.model.model.third.weight) == (now == 0)


NO_TRUNK = (
    "trunk_lr must be 0.0 for a zoom without a trunk that is trained, got 0.1 – name a trunk, make TrunkSaliency with "
    "frozen=False, or leave it out."
)


@pytest.mark.parametrize("zoom", ["saliency", "uniform"])
def test_a_rate_without_a_trunk(zoom, shards, tmp_path):
    """A learning rate of a trunk is refused if there is none."""
    with pytest.raises(ValueError, match=f"^{re.escape(NO_TRUNK)}$"):
        train(shards, tmp_path / "run", options=replace(SMALL, zoom=zoom, trunk_lr=0.1))
    assert not (tmp_path / "run").exists()


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
