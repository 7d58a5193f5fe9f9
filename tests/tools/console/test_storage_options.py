"""Verbs on shards in an object store that only ``--storage-options`` leads to."""

import pytest

from foveal.tools.console.storage_options import parse_storage_options
from tests.tools import command_line


def test_verbs_read_from_the_store(far_options, tmp_path, monkeypatch):
    """A run of training with validation, and a sheet; the checkpoint holds no credentials."""
    monkeypatch.setattr("foveal.tools._view.draw_sheet", lambda *_, **__: None)
    monkeypatch.setattr("foveal.tools.training._sheet.draw_sheet", lambda *_, **__: None)
    far = ["s3://tools/*.tar", "--storage-options", far_options, "--out-size", 16]
    view = command_line.run("view", *far, "--rows", 1, "--out", tmp_path / "s.png")
    once = ["--epochs", 1, "--batch-size", 2, "--num-threads", 1, "--val", "s3://tools/*.tar"]
    train = command_line.run("train", *far, *once, "--out", tmp_path / "run")

    assert view.exit_code == 0, view.exception
    assert train.exit_code == 0, train.exception
    assert b"secret" not in (tmp_path / "run/last.pt").read_bytes()


@pytest.mark.parametrize("text", ["[]", "no json"])
def test_what_is_no_object(text):
    """A mistake is an error that shows how to write it."""
    with pytest.raises(ValueError, match="storage_options must be a JSON object, such as"):
        parse_storage_options(text)
