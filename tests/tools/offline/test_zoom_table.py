"""The table and the statistics that ``foveal zoom`` writes: every sample is accounted for."""

import json

import pytest

from foveal.pipeline import ZoomLoader
from foveal.shards import ShardWriter
from foveal.tools.offline.recipe import Recipe
from foveal.tools.offline.shard_files import format_table, parse_table
from foveal.tools.pictures.magnification import local_zoom
from tests.pipeline.making import encode, picture
from tests.tools.offline.zooming import (
    CUT,
    labelled,
    rows_of,
    samples_of,
    spectral,
    write_originals,
    zoom,
)

pytestmark = pytest.mark.usefixtures("no_sheet")


def test_every_sample_is_accounted_for(tmp_path):
    """Samples that cannot be zoomed are in the table with their reason, and all others are written."""
    with ShardWriter(tmp_path / "a.tar") as writer:
        writer.write(labelled(0))
        writer.write(labelled(1, jpg=CUT))
        writer.write({"__key__": "none", "cls": 1})
        writer.write(labelled(3, jpg=encode(picture(3, 600, 800))))
        writer.write(labelled(4, json={"boxes": 3}))
        writer.write(labelled(5))
    with ShardWriter(tmp_path / "b.tar") as writer:
        writer.write(labelled(6, jpg=b""))
    recipe = Recipe(out_size=24, format="png", boxes=("json:boxes",), max_pixels=250_000)
    zoom(str(tmp_path / "?.tar"), tmp_path / "out", recipe, max_bad_fraction=1.0)
    rows = rows_of(tmp_path / "out")
    stats = [json.loads((tmp_path / f"out/{name}_stats.json").read_text()) for name in "ab"]

    assert [row["status"] for row in rows] == [
        "ok",
        "corrupt",
        "missing_member",
        "too_large",
        "bad_label",
        "ok",
        "corrupt",
    ]
    assert [row["key"] for row in rows] == [
        "dir/000",
        "dir/001",
        "none",
        "dir/003",
        "dir/004",
        "dir/005",
        "dir/006",
    ]
    assert "image is cut: after 9000 bytes there is no end mark" in rows[1]["reason"]
    assert rows[0]["size"] == [60, 90]
    assert rows[2]["sha256"] is None
    assert len(rows[3]["sha256"]) == 64
    assert [key for key, _ in samples_of(tmp_path / "out")] == ["dir/000", "dir/005"]
    assert [(s["samples"], s["ok"]) for s in stats] == [(6, 2), (1, 0)]
    assert stats[0]["failed"] == {"bad_label": 1, "corrupt": 1, "missing_member": 1, "too_large": 1}
    assert json.loads((tmp_path / "out/sizes.json").read_text()) == {"a.tar": 2, "b.tar": 0}


def test_a_table_of_an_older_version():
    """A table of an older version is read."""
    text = (
        b'{"key": "a", "status": "ok", "reason": null, "size": [60, 90], "sha256": "0f", "zoom": [2.5, 0.5], "bytes": 9}\n'
        b'{"key": "b", "status": "too_large", "reason": "image has more pixels than max_pixels=5: 2 \\u00d7 3 pixels '
        b'(height \\u00d7 width)", "size": null, "sha256": "1f", "zoom": null, "bytes": 0}\n'
    )

    assert [(row.status, row.size, row.zoom) for row in parse_table(text)] == [
        ("ok", (60, 90), (2.5, 0.5)),
        ("too_large", None, None),
    ]
    assert format_table(parse_table(text)) == text


def test_zoom_statistics(tmp_path):
    """Each row has the magnification of the loader's grid."""
    urls = write_originals(tmp_path / "in", shards=1)
    zoom(urls, tmp_path / "out")
    with ZoomLoader(urls, spectral(), batch_size=5, fields=("image", "__grid__")) as loader:
        [(_, grids)] = loader

    assert [row["zoom"] for row in rows_of(tmp_path / "out")] == [
        pytest.approx(local_zoom(grid.numpy())) for grid in grids
    ]


def test_keys_that_come_twice(tmp_path):
    """Samples with the same key stay separate; if all samples between them failed, the second is left out."""
    with ShardWriter(tmp_path / "a.tar") as writer:
        for key, image in (
            ("a", encode(picture(0, 40, 60))),
            ("b", CUT),
            ("a", encode(picture(1, 40, 60))),
            ("c", encode(picture(2, 40, 60))),
            ("a", encode(picture(3, 40, 60))),
        ):
            writer.write({"__key__": key, "jpg": image, "cls": 1})
    zoom(str(tmp_path / "a.tar"), tmp_path / "out", max_bad_fraction=1.0)

    assert [(row["key"], row["status"]) for row in rows_of(tmp_path / "out")] == [
        ("a", "ok"),
        ("b", "corrupt"),
        ("a", "duplicate_key"),
        ("c", "ok"),
        ("a", "ok"),
    ]
    assert [key for key, _ in samples_of(tmp_path / "out")] == ["a", "c", "a"]
