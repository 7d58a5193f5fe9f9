"""The code of the pages on the loader runs as shown."""

from pathlib import Path

import pytest
import torch

from foveal.shards import ShardWriter
from tests.docs.blocks import python_blocks
from tests.pipeline.making import encode, picture
from tests.sampler.making import run_in

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str) -> list[str]:
    """Return the Python blocks of a page."""
    return python_blocks((DOCS / page).read_text())


@pytest.fixture
def shards(tmp_path) -> str:
    """Return a shard of 70 labelled pictures with boxes."""
    with ShardWriter(tmp_path / "train.tar") as writer:
        for k in range(70):
            boxes = {"boxes": [[2, 3, 20, 30]]}
            writer.write(
                {"__key__": f"{k:04d}", "jpg": encode(picture(k, 40, 60)), "cls": k % 3, "json": boxes}
            )
    return str(tmp_path / "train.tar")


def test_the_page_on_the_loader(shards, capsys):
    """Its first example trains on all samples, and its second resumes from a state."""
    first, second = blocks("loader.md")
    names = {}
    exec(compile(first.replace("train-{000000..000146}.tar", shards), "loader.md", "exec"), names)

    assert names["images"].shape == (6, 3, 224, 224)  # what is left of 70
    assert names["labels"].dtype == torch.int64
    assert len(names["boxes"]) == 6
    assert capsys.readouterr().out.startswith("torch.Size([64, 3, 224, 224]) torch.Size([64]) 0")
    exec(compile(second.replace("train-{000000..000146}.tar", shards), "loader.md", "exec"), names)
    assert names["other"].state_dict() == names["loader"].state_dict()


def test_the_page_on_other_loaders(tmp_path, capsys):
    """All examples run: the zoom as a collate function, by itself, and over shards in any order."""
    first, second, third = blocks("swap.md")
    images = [torch.from_numpy(picture(k, 60 + k, 90).copy()) for k in range(9)]
    names = {"dataset": [(image, k) for k, image in enumerate(images)]}
    exec(compile(first.replace("num_workers=2", "num_workers=0"), "swap.md", "exec"), names)

    assert capsys.readouterr().out.startswith("torch.Size([8, 3, 224, 224]) torch.Size([8])")
    exec(compile(second, "swap.md", "exec"), names)
    assert names["images"].shape == (1, 3, 224, 224)
    with ShardWriter(tmp_path / "train.tar") as writer:
        for k in range(9):
            writer.write({"__key__": f"{k}", "jpg": encode(picture(k, 40, 60)), "cls": k % 3})
    third = third.replace("num_workers=2", "num_workers=0").replace(
        "train-{000000..000146}.tar", str(tmp_path / "train.tar")
    )
    exec(compile(third, "swap.md", "exec"), names)
    assert capsys.readouterr().out.startswith("torch.Size([8, 3, 224, 224]) torch.Size([8])")


@pytest.mark.slow
def test_the_page_on_frameworks_exports(tmp_path):
    """The exported program of its last block gives the sampler's pixels."""
    check = """
image = torch.rand(1, 3, 480, 640)
torch.testing.assert_close(program.module()(image).images, zoom(image).images, atol=1e-4, rtol=0)
"""
    # Exporting does not pass the tests' checks of shapes.
    run_in(tmp_path, blocks("frameworks.md")[-1] + check)
