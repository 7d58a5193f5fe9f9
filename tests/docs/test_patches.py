"""The code of the page on patches runs as shown."""

import gzip
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from foveal.shards import ShardWriter
from tests.docs.blocks import python_blocks
from tests.pipeline.making import encode, picture
from tests.tools import command_line

PAGE = (Path(__file__).parents[2] / "docs" / "patches.md").read_text()
[BLOCK] = python_blocks(PAGE)


@pytest.fixture
def shard(tmp_path) -> str:
    """Return a shard of six labelled pictures."""
    with ShardWriter(tmp_path / "train.tar") as writer:
        for k in range(6):
            writer.write({"__key__": f"{k}", "jpg": encode(picture(k, 120 + k, 150)), "cls": k})
    return str(tmp_path / "train.tar")


def test_the_example_runs(shard):
    """The example runs on other data: the scorer learns, and sigma ends at zero."""
    code = BLOCK.replace("train-{000000..000146}.tar", shard).replace("batch_size=32", "batch_size=3")
    assert shard in code
    names: dict[str, object] = {}
    torch.manual_seed(0)
    exec(compile(code, "patches.md", "exec"), names)
    patches = names["patches"]

    assert names["images"].shape == (3, 5, 3, 100, 100)
    assert patches.topk.sigma == 0
    torch.manual_seed(0)
    assert not torch.equal(type(patches)(5, 100).score.layers[0].weight, patches.score.layers[0].weight)


def test_its_commands_and_files_exist():
    """Each verb, option and file that the page names exists."""
    commands = command_line.command().commands
    assert "topk" in commands["bench"].commands
    assert any("--zoom" in parameter.opts for parameter in commands["demo"].params)
    assert (Path(__file__).parents[2] / "docs" / "examples" / "find_digit.py").is_file()


@pytest.mark.slow
def test_the_task_runs(tmp_path, monkeypatch, capsys):
    """On a few made-up digits, both ways are trained and measured."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 80), ("t10k", 25)):
        images, labels = rng.integers(0, 256, (count, 28, 28)), rng.integers(0, 10, count)
        for kind, head, values in (("images-idx3", 16, images), ("labels-idx1", 8, labels)):
            data = gzip.compress(bytes(head) + values.astype(np.uint8).tobytes())
            (tmp_path / f"{part}-{kind}-ubyte.gz").write_bytes(data)
    few = ["--scenes", "16", "--test", "25", "--drawn", "64", "--epochs", "1"]
    script = str(Path(__file__).parents[2] / "docs" / "examples" / "find_digit.py")
    monkeypatch.setattr(sys, "argv", [script, str(tmp_path), *few])
    runpy.run_path(script, run_name="__main__")

    printed = capsys.readouterr().out
    assert re.findall("^patches|^even", printed, re.MULTILINE) == ["patches", "even"]
    assert len(re.findall(r"epoch 1: \d+\.\d% read", printed)) == 2
