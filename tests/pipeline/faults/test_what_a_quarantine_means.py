"""An entry of a quarantine file holds for the fields, settings and samples with which it was found, and for no others."""

import functools
import io
import json
import re
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest

from foveal.pipeline import Boxes, Mask, Quarantine, TooManyBadSamplesError, ZoomLoader
from foveal.sampler import UniformSampler
from foveal.shards import ShardWarning, ShardWriter
from tests.pipeline.making import encode, picture

CUT = encode(picture(0, 400, 600), quality=95)[:9000]


@pytest.fixture
def url(tmp_path) -> str:
    """Return a shard of twenty good samples of 20 × 30 pixels."""
    with ShardWriter(tmp_path / "s.tar") as writer:
        for k in range(20):
            label = {"cls": k, "json": {"boxes": [[5, 6, 3, 2]]}}
            writer.write({"__key__": f"{k:02d}", "jpg": encode(picture(k, 20, 30)), **label})
    return str(tmp_path / "s.tar")


def epoch(url, file, *fields, allowed=1.0, **options) -> list[str]:
    """Return the keys of an epoch's valid samples, after a check that nothing was reported."""
    names = ("__key__", "__valid__", "image", *fields)
    options = {"batch_size": 5, "quarantine": file, "max_bad_fraction": allowed, **options}
    with ZoomLoader(url, UniformSampler(8), fields=names, **options) as loader:
        batches = list(loader)
    return [key for keys, valid, *_ in batches for key, is_valid in zip(keys, valid, strict=True) if is_valid]


ALL = [f"{k:02d}" for k in range(20)]


def test_a_field_that_was_misspelt(url, tmp_path):
    """Samples that lack a misspelt field are bad for that spelling only."""
    file = tmp_path / "bad.jsonl"
    with pytest.raises(TooManyBadSamplesError, match="there is no lable"):
        epoch(url, file, "lable", allowed=0.1)
    assert len(Quarantine(file).read()) == 3

    assert epoch(url, file, "cls", allowed=0) == ALL
    with pytest.raises(TooManyBadSamplesError, match="100 samples in a row are bad"):
        epoch(url, file, "lable")


def test_labels_that_another_run_asked_for(url, tmp_path):
    """A file that lists every sample for missing captions does not affect a run without captions."""
    file = tmp_path / "bad.jsonl"
    with pytest.warns(ShardWarning, match="there is no txt"):
        assert epoch(url, file, "txt", on_bad="drop") == []
    assert len(Quarantine(file).read()) == 20

    assert epoch(url, file, "cls", allowed=0) == ALL
    assert epoch(url, file, "cls", "txt", on_bad="drop") == []


def test_labels_that_were_read_another_way(url, tmp_path):
    """Boxes that are invalid as corners are read again as corner and size."""
    file = tmp_path / "bad.jsonl"
    with pytest.warns(ShardWarning, match="exchanged corners"):
        assert epoch(url, file, Boxes("json:boxes"), on_bad="drop") == []

    assert epoch(url, file, Boxes("json:boxes", format="xywh"), allowed=0) == ALL
    assert epoch(url, file, Boxes("json:boxes"), on_bad="drop", allowed=0) == []


class Reader:
    """Reads no boxes."""

    def __call__(self, members):
        return [[0, 0, 1]]


def of_three(members):
    return Reader()(members)


def of_any(members, *, boxes):
    return boxes


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: of_three, "<function of_three>"),
        (lambda: functools.partial(of_any, boxes=[1]), "functools.partial(<function of_any>, boxes=[1])"),
        (Reader, f"<{__name__}.Reader object>"),
        (lambda: Reader().__call__, f"<bound method Reader.__call__ of <{__name__}.Reader object>>"),
    ],
)
def test_labels_that_a_function_reads(url, tmp_path, make, name):
    """Samples for which a user's function failed are known in other processes, where it has another address."""
    file = tmp_path / "bad.jsonl"
    with pytest.warns(ShardWarning):
        assert epoch(url, file, Boxes(make()), on_bad="drop") == []
    fields = {bad.field for bad in Quarantine(file).read()}
    assert fields == {f"Boxes(source={name}, format='xyxy', frame='pixel', labels=())"}

    assert epoch(url, file, Boxes(make()), on_bad="drop", allowed=0) == []
    assert len(Quarantine(file).read()) == 20


def test_a_misfit_that_a_function_reads(url, tmp_path):
    """A label that does not belong to its image is listed under the same name as one that could not be read."""
    file = tmp_path / "bad.jsonl"
    with pytest.warns(ShardWarning, match="another shape"):
        assert epoch(url, file, Mask(lambda members: np.zeros((9, 9), np.uint8)), on_bad="drop") == []

    assert {bad.field[:22] for bad in Quarantine(file).read()} == {"Mask(source=<function "}
    assert " at 0x" not in file.read_text()


def test_an_image_is_bad_for_all_labels(tmp_path):
    """A bad image is not tried again, whatever other fields are read."""
    with ShardWriter(tmp_path / "s.tar") as writer:
        for k in range(20):
            image = CUT if k == 7 else encode(picture(k, 20, 30))
            writer.write(
                {"__key__": f"{k:02d}", "jpg": image, "png": encode(picture(k, 20, 30), "PNG"), "cls": k}
            )
    url, file = str(tmp_path / "s.tar"), tmp_path / "bad.jsonl"
    with pytest.warns(ShardWarning, match="image is cut"):
        epoch(url, file)

    assert epoch(url, file, "cls", allowed=0) == [key for key in ALL if key != "07"]
    names = ("__key__", "png", "cls")  # another image of the same sample
    with ZoomLoader(
        url, UniformSampler(8), batch_size=20, fields=names, quarantine=file, max_bad_fraction=0
    ) as one:
        assert [keys for keys, *_ in one] == [ALL]


@pytest.mark.parametrize("on_bad", ["substitute", "drop", "raise"])
def test_a_limit_that_was_raised(url, tmp_path, on_bad):
    """Images that were too large are checked again with a new limit, and are not listed twice."""
    file = tmp_path / "bad.jsonl"
    with pytest.warns(ShardWarning, match="more pixels than max_pixels=599"):
        assert epoch(url, file, on_bad="drop", max_pixels=599) == []
    listed = Quarantine(file).read()
    assert {bad.kind for bad in listed} == {"too_large"}

    assert epoch(url, file, on_bad=on_bad, allowed=0) == ALL
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert epoch(url, file, on_bad="drop", max_pixels=599, allowed=0) == []
    assert Quarantine(file).read() == listed


def test_two_samples_of_one_key(tmp_path):
    """Of two samples with one key, only the bad one is skipped, in the next epoch and in the next run."""
    with ShardWriter(tmp_path / "s.tar") as writer:
        for k, label in enumerate([{"cls": 0}, {"cls": 1}, {}, {"cls": 3}]):
            writer.write({"__key__": ("a", "b")[k % 2], "jpg": encode(picture(k, 20, 30)), **label})
    url, file = str(tmp_path / "s.tar"), tmp_path / "bad.jsonl"
    options = {"batch_size": 4, "fields": ("image", "cls"), "on_bad": "drop", "max_bad_fraction": 1.0}
    with ZoomLoader(url, UniformSampler(8), quarantine=file, **options) as first:
        with pytest.warns(ShardWarning, match="there is no cls"):
            assert [labels.tolist() for _, labels in first] == [[0, 1, 3]]
        assert [labels.tolist() for _, labels in first] == [[0, 1, 3]]
    with ZoomLoader(url, UniformSampler(8), quarantine=file, **options) as second:
        assert [labels.tolist() for _, labels in second] == [[0, 1, 3]]


def test_a_file_of_an_older_version(url, tmp_path):
    """Lines of an older version count as before, except for what their reason says about other fields."""
    file = tmp_path / "bad.jsonl"
    reasons = {
        "01": "member is missing: there is no lable",
        "02": "image is cut: after 900 bytes there is no end mark",
        "03": "cls is not an integer: b'dog'",
        "04": "txt is not UTF-8 text: b'\\xff'",
        "05": "json boxes has exchanged corners: row 0 is [3.0, 2.0, 1.0, 4.0]",
        "06": "image has more pixels than max_pixels=5: 20 × 30 pixels (height × width)",
    }
    lines = [json.dumps({"url": url, "key": key, "reason": reason}) for key, reason in reasons.items()]
    file.write_text("\n".join(lines) + "\n")

    assert epoch(url, file, "cls", allowed=0) == [key for key in ALL if key not in ("02", "03", "05")]


def test_the_first_of_a_row_is_named_where_a_file_knows_all(url, tmp_path):
    """If a file lists all samples, the error gives the reason of the first, from the file."""
    file = tmp_path / "bad.jsonl"
    with pytest.warns(ShardWarning, match="there is no txt"):
        epoch(url, file, "txt", on_bad="drop")
    message = f"100 samples in a row are bad, so no substitute was found: the first is {url}: 00: member is missing: there is no txt"

    with pytest.raises(TooManyBadSamplesError, match=re.escape(message)):
        epoch(url, file, "txt")


def shard(path, bad) -> str:
    """Write ten samples, of which these are cut off, lack their label, or have a mask of another size."""
    path.parent.mkdir(exist_ok=True)
    with ShardWriter(path) as writer:
        for k in range(10):
            what = bad.get(k)
            mask = encode(np.zeros((9, 9) if what == "mask" else (20, 30), np.uint8), "PNG")
            members = {"jpg": encode(picture(k, 20, 30)), "cls": k, "mask.png": mask}
            if what == "image":
                members["jpg"] = CUT
            if what == "label":
                del members["cls"]
            writer.write({"__key__": f"{k:02d}", **members})
    return str(path)


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
