"""What all verbs of the command line have in common."""

import pytest

from tests.tools import command_line


@pytest.mark.parametrize(
    "arguments",
    [
        ["zoom", "a.tar", "--out", ""],
        ["zoom", "a.tar", "--out="],
        ["pack", "photos", "--out", "", "--overwrite"],
        ["train", "a.tar", "--out", ""],
        ["demo", "none.tar", "--out", ""],
        ["view", "a.tar", "--out", ""],
        ["bench", "report", "a.json", "--out", ""],
    ],
)
def test_an_empty_out_is_refused(tmp_path, monkeypatch, arguments):
    """An empty --out, such as an unset variable of the shell, is neither the root nor the current folder."""
    monkeypatch.chdir(tmp_path)
    run = command_line.run(*arguments)

    assert run.exit_code == 2
    assert "Invalid value for '--out': must not be empty, got ''." in run.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["pack", "", "--out", "x"], "FOLDER"),
        (["index", "a.tar", ""], "SHARDS"),
        (["verify", "a.tar", "--quarantine", ""], "--quarantine"),
        (["train", "a.tar", "--out", "x", "--val", "b.tar", "--val", ""], "--val"),
    ],
)
def test_other_empty_values_are_refused(arguments, name):
    """So are empty arguments, other empty options, and empty ones among several."""
    assert f"Invalid value for '{name}': must not be empty" in command_line.run(*arguments).output
