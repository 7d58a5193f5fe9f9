"""The code of the README runs as shown."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from foveal.sampler import SaliencySampler, SpectralSaliency
from foveal.shards import ShardWriter
from foveal.tools.pictures.magnification import local_zoom
from tests.docs.blocks import python_blocks
from tests.pipeline.making import encode, picture
from tests.tools import command_line
from tests.torchrun import on_two_ranks

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = python_blocks(README)


def write(folder, count) -> str:
    """Return a shard of labelled pictures."""
    with ShardWriter(folder / "train.tar") as writer:
        for k in range(count):
            writer.write({"__key__": f"{k:04d}", "jpg": encode(picture(k, 40 + k, 60)), "cls": k % 3})
    return str(folder / "train.tar")


@pytest.fixture
def shards(tmp_path) -> str:
    """Return a shard of 64 labelled pictures."""
    return write(tmp_path, 64)


def test_the_training_loop(shards):
    """The loop of the first screen runs, and its comments are true."""
    model = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 3))
    code = BLOCKS[0].replace("train-{000000..000146}.tar", shards)
    names = {"torch": torch, "F": nn.functional, "model": model}
    exec(compile(code, "README.md", "exec"), names)

    assert names["images"].shape == (64, 3, 224, 224)
    assert names["images"].dtype == torch.float32
    assert names["labels"].shape == (64,)
    assert names["labels"].dtype == torch.int64


RANK = """
import sys
from pathlib import Path
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
F = nn.functional
torch.manual_seed(0)
model = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 3))
{zoom}{ranks}{loop}
weights = torch.cat([p.detach().flatten() for p in [*model.parameters(), *zoom.parameters()]])
both = [torch.empty_like(weights) for _ in range(2)]
torch.distributed.all_gather(both, weights)
found = f"{{len(labels)}} samples, the same weights: {{torch.equal(*both)}}, they train the zoom: {{images.requires_grad}}"
Path(sys.argv[1], f"rank-{{torch.distributed.get_rank()}}.txt").write_text(found)
torch.distributed.destroy_process_group()
"""


def test_the_training_loop_on_two_ranks(tmp_path):
    """With the second block, each of two ranks has half of the samples, and weights stay equal, also if one sample is left."""
    zoom, loop = BLOCKS[0].partition("loader = ")[0], BLOCKS[0][BLOCKS[0].index("optimizer = ") :]
    code = RANK.format(zoom=zoom, ranks=BLOCKS[1], loop=loop)
    script = tmp_path / "train.py"
    script.write_text(code.replace("train-{000000..000146}.tar", write(tmp_path, 129)))
    run = on_two_ranks(script, tmp_path)

    found = [(tmp_path / f"rank-{rank}.txt").read_text() for rank in range(2)]
    assert found == ["64 samples, the same weights: True, they train the zoom: True"] * 2
    assert "RankWarning" not in run.stderr


def test_the_first_example_zooms():
    """Before any training, its zoom enlarges what stands out, within its bound."""
    code = next(line for line in BLOCKS[0].splitlines() if line.startswith("zoom = "))
    names = {"SaliencySampler": SaliencySampler}
    torch.manual_seed(0)
    exec(compile(code, "README.md", "exec"), names)
    image = torch.full((300, 400, 3), 90, dtype=torch.uint8)
    image[200:216, 300:316] = torch.tensor([250, 40, 40], dtype=torch.uint8)
    with torch.no_grad():
        grid = names["zoom"]([image]).grid[0].numpy()

    assert 1.5 < local_zoom(grid)[0] <= 5.01


def test_the_sampler_alone():
    """The third block runs."""
    names = {"SaliencySampler": SaliencySampler, "SpectralSaliency": SpectralSaliency}
    names["image"] = torch.from_numpy(np.array(picture(0, 300, 400)))
    exec(compile(BLOCKS[2], "README.md", "exec"), names)

    assert names["images"].shape == (1, 3, 224, 224)
    assert len(BLOCKS) == 3


def test_links_and_pictures_are_there():
    """Every relative link leads to a file, and the picture is an image."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]

    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []
    with Image.open(ROOT / "docs" / "demo.png") as shown:
        assert shown.width > 1000


def test_its_commands_exist():
    """Each verb that the README names exists."""
    verbs = command_line.command().commands
    named = set(re.findall(r"foveal (demo|index|bench|verify|zoom|view|train|doctor)\b", README))

    assert named
    assert named <= set(verbs)


def test_it_is_short():
    """The README has at most the allowed number of lines."""
    assert len(README.splitlines()) <= 150
