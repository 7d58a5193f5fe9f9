"""Options, labels, models and folders that a training refuses, before it costs time."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from foveal.pipeline import ZoomLoader
from foveal.sampler import PriorSaliency, SaliencyNet, SaliencySampler
from foveal.shards import ShardError, ShardWarning, ShardWriter
from foveal.tools import TrainOptions, train
from foveal.tools.training.labels import count_classes, read_labels
from foveal.tools.training.small_convnet import SmallConvNet
from tests.pipeline.making import encode, picture
from tests.tools.training.runs import SMALL


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0."),
        ({"lr": 0.0}, "lr must be positive, got 0.0."),
        ({"saliency_lr": -1.0}, "saliency_lr must be positive, got -1.0."),
        ({"weight_decay": float("nan")}, "weight_decay must be finite and not negative, got nan."),
        ({"entropy": -1.0}, "entropy must be finite and not negative, got -1.0."),
        ({"evidence": float("nan")}, "evidence must be finite and not negative, got nan."),
        (
            {"evidence": 0.5, "zoom": "uniform"},
            "evidence must be 0 or 1.0 with zoom='uniform', got 0.5 – leave one of the two out.",
        ),
        (
            {"evidence": 0.5, "prior": "none"},
            "evidence must be 0 or 1.0 with prior='none', got 0.5 – leave one of the two out.",
        ),
        (
            {"evidence": 0.5, "boxes": "json:boxes"},
            "evidence must be 0 or 1.0 with boxes='json:boxes', got 0.5 – leave one of the two out.",
        ),
        (
            {"trial": 0.5, "zoom": "uniform"},
            "trial must be 0 or 0.4 with zoom='uniform', got 0.5 – leave one of the two out.",
        ),
        (
            {"trial": 0.5, "prior": "none"},
            "trial must be 0 or 0.4 with prior='none', got 0.5 – leave one of the two out.",
        ),
        (
            {"trial": 0.5, "boxes": "json:boxes"},
            "trial must be 0 or 0.4 with boxes='json:boxes', got 0.5 – leave one of the two out.",
        ),
        (
            {"contrast": 0.03, "boxes": "json:boxes"},
            "contrast must be 0.0 with boxes='json:boxes', got 0.03 – leave one of the two out.",
        ),
        (
            {"contrast": 0.03, "zoom": "uniform"},
            "contrast must be 0.0 with zoom='uniform', got 0.03 – leave one of the two out.",
        ),
        *(
            (
                {name: value, "zoom": "uniform"},
                f"{name} must be None with zoom='uniform', got {value!r} – a uniform resize has no zoom; leave one of the two out.",
            )
            for name, value in [
                ("family", "cdf"),
                ("temperature", 0.1),
                ("fwhm_cells", 3.0),
                ("max_zoom", 3.0),
            ]
        ),
        *(
            (
                {name: value, "zoom": "uniform"},
                f"{name} must be {usual!r} with zoom='uniform', got {value!r} – leave one of the two out.",
            )
            for name, usual, value in [
                ("saliency_lr", 0.3, 9.0),
                ("entropy", 0.0, 1.0),
                ("prior", "spectral", "none"),
                ("trunk", None, "timm:small"),
                ("saliency_member", None, "heat.png"),
            ]
        ),
        ({"contrast": float("inf")}, "contrast must be finite and not negative, got inf."),
        ({"warmup": 1.5}, "warmup must be a share in [0, 1], got 1.5."),
        ({"blur": -0.1}, "blur must be a share in [0, 1], got -0.1."),
        ({"trial": 2.0}, "trial must be a share in [0, 1], got 2.0."),
        ({"min_cells": 1.0}, "min_cells must be above 1, or None, got 1.0."),
        (
            {"min_cells": 50.0},
            "min_cells must be None with entropy=0.0, got 50.0 – give entropy, too, or leave it out.",
        ),
        (
            {"teach_epochs": 9},
            "teach_epochs must be 8 with boxes=None, got 9 – give boxes, too, or leave it out.",
        ),
        (
            {"box_format": "xywh"},
            "box_format must be None with boxes=None, got 'xywh' – give boxes, too, or leave it out.",
        ),
        (
            {"family": "cdf", "fwhm_cells": 3.0},
            "fwhm_cells must be None with family='cdf', got 3.0 – cdf has no Gaussian; leave one of the two out.",
        ),
        ({"amp": "fp8"}, "amp must be one of off, bf16, fp16, got 'fp8'."),
        ({"zoom": "none"}, "zoom must be one of saliency, uniform, got 'none'."),
    ],
)
def test_options_out_of_range(options, message):
    """Each invalid option is named with its value."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        TrainOptions(**options)


@pytest.mark.parametrize(("name", "usual"), [("trial", 0.4), ("evidence", 1.0)])
@pytest.mark.parametrize(
    "saliency", [SaliencyNet(), PriorSaliency(SaliencyNet()).requires_grad_(requires_grad=False)]
)
def test_a_given_zoom_without_a_prior_that_is_trained(name, usual, saliency, shards, tmp_path):
    """What would do nothing to a zoom that is given is refused, before a folder is made."""
    message = f"{name} must be 0 or {usual} for a zoom without a PriorSaliency that is trained, got 0.5 – leave it out."
    zoom = SaliencySampler(16, saliency=saliency)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        train(shards, tmp_path / "run", zoom=zoom, options=replace(SMALL, **{name: 0.5}))
    assert not (tmp_path / "run").exists()


def test_a_folder_holds_one_run(shards, tmp_path, no_sheets):
    """An existing run is not overwritten, and a run cannot be resumed with other options."""
    run = tmp_path / "run"
    train(shards, run, options=SMALL)
    message = f"out must be a new folder, got {str(run)!r}, which holds a run – name another, or add --resume to go on."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        train(shards, run, options=SMALL)

    other = TrainOptions(
        out_size=16, epochs=2, batch_size=4, checkpoint_steps=2, log_steps=2, num_threads=1, lr=1e-3
    )
    message = f"lr must be 0.003, as in the run that goes on in {str(run)!r}, got 0.001 – name another folder for another training."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        train(shards, run, options=other, resume=True)


def test_too_few_samples(shards, tmp_path, no_sheets):
    """Fewer samples than a batch are an error."""
    message = "batch_size must be at most 20, the samples of a rank, got 21 – lower it."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        train(shards, tmp_path / "run", options=TrainOptions(out_size=16, batch_size=21))


NUMBERS = "`foveal pack` numbers the classes of a folder, and ShardWriter writes other numbers"


def write_labels(path: Path, labels: list[object]) -> str:
    """Write a shard of pictures with these labels, None for none."""
    with ShardWriter(path) as writer:
        for k, label in enumerate(labels):
            cls = {} if label is None else {"cls": label}
            writer.write({"__key__": f"{k:03d}", "jpg": encode(picture(k, 50, 60)), **cls})
    return str(path)


@pytest.mark.parametrize("label", [b"1_0", b"cat", b"", b"10.0"])
def test_what_the_loader_calls_bad_is_no_class(tmp_path, label):
    """Such a label does not count, neither as a class nor among the labels."""
    url = write_labels(tmp_path / "a.tar", [0, 2, label])

    assert count_classes(url, (), None) == 3
    assert read_labels(url) == [0, 2]
    assert {type(each) for each in read_labels(url)} == {int}
    with (
        ZoomLoader(url, SaliencySampler(8), batch_size=3, max_bad_fraction=0.5) as loader,
        pytest.warns(ShardWarning),
    ):
        assert {label for _, labels in loader for label in labels.tolist()} == {0, 2}


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (
            [b"cat"],
            f"cls must be a whole number from 0, got b'cat' in 000; no sample has one – {NUMBERS}",
        ),
        (
            [None, b"cat"],
            f"cls must be a whole number from 0, got no cls in 000; no sample has one – {NUMBERS}",
        ),
        ([], "has no samples – name shards that hold some"),
        (
            [0, -1, -1],
            "001: cls must be a whole number from 0, got -1: 2 of 3 labels are below – mend them, or leave these samples out",
        ),
    ],
)
def test_labels_that_are_no_classes(labels, reason, tmp_path):
    """Invalid labels of training or validation are an error that names the first sample, before a folder is made."""
    bad, good = write_labels(tmp_path / "bad.tar", labels), write_labels(tmp_path / "good.tar", [0, 1, 2])
    message = f"^{re.escape(f'{bad}: {reason}')}$"
    with pytest.raises(ShardError, match=message):
        train(bad, tmp_path / "run", options=SMALL)
    with pytest.raises(ShardError, match=message):
        train(good, tmp_path / "run", val=bad, options=SMALL)
    assert not (tmp_path / "run").exists()


def test_a_number_taken_for_a_class(tmp_path):
    """Identifiers in the place of classes are an error, because a classifier of so many would never learn; --classes allows them."""
    few, many = (
        write_labels(tmp_path / "few.tar", [0, 999, 5]),
        write_labels(tmp_path / "many.tar", [0, 10_000_000, 5, 5]),
    )
    reason = (
        "001: cls must be below 1000 for 4 samples unless --classes says how many classes there are, got 10000000 and 2 other "
        "labels – number them from 0, as `foveal pack` does"
    )

    assert count_classes(few, (), None) == 1000
    with pytest.raises(ShardError, match=f"^{re.escape(f'{many}: {reason}')}$"):
        count_classes(many, (), None)
    assert count_classes(many, (), 10_000_001) == 10_000_001
    for samples, limit in ((3, 1000), (1002, 1002)):  # the limit that the message names is the one that holds
        tars = [write_labels(tmp_path / f"{k}.tar", [0] + [limit - 1 + k] * (samples - 1)) for k in range(2)]
        assert count_classes(tars[0], (), None) == limit
        with pytest.raises(ShardError, match=f"cls must be below {limit} for {samples} samples"):
            count_classes(tars[1], (), None)


@pytest.mark.parametrize("label", [0, 7])
def test_one_class_alone(tmp_path, label):
    """Nothing can be learned from it; --classes says that there are more."""
    one = write_labels(tmp_path / "one.tar", [label] * 3)
    message = (
        f"{one}: 000: cls must have more than one value unless --classes says how many classes there are, got {label} in all 3 samples: "
        "nothing can be learned from one class – name a folder with a folder for each class, or shards of more classes"
    )
    with pytest.raises(ShardError, match=f"^{re.escape(message)}$"):
        train(one, tmp_path / "run", options=SMALL)
    assert count_classes(one, (), 9) == 9


def test_a_class_that_only_validation_has(tmp_path, no_sheets):
    """A class that only validation has is an error, unless --classes counts it."""
    new, good = (
        write_labels(tmp_path / "new.tar", [0, 3, 4]),
        write_labels(tmp_path / "good.tar", [0, 1, 2] * 4),
    )
    reason = (
        "001: cls must be in [0, 3), got 3: 2 of 3 labels to validate on are not among the classes that are trained – mend them, or name "
        "more --classes than 3"
    )
    with pytest.raises(ShardError, match=f"^{re.escape(f'{new}: {reason}')}$"):
        train(good, tmp_path / "run", val=new, options=SMALL)
    with pytest.raises(ShardError, match=re.escape("to train on are not among the classes that are trained")):
        train(good, tmp_path / "run", options=replace(SMALL, classes=2))
    assert not (tmp_path / "run").exists()

    assert "val_loss" in train(good, tmp_path / "run", val=new, options=replace(SMALL, epochs=1, classes=5))


def test_a_model_with_too_few_logits(shards, tmp_path, no_sheets):
    """A model with too few logits is an error in the first step."""
    message = "model must have a logit for each of 3 classes, got 2 logits."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        train(shards, tmp_path / "run", model=SmallConvNet(2), options=SMALL)
