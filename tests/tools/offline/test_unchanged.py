"""Originals that change after they were zoomed: ``foveal zoom`` zooms them again, and those that are merely newer not."""

import gzip
import json
import os
from dataclasses import replace

import pytest

from foveal.shards import Shards, ShardWriter
from foveal.tools.offline.against import verify_against
from foveal.tools.offline.shard import ShardZoomer
from tests.shards.reading import make_tar
from tests.shards.server import Files, serving
from tests.tools.offline.zooming import RECIPE, content, labelled, samples_of, write_originals, zoom

pytestmark = pytest.mark.usefixtures("no_sheet")
AGAIN = "1 shard will be zoomed again: the original has changed since."


def write(tar, samples):
    with ShardWriter(tar) as writer:
        for sample in samples:
            writer.write(sample)


def rewritten(*, keys=range(5, 10), **changed):
    """Return the samples of ``s-1.tar`` with these keys, of which one has other members."""
    return [labelled(k, **(changed if k == 7 else {})) for k in keys]


CHANGES = {
    "other samples": (RECIPE, rewritten(keys=range(20, 25))),
    "another order": (RECIPE, rewritten(keys=(5, 6, 8, 7, 9))),
    "another image": (RECIPE, rewritten(jpg=labelled(30)["jpg"])),
    "a mended class": (RECIPE, rewritten(cls=3)),
    "one member more": (RECIPE, rewritten(txt="a crack")),
    "boxes": (replace(RECIPE, boxes=("json:boxes",)), rewritten(json={"boxes": [[9, 9, 50, 50]]})),
    "a mask": (replace(RECIPE, masks=("mask.png",)), rewritten(**{"mask.png": labelled(7)["mask.png"] + b"\0"})),
    "a label that is left out": (replace(RECIPE, drop_labels=True), rewritten(json={"boxes": [[9, 9, 50, 50]]})),
    "boxes that steer": (replace(RECIPE, saliency="boxes", boxes=("json:boxes",)), rewritten(json={"boxes": [[9, 9, 50, 50]]})),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_original_is_zoomed_again(urls, tmp_path, capsys, change):
    """An original whose samples have changed is zoomed again, whatever has changed, as if it were zoomed for the first time."""
    recipe, samples = CHANGES[change]
    zoom(urls, tmp_path / "out", recipe)
    kept = (tmp_path / "out/s-0.tar").stat()
    write(tmp_path / "in/s-1.tar", samples)
    capsys.readouterr()
    zoom(urls, tmp_path / "out", recipe)
    said = capsys.readouterr().out
    zoom(urls, tmp_path / "fresh", recipe)

    assert said.startswith(f"2 of 3 shards are done already.\n{AGAIN}\n")
    assert (tmp_path / "out/s-0.tar").stat().st_mtime_ns == kept.st_mtime_ns
    assert content(tmp_path / "out") == content(tmp_path / "fresh")
    assert not verify_against(str(tmp_path / "out"), [urls])


@pytest.mark.parametrize("change", ["touched", "packed again", "members in another order", "compressed"])
def test_a_newer_original_with_the_same_samples(urls, tmp_path, capsys, change):
    """An original that is only newer is done, and its new state is noted, so that it is read once."""
    zoom(urls, tmp_path / "out")
    before = content(tmp_path / "out")
    tar = tmp_path / "in/s-1.tar"
    match change:
        case "touched":
            os.utime(tar, (1_700_000_000, 1_700_000_000))
        case "packed again":
            write(tar, rewritten())
        case "members in another order":
            write(tar, [{"__key__": s["__key__"], **dict(reversed(s.items()))} for s in rewritten()])
        case "compressed":
            tar.write_bytes(gzip.compress(tar.read_bytes()))
    capsys.readouterr()
    zoom(urls, tmp_path / "out")

    assert capsys.readouterr().out.startswith("3 of 3 shards are done already.\nNothing to do.")
    after = content(tmp_path / "out")
    assert {name for name in before if after[name] != before[name]} == {"s-1_stats.json"}
    old, new = (json.loads(each["s-1_stats.json"]) for each in (before, after))
    assert new == {**old, "original": f"size={tar.stat().st_size} mtime_ns={tar.stat().st_mtime_ns}"}


def test_an_original_in_the_same_state_is_not_read(urls, tmp_path, monkeypatch):
    """A rerun reads no sample of an original that has not changed, and those of one that was touched once."""
    zoom(urls, tmp_path / "out")
    (tmp_path / "in/s-1.tar").touch()
    read, keys = Shards.read, []

    def noted(self, index, members=None):
        sample = read(self, index, members)
        if "/in/" in sample.url:
            keys.append(sample.key)
        return sample

    monkeypatch.setattr(Shards, "read", noted)
    for _ in range(2):
        zoom(urls, tmp_path / "out")

    assert keys == [f"dir/{k:03d}" for k in range(5, 10)]


def test_stats_of_an_earlier_version_are_taken_as_they_are(urls, tmp_path, capsys):
    """Shards of an earlier version, which noted no state, are done if the numbers of samples agree."""
    zoom(urls, tmp_path / "out")
    for path in (tmp_path / "out").glob("*_stats.json"):
        stats = json.loads(path.read_text())
        del stats["original"]
        path.write_text(json.dumps(stats))
    write(tmp_path / "in/s-1.tar", rewritten(cls=3))
    before = content(tmp_path / "out")
    zoom(urls, tmp_path / "out")

    assert "3 of 3 shards are done already.\nNothing to do." in capsys.readouterr().out
    assert content(tmp_path / "out") == before


def test_without_its_table_a_shard_cannot_be_compared(urls, tmp_path, capsys):
    """A newer original whose zoomed shard has another table than it was given is zoomed again."""
    zoom(urls, tmp_path / "out")
    expected = content(tmp_path / "out")
    (tmp_path / "out/s-1_samples.jsonl").write_bytes(b"\n")
    (tmp_path / "in/s-1.tar").touch()
    zoom(urls, tmp_path / "out")

    assert AGAIN in capsys.readouterr().out
    assert content(tmp_path / "out")["s-1_samples.jsonl"] == expected["s-1_samples.jsonl"]


def test_bad_samples_that_change(tmp_path, capsys):
    """A shard with bad samples is done when it is touched, and zoomed again when one of them is repaired."""
    urls = write_originals(tmp_path / "in", bad=[6])
    zoom(urls, tmp_path / "out")
    write_originals(tmp_path / "in", bad=[6])
    zoom(urls, tmp_path / "out")
    assert AGAIN not in capsys.readouterr().out
    write_originals(tmp_path / "in")
    zoom(urls, tmp_path / "out")
    zoom(urls, tmp_path / "fresh")

    assert AGAIN in capsys.readouterr().out
    assert content(tmp_path / "out") == content(tmp_path / "fresh")


def test_a_member_that_could_not_be_read(tmp_path, capsys):
    """A sample that had a member twice is zoomed when it has it once, also if its image is as it was."""
    urls, tar = write_originals(tmp_path / "in", shards=1, samples=10), tmp_path / "in/s-0.tar"
    files = [
        (f"{key}.{name}", file)
        for key, members in samples_of(tmp_path / "in")
        for name, file in members.items()
    ]
    make_tar(tar, [*files, ("dir/009.cls", b"7")])
    for _ in range(2):
        zoom(urls, tmp_path / "out")
        assert "unreadable_member" in (tmp_path / "out/s-0_samples.jsonl").read_text()
        tar.touch()
    assert AGAIN not in capsys.readouterr().out
    make_tar(tar, files)
    zoom(urls, tmp_path / "out")

    assert AGAIN in capsys.readouterr().out
    assert "unreadable_member" not in (tmp_path / "out/s-0_samples.jsonl").read_text()


def test_ranks_compare_their_own_originals(urls, tmp_path, capsys):
    """A rank compares and zooms its own shards again, and no others."""
    for rank in range(2):
        zoom(urls, tmp_path / "out", rank=rank, world_size=2)
    write(tmp_path / "in/s-1.tar", rewritten(cls=3))
    capsys.readouterr()
    zoom(urls, tmp_path / "out", rank=0, world_size=2)
    assert capsys.readouterr().out.startswith(
        "2 of 2 shards are done already.\n1 shards are left to the other ranks.\nNothing to do."
    )
    zoom(urls, tmp_path / "out", rank=1, world_size=2)
    zoom(urls, tmp_path / "fresh")

    assert AGAIN in capsys.readouterr().out
    assert content(tmp_path / "out") == content(tmp_path / "fresh")


def test_the_last_rank_looks_at_the_originals_of_the_others(urls, tmp_path, capsys):
    """The common files are not written while another rank has to zoom a changed original; a merely newer one is no obstacle."""
    out, common = tmp_path / "out", ("sizes.json", "README.md")
    for rank in range(2):
        zoom(urls, out, rank=rank, world_size=2)
    for name in common:
        (out / name).unlink()
    stats = (out / "s-1_stats.json").read_bytes()
    write(tmp_path / "in/s-1.tar", rewritten(cls=3))
    zoom(urls, out, rank=0, world_size=2)
    assert "1 shards are left to the other ranks." in capsys.readouterr().out
    assert not any((out / name).exists() for name in common)

    write(tmp_path / "in/s-1.tar", rewritten())
    zoom(urls, out, rank=0, world_size=2)
    assert all((out / name).is_file() for name in common)
    assert (out / "s-1_stats.json").read_bytes() == stats


def test_an_original_that_is_replaced_while_it_is_zoomed(urls, tmp_path, monkeypatch, capsys):
    """If an original is replaced after its state was taken, the next run compares it, and finds that nothing is missing."""
    load = ShardZoomer._load

    def replaced(self, url):
        if url.endswith("s-1.tar"):
            write(tmp_path / "in/s-1.tar", rewritten(cls=3))
        return load(self, url)

    monkeypatch.setattr(ShardZoomer, "_load", replaced)
    zoom(urls, tmp_path / "out")
    monkeypatch.undo()
    zoom(urls, tmp_path / "out")

    assert "3 of 3 shards are done already." in capsys.readouterr().out
    assert dict(samples_of(tmp_path / "out"))["dir/007"]["cls"] == b"3"


@pytest.mark.parametrize("tag", ["strong", "weak", "modified"])
def test_a_remote_original(urls, tmp_path, capsys, tag):
    """On a server, too: the same state costs one small request, another is compared, and a changed shard is zoomed again."""
    paths = sorted((tmp_path / "in").glob("*.tar"))
    with serving(Files({f"/{path.name}": path.read_bytes() for path in paths})) as server:
        server.site.tag = tag
        far, out = f"{server.url}/s-{{0..2}}.tar", tmp_path / "out"
        zoom(far, out)
        capsys.readouterr()
        server.requests.clear()
        zoom(far, out)
        assert [request.sent for request in server.requests] == [1, 1, 1]
        server.site.replace("/s-1.tar", paths[1].read_bytes())
        zoom(far, out)
        assert AGAIN not in capsys.readouterr().out
        write(paths[1], rewritten(cls=3))
        server.site.replace("/s-1.tar", paths[1].read_bytes())
        zoom(far, out)
        assert AGAIN in capsys.readouterr().out
        assert not verify_against(str(out), [far])

    assert dict(samples_of(out))["dir/007"]["cls"] == b"3"
