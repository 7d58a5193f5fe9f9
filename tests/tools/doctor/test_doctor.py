"""``foveal doctor`` on small shards."""

import re

import numpy as np
import pytest
from rich.console import Console

from foveal.pipeline import PixelRule
from foveal.sampler import SaliencySampler
from foveal.shards import ShardError, Shards, ShardWriter, write_index
from foveal.tools.bench.way import Way
from foveal.tools.doctor._facts import DEFAULT, STAGES
from foveal.tools.doctor._measure import measure, sort_out
from foveal.tools.doctor.doctor import examine
from tests.pipeline.making import encode, npy, picture
from tests.tools import command_line


def write(path, files):
    with ShardWriter(path) as writer:
        for k, (extension, file) in enumerate(files):
            writer.write({"__key__": f"{k:03d}", extension: file})
    return str(path)


def pictures(count, height=240, width=320):
    return [("jpg", encode(picture(k, height, width))) for k in range(count)]


def test_examine(tmp_path, capsys):
    """The verdict comes first, then advice, then a table with counts."""
    whole, other = (
        write(tmp_path / "a.tar", pictures(3)),
        write(tmp_path / "b.tar", [*pictures(2), ("jpg", b"<html>"), ("txt", b"no image")]),
    )
    write_index(whole)
    facts = examine([whole, other], images=7, out_size=32, repeats=1)
    printed = capsys.readouterr().out

    assert (facts.images, facts.bad, facts.samples, facts.shards, facts.without_index) == (5, 2, 7, 2, 1)
    assert facts.pixels == 5 * 240 * 320
    assert all(facts.stages[stage] > 0 for stage in STAGES)
    assert set(facts.loaders) >= {DEFAULT, Way("dali", 5.0), Way(max_zoom=4.0), Way(max_zoom=2.0)}
    assert re.search(r"^\S.* limits: [\d.,]+ images/s", printed, re.MULTILINE)
    assert printed.lstrip().startswith("The machine was busy") == facts.is_busy
    assert "foveal verify SHARDS" in printed
    assert "foveal index SHARDS: 1 of 2 shards" in printed
    assert printed.index("limits") < printed.index("foveal index") < printed.index("ms an image")


def test_what_is_measured_is_the_default():
    """The zoom that is called the default is that of a sampler without settings, frozen."""
    assert DEFAULT.zoom(32).settings == SaliencySampler(32).settings


def test_images_in_other_members(tmp_path):
    """Images that a loader has to be told how to read are good once doctor is told, too; else it says what is missing."""
    deep = np.arange(240 * 320, dtype=np.int16).reshape(240, 320)
    path = write(tmp_path / "a.tar", [("npy", npy(deep))] * 3)
    read = {"images": 3, "out_size": 32, "repeats": 1, "console": Console(quiet=True)}
    facts = measure([path], image="npy", rule=PixelRule(window=(0, 4000)), **read)
    told = command_line.run("doctor", path, "--repeats", 1, "--image", "npy", "--window", "0:4000")

    assert (facts.images, facts.bad, facts.pixels) == (3, 0, 3 * 240 * 320)
    assert told.exit_code == 0, told.exception
    assert "3 of 3 images" in told.output
    with pytest.raises(ValueError, match=r"the first: .*window"):
        measure([path], image="npy", **read)


def test_no_more_images_than_asked_for(tmp_path):
    """Images are spread evenly over all shards."""
    path = write(tmp_path / "a.tar", pictures(6))
    facts = measure([path], images=2, out_size=32, repeats=1, console=Console(quiet=True))

    assert (facts.images, facts.samples) == (2, 6)
    assert facts.bytes == sum(len(Shards(path)[k].members["jpg"]) for k in (0, 5))


def test_good_bad_and_odd_images():
    """Images that Pillow decodes and DALI refuses are good, and counted."""
    jpeg2000 = encode(picture(0, 40, 50), "JPEG2000")
    good, bad, by_pillow = sort_out([encode(picture(0, 40, 50)), b"", jpeg2000, "has no member"])

    assert [(image.height, image.width) for image in good] == [(40, 50)] * 2
    assert bad == ["has no member", "is empty: 0 bytes"]
    assert by_pillow == 1


def test_nothing_to_measure(tmp_path):
    """If no image is good, this is the only message."""
    path = write(tmp_path / "a.tar", [("jpg", b"")])
    with pytest.raises(
        ValueError,
        match=re.escape(
            "shards must hold at least one good image, got 1 bad ones, the first: is empty: 0 bytes – "
            "foveal verify lists all; images in another member need --image."
        ),
    ):
        measure([path], images=4, out_size=32, repeats=1, console=Console(quiet=True))


def test_a_shard_without_samples(tmp_path):
    """If there is no sample, the message says so."""
    with pytest.raises(ShardError, match=r"a\.tar: has no samples – name shards that hold some$"):
        measure(
            [write(tmp_path / "a.tar", [])], images=4, out_size=32, repeats=1, console=Console(quiet=True)
        )
