"""The script of docs/scale.md runs, and checks what the page says about ranks."""

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def many_shards():
    spec = importlib.util.spec_from_file_location("many_shards", DOCS / "examples/many_shards.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script(many_shards, tmp_path, capsys):
    """Every rank takes its own samples from the shards of the first windows."""
    many_shards.link_shards(tmp_path, 40, 100)
    many_shards.measure(tmp_path, 40, ranks=4, batches=5)
    printed = capsys.readouterr().out

    assert "opening 40 shards: " in printed
    assert "the order of 4,000 samples: " in printed
    assert re.search(r"each rank took 320 samples out of (\d+) to \d+ shards; no two", printed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["2", "10"],
            "shards must hold at least 409,600 samples, 100 batches of 64 for each of 64 ranks, got 20 – ask",
        ),
        (["0", "10"], "shards, samples, --ranks and --batches must be at least 1"),
        (["3", "100", "--ranks", "0"], "shards, samples, --ranks and --batches must be at least 1"),
    ],
)
def test_too_few_samples_are_refused(many_shards, monkeypatch, capsys, arguments, message):
    """The script ends with a usage error if there are not enough samples for the batches that it looks up."""
    monkeypatch.setattr("sys.argv", ["many_shards.py", *arguments])
    with pytest.raises(SystemExit, match="2"):
        many_shards.main()

    assert message in capsys.readouterr().err


def test_ranks_that_share_samples_are_noticed(many_shards, tmp_path, monkeypatch):
    """The script's check fails if ranks share samples."""
    monkeypatch.setattr(many_shards, "BatchPlan", lambda samples, size, **_: [range(size)] * 9)
    many_shards.link_shards(tmp_path, 4, 100)

    with pytest.raises(RuntimeError, match=r"^ranks share samples$"):
        many_shards.measure(tmp_path, 4, ranks=2, batches=1)
