"""The dataset card of a folder of zoomed shards."""

import os
from dataclasses import replace

import pytest

from foveal.shards import ShardError, ShardWriter
from foveal.tools.offline._card import splits_of
from foveal.tools.offline.against import verify_against
from tests.tools.offline.zooming import RECIPE, labelled, write_originals, zoom

yaml = pytest.importorskip("yaml", reason="PyYAML reads the head; it comes with moto, in the extra `test`")


def head(card):
    return yaml.safe_load(card.split("---")[1])


def test_it_says_what_is_there(tmp_path):
    """The card has counts, license, labels, settings and data files; a second run writes the same."""
    urls = write_originals(tmp_path / "in", bad=(1,))
    recipe = replace(RECIPE, boxes=("json:boxes",))
    zoom(urls, tmp_path / "out", recipe, license_name="cc-by-4.0", max_bad_fraction=0.5)
    card = (tmp_path / "out/README.md").read_text()
    zoom(urls, tmp_path / "out", recipe, license_name="cc-by-4.0", max_bad_fraction=0.5)

    assert head(card) == {
        "license": "cc-by-4.0",
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "*.tar"}]}],
    }
    assert "14 images in 3 shards" in card
    assert "Left out: 1 corrupt" in card
    assert "Members: `bin`, `cls`, `json`, `mask.png`, `png`, `zoom.json`" in card
    assert "Labels in the frame of the zoomed image: `json:boxes`" in card
    assert '| format | "png" |' in card
    assert "![" in card
    assert (tmp_path / "out/README.md").read_text() == card
    assert str(tmp_path) not in card


@pytest.mark.usefixtures("no_sheet")
@pytest.mark.filterwarnings("ignore::foveal.shards.ShardWarning")
def test_originals_that_are_not_whole(tmp_path):
    """The card names cut and damaged originals; the cut ones still after a call for others."""
    urls = write_originals(tmp_path / "in", shards=4)
    os.truncate(tmp_path / "in/s-1.tar", 20_000)
    (tmp_path / "in/s-2.tar").write_bytes(b"junk" * 500)
    with pytest.raises(ShardError, match="of which nothing was zoomed"):
        zoom(urls.replace("*", "[012]"), tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text()

    assert "Cut originals, of which only what is whole is here: `s-1.tar`." in card
    assert "Damaged originals, of which nothing is here: `s-2.tar`." in card
    assert "Nothing was left out" not in card
    zoom(urls.replace("*", "3"), tmp_path / "out")
    assert "only what is whole is here: `s-1.tar`." in (tmp_path / "out/README.md").read_text()


@pytest.mark.usefixtures("no_sheet")
def test_labels_that_are_left_out(tmp_path):
    """With ``--drop-labels`` the card does not say that all members are as they were."""
    urls = write_originals(tmp_path / "in", shards=1)
    zoom(urls, tmp_path / "out", replace(RECIPE, drop_labels=True))
    zoom(urls, tmp_path / "all")
    dropped, all_kept = ((tmp_path / name / "README.md").read_text() for name in ("out", "all"))

    assert "are as they were; labels that were still in the frame of the original were left out." in dropped
    assert "are as they were. `zoom.json`" in all_kept


@pytest.mark.usefixtures("no_sheet")
def test_shards_that_can_have_no_index(tmp_path, capsys):
    """The command, the card and ``foveal verify --against`` say that a shard with white space in its keys has no index."""
    urls = write_originals(tmp_path / "in")
    zoom(urls, tmp_path / "before")
    with ShardWriter(tmp_path / "in/s-1.tar") as writer:
        writer.write(labelled(5, __key__="dir/my pet"))
    capsys.readouterr()
    zoom(urls, tmp_path / "out")
    verify_against(str(tmp_path / "out"), [urls])
    line = (
        "1 of 3 shards without an index beside it, the first: s-1.tar. None can hold names with white space; `foveal index` "
        "writes any other. Foveal and webdataset need none, DALI's reader does."
    )

    assert capsys.readouterr().out.splitlines().count(line) == 2
    assert not (tmp_path / "out/s-1.idx").exists()
    before, after = ((tmp_path / name / "README.md").read_text() for name in ("before", "out"))
    assert "by the .idx files" in before
    assert "Without an index" not in before
    assert "by the .idx files" not in after
    assert "Without an index (`.idx`), as none can hold names with white space: `s-1.tar`." in after


@pytest.mark.usefixtures("no_sheet")
def test_a_readme_of_others_stays(tmp_path, capsys):
    """A README that Foveal did not write is not replaced."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/README.md").write_text("mine")
    zoom(write_originals(tmp_path / "in", shards=1, samples=1), tmp_path / "out")

    assert (tmp_path / "out/README.md").read_text() == "mine"
    assert "README.md is left as it is" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["a.tar", "b.tar"], {"train": "*.tar"}),
        (["train-0.tar", "train-1.tar"], {"train": "*train*.tar"}),
        (["x-train-0.tar", "val_0.tar"], {"train": "*train*.tar", "validation": "*val*.tar"}),
        (["train-0.tar", "other.tar"], {"train": "*.tar"}),  # one that no pattern has
        (["train-interval.tar", "val-0.tar"], {"train": "*.tar"}),  # one that two patterns have
        (["val-0.tar", "dev-0.tar"], {"train": "*.tar"}),  # two words for one split
    ],
)
def test_splits(names, splits):
    """Each shard is in exactly one split."""
    assert splits_of(names) == splits
