"""Training that starts from the zoom of an earlier run."""

import math
import re
import shutil
from dataclasses import replace

import pytest
import torch

from foveal.sampler import PriorSaliency, SaliencyNet, SaliencySampler, SaliencyUNet
from foveal.tools import TrainOptions, train
from foveal.tools.training import train as _train
from tests.tools import command_line
from tests.tools.training.runs import SMALL, check_same_weights, interrupt, lines

pytestmark = pytest.mark.usefixtures("no_sheets")


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> str:
    """Return a saved zoom that is not the default: a U-Net with other grid settings."""
    torch.manual_seed(5)
    network = SaliencyUNet()
    torch.nn.init.normal_(network.head.weight)
    settings = {"family": "separable", "fwhm_cells": 5.0, "temperature": 0.5, "max_zoom": 3.0}
    path = tmp_path_factory.mktemp("saved") / "saliency.pt"
    SaliencySampler(40, saliency=network, lowres_size=(64, 64), min_zoom=0.5, **settings).save_checkpoint(
        path
    )
    return str(path)


def test_it_begins_with_what_the_file_holds(saved, shards, tmp_path, monkeypatch):
    """The zoom has the file's network, weights and settings, at this run's size."""
    theirs = SaliencySampler.from_checkpoint(saved)
    begun = []

    def watched(training, *_):
        begun.append({name: value.clone() for name, value in training.zoom.state_dict().items()})
        return torch.zeros(4)

    monkeypatch.setattr(_train._Training, "train_step", watched)
    train(shards, tmp_path / "run", options=replace(SMALL, epochs=1, saliency=saved))
    after = SaliencySampler.from_checkpoint(tmp_path / "run" / "saliency.pt")

    assert begun[0].keys() == theirs.state_dict().keys()
    assert all(torch.equal(value, begun[0][name]) for name, value in theirs.state_dict().items())
    assert after.settings == {**theirs.settings, "out_size": (16, 16)}


def test_both_are_trained_from_there(saved, shards, tmp_path):
    """Every weight of the network changes, and the file does not."""
    train(shards, tmp_path / "run", options=replace(SMALL, saliency=saved))
    before = SaliencySampler.from_checkpoint(saved).state_dict()
    after = SaliencySampler.from_checkpoint(tmp_path / "run" / "saliency.pt").state_dict()

    assert [name for name in before if torch.equal(before[name], after[name])] == []
    assert max(float((before[name] - after[name]).abs().max()) for name in before) < 0.1


def test_what_is_named_differs_from_the_file(saved):
    """Settings that are given replace the file's, also defaults of a new zoom; infinity is no bound."""
    [named, unbounded] = [
        TrainOptions(out_size=16, saliency=saved, temperature=1.0, max_zoom=bound).make_zoom().settings
        for bound in (2.0, math.inf)
    ]
    theirs = SaliencySampler.from_checkpoint(saved).settings

    assert named == {**theirs, "out_size": (16, 16), "temperature": 1.0, "max_zoom": 2.0}
    assert unbounded["max_zoom"] is None
    assert TrainOptions(max_zoom=math.inf).make_zoom().max_zoom is None
    assert TrainOptions().make_zoom().max_zoom == 5.0


def test_killed_it_ends_the_same(saved, shards, tmp_path, monkeypatch):
    """A killed run resumes bit for bit, also with a copy of the file; another zoom is refused."""
    options = replace(SMALL, saliency=saved)
    train(shards, tmp_path / "whole", options=options)
    with monkeypatch.context() as patch:
        interrupt(patch, step=7)
        with pytest.raises(KeyboardInterrupt):
            train(shards, tmp_path / "run", options=options)
    copied = tmp_path / "copied.pt"
    shutil.copy(saved, copied)
    SaliencySampler(16, saliency=SaliencyNet()).save_checkpoint(tmp_path / "other.pt")
    with pytest.raises(
        ValueError, match=r"^saliency must be 'sha256 [0-9a-f]{16}', as in the run that goes on"
    ):
        train(
            shards,
            tmp_path / "run",
            options=replace(options, saliency=str(tmp_path / "other.pt")),
            resume=True,
        )
    with pytest.raises(ValueError, match=r"^temperature must be 0\.5, as in the run"):
        train(shards, tmp_path / "run", options=replace(options, temperature=1.0), resume=True)
    train(shards, tmp_path / "run", options=replace(options, saliency=str(copied), max_zoom=3.0), resume=True)

    check_same_weights(tmp_path / "run", tmp_path / "whole")
    assert [line["step"] for line in lines(tmp_path / "run", "step")] == [2, 4, 6, 8, 10]


@pytest.mark.parametrize(
    ("option", "wanted"),
    [
        ({"zoom": "uniform"}, "zoom must be 'saliency'"),
        ({"boxes": "json:boxes"}, "boxes must be None"),
        ({"prior": "none"}, "prior must be 'spectral'"),
        ({"contrast": 0.03}, "contrast must be 0.0"),
    ],
)
def test_options_of_a_new_zoom(option, wanted):
    """Options of a new zoom are refused with a file, before it is read."""
    [value] = option.values()
    message = (
        f"{wanted} with a file of saliency, got {value!r} – the training begins with the zoom in 'none.pt'; "
        "leave one of the two out."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        TrainOptions(saliency="none.pt", **option)


def test_files_that_hold_no_zoom(saved, shards, tmp_path):
    """Files without a zoom, and a file together with a zoom, are refused, and no folder is made."""
    torch.save(SaliencyNet().state_dict(), tmp_path / "weights.pt")
    (tmp_path / "text.pt").write_text("no zoom")
    for name in ("weights.pt", "text.pt"):
        with pytest.raises(
            ValueError, match=r"^checkpoint must be a file that SaliencySampler\.save_checkpoint wrote"
        ):
            train(shards, tmp_path / "run", options=replace(SMALL, saliency=str(tmp_path / name)))
    with pytest.raises(FileNotFoundError):
        train(shards, tmp_path / "run", options=replace(SMALL, saliency=str(tmp_path / "none.pt")))
    message = f"saliency must be None for a zoom of yours, got {saved!r} – leave one of the two out."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        train(shards, tmp_path / "run", zoom=SaliencySampler(16), options=replace(SMALL, saliency=saved))
    assert not (tmp_path / "run").exists()


def test_a_zoom_that_its_trial_took_away(shards, tmp_path):
    """A file whose zoom resizes evenly is refused with what to do instead, and no folder is made."""
    path = str(tmp_path / "saliency.pt")
    SaliencySampler(16, saliency=PriorSaliency(gain=0.0)).save_checkpoint(path)
    message = (
        f"saliency must be a file with a zoom that enlarges something, got {path!r}, whose zoom was taken away by its trial (gain=0) – "
        "leave it out to begin with a new zoom, or train with zoom='uniform'."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        train(shards, tmp_path / "run", options=replace(SMALL, saliency=path))
    assert not (tmp_path / "run").exists()


def test_on_the_command_line(saved, shards, tmp_path):
    """Options replace the file's settings; a missing file is a usage error."""
    run = ["train", shards, "--out-size", 16, "--epochs", 1, "--batch-size", 10, "--num-threads", 1]
    done = command_line.run(*run, "--out", tmp_path / "run", "--saliency", saved, "--temperature", 1)
    assert done.exit_code == 0, done.exception
    theirs = SaliencySampler.from_checkpoint(saved).settings
    after = SaliencySampler.from_checkpoint(tmp_path / "run" / "saliency.pt").settings

    assert after == {**theirs, "out_size": (16, 16), "temperature": 1.0}
    missing = command_line.run(*run, "--out", tmp_path / "other", "--saliency", tmp_path / "none.pt")
    assert missing.exit_code == 2
