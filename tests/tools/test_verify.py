"""``foveal verify``."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from foveal.pipeline import Boxes, PixelRule, Quarantine, ZoomLoader
from foveal.pipeline.fields import encode_array
from foveal.sampler import UniformSampler
from foveal.shards import ShardWriter, write_index
from foveal.tools._verify import parse_members, verify_shards
from foveal.tools.console.quiet_codecs import quiet_codecs
from tests.pipeline.making import encode, picture
from tests.tools import command_line

CUT = encode(picture(0, 400, 600), quality=95)[:9000]


def verify(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "foveal.tools", "verify", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "200"},
    )


def words(text: str) -> str:
    """Return the text without the line breaks of a table."""
    return " ".join(text.split())


@pytest.fixture
def shard(tmp_path) -> Path:
    """Return a shard of ten samples: two truncated, one empty, one of a wrong kind, one without a label."""
    bad = {2: CUT, 3: CUT, 5: b"", 7: b"<html>503 Slow Down</html>"}
    damaged_png = bytearray(encode(picture(0, 40, 60), "PNG"))
    damaged_png[-40] ^= 255  # libpng complains of it on stderr
    bad[8] = bytes(damaged_png)
    with ShardWriter(tmp_path / "s.tar") as writer:
        for k in range(10):
            label = {} if k == 9 else {"cls": k}
            writer.write({"__key__": str(k), "jpg": bad.get(k, encode(picture(k, 20, 30))), **label})
    return tmp_path / "s.tar"


def test_findings(shard, tmp_path):
    """Bad samples are counted by reason, each with an example; the exit status is 1, and the quarantine file is written."""
    file = tmp_path / "bad.jsonl"
    run = verify(shard, "--quarantine", file)
    found = [json.loads(line) for line in file.read_text().splitlines()]

    assert (run.returncode, run.stderr) == (1, "")
    assert "2 image is cut s.tar: 2: after 9000 bytes there is no end mark" in words(run.stdout)
    assert "1 image is empty s.tar: 5: 0 bytes" in words(run.stdout)
    assert run.stdout.index("is cut") < run.stdout.index("is empty")
    assert "5 images decoded; 5 bad, listed in" in words(run.stdout)
    assert [entry["key"] for entry in found] == ["2", "3", "5", "7", "8"]
    assert {entry["url"] for entry in found} == {str(shard)}
    fields = ("image",)
    with ZoomLoader(
        shard, UniformSampler(4), batch_size=5, fields=fields, on_bad="raise", quarantine=file
    ) as one:
        assert sum(len(images) for (images,) in one) == 10


def test_again(shard, tmp_path):
    """A second run adds nothing to the quarantine file."""
    for _ in range(2):
        assert verify_shards([str(shard)], quarantine=tmp_path / "bad.jsonl")

    assert len((tmp_path / "bad.jsonl").read_text().splitlines()) == 5


def test_nothing_bad(tmp_path, capsys):
    """Without bad samples no file is written, and images that only Pillow reads are counted."""
    with ShardWriter(tmp_path / "s.tar") as writer:
        writer.write({"__key__": "0", "jpg": encode(picture(0, 20, 30), "GIF")})
        writer.write({"__key__": "1", "jpg": encode(picture(0, 20, 30))})

    assert not verify_shards([str(tmp_path / "s.tar")], quarantine=tmp_path / "bad.jsonl")
    assert not (tmp_path / "bad.jsonl").exists()
    assert re.match(
        r"2 images decoded, 1 of them by Pillow, as DALI refuses them; none bad. 0 megapixels in \S+ s.",
        words(capsys.readouterr().out),
    )


@pytest.mark.parametrize(("window", "brightest"), [(None, 16), ((0, 60_000), 17), ((0, 4095), None)])
def test_nearly_black_images(tmp_path, capsys, window, brightest):
    """Images of 12 bits in files of 16 are told of, with what to do, unless a window shows them; they are not bad."""
    rows = np.arange(60 * 80, dtype=np.uint16).reshape(60, 80).clip(max=4095)
    with ShardWriter(tmp_path / "s.tar") as writer:
        for k, levels in enumerate([rows // 2, rows, rows // 4]):
            writer.write({"__key__": str(k), "png": encode(levels, "PNG")})
    told = (
        f"No pixel of these images is brighter than {brightest} of 255: they use a small part of what their files can hold. "
        "Say with --window which stored values become black and white, e.g. --window 0:4095 for 12 bits in files of 16."
    )

    assert not verify_shards(
        [str(tmp_path / "s.tar")], quarantine=tmp_path / "b", rule=PixelRule(window=window)
    )
    out = words(capsys.readouterr().out)
    assert (told in out) == (brightest is not None)
    assert ("No pixel" in out) == (brightest is not None)


def test_fields_and_limit(shard, tmp_path):
    """Missing labels and images above the limit are found on request."""
    file = tmp_path / "q"
    assert verify_shards([str(shard)], quarantine=file, fields=("cls", "image"), max_pixels=2399)

    reasons = {bad.key: bad.fault for bad in Quarantine(file).read()}
    assert reasons["9"] == "member is missing"
    assert reasons["2"] == reasons["8"] == "image has more pixels than max_pixels=2399"


def test_a_cut_shard_is_a_finding(tmp_path, capsys):
    """A cut shard is reported, and its complete samples are checked."""
    with ShardWriter(tmp_path / "t.tar") as writer:
        for k in range(3):
            writer.write({"__key__": str(k), "jpg": encode(picture(k, 20, 30))})
    (tmp_path / "t.tar").write_bytes((tmp_path / "t.tar").read_bytes()[:4000])

    assert verify_shards([str(tmp_path / "t.tar")], quarantine=tmp_path / "q")
    printed = words(capsys.readouterr().out)
    assert "t.tar: was cut at byte 4000" in printed
    assert "none bad" in printed


def test_an_index_of_another_file_is_no_finding(tmp_path, monkeypatch, capsys):
    """A shard that was copied with its index is whole: the index is named, and nothing is wrong."""
    # An earlier run may have left an index of the same path and date in the user's cache.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with ShardWriter(tmp_path / "t.tar") as writer:
        writer.write({"__key__": "0", "jpg": encode(picture(0, 20, 30))})
    write_index(tmp_path / "t.tar")
    os.utime(tmp_path / "t.tar", (1, 1))

    assert not verify_shards([str(tmp_path / "t.tar")], quarantine=tmp_path / "q")
    printed = words(capsys.readouterr().out)
    assert "1 index file(s) beside a tar put aside and worked out anew" in printed
    assert "1 images decoded; none bad." in printed
    assert not (tmp_path / "q").exists()


def test_another_file_as_quarantine(shard):
    """A file that is no quarantine is refused before anything is decoded or written."""
    with pytest.raises(ValueError, match="quarantine must be a JSON-lines file of bad samples"):
        verify_shards([str(shard)], quarantine=shard)


def test_codecs_are_quiet(capfd):
    """What C libraries write to stderr is dropped, what Python writes is not."""
    with quiet_codecs():
        os.write(2, b"libpng error\n")
        sys.stderr.write("from Python\n")
    os.write(2, b"afterwards\n")

    assert capfd.readouterr().err == "from Python\nafterwards\n"


def test_labels_that_follow_the_zoom(tmp_path):
    """Spatial labels are checked as the loader reads them."""
    boxes = [[[1, 2, 3, 4]], [], [[3, 2, 1, 4]]]
    with ShardWriter(tmp_path / "s.tar") as writer:
        for k, each in enumerate(boxes):
            writer.write({"__key__": str(k), "jpg": encode(picture(k, 20, 30)), "json": {"boxes": each}})
    file = tmp_path / "bad.jsonl"

    assert verify_shards([str(tmp_path / "s.tar")], quarantine=file, fields=("image", Boxes("json:boxes")))
    assert [bad.reason for bad in Quarantine(file).read()] == [
        "json boxes has exchanged corners, and may need format='xywh': row 0 is [3.0, 2.0, 1.0, 4.0]"
    ]


def test_a_shard_under_another_name(tmp_path, monkeypatch):
    """No sample is listed twice, whatever its shard is called."""
    file = tmp_path / "bad.jsonl"
    with ShardWriter(tmp_path / "s.tar") as writer:
        writer.write({"__key__": "0", "jpg": b"junk"})
    monkeypatch.chdir(tmp_path)
    for spelled in (str(tmp_path / "s.tar"), "s.tar"):
        assert verify_shards([spelled], quarantine=file)

    assert len(Quarantine(file).read()) == 1


def test_findings_that_cannot_be_written(shard, tmp_path, monkeypatch, capsys):
    """If the file cannot be written, the findings have been printed all the same."""

    def full(*_):
        raise OSError(28, "No space left on device", str(tmp_path / "bad.jsonl"))

    monkeypatch.setattr(Quarantine, "add", full)
    with pytest.raises(OSError, match="No space left on device"):
        verify_shards([str(shard)], quarantine=tmp_path / "bad.jsonl")
    assert "image is cut" in words(capsys.readouterr().out)


def test_spaces_between_members(shard, tmp_path):
    """Spaces beside the commas of --members do not count."""
    for number, members in enumerate(("image,cls", "image, cls")):
        command_line.run("verify", shard, "--members", members, "--quarantine", tmp_path / str(number))

    assert (tmp_path / "0").read_text() == (tmp_path / "1").read_text()


@pytest.mark.parametrize(
    ("image", "members"),
    [
        ("jpg;png", "cls"),
        ("jpg;png", "image,image"),
        ("jpg;png", "image,,cls"),
        ("jpg;png", "image,png"),
        ("jpg;png", "image,cls,cls"),
        ("jpg;png", "image,__nothing__"),
        ("jpg;png", "image,jpeg;jpg"),
        ("left.jpg", "image,left.jpg"),
        ("left.jpg", "right.jpg,mask.png"),
    ],
)
def test_members_that_are_not_told(image, members):
    """Members without the image, or with something that would be taken for it, are refused in the words of the command line."""
    message = (
        "members must be image and members beside it, each once and separated by commas, got "
        f"{members!r} – write --members image,cls."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_members(members, image)


def test_members_on_the_command_line(shard, tmp_path):
    """They are checked before anything is decoded, and the image may be any member."""
    run = command_line.run("verify", shard, "--members", "cls", "--quarantine", tmp_path / "q")

    assert str(run.exception).startswith("members must be image and members beside it,")
    assert not (tmp_path / "q").exists()
    assert parse_members("cls;txt, image", "left.jpg") == ("left.jpg", ("cls;txt",))
    assert parse_members("image,mask.png", "jpg;png") == ("jpg;png", ("mask.png",))
    assert parse_members("left.jpg,mask.png", "left.jpg") == ("left.jpg", ("mask.png",))
    assert parse_members("png,cls", "jpg;png") == ("png", ("cls",))
    assert parse_members("tif", "jpg;png") == ("tif", ())


@pytest.mark.parametrize(("image", "beside"), [("left.jpg", "mask.png"), ("img", "npy"), ("jpg;png", "tif")])
def test_a_member_beside_the_image_that_could_be_one(image, beside, tmp_path):
    """--image says which member is the image, so another with an image's extension is only asked to be there."""
    own, file = image.split(";")[0], tmp_path / "q"
    empty = encode_array(np.zeros(3)) if beside == "npy" else b""
    with ShardWriter(tmp_path / "s.tar") as writer:
        writer.write({"__key__": "0", own: encode(picture(0, 20, 30)), beside: empty})
        writer.write({"__key__": "1", own: encode(picture(1, 20, 30))})
    words = ["--image", image, "--members", f"image,{beside}", "--quarantine", file]
    run = command_line.run("verify", tmp_path / "s.tar", *words)

    assert run.exit_code == 1
    assert [(bad.key, bad.fault) for bad in Quarantine(file).read()] == [("1", "member is missing")]
