"""Samples to show, read from shards."""

import re

import pytest

from foveal.shards import ShardError, ShardWriter
from foveal.tools.demo.demo import run_demo
from foveal.tools.pictures.originals import caption_facts, open_shards
from tests.pipeline.making import encode, picture


def write(path, samples):
    with ShardWriter(path) as writer:
        for sample in samples:
            writer.write(sample)
    return str(path)


@pytest.mark.parametrize(("count", "beside"), [(1, ""), (2, ", nor has 1 other shard")])
def test_shards_without_samples(tmp_path, count, beside):
    """Shards that hold no sample are refused, and so are they by the demo."""
    urls = [write(tmp_path / f"{k}.tar", []) for k in range(count)]
    message = f"{urls[0]}: has no samples{beside} – name shards that hold some"

    with pytest.raises(ShardError, match=f"^{re.escape(message)}$"):
        open_shards(urls)
    with pytest.raises(ShardError, match=f"^{re.escape(message)}$"):
        run_demo(urls, out=tmp_path / "out")


def test_a_label_that_is_no_text(tmp_path):
    """A caption shows a label whatever its bytes are."""
    url = write(tmp_path / "a.tar", [{"__key__": "a", "jpg": encode(picture(0, 9, 9)), "cls": b"\xff"}])

    assert caption_facts(open_shards([url]), 0) == ["a", "label \ufffd"]
