"""The code of docs/adaptive.md runs as shown, and so does its task."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from foveal.shards import ShardWriter
from tests.docs.blocks import python_blocks
from tests.pipeline.making import encode, picture
from tests.time_limits import HANGS_AFTER_S

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adaptive.md").read_text()
BLOCKS = python_blocks(PAGE)


def run_block(code):
    names = {}
    exec(compile(code, "docs/adaptive.md", "exec"), names)
    return names


def test_the_network():
    """The first block runs, and its comments are true."""
    torch.manual_seed(0)
    names = run_block(BLOCKS[0])

    assert names["features"].shape == (2, 512, 16, 24)
    assert names["mask"].shape == (2, 1, 16, 24)
    assert all(p.grad.abs().sum() > 0 for p in names["decide"].parameters())
    assert len(BLOCKS) == 2


def test_the_tokens(tmp_path):
    """The second block runs on a shard of pictures."""
    with ShardWriter(tmp_path / "train.tar") as writer:
        for k in range(4):
            writer.write({"__key__": f"{k}", "jpg": encode(picture(k, 300 + k, 400)), "cls": k})
    names = run_block(BLOCKS[1].replace("train-{000000..000146}.tar", str(tmp_path / "train.tar")))

    assert names["tokens"].shape == (4, 196, 3, 16, 16)
    assert names["grid"].shape == (4, 196, 16, 16, 2)
    assert names["x"].shape == (4, 196, 384)


@pytest.fixture
def roads(tmp_path):
    """Return six grey pictures with one dark line each, and its position."""
    with ShardWriter(tmp_path / "roads.tar") as writer:
        for k in range(6):
            image, crack = picture(k, 160, 200).copy(), np.zeros((160, 200), np.uint8)
            crack[:, 40 + 20 * k : 43 + 20 * k] = 255
            image[crack > 0] = 0
            writer.write({"__key__": f"{k}", "jpg": encode(image), "crack.png": encode(crack, "PNG")})
    return str(tmp_path / "roads.tar")


def test_the_task(roads):
    """It trains, tests and prints its table; with a quarter fine and the rest coarse, 44 % of the nodes are left."""
    options = ["--steps", "3", "--width", "8", "--crop", "8", "8", "--repeats", "1"]
    script = ROOT / "docs" / "examples" / "adaptive_cracks.py"
    done = subprocess.run(
        [sys.executable, str(script), roads, *options],
        capture_output=True,
        text=True,
        check=True,
        timeout=HANGS_AFTER_S,
    )
    table = done.stdout.splitlines()[-4:]

    assert [line[:20].strip() for line in table] == ["fine", "coarse", "adaptive", "adaptive, anywhere"]
    assert [line.split()[-2] for line in table] == ["100%", "25%", "44%", "44%"]
    assert all(0 <= float(line.split()[-4]) <= 1 for line in table)


def test_the_task_needs_cracks(tmp_path):
    """Shards without two photographs of a crack are a usage error."""
    with ShardWriter(tmp_path / "roads.tar") as writer:
        crack = encode(np.zeros((40, 50), np.uint8), "PNG")
        writer.write({"__key__": "0", "jpg": encode(picture(0, 40, 50)), "crack.png": crack})
    script = ROOT / "docs" / "examples" / "adaptive_cracks.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "roads.tar")],
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS_AFTER_S,
    )

    assert done.returncode == 2
    assert "error: the shards must hold at least two photographs with a crack, got 0" in done.stderr
