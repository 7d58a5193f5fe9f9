"""Names and settings that ``foveal zoom`` refuses before it overwrites anything."""

import re
import shutil

import pytest

from foveal.shards import ShardWriter
from foveal.tools.offline.recipe import Recipe
from foveal.tools.offline.shard_files import name_of_zoomed
from tests.pipeline.making import encode, picture
from tests.tools.offline.zooming import (
    content,
    write_originals,
    zoom,
)

pytestmark = pytest.mark.usefixtures("no_sheet")


def test_the_names_of_shards():
    """Zoomed shards have the names of their originals, whatever storage and compression."""
    assert name_of_zoomed("a/b-0.tar") == "b-0.tar"
    assert name_of_zoomed("file:///a/b.tar.gz") == "b.tar"
    assert name_of_zoomed("s3://bucket/x/b.tgz") == "b.tar"
    assert name_of_zoomed("https://host/x/b%20c.tar?sig=1/2") == "b c.tar"
    for name in ("part#1", "q?x", "a%20b"):  # in an object store nothing of a key has a meaning
        assert name_of_zoomed(f"s3://bucket/x/{name}.tar") == f"{name}.tar"
        assert name_of_zoomed(f"gs://bucket/x/{name}.tar.gz") == f"{name}.tar"
    assert name_of_zoomed("s3://bucket/x/b.tar?versionId=1/2") == "b.tar"
    assert name_of_zoomed("a/shard") == "shard.tar"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"saliency": "boxes"},
            "boxes must be given with saliency='boxes', got none – add --boxes json:boxes.",
        ),
        (
            {"masks": ("mask.jpg",)},
            "mask must be a png or npy member, which keeps class ids as they are, or a place in a json member, got 'mask.jpg'.",
        ),
        (
            {"format": "png", "quality": 50},
            "quality must be 90 with format='png', got 50 – such files have no quality; leave one of the two out.",
        ),
        (
            {"boxes": ("json:a", "json:a")},
            "boxes, points and masks must be named once each, got ('json:a', 'json:a').",
        ),
        (
            {"boxes": ("json:a",), "points": ("b.json;json:a[].b",)},
            "boxes, points and masks must be in places of their own, got 'json:a' and 'b.json;json:a[].b' – name one of them.",
        ),
    ],
)
def test_settings_that_do_not_go_together(settings, message):
    """Contradicting settings are refused before anything is read."""
    with pytest.raises(ValueError, match=re.escape(message)):
        Recipe(**settings)


def test_two_shards_of_one_name(tmp_path):
    """Two shards of one name are refused, because one would overwrite the other."""
    for folder in ("x", "y"):
        write_originals(tmp_path / folder, shards=1)

    with pytest.raises(
        ValueError,
        match=r"urls must be of shards with different names, got '.*x/s-0.tar' and '.*y/s-0.tar' – zoom them into",
    ):
        zoom(f"{tmp_path}/x/s-0.tar::{tmp_path}/y/s-0.tar", tmp_path / "out")


def test_names_that_are_taken(tmp_path):
    """A member with the new image's name, and shards that are zoomed already, are refused, and no file is left."""
    with ShardWriter(tmp_path / "a.tar") as writer:
        writer.write({"__key__": "k", "jpg": encode(picture(0, 40, 60)), "png": b"something"})
    with pytest.raises(
        ValueError,
        match=r"format must be one whose name no other member has, got 'png', and there is another png for 'k' of .*a.tar – choose",
    ):
        zoom(str(tmp_path / "a.tar"), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["manifest.json"]
    zoom(str(tmp_path / "a.tar"), tmp_path / "once", Recipe(out_size=24, format="jpg"))
    with pytest.raises(
        ValueError, match=r"urls must be of shards that are not zoomed yet, got one with zoom.json for 'k' of"
    ):
        zoom(str(tmp_path / "once/a.tar"), tmp_path / "twice", Recipe(out_size=8, format="jpg"))


def test_what_is_refused_leaves_finished_shards(tmp_path):
    """Shards that are refused do not make those of the same names unfinished that they would have replaced."""
    zoom(write_originals(tmp_path / "originals", shards=1), tmp_path / "out")
    before = content(tmp_path / "out")
    shutil.copytree(tmp_path / "out", tmp_path / "other")
    with pytest.raises(ValueError, match="urls must be of shards that are not zoomed yet"):
        zoom(str(tmp_path / "other/s-0.tar"), tmp_path / "out", overwrite=True)

    assert content(tmp_path / "out") == before


def test_what_is_no_device(tmp_path):
    """A device that is none is refused before anything is written."""
    message = r"^device must be 'cpu' or 'cuda', such as 'cuda:1', got 'bogus'\.$"
    with pytest.raises(ValueError, match=message):
        zoom(write_originals(tmp_path / "in", shards=1), tmp_path / "out", device="bogus")

    assert list((tmp_path / "out").iterdir()) == []
