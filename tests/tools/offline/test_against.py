"""``foveal verify --against``."""

import hashlib
import json
import os
import re

import pytest

from foveal.shards import ShardError, ShardWriter
from foveal.tools.offline.against import verify_against
from foveal.tools.offline.recipe import Recipe
from tests.tools import command_line
from tests.tools.offline.zooming import labelled, samples_of, write_originals, zoom

pytestmark = pytest.mark.usefixtures("no_sheet")


@pytest.fixture
def urls(tmp_path, monkeypatch):
    """Return originals whose zoomed shards exist, with one bad image."""
    monkeypatch.setenv("COLUMNS", "200")
    urls = write_originals(tmp_path / "in", bad=[6])
    zoom(urls, tmp_path / "out")
    return urls


def edit(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def drop_a_sample(tar):
    samples = samples_of(tar.parent)
    with ShardWriter(tar) as writer:
        for key, members in [
            pair for pair in samples if pair[0] in ("dir/000", "dir/002", "dir/003", "dir/004")
        ]:
            writer.write({"__key__": key, **members})


BREAK = {
    "is not done: s-1": lambda out, _: (out / "s-1_stats.json").unlink(),
    "is not done: s-0": lambda out, _: (out / "s-0.tar").unlink(),
    "is not done: s-2": lambda out, _: (out / "s-2_stats.json").write_text("{"),
    "has another content than its stats say: s-1": lambda out, _: os.truncate(out / "s-1.tar", (out / "s-1.tar").stat().st_size - 512),
    "has other keys than its table: s-0.tar: sample 1 should be dir/001, is dir/002": lambda out, _: drop_a_sample(out / "s-0.tar"),
    "has another table than its stats say: s-2": lambda out, _: (out / "s-2_samples.jsonl").write_text((out / "s-2_samples.jsonl").read_text().replace("ok", "corrupt", 1)),
    "has other counts than its table: s-1": lambda out, _: edit(out / "s-1_stats.json", lambda stats: stats.update(ok=5, failed={})),
    "was made with another fingerprint: s-1": lambda out, _: edit(out / "s-1_stats.json", lambda stats: stats.update(fingerprint="other")),
    "has an index of another tar: s-1.tar: which does not agree with its tar": lambda out, _: (out / "s-1.idx").write_bytes((out / "s-0.idx").read_bytes()),
    "has an index of another tar: s-2.tar: which is unreadable: line 1 must be": lambda out, _: (out / "s-2.idx").write_bytes(b"?"),
    "cannot be read: s-1.tar: is not a tar": lambda out, _: (out / "s-1.tar").write_bytes(b"x" * 2048),
    "belongs to none of the originals: s-9": lambda out, _: (out / "s-9.tar").write_bytes(bytes(1024)),
    "was made of other images: s-1.tar: dir/007": lambda _, into: write_originals(into, bad=[6, 7]),
    "was made of other members beside the images: s-2.tar: dir/011": lambda _, into: write_some(into / "s-2.tar", mended=11),
    "accounts for other samples than there are: s-2.tar: sample 5 should be dir/015, is the end": lambda _, into: write_some(into / "s-2.tar", stop=16),
}  # fmt: skip


def write_some(tar, *, stop=15, mended=None):
    """Write the samples from 10 to ``stop``, of which one has another class."""
    with ShardWriter(tar) as writer:
        for k in range(10, stop):
            writer.write(labelled(k, **({"cls": 77} if k == mended else {})))


def test_complete(urls, tmp_path, capsys):
    """If nothing is wrong, nothing is found, and failed samples are counted."""
    assert not verify_against(str(tmp_path / "out"), [urls])
    assert capsys.readouterr().out == "15 samples of 3 shards: 14 zoomed, 1 corrupt; all accounted for.\n"


@pytest.mark.parametrize("found", BREAK)
def test_whatever_is_wrong_is_found(urls, tmp_path, capsys, found):
    """Files that are missing, changed or of another run, and originals that changed, are found."""
    BREAK[found](tmp_path / "out", tmp_path / "in")
    fault, _, first = found.partition(": ")

    assert verify_against(str(tmp_path / "out"), [urls])
    said = re.sub(" +", " ", capsys.readouterr().out)
    assert f" {fault} {first}" in said
    assert re.search(r"; \d+ findings?\.\n", said)


@pytest.mark.filterwarnings("ignore::foveal.shards.ShardWarning")
@pytest.mark.parametrize("change", ["cut", "joined by cat"])
def test_an_original_that_is_not_read_to_its_end(urls, tmp_path, capsys, change):
    """A cut original is a finding, and ends ``foveal zoom`` with an error after all that is whole is zoomed, until it is repaired."""
    tar = tmp_path / "in/s-2.tar"
    whole = tar.read_bytes()
    tar.write_bytes(whole[:20_000] if change == "cut" else whole + (tmp_path / "in/s-0.tar").read_bytes())
    message = r"s-2\.tar: (was cut at|goes on behind).*; it is one of 1 cut shard\(s\), of which only what is whole was zoomed$"
    for _ in range(2):
        with pytest.raises(ShardError, match=message):
            zoom(urls, tmp_path / "out")

    assert 0 < json.loads((tmp_path / "out/sizes.json").read_text())["s-2.tar"] <= 5
    assert verify_against(str(tmp_path / "out"), [urls])
    said = re.sub(" +", " ", capsys.readouterr().out)
    assert re.search(r" 1 was made of a cut shard s-2\.tar: (was cut at byte 20000|goes on behind)", said)
    assert "; 1 finding.\n" in said
    tar.write_bytes(whole)
    zoom(urls, tmp_path / "out")
    assert not verify_against(str(tmp_path / "out"), [urls])
    assert "cut" not in json.loads((tmp_path / "out/s-2_stats.json").read_text())


@pytest.mark.parametrize("settings", [{"boxes": ("json:boxes",)}, {"drop_labels": True}])
@pytest.mark.parametrize("change", [{"cls": 77}, {"json": {"boxes": [[1, 1, 2, 2]]}}, {"txt": "a crack"}])
def test_members_are_compared_as_they_were(tmp_path, capsys, monkeypatch, settings, change):
    """A member of an original that has changed is found also if its labels were warped or left out."""
    monkeypatch.setenv("COLUMNS", "200")
    urls = write_originals(tmp_path / "in", shards=1)
    zoom(urls, tmp_path / "out", Recipe(out_size=8, **settings))
    assert not verify_against(str(tmp_path / "out"), [urls])
    with ShardWriter(tmp_path / "in/s-0.tar") as writer:
        for k in range(5):
            writer.write(labelled(k, **(change if k > 2 else {})))

    assert verify_against(str(tmp_path / "out"), [urls])
    said = re.sub(" +", " ", capsys.readouterr().out)
    assert " 2 was made of other members beside the images s-0.tar: dir/003\n" in said
    assert "; 2 findings.\n" in said


def test_a_table_of_an_earlier_version(urls, tmp_path, capsys):
    """A table of an earlier version says nothing of other members than the image, which are not compared."""
    table = tmp_path / "out/s-2_samples.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    for row in rows:
        del row["members_sha256"]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    edit(tmp_path / "out/s-2_stats.json", lambda stats: stats.update(samples_sha256=digest))
    write_some(tmp_path / "in/s-2.tar", mended=11)

    assert not verify_against(str(tmp_path / "out"), [urls])
    assert capsys.readouterr().out.endswith("; all accounted for.\n")


def test_without_a_manifest(urls, tmp_path):
    """A folder without a manifest is refused."""
    with pytest.raises(
        ValueError,
        match=r"urls must be one folder that foveal zoom wrote, got '.*in', where there is no manifest.json",
    ):
        verify_against(str(tmp_path / "in"), [urls])


@pytest.mark.parametrize("name", ["mistyped", "in/s-0.tar"])
def test_what_is_no_folder(urls, tmp_path, name):
    """A name of nothing, and of a file, is refused, and no folder is created."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=r"urls must be one folder that foveal zoom wrote, got '"):
        verify_against(str(tmp_path / name), [urls])
    assert sorted(tmp_path.rglob("*")) == before


def test_on_the_command_line(urls, tmp_path):
    """The exit status is 0 or 1, and only one folder is accepted."""
    zoom(urls, tmp_path / "npy", Recipe(out_size=8, format="npy"))

    def verify(*folders):
        return command_line.run("verify", *folders, "--against", urls)

    assert verify(tmp_path / "npy").exit_code == 0
    (tmp_path / "npy/s-1.tar").unlink()
    assert verify(tmp_path / "npy").exit_code == 1
    two = verify(tmp_path / "npy", tmp_path / "out").exception
    assert str(two).startswith("urls must be one folder that foveal zoom wrote, got ['/")
