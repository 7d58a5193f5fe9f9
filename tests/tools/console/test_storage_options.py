"""Verbs on shards in an object store that only ``--storage-options`` leads to."""

import json

import pytest

from foveal.shards import ShardWriter
from foveal.tools.console.storage_options import parse_storage_options
from foveal.tools.explore._looker import Looker
from foveal.tools.explore._settings import Settings
from tests.pipeline.making import encode, picture
from tests.tools import command_line


@pytest.fixture
def options(moto, new_bucket, tmp_path):
    """A bucket with a shard of four labelled pictures, and what leads to it."""
    with ShardWriter(tmp_path / "a.tar") as writer:
        for k in range(4):
            writer.write({"__key__": str(k), "jpg": encode(picture(k, 50, 60)), "cls": k % 2})
    new_bucket("verbs")("a.tar", (tmp_path / "a.tar").read_bytes())
    return json.dumps({"key": "key", "secret": "secret", "endpoint_url": f"http://127.0.0.1:{moto}"})


def test_verbs_read_from_the_store(options, tmp_path, monkeypatch):
    """A run of training with validation, and a sheet; the checkpoint holds no credentials."""
    monkeypatch.setattr("foveal.tools._view.draw_sheet", lambda *_, **__: None)
    monkeypatch.setattr("foveal.tools.training._sheet.draw_sheet", lambda *_, **__: None)
    far = ["s3://verbs/*.tar", "--storage-options", options, "--out-size", 16]
    view = command_line.run("view", *far, "--rows", 1, "--out", tmp_path / "s.png")
    once = ["--epochs", 1, "--batch-size", 2, "--num-threads", 1, "--val", "s3://verbs/*.tar"]
    train = command_line.run("train", *far, *once, "--out", tmp_path / "run")

    assert view.exit_code == 0, view.exception
    assert train.exit_code == 0, train.exception
    assert b"secret" not in (tmp_path / "run/last.pt").read_bytes()


def test_explore_reads_from_the_store(options, monkeypatch):
    """The page shows a sample; the code on it leaves a gap for what may be secret."""
    served = []
    monkeypatch.setattr("foveal.tools.explore.serve.serve", lambda source, **_: served.append(source))
    found = command_line.run("explore", "s3://verbs/*.tar", "--storage-options", options, "--no-open")
    assert found.exit_code == 0, found.exception
    [source] = served

    assert Looker(source).look(1, Settings(size=32)).original.key == "1"
    for shown in (Settings().python(source), Settings().command(source)):
        assert "secret" not in shown
        assert "storage" in shown


@pytest.mark.parametrize("text", ["[]", "no json"])
def test_what_is_no_object(text):
    """A mistake is an error that shows how to write it."""
    with pytest.raises(ValueError, match="storage_options must be a JSON object, such as"):
        parse_storage_options(text)
