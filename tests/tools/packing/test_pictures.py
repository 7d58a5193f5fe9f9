"""Folders of images are walked as ImageFolder of torchvision walks them: through links, and with nothing left out."""

import errno
import io
import os
import re
import shutil
import subprocess
import sys

import pytest
from rich.console import Console

from foveal.shards import Shards
from foveal.shards.naming import IMAGES
from foveal.tools.console.choices import IMAGE
from foveal.tools.packing._pictures import _OF_WEBDATASET, find_pictures, is_for_images
from foveal.tools.packing.pack import pack
from foveal.tools.packing.packed import image_members, packed
from tests.shards.reading import group_by_keys, tar_bytes, tar_file_expander


def write(folder, *names):
    """Write empty files."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def keys(folder):
    return [picture.key for picture in find_pictures(folder).found]


@pytest.mark.parametrize("extension", sorted(IMAGES | {"npy"}))
def test_images_of_each_format(tmp_path, extension):
    """Every extension that a loader takes for an image, in either case, is one in a folder, with what belongs to it."""
    folder = write(tmp_path / "in", f"a.{extension}", f"b/C.{extension.upper()}", "a.txt")
    found = find_pictures(folder)

    assert [(each.key, sorted(each.members)) for each in found.found] == [
        ("a", sorted([extension, "txt"])),
        ("b/C", [extension]),
    ]
    assert is_for_images(folder)
    assert image_members([str(folder)], IMAGE).split(";")[-1] == (
        extension if extension not in IMAGE.split(";") else "webp"
    )


@pytest.mark.parametrize("extension", ["npy", "pfm"])
def test_maps_beside_images(tmp_path, extension):
    """A map of numbers is a label of the image beside it, and no sample where others are images."""
    folder = write(tmp_path / "in", "a.jpg", f"a.{extension}", f"maps/b.{extension}")
    found = find_pictures(folder)

    assert [sorted(each.members) for each in found.found] == [sorted(["jpg", extension])]
    assert [str(path) for path in found.left_out] == [f"maps/b.{extension}"]
    assert found.companions == []
    assert image_members([str(folder)], IMAGE) == IMAGE


def test_several_images_of_one_name(tmp_path):
    """Of a TIFF and a PNG either may be the mask, so the image has to be named; a PNG beside a JPEG is a mask."""
    folder = write(tmp_path / "in", "x/a.tif", "x/a.png", "x/a.mask.png")
    message = "image must be named where there are several of one name, got 'x/a.png' beside 'x/a.tif' – pass --image png or --image tif."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        image_members([str(folder)], IMAGE)
    assert image_members([str(folder)], "tif") == "tif"
    assert image_members([str(write(tmp_path / "jpg", "a.jpg", "a.png"))], IMAGE) == IMAGE
    assert image_members([str(write(tmp_path / "tif", "a.tif", "a.mask.png"))], IMAGE) == f"{IMAGE};tif"


def test_files_of_other_formats(tmp_path):
    """The error names a file and says what to do; of a folder without files it says that. A folder with shards below it is none of images."""
    other, empty = write(tmp_path / "other", "b/1.svg", "a.svg", ".hidden.jpg"), tmp_path / "empty"
    empty.mkdir()
    for folder, found in (other, "files named otherwise, such as 'a.svg'"), (empty, "no files"):
        message = (
            f"folder must hold images, got {str(folder)!r} with {found} – convert what is in another format, and rename what is in one "
            f"of these: {', '.join(sorted(IMAGES | {'npy'}))}."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            find_pictures(folder)
    assert is_for_images(other)
    assert not is_for_images(empty)
    assert not any(
        is_for_images(write(tmp_path / name, f"a/{name}", "a/note.txt")) for name in ("x.tar", "x.tar.gz")
    )


def test_links_to_folders_are_followed(tmp_path):
    """A class may be a link to a folder, alone or beside others, and two may be links to one folder."""
    elsewhere, folder = write(tmp_path / "elsewhere", "red/1.jpg"), write(tmp_path / "in", "blue/0.jpg")
    for name in ("red", "scarlet"):
        (folder / name).symlink_to(elsewhere / "red")
    links = tmp_path / "links"
    links.mkdir()
    (links / "red").symlink_to(elsewhere / "red")

    assert keys(folder) == ["blue/0", "red/1", "scarlet/1"]
    assert find_pictures(folder).labels == ["blue", "red", "scarlet"]
    assert find_pictures(links).labels == ["red"]
    assert is_for_images(links)


def test_a_folder_of_links_in_the_place_of_shards(tmp_path, monkeypatch):
    """Verbs that take a folder of images take one whose classes are all links."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    elsewhere, folder = write(tmp_path / "elsewhere", "red/1.jpg"), tmp_path / "in"
    (elsewhere / "red/1.jpg").write_bytes(b"1")
    folder.mkdir()
    (folder / "red").symlink_to(elsewhere / "red")

    assert packed([str(folder)], console=Console(quiet=True)) != [str(folder)]


def test_links_in_a_circle(tmp_path):
    """A folder is not searched again below itself, whether one link leads back or two do."""
    folder = write(tmp_path / "in", "a/0.jpg", "b/1.jpg")
    (folder / "a/up").symlink_to(folder)
    (folder / "a/other").symlink_to(folder / "b")
    (folder / "b/other").symlink_to(folder / "a")

    assert keys(folder) == ["a/0", "a/other/1", "b/1", "b/other/0"]


def test_a_link_to_nothing_may_be_a_class(tmp_path):
    """A link to a folder that is not there is named: without it, all classes after it would have other numbers."""
    folder = write(tmp_path / "in", "blue/0.jpg")
    (folder / "ant").symlink_to("/mnt/gone/ant")
    message = (
        f"images must be files that exist, got {str(folder / 'ant')!r}, a link to '/mnt/gone/ant' – remove it, or mount what it "
        "points to."
    )
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(message)}$"):
        find_pictures(folder)


def test_a_link_without_end(tmp_path):
    """A link to itself is named with the reason, also where it is only asked whether there are images."""
    folder = write(tmp_path / "in", "blue/0.jpg")
    (folder / "ant").symlink_to(folder / "ant")
    message = (
        f"folder must be a folder of images in which every folder can be read, got {str(folder / 'ant')!r}: "
        f"{os.strerror(errno.ELOOP)} – make it readable, or move it elsewhere."
    )
    for look in (find_pictures, is_for_images):
        with pytest.raises(OSError, match=f"^{re.escape(message)}$"):
            look(folder)


@pytest.mark.parametrize(
    ("image", "other", "extension"),
    [
        ("photo.jpg", "photo.", None),
        ("photo.jpg", "photo..", "."),
        ("photo..jpg", "photo.", None),
        ("photo..jpg", "photo..", None),
        ("photo..jpg", "photo...", "."),
    ],
)
def test_a_file_without_an_extension(tmp_path, image, other, extension):
    """A file whose name ends where its image's extension would begin has none itself, so it belongs to no image."""
    found = find_pictures(write(tmp_path / "in", image, other))
    made = pack(tmp_path / "in", tmp_path / "out")

    assert [str(path) for path in found.left_out] == ([other] if extension is None else [])
    [sample] = Shards(made.shards)
    assert sorted(sample.members) == (["jpg"] if extension is None else [extension, "jpg"])


def test_a_folder_that_webdataset_passes_over(tmp_path):
    """An image in a folder that webdataset passes over is an error, which says why; deeper folders of such names are read."""
    folder = write(tmp_path / "in", "x/__meta__/a.jpg")
    assert keys(folder) == ["x/__meta__/a"]
    write(folder, "__meta__/b.c.jpg", "__meta__/b.c.json", "__meta__/b.c.mask.png")
    message = (
        "images must not lie in a folder that is named like __this__, which webdataset passes over, got '__meta__/b.c.jpg' – rename "
        "the folder."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        find_pictures(folder)


@pytest.mark.parametrize("extension", ["__key__", "__url__", "__local_path__", "__URL__"])
def test_a_file_that_webdataset_cannot_return(tmp_path, extension):
    """A file whose extension is one of webdataset's own names is an error before anything is written."""
    folder = write(tmp_path / "in", "a.jpg", f"a.{extension}")
    message = f"names of files must not end with {extension.lower()}, which webdataset keeps for itself, got 'a.{extension}' – rename it."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        pack(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("extension", ["__key__", "__url__", "__local_path__", "__meta__"])
def test_which_names_webdataset_keeps_for_itself(tmp_path, extension):
    """webdataset itself fails at a member of such a name, or returns something else; any other one in underscores it returns."""
    tar = tar_bytes([("a.jpg", b"i"), (f"a.{extension}", b"m")])
    files = tar_file_expander([{"url": "a.tar", "local_path": "a.tar", "stream": io.BytesIO(tar)}])
    try:
        [sample] = group_by_keys(files)
        is_returned = sample[extension] == b"m"
    except ValueError as error:
        assert "duplicate file name" in str(error)  # noqa: PT017 - some of the names raise
        is_returned = False

    assert is_returned == (extension not in _OF_WEBDATASET)


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root reads all")
def test_a_folder_without_permission(tmp_path):
    """A class folder that may not be read is an error; its class would be missing."""
    folder = write(tmp_path / "in", "blue/0.jpg", "red/1.jpg")
    (folder / "red").chmod(0)
    unable = "-dac_override,-dac_read_search"
    privileges = ["setpriv", f"--bounding-set={unable}", f"--inh-caps={unable}"] if os.geteuid() == 0 else []
    command = [*privileges, sys.executable, "-m", "foveal.tools", "pack", folder, "--out", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (folder / "red").chmod(0o755)

    assert done.returncode == 1
    assert done.stderr == (
        f"foveal: folder must be a folder of images in which every folder can be read, got {str(folder / 'red')!r}: Permission "
        "denied – make it readable, or move it elsewhere.\n"
    )
    assert not (tmp_path / "out").exists()
