"""What ``foveal zoom`` mends and says at its end."""

import json
import os
import re

import pytest

from foveal.shards import ShardError, ShardWriter
from foveal.shards.index import index_text
from foveal.tools.offline import _finish
from foveal.tools.offline.against import verify_against
from foveal.tools.offline.shard import ShardZoomer
from tests.tools.offline.zooming import content, labelled, zoom

pytestmark = pytest.mark.usefixtures("no_sheet")


def with_white_space(tar, count=5):
    with ShardWriter(tar) as writer:
        for k in range(count):
            writer.write(labelled(k, __key__=f"my pet {k}"))


def test_a_lost_index_is_written_again(urls, tmp_path):
    """An index that was deleted is written by the next run, as it was, and no shard is zoomed for that."""
    out = tmp_path / "out"
    zoom(urls, out)
    index, tar = (out / "s-1.idx").read_bytes(), (out / "s-1.tar").stat()
    (out / "s-1.idx").unlink()
    zoom(urls, out)

    assert (out / "s-1.idx").read_bytes() == index
    assert (out / "s-1.tar").stat().st_ino == tar.st_ino


def test_no_index_stays_when_a_new_tar_can_have_none(urls, tmp_path):
    """If an original gets names with white space, the index of the old zoomed shard goes."""
    out = tmp_path / "out"
    zoom(urls, out)
    with_white_space(tmp_path / "in/s-1.tar")
    zoom(urls, out)

    assert sorted(path.name for path in out.glob("*.idx")) == ["s-0.idx", "s-2.idx"]
    assert json.loads((out / "s-1_stats.json").read_text())["indexed"] is False
    assert not verify_against(str(out), [urls])


def test_an_index_that_an_earlier_version_left(urls, tmp_path, monkeypatch):
    """An old index beside a tar that can have none is found by ``foveal verify``, and removed by the next run, which reads the tar once."""
    out = tmp_path / "out"
    zoom(urls, out)
    old = (out / "s-1.idx").read_bytes()
    with_white_space(tmp_path / "in/s-1.tar")
    zoom(urls, out)
    (out / "s-1.idx").write_bytes(old)
    stats = json.loads((out / "s-1_stats.json").read_text())
    del stats["indexed"]
    (out / "s-1_stats.json").write_text(json.dumps(stats))
    looked = []

    def noted(url, tar, stamp):
        looked.append(url)
        return index_text(url, tar, stamp)

    monkeypatch.setattr(_finish, "index_text", noted)
    assert verify_against(str(out), [urls])
    for _ in range(2):
        zoom(urls, out)

    assert looked == [str(out / "s-1.tar")]
    assert not (out / "s-1.idx").exists()
    assert not verify_against(str(out), [urls])


def test_a_zoomed_shard_that_can_no_longer_be_read(urls, tmp_path):
    """If a lost index cannot be written because its tar is damaged, the error says how to go on, and that helps."""
    out = tmp_path / "out"
    zoom(urls, out)
    expected = content(out)
    (out / "s-1.idx").unlink()
    (out / "s-1.tar").write_bytes(b"x" * (out / "s-1.tar").stat().st_size)
    message = f"{out}/s-1.tar: is not a tar"
    with pytest.raises(ShardError, match=re.escape(message)) as caught:
        zoom(urls, out)
    assert str(caught.value).endswith(" – remove it, and the same command zooms it again")
    (out / "s-1.tar").unlink()
    zoom(urls, out)

    assert content(out) == expected


@pytest.mark.filterwarnings("ignore::foveal.shards.ShardWarning")
def test_an_original_that_is_damaged_after_it_was_zoomed(urls, tmp_path):
    """What was zoomed of it is kept and counted, and the error and the card say so."""
    out = tmp_path / "out"
    zoom(urls, out)
    os.truncate(tmp_path / "in/s-1.tar", 0)
    message = f"{tmp_path}/in/s-1.tar: is an empty file, not a tar; it is one of 1 damaged shard(s), of which what was zoomed before is kept"
    with pytest.raises(ShardError, match=f"^{re.escape(message)}$"):
        zoom(urls, out)
    card = (out / "README.md").read_text()

    assert json.loads((out / "sizes.json").read_text()) == {f"s-{k}.tar": 5 for k in range(3)}
    assert (
        "Originals that were damaged after they had been zoomed, of which all is here that was zoomed: `s-1.tar`."
        in card
    )
    assert "nothing is here" not in card


@pytest.mark.parametrize(
    "change", ["has changed since this run began", "was zoomed, but its zoomed shard has gone"]
)
def test_what_changes_during_the_run(urls, tmp_path, monkeypatch, capsys, change):
    """An original that gets another number of samples is named, or one whose zoomed shard is removed; it is no other rank's."""
    out, write = tmp_path / "out", ShardZoomer.write

    def disturbed(self, store, advance):
        if change.startswith("has") and not (out / "s-0.tar").exists():
            with_white_space(tmp_path / "in/s-2.tar", count=7)
        stats = write(self, store, advance)
        if change.startswith("was") and stats.shard == "s-2.tar":
            (out / "s-2.tar").unlink()
        return stats

    monkeypatch.setattr(ShardZoomer, "write", disturbed)
    message = f"{tmp_path}/in/s-2.tar: {change}; it is one of 1 shard(s) to be zoomed again: the same command continues from there"
    with pytest.raises(ShardError, match=f"^{re.escape(message)}$"):
        zoom(urls, out)
    assert "other ranks" not in capsys.readouterr().out
    monkeypatch.undo()
    monkeypatch.setattr("foveal.tools.offline._sheet.draw_zoomed", lambda *_: b"a picture")
    zoom(urls, out)

    assert not verify_against(str(out), [urls])
    assert (out / "README.md").exists()
