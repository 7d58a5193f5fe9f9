"""Fixtures for tests of the command line."""

import json

import pytest

from foveal.shards import ShardWriter
from tests.pipeline.making import encode, picture


@pytest.fixture
def no_sheet(monkeypatch):
    """Draw no sheet, which saves a second."""
    monkeypatch.setattr("foveal.tools.offline._sheet.draw_zoomed", lambda *_: b"a picture")


@pytest.fixture
def no_sheets(monkeypatch):
    """Draw no sheets, which saves a second each."""
    monkeypatch.setattr("foveal.tools.training.train.draw_validation", lambda *_, **__: None)


@pytest.fixture
def far_options(moto, new_bucket, tmp_path) -> str:
    """The storage options, as JSON, that lead to four labelled pictures in s3://tools/a.tar."""
    with ShardWriter(tmp_path / "a.tar") as writer:
        for k in range(4):
            writer.write({"__key__": str(k), "jpg": encode(picture(k, 50, 60)), "cls": k % 2})
    new_bucket("tools")("a.tar", (tmp_path / "a.tar").read_bytes())
    return json.dumps({"key": "key", "secret": "secret", "endpoint_url": f"http://127.0.0.1:{moto}"})
