"""The code of docs/njet.md runs as shown."""

import importlib.util
from pathlib import Path

import pytest
import torch

from tests.docs.blocks import python_blocks

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "njet.md").read_text()
BLOCKS = python_blocks(PAGE)


@pytest.fixture
def learned_scale():
    spec = importlib.util.spec_from_file_location("learned_scale", DOCS / "examples" / "learned_scale.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example(capsys):
    """The example runs, and every scale has changed."""
    torch.manual_seed(0)
    names = {}
    exec(compile(BLOCKS[0], "njet.md", "exec"), names)
    printed = eval(capsys.readouterr().out)

    assert len(BLOCKS) == 1
    assert len(printed) == 4
    assert all(now != start for now, start in zip(printed, [2.0, 2.0, 1.0, 2.0], strict=True))


def test_the_digits_are_resized_not_moved(learned_scale, data_dir):
    """Both sizes show the same digits, in [0, 1], with their labels."""
    small, labels = learned_scale.load(data_dir / "digits", "t10k", 4, 20)
    large, _ = learned_scale.load(data_dir / "digits", "t10k", 4, 40)
    back = torch.nn.functional.avg_pool2d(large, 2)

    assert labels.tolist() == [7, 2, 1, 0]
    assert small.shape == (4, 1, 20, 20)
    assert 0 <= large.min() < 0.1
    assert 0.9 < large.max() <= 1
    assert (back - small).abs().mean() < 0.02


@pytest.mark.slow
def test_the_scale_follows_the_task(learned_scale, data_dir):
    """For digits twice as large, the learned sigma is about twice as large, from the same start."""
    sigmas = [learned_scale.learn(data_dir / "digits", side, 1.0, 0, 600)[0] for side in (20, 40)]

    assert 1.6 < sigmas[1] / sigmas[0] < 2.5
