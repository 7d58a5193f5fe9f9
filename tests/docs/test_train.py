"""The code of the page on training runs as shown."""

import re
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from foveal.pipeline import ZoomCollate
from foveal.shards import Shards, ShardWriter
from tests.docs.blocks import python_blocks
from tests.pipeline.making import encode, picture
from tests.tools import command_line

PAGE = (Path(__file__).parents[2] / "docs" / "train.md").read_text()
SHARDS, FROZEN, TRAIN, LOOP = python_blocks(PAGE)


@pytest.fixture
def shard(tmp_path) -> str:
    """Return a shard of eight labelled pictures."""
    with ShardWriter(tmp_path / "train.tar") as writer:
        for k in range(8):
            writer.write({"__key__": f"{k}", "jpg": encode(picture(k, 70, 60 + k)), "cls": k})
    return str(tmp_path / "train.tar")


def test_its_code_runs(shard, tmp_path, monkeypatch):
    """With other data and less time, a trunk of the user's own is trained, and the zoom works in a DataLoader."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("foveal.tools.training.train.draw_validation", lambda *_, **__: None)
    code = TRAIN.replace("epochs=11, batch_size=64", "epochs=1, batch_size=4")
    for part in ("train-{000000..000015}.tar", "val-{000000..000003}.tar"):
        code = code.replace(part, shard)
    assert code.count(shard) == 2
    names: dict[str, object] = {}
    exec(compile(code, "train.md", "exec"), names)
    exec(compile(f"from foveal.sampler import SaliencySampler\n{FROZEN}", "train.md", "exec"), names)
    dataset = [(picture(k, 70, 80), k) for k in range(4)]
    images, labels = next(iter(DataLoader(dataset, batch_size=4, collate_fn=ZoomCollate(names["zoom"]))))

    assert images.shape == (4, 3, 48, 48)
    assert not images.requires_grad
    assert torch.equal(labels, torch.arange(4))


def test_its_loop_runs(shard):
    """With other data and smaller batches, the loop trains with the zoom on trial, and then its classifier teaches."""
    code = LOOP.replace("train-{000000..000015}.tar", shard).replace("batch_size=64", "batch_size=4")
    assert ", after=trial" in code
    learned = []
    for each in (code, code, code.replace(", after=trial", "")):
        torch.manual_seed(0)
        names: dict[str, object] = {}
        exec(compile(each, "train.md", "exec"), names)
        learned.append(names["zoom"].saliency.network.head.weight.detach())

    assert names["images"].shape == (4, 3, 48, 48)
    assert names["trial"].state_dict()["step"] == 2
    assert torch.equal(learned[1], learned[0])
    assert not torch.allclose(learned[2], learned[0])


def test_its_shards(tmp_path, monkeypatch):
    """A folder of images for each class becomes shards that have every image once."""
    monkeypatch.chdir(tmp_path)
    for k in range(20):
        path = tmp_path / "images" / ("cat" if k % 4 else "ant") / f"img {k}.v2.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(picture(k, 30, 40)))
    exec(compile(SHARDS, "train.md", "exec"), {})
    with Shards(["train-000000.tar", "val-000000.tar"]) as shards:
        labels = {sample.key: int(sample.members["cls"]) for sample in shards}

    assert labels == {f"{int(bool(k % 4))}-img {k}_v2": int(bool(k % 4)) for k in range(20)}
    assert len(Shards("val-000000.tar")) == 2


def test_its_commands_exist():
    """Each verb and option that the page names exists."""
    verbs = command_line.command().commands
    assert "accuracy" in verbs["bench"].commands
    options = {name for verb in ("train", "zoom") for one in verbs[verb].params for name in one.opts}
    named = set(re.findall(r"--[a-z][a-z-]+", PAGE)) - {
        "--nproc-per-node",
        "--logdir",
    }  # torchrun's and tensorboard's
    assert named
    assert named <= options | {
        name for one in verbs["bench"].commands["accuracy"].params for name in one.opts
    }
