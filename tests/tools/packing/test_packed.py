"""Folders of images given as shards."""

import errno
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from foveal.shards import ShardError, Shards
from foveal.tools.console.choices import IMAGE
from foveal.tools.packing.class_list import CLASSES
from foveal.tools.packing.common_classes import packed_for_training
from foveal.tools.packing.pack import pack
from foveal.tools.packing.packed import image_members, packed
from tests.full_disk import full_at
from tests.tools.command_line import run


@pytest.fixture
def scans(tmp_path, monkeypatch):
    """Return a folder of three TIFFs of 16 bits under two extensions, with a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("a.tif", "b.tiff", "c.tif"):
        values = np.random.default_rng(0).integers(0, 65536, (40, 60), dtype=np.uint16)
        Image.fromarray(values).save(folder / name)
    return folder


def test_images_of_any_kind_are_found(scans, tmp_path):
    """A folder of TIFFs is zoomed and drawn without further options."""
    zoomed = run("zoom", scans, "--out", tmp_path / "out", "--out-size", 16)
    drawn = run("view", scans, "--out", tmp_path / "sheet.png", "--out-size", 16)

    assert (zoomed.exit_code, drawn.exit_code) == (0, 0), (zoomed.exception, drawn.exception)
    assert (tmp_path / "out" / "scans-000000.tar").is_file()
    assert (tmp_path / "sheet.png").is_file()


@pytest.mark.parametrize("name", ["scans {1,2}", "a::b", "[x]*", "{"])
def test_a_folder_whose_name_could_be_expanded(scans, tmp_path, name):
    """A folder with braces, brackets or colons in its name is packed and zoomed like any other."""
    folder = scans.rename(tmp_path / name)
    zoomed = run("zoom", folder, "--out", tmp_path / "out", "--out-size", 16)

    assert zoomed.exit_code == 0, zoomed.exception
    assert (tmp_path / "out" / f"{name}-000000.tar").is_file()


def test_a_folder_as_a_url(tmp_path, monkeypatch):
    """A folder of images may be a file: URL, and so may the training shards whose classes it gets."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("train/cat/a.jpg", "train/dog/b.jpg", "val/dog/c.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"an image")
    made, quiet = pack(tmp_path / "train", tmp_path / "out"), Console(quiet=True)
    url = (tmp_path / "val").as_uri()

    _, [val] = packed_for_training([Path(made.shards[0]).as_uri()], [url], console=quiet)
    assert [sample.members["cls"] for sample in Shards(val)] == [b"1"]
    assert image_members([(tmp_path / "val").as_uri()], IMAGE) == IMAGE


def test_which_members_are_the_image(scans):
    """A requested extension is used; shards and folders of JPEGs have the default."""
    assert image_members([str(scans)], IMAGE) == f"{IMAGE};tif;tiff"
    assert image_members([str(scans)], "tif") == "tif"
    assert image_members(["train-{000000..000146}.tar", "s3://bucket/*.tar"], IMAGE) == IMAGE


def test_a_folder_that_an_earlier_version_grouped_otherwise(scans, monkeypatch):
    """Shards in the cache are made again if the samples of the folder are others."""
    (scans / "a.1.tif").write_bytes((scans / "a.tif").read_bytes())
    module, quiet = sys.modules[pack.__module__.rpartition(".")[0] + "._pictures"], Console(quiet=True)
    with monkeypatch.context() as earlier:
        earlier.setattr(
            module, "grouped", lambda names, kinds: {"a": names[:2], "b": names[2:3], "c": names[3:]}
        )
        before = packed([str(scans)], console=quiet)
    after = packed([str(scans)], console=quiet)

    assert [sample.key for sample in Shards(before)] == ["a", "b", "c"]
    assert [sample.key for sample in Shards(after)] == ["a", "a_1", "b", "c"]


@pytest.mark.parametrize("verb", ["zoom", "verify"])
def test_a_cache_that_cannot_be_written(scans, tmp_path, monkeypatch, verb):
    """The folder of the cache is named, with the two ways out."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    options = ["--out", tmp_path / "out", "--out-size", 16] if verb == "zoom" else []
    failed = run(verb, scans, *options)

    assert isinstance(failed.exception, OSError)
    assert str(failed.exception) == (
        f"cache must be a folder that can be written to, got {str(tmp_path / 'file/foveal/packed')!r}: Not a directory – set "
        "XDG_CACHE_HOME to one that can, or call `foveal pack` and name the shards that it wrote."
    )


def test_a_cache_that_is_full(scans, tmp_path, monkeypatch):
    """The folder of the cache is named, with the two ways out, and nothing is left in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with full_at(100), pytest.raises(OSError, match="cache must be a folder") as caught:
        packed([str(scans)], console=Console(quiet=True))

    assert str(caught.value) == (
        f"cache must be a folder that can be written to, got {str(tmp_path / 'cache/foveal/packed')!r}: File too large – set "
        "XDG_CACHE_HOME to one that can, or call `foveal pack` and name the shards that it wrote."
    )
    assert list((tmp_path / "cache/foveal/packed").iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("what", ["the shards", "an index"])
def test_a_cache_that_fails_later(scans, tmp_path, monkeypatch, number, what):
    """The folder of the cache is named as well if a shard or its index cannot be written, not a temporary one that is gone."""

    def fail(path, **_):
        raise OSError(number, os.strerror(number), str(path))

    place = "foveal.shards._writer" if what == "the shards" else "foveal.shards.index._write_index"
    monkeypatch.setattr(f"{place}.replacing", fail)
    with pytest.raises(OSError, match="cache must be a folder") as caught:
        packed([str(scans)], console=Console(quiet=True))

    assert str(caught.value) == (
        f"cache must be a folder that can be written to, got {str(tmp_path / 'cache/foveal/packed')!r}: {os.strerror(number)} – set "
        "XDG_CACHE_HOME to one that can, or call `foveal pack` and name the shards that it wrote."
    )


def test_a_folder_where_shards_are_asked_for(scans):
    """Verbs that read shards only say what to write instead of a folder."""
    failed = run("index", scans)

    assert isinstance(failed.exception, ShardError)
    assert str(failed.exception).endswith(
        f"it is a folder – name the shards in it, such as '{scans}/*.tar'; `foveal pack` writes images of a folder to shards"
    )


def test_a_folder_of_other_files(tmp_path):
    """Verbs that take a folder of images say of one with none what foveal pack says; they sent to foveal pack."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.svg").write_bytes(b"<svg/>")
    errors = [
        run(*command, tmp_path / "in").exception for command in (("verify",), ("pack", "--out", tmp_path))
    ]

    assert len({(type(error), str(error)) for error in errors}) == 1
    assert "a.svg' – convert what is in another format" in str(errors[0])


def test_two_processes_pack_one_folder(scans, monkeypatch):
    """If another process has packed the folder meanwhile, its shards stay as they are, and both read them."""
    module, real, quiet = sys.modules[packed.__module__], pack, Console(quiet=True)

    def pack_later(*arguments, **options):
        monkeypatch.setattr(module, "pack", real)
        others.extend(packed([str(scans)], console=quiet))
        stamps.extend(Path(url).stat().st_mtime_ns for url in others)
        return real(*arguments, **options)

    others, stamps = [], []
    monkeypatch.setattr(module, "pack", pack_later)

    assert packed([str(scans)], console=quiet) == others
    assert [Path(url).stat().st_mtime_ns for url in others] == stamps
    assert len(list(Path(others[0]).parents[1].iterdir())) == 1


def test_what_an_earlier_version_left(scans):
    """A folder of the cache whose packing was interrupted by an earlier version is packed again."""
    [url] = packed([str(scans)], console=Console(quiet=True))
    (Path(url).parent / CLASSES).unlink()

    assert packed([str(scans)], console=Console(quiet=True)) == [url]
    assert (Path(url).parent / CLASSES).is_file()


def test_a_pipe_among_images(scans, tmp_path):
    """A pipe that has the name of an image is an error that names it; nobody waits for its writer."""
    os.mkfifo(scans / "d.tif")
    failed = run("pack", scans, "--out", tmp_path / "out")

    assert isinstance(failed.exception, OSError)
    assert str(failed.exception) == f"[Errno 22] Not a regular file: {str(scans.resolve() / 'd.tif')!r}"


@pytest.mark.parametrize("verb", [("zoom", "--out-size", 16, "--out"), ("pack", "--out")])
def test_a_link_to_nothing(scans, tmp_path, verb):
    """An image that is a link to a file that is not there is named with what it points to."""
    (scans / "d.tif").symlink_to("/mnt/gone.tif")
    failed = run(verb[0], scans, *verb[1:], tmp_path / "out")

    assert isinstance(failed.exception, FileNotFoundError)
    assert str(failed.exception) == (
        f"images must be files that exist, got {str(scans / 'd.tif')!r}, a link to '/mnt/gone.tif' – remove it, or mount "
        "what it points to."
    )
