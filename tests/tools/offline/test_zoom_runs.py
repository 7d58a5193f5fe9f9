"""Repeated runs of ``foveal zoom``: finished shards are kept, missing ones are written, and no incomplete file appears."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from foveal.shards import ShardWriter
from foveal.tools.offline import shard as _zoom_shard
from foveal.tools.offline.against import verify_against
from foveal.tools.offline.recipe import Recipe, fingerprint_id
from foveal.tools.offline.zoom import RunOptions, TooManyFailuresError
from tests.tools.offline.zooming import RECIPE, content, labelled, rows_of, write_originals, zoom


@pytest.fixture
def zoomed_shards(monkeypatch):
    """Return the names of shards that are zoomed from here on."""
    names = []
    write = _zoom_shard.ShardZoomer.write

    def noted(self, store, advance):
        stats = write(self, store, advance)
        names.append(stats.shard)
        return stats

    monkeypatch.setattr(_zoom_shard.ShardZoomer, "write", noted)
    return names


def states(folder):
    """Return a value for each file that changes if it is written again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in Path(folder).iterdir()}


@pytest.mark.usefixtures("no_sheet")
def test_equal_runs_give_equal_bytes(urls, tmp_path):
    """The bytes do not depend on the number of threads or the folder's name."""
    zoom(urls, tmp_path / "a", num_threads=1)
    zoom(urls, tmp_path / "b", num_threads=3)

    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert len(content(tmp_path / "a")) == 11


@pytest.mark.usefixtures("no_sheet")
def test_a_rerun_touches_nothing(urls, tmp_path, zoomed_shards, capsys):
    """A second run changes no file, and says that all is done."""
    zoom(urls, tmp_path / "out")
    before = states(tmp_path / "out")
    zoomed_shards.clear()
    zoom(urls, tmp_path / "out")

    assert states(tmp_path / "out") == before
    assert zoomed_shards == []
    assert "3 of 3 shards are done already.\nNothing to do." in capsys.readouterr().out


@pytest.mark.usefixtures("no_sheet")
@pytest.mark.parametrize(
    "lost",
    ["s-1_stats.json", "s-1.tar", "s-1.tar cut", "s-1_stats.json torn", "s-1_samples.jsonl", "in s-1.tar"],
)
def test_a_rerun_does_what_is_missing(urls, tmp_path, zoomed_shards, lost):
    """Shards that lack statistics or a table, differ from them, or have a changed original are zoomed again; others are kept."""
    out = tmp_path / "out"
    zoom(urls, out)
    expected, before = content(out), states(out)
    match lost.split():
        case [name]:
            (out / name).unlink()
        case [name, "cut"]:
            (out / name).write_bytes((out / name).read_bytes()[:-512])
        case [name, "torn"]:
            (out / name).write_bytes((out / name).read_bytes()[:40])
        case ["in", name]:
            with ShardWriter(tmp_path / "in" / name) as writer:
                for k in range(5, 11):
                    writer.write(labelled(k))
    zoomed_shards.clear()
    zoom(urls, out)

    assert zoomed_shards == ["s-1.tar"]
    assert {name for name, state in states(out).items() if before.get(name) != state} >= {
        "s-1.tar",
        "s-1_stats.json",
    }
    assert all(states(out)[name] == before[name] for name in ("s-0.tar", "s-2.tar", "s-0_stats.json"))
    assert lost.startswith("in ") or content(out) == expected


@pytest.mark.usefixtures("no_sheet")
def test_shards_that_are_added(tmp_path, zoomed_shards):
    """Added shards are zoomed and counted; the others are kept."""
    write_originals(tmp_path / "in", shards=1)
    zoom(str(tmp_path / "in/s-*.tar"), tmp_path / "out")
    zoom(write_originals(tmp_path / "in", shards=2), tmp_path / "out")

    assert zoomed_shards == ["s-0.tar", "s-1.tar"]
    assert json.loads((tmp_path / "out/sizes.json").read_text()) == {"s-0.tar": 5, "s-1.tar": 5}


@pytest.mark.usefixtures("no_sheet")
def test_another_fingerprint_is_refused(urls, tmp_path, zoomed_shards):
    """Other settings are refused with the difference, unless --overwrite is given, which may be interrupted."""
    out = tmp_path / "out"
    zoom(urls, out)
    other = Recipe(out_size=16, format="png", temperature=0.25)
    with pytest.raises(
        ValueError,
        match=r"out must be a folder whose shards were made with the same settings, got '.*out', where out_size was 24 and is 16, temperature was 0.5 and is 0.25 – name another folder, or add --overwrite",
    ):
        zoom(urls, out, other)
    zoom(urls, out, other, overwrite=True, rank=0, world_size=3)
    zoomed_shards.clear()
    zoom(urls, out, other)

    assert zoomed_shards == ["s-1.tar", "s-2.tar"]
    zoom(urls, tmp_path / "fresh", other)
    assert content(out) == content(tmp_path / "fresh")


@pytest.mark.usefixtures("no_sheet")
@pytest.mark.parametrize("lost", [None, "s-2_stats.json"])
def test_no_shard_of_other_settings_stays(urls, tmp_path, lost):
    """Overwriting some of the shards with other settings is refused, and nothing is changed; with the same ones it is not."""
    out = tmp_path / "out"
    zoom(urls, out)
    some = urls.replace("*", "0")
    if lost is not None:  # its settings are not known, and were those of the folder
        some = urls.replace("*", "[01]")
        (out / lost).unlink()
    before = states(out)
    named = "'s-1.tar' and 1 more" if lost is None else "'s-2.tar'"
    message = (
        f"out must be a folder without shards of other settings that would stay, got {str(out)!r} with {named} – zoom these "
        "anew, too, or zoom into another folder."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        zoom(some, out, replace(RECIPE, out_size=16), overwrite=True)
    assert states(out) == before

    zoom(some, out, overwrite=True)
    assert len(list(out.glob("*.tar"))) == 3


@pytest.mark.usefixtures("no_sheet")
def test_a_mixture_of_an_earlier_version_is_named(urls, tmp_path):
    """A shard whose own settings are not those of the folder is named when others are made anew."""
    out = tmp_path / "out"
    zoom(urls, out)
    stats = json.loads((out / "s-2_stats.json").read_text())
    (out / "s-2_stats.json").write_text(json.dumps({**stats, "fingerprint": "other"}))

    with pytest.raises(
        ValueError, match=r"of other settings that would stay, got '.*out' with 's-2\.tar' – zoom"
    ):
        zoom(urls.replace("*", "[01]"), out, overwrite=True)
    zoom(urls, out, overwrite=True)


@pytest.mark.usefixtures("no_sheet")
def test_calls_for_parts_of_the_shards(urls, tmp_path):
    """Shards that were zoomed one call each give the files of one call for all; those of other settings are not counted."""
    for k in (1, 2, 0):
        zoom(urls.replace("*", str(k)), tmp_path / "out")
    zoom(urls, tmp_path / "alone")

    assert content(tmp_path / "out") == content(tmp_path / "alone")
    cards = [(tmp_path / name / "README.md").read_text() for name in ("out", "alone")]
    assert cards[0] == cards[1]
    stats = json.loads((tmp_path / "out/s-2_stats.json").read_text())
    (tmp_path / "out/s-2_stats.json").write_text(json.dumps({**stats, "fingerprint": "other"}))
    zoom(urls.replace("*", "0"), tmp_path / "out")
    assert json.loads((tmp_path / "out/sizes.json").read_text()) == {"s-0.tar": 5, "s-1.tar": 5}


@pytest.mark.usefixtures("no_sheet")
def test_a_folder_without_shards_is_free(urls, tmp_path, capsys):
    """A run that fails before its first shard does not bind the folder to its settings, unless other ranks share it."""
    with pytest.raises(ValueError, match="k must be at most"):
        zoom(urls, tmp_path / "out", replace(RECIPE, patches=100_000))
    assert "same command" not in capsys.readouterr().out
    with pytest.raises(ValueError, match="patches was 100000 and is null"):
        zoom(urls, tmp_path / "out", rank=0, world_size=2)
    zoom(urls, tmp_path / "out")
    zoom(urls, tmp_path / "fresh")

    assert content(tmp_path / "out") == content(tmp_path / "fresh")


@pytest.mark.usefixtures("no_sheet")
def test_a_folder_that_an_earlier_version_began(urls, tmp_path, zoomed_shards):
    """A folder of an earlier version continues under the old names of settings, and nothing is zoomed again."""
    out, recipe = tmp_path / "out", replace(RECIPE, decode="dali", family="kernel")
    zoom(urls, out, recipe)
    manifest = json.loads((out / "manifest.json").read_text())
    before = manifest["fingerprint"]
    new_id, old_names = fingerprint_id(before), {"family": "grid", "out_size": "size"}
    before = {old_names.get(name, name): value for name, value in before.items()} | {"decode": "full"}
    (out / "manifest.json").write_text(json.dumps({**manifest, "fingerprint": before}))
    for stats in out.glob("*_stats.json"):
        stats.write_text(stats.read_text().replace(new_id, fingerprint_id(before)))
    zoomed_shards.clear()
    zoom(urls, out, recipe)

    assert zoomed_shards == []
    assert not verify_against(str(out), [urls])
    with pytest.raises(ValueError, match='decode was "dali" and is "auto"'):
        zoom(urls, out, replace(recipe, decode="auto"))


@pytest.mark.usefixtures("no_sheet")
@pytest.mark.parametrize("image_format", ["png", "npy"])
def test_a_quality_that_did_nothing(urls, tmp_path, zoomed_shards, image_format):
    """Shards of a format without a quality are kept, although an earlier version recorded one."""
    recipe, manifest = replace(RECIPE, format=image_format), tmp_path / "out/manifest.json"
    zoom(urls, tmp_path / "out", recipe)
    told = json.loads(manifest.read_text())
    old = fingerprint_id(told["fingerprint"])
    told["fingerprint"]["quality"] = 50
    new = fingerprint_id(told["fingerprint"])
    for path in [manifest, *(tmp_path / "out").glob("*_stats.json")]:
        path.write_text(json.dumps(told) if path == manifest else path.read_text().replace(old, new))
    zoomed_shards.clear()
    zoom(urls, tmp_path / "out", recipe)

    assert zoomed_shards == []
    assert not verify_against(str(tmp_path / "out"), [urls])


@pytest.mark.usefixtures("no_sheet")
def test_a_manifest_of_something_else(urls, tmp_path):
    """A manifest of something else is not overwritten."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/manifest.json").write_text('{"name": "my app"}')

    with pytest.raises(
        ValueError,
        match=r"manifest.json must be one that this version of foveal wrote, got another in '.*out'",
    ):
        zoom(urls, tmp_path / "out")


@pytest.mark.usefixtures("no_sheet")
def test_retry_failed(tmp_path, zoomed_shards):
    """Shards with failed samples are done, unless --retry-failed is given, here after what failed works again."""
    urls = write_originals(tmp_path / "in", bad=[6])
    zoom(urls, tmp_path / "out")
    assert [row["status"] for row in rows_of(tmp_path / "out")].count("corrupt") == 1
    zoomed_shards.clear()
    zoom(urls, tmp_path / "out")
    assert zoomed_shards == []
    zoom(urls, tmp_path / "out", retry_failed=True)
    zoom(urls, tmp_path / "fresh")

    assert zoomed_shards[0] == "s-1.tar"
    assert content(tmp_path / "out") == content(tmp_path / "fresh")


@pytest.mark.usefixtures("no_sheet")
def test_too_many_failures(tmp_path, capsys):
    """Too many failures end the run with their number; finished shards are kept."""
    urls = write_originals(tmp_path / "in", bad=[5, 6, 7])
    with pytest.raises(
        TooManyFailuresError,
        match=r"3 of 15 samples are bad, more than max_bad_fraction=0.1 allows: 3 × corrupt; the last in s-1.tar, see its _samples.jsonl",
    ):
        zoom(urls, tmp_path / "out")
    assert "2 of 3 shards are done." in capsys.readouterr().out  # the same command would not continue
    zoom(urls, tmp_path / "out", max_bad_fraction=0.2)

    assert len(rows_of(tmp_path / "out")) == 15


@pytest.mark.usefixtures("no_sheet")
def test_ranks(urls, tmp_path, capsys):
    """Each rank zooms its part; the last one to finish writes the common files."""
    for rank in (2, 0, 1):
        assert not (tmp_path / "out/sizes.json").exists()
        zoom(urls, tmp_path / "out", rank=rank, world_size=3)
    zoom(urls, tmp_path / "alone")

    assert content(tmp_path / "out") == content(tmp_path / "alone")
    assert "2 shards are left to the other ranks." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 3, "world_size": 3}, "rank must be in [0, world_size=3), got 3."),
        ({"max_bad_fraction": 1.5}, "max_bad_fraction must be in [0, 1], got 1.5."),
    ],
)
def test_options_that_make_no_sense(options, message):
    """Each invalid option is named with its value."""
    with pytest.raises(ValueError, match=re.escape(message)):
        RunOptions(**options)


@pytest.mark.usefixtures("no_sheet")
def test_a_line_for_each_shard(urls, tmp_path, capsys):
    """With --json, standard output has one JSON line for each shard and nothing else."""
    zoom(urls, tmp_path / "out", lines=sys.stdout)
    printed = capsys.readouterr()
    lines = [json.loads(line) for line in printed.out.splitlines()]

    assert [(line["shard"], line["ok"], line["failed"]) for line in lines] == [
        (f"s-{k}.tar", 5, {}) for k in range(3)
    ]
    assert all(line["seconds"] > 0 and line["bytes_out"] > 0 for line in lines)
    assert "images/s" in printed.err


@pytest.mark.parametrize(
    "settings", [{}, {"patches": 3, "out_size": 16}, {"boxes": ("json:boxes",), "format": "npy"}]
)
def test_the_sheet(tmp_path, settings):
    """The sheet is drawn from the written shards, for zooms, patches and boxes."""
    urls = write_originals(tmp_path / "in", shards=1, bad=[2], samples=20)
    zoom(urls, tmp_path / "out", Recipe(**{"out_size": 24, **settings}))

    with Image.open(tmp_path / "out/sheet.png") as sheet:
        assert sheet.width == 1600
