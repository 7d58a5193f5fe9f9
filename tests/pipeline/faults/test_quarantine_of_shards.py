"""An entry of a quarantine file holds for one sample of one shard, until it is repaired, and wherever the shard lies."""

import errno
import io
import os
import re
import tarfile
import warnings
from pathlib import Path

import pytest

from foveal.pipeline import Mask, Quarantine, TooManyBadSamplesError, ZoomLoader
from foveal.sampler import UniformSampler
from foveal.shards import ShardWarning, ShardWriter
from tests.pipeline.faults.quarantined import ALL, epoch, shard
from tests.pipeline.making import encode, picture


@pytest.mark.parametrize("repaired", ["image", "label", "mask"])
def test_a_shard_that_was_repaired(tmp_path, repaired):
    """A sample that was repaired is delivered again; the others of the file stay out."""
    file, path = tmp_path / "bad.jsonl", tmp_path / "s.tar"
    faults = {3: "image", 5: "label", 7: "mask"}
    fields = ("cls", Mask("mask.png"))
    with pytest.warns(ShardWarning):
        assert epoch(shard(path, faults), file, *fields, on_bad="drop") == [
            "00",
            "01",
            "02",
            "04",
            "06",
            "08",
            "09",
        ]
    assert len(Quarantine(file).read()) == 3

    left = {k: what for k, what in faults.items() if what != repaired}
    now = epoch(shard(path, left), file, *fields, on_bad="drop", allowed=0)

    assert now == [key for key in ALL[:10] if int(key) not in left]
    assert len(Quarantine(file).read()) == 3


def test_a_repaired_sample_that_is_bad_again(tmp_path):
    """What was repaired wrongly is listed a second time, with what is wrong now."""
    file, path = tmp_path / "bad.jsonl", tmp_path / "s.tar"
    with pytest.warns(ShardWarning, match="image is cut"):
        epoch(shard(path, {3: "image"}), file, on_bad="drop")
    with ShardWriter(path) as writer:
        for k in range(10):
            writer.write({"__key__": f"{k:02d}", "jpg": b"junk" if k == 3 else encode(picture(k, 20, 30))})

    with pytest.warns(ShardWarning, match="nothing that DALI"):
        assert len(epoch(str(path), file, on_bad="drop")) == 9
    assert [bad.reason[:12] for bad in Quarantine(file).read()] == ["image is cut", "image is not"]


def test_a_sample_that_could_not_be_listed(tmp_path, monkeypatch):
    """A bad sample that did not fit into the file is listed by the next epoch of the same loader."""
    file, url = tmp_path / "bad.jsonl", shard(tmp_path / "s.tar", {3: "image"})

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))

    with ZoomLoader(
        url, UniformSampler(8), batch_size=5, on_bad="drop", quarantine=file, max_bad_fraction=1
    ) as loader:
        with monkeypatch.context() as patched:
            patched.setattr(Quarantine, "add", full)
            with pytest.raises(OSError, match=re.escape(f"No space left on device: {str(file)!r}")):
                list(loader)
        with pytest.warns(ShardWarning, match="image is cut"):
            list(loader)

    assert [bad.key for bad in Quarantine(file).read()] == ["03"]


def test_two_data_sets_that_share_a_file(tmp_path, monkeypatch):
    """Of two data sets with the same names of shards and keys, each has its own bad samples."""
    file = tmp_path / "bad.jsonl"
    for name, bad in (("one", 3), ("other", 6)):
        shard(tmp_path / name / "s.tar", {bad: "image"})
        monkeypatch.chdir(tmp_path / name)
        with pytest.warns(ShardWarning, match="image is cut"):
            assert epoch("s.tar", file, on_bad="drop") == [key for key in ALL[:10] if int(key) != bad]

    monkeypatch.chdir(tmp_path / "one")
    assert epoch("s.tar", file, on_bad="drop", allowed=0) == [key for key in ALL[:10] if key != "03"]


@pytest.mark.parametrize("spelling", ["./{}", "file:{}/{}", "../{folder}/{}", "moved"])
def test_a_shard_under_another_name(tmp_path, monkeypatch, spelling):
    """Bad samples are known whatever their shard is called: by another path, by its URL, or after it was moved."""
    file, folder = tmp_path / "bad.jsonl", tmp_path / "data"
    url = shard(folder / "s.tar", {3: "image"})
    with pytest.warns(ShardWarning, match="image is cut"):
        epoch(url, file, on_bad="drop")
    monkeypatch.chdir(folder)
    spelled = {"./{}": "./s.tar", "file:{}/{}": f"file:{url}", "../{folder}/{}": "../data/s.tar"}.get(
        spelling
    )
    if spelled is None:
        spelled = str((folder / "s.tar").rename(tmp_path / "t.tar"))

    assert len(epoch(spelled, file, on_bad="drop", allowed=0)) == 9
    assert len(Quarantine(file).read()) == 1


def shards_with_an_empty_image(folder) -> list[str]:
    """Write three shards of four samples; the first of each has an empty image, and keys start anew in each."""
    for name in ("s0", "s1", "s2"):
        with ShardWriter(folder / f"{name}.tar") as writer:
            for k in range(4):
                writer.write({"__key__": f"{k:02d}", "jpg": encode(picture(k, 20, 30)) if k else b""})
    return [str(folder / f"{name}.tar") for name in ("s0", "s1", "s2")]


@pytest.mark.parametrize("quarantine", [False, True])
def test_equal_faults_of_several_shards(tmp_path, quarantine):
    """Bad samples with one key and equal bytes in several shards are listed and counted each."""
    urls = shards_with_an_empty_image(tmp_path)
    file = tmp_path / "bad.jsonl" if quarantine else None
    options = {"batch_size": 4, "on_bad": "drop", "quarantine": file, "fields": ("image", "__key__")}
    with ZoomLoader(urls, UniformSampler(8), max_bad_fraction=0.3, **options) as loader:
        with pytest.warns(ShardWarning, match=r"3 bad sample\(s\)"):
            assert sum(len(keys) for _, keys in loader) == 9
        assert [bad.url for bad in loader.bad_samples] == urls
    with (
        ZoomLoader(
            urls, UniformSampler(8), max_bad_fraction=0.2, **{**options, "quarantine": None}
        ) as loader,
        pytest.raises(TooManyBadSamplesError, match="3 of this epoch's 12 samples"),
    ):
        list(loader)


def test_an_equal_fault_of_a_shard_that_is_not_listed(tmp_path):
    """A line about one shard does not hide an equal bad sample of another that is read with it; moved shards stay known."""
    urls = shards_with_an_empty_image(tmp_path)
    file = tmp_path / "bad.jsonl"
    with pytest.warns(ShardWarning):
        assert len(epoch(urls[:1], file, on_bad="drop")) == 3
    with pytest.warns(ShardWarning, match=r"2 bad sample\(s\)"):
        assert len(epoch(urls, file, on_bad="drop")) == 9
    assert [bad.url for bad in Quarantine(file).read()] == urls

    moved = [str(Path(url).rename(f"{url[:-4]}-moved.tar")) for url in urls]
    assert len(epoch(moved, file, on_bad="drop", allowed=0)) == 9


def test_a_member_that_can_be_read_again(tmp_path):
    """A sample that a tar held twice is delivered when the shard was packed anew; until then it is known by any spelling of its path."""
    file, path = tmp_path / "bad.jsonl", tmp_path / "s.tar"
    write_twice(path)
    with pytest.warns(ShardWarning):
        assert epoch(str(path), file, "cls", on_bad="drop") == ["00", "02"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert epoch(f"{tmp_path}/./s.tar", file, "cls", on_bad="drop", allowed=0) == ["00", "02"]

    assert epoch(shard(path, {}), file, "cls", on_bad="drop", allowed=0) == ALL[:10]


def write_twice(path) -> None:
    """Write three samples, the second of which has its label twice."""
    with tarfile.open(path, "w") as tar:
        for key, names in (("00", ["jpg", "cls"]), ("01", ["jpg", "cls", "cls"]), ("02", ["jpg", "cls"])):
            for name in names:
                content = encode(picture(0, 20, 30)) if name == "jpg" else b"1"
                info = tarfile.TarInfo(f"{key}.{name}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
