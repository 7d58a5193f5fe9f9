"""A fault in one sample or tar costs only that sample or tar: it is named, and everything else is delivered."""

import io
import os
import re
import subprocess
import sys
import tarfile
import warnings

import pytest

from foveal.pipeline import BadSample, TooManyBadSamplesError, ZoomLoader
from foveal.sampler import UniformSampler
from foveal.shards import ShardError, ShardWarning
from foveal.tools.offline.against import verify_against
from foveal.tools.offline.recipe import Recipe
from tests.pipeline.making import encode, picture
from tests.shards.reading import HardLink, make_tar
from tests.tools.offline.zooming import rows_of, samples_of, zoom

JPEG = encode(picture(0, 20, 30))
DOUBLE = "has two members 'cls': pack it again with one – tar --append adds to a tar, it replaces nothing"
IMAGE = "jpg;jpeg;png;webp"
APART = (
    "member is apart from its sample: there is no {} beside {}, but {} elsewhere in the tar – members of a sample must stand "
    "side by side under one name up to the first dot: rename them if need be, and pack with tar --sort=name"
)


def sample(k: int) -> list[tuple[str, object]]:
    return [(f"{k}.jpg", JPEG), (f"{k}.cls", b"%d" % k)]


def with_two(place: int, *more: tuple[str, object]) -> list[tuple[str, object]]:
    """Return a shard of eight samples, one of which is followed by more members of its name."""
    return [member for k in range(8) for member in [*sample(k), *(more if k == place else ())]]


FAULTS = {
    "a label twice": (with_two(3, ("3.cls", b"7")), {3: (DOUBLE, "cls")}),
    "in the last sample": (with_two(7, ("7.cls", b"7")), {7: (DOUBLE, "cls")}),
    "JPG beside jpg": (with_two(0, ("0.JPG", JPEG)), {0: (DOUBLE.replace("cls", "jpg"), IMAGE)}),
    "a label appended": (
        [*with_two(8), ("3.cls", b"7")],
        {8: (APART.format("jpg or jpeg or png or webp", "3.cls", "3.jpg"), IMAGE)},
    ),
    "images first, then labels": (
        [
            *((f"{k}.jpg", JPEG) for k in range(4)),
            *((f"{k}.cls", b"1") for k in range(4)),
            *sample(8),
            *sample(9),
        ],
        {
            **{k: (APART.format("cls", f"{k}.jpg", f"{k}.cls"), "cls") for k in range(4)},
            **{
                4 + k: (APART.format("jpg or jpeg or png or webp", f"{k}.cls", f"{k}.jpg"), IMAGE)
                for k in range(4)
            },
        },
    ),
    "links and nothing else": (
        [*with_two(8), ("8.jpg", "../elsewhere.jpg"), ("8.cls", b"8")],
        {8: ("jpg member is a symbolic link, without content: pack it again with tar --dereference", IMAGE)},
    ),
    "doubles that are not read": (with_two(3, ("3.txt", b"a"), ("3.txt", b"b")), {}),
    "hidden files": (with_two(3, ("d/._3.jpg", b"\0\5\x16\7"), ("d/.DS_Store", b"x")), {}),
}


def epoch(url, **options) -> list[int]:
    options = {"batch_size": 3, "fields": ("image", "cls", "__valid__"), "max_bad_fraction": 1.0, **options}
    with ZoomLoader(url, UniformSampler(8), **options) as loader:
        labels = [k for _, labels, valid in loader for k in labels[valid].tolist()]
        again = [k for _, labels, valid in loader for k in labels[valid].tolist()]
        found = loader.bad_samples
    assert again == labels
    return labels, found


@pytest.mark.filterwarnings("ignore::foveal.shards.ShardWarning")
@pytest.mark.parametrize("on_bad", ["substitute", "drop"])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_other_sample_is_delivered(fault, on_bad, tmp_path):
    """All other samples are delivered in both epochs, also with a quarantine file; the bad one is listed with its fault and field."""
    files, bad = FAULTS[fault]
    url = str(make_tar(tmp_path / "s.tar", files))
    expected = [8, 9] if "first" in fault else [k for k in range(8) if k not in bad]
    for _ in range(2):
        labels, found = epoch(url, on_bad=on_bad, quarantine=tmp_path / "q")
        assert labels == expected
    labels, found = epoch(url, on_bad=on_bad)
    kinds = {"member is apart": "missing_member"}

    assert labels == expected
    found.sort(key=lambda sample: sample.number_in_shard)
    assert [sample._replace(digest="") for sample in found] == [
        BadSample(url, key_of(fault, k), reason, kinds.get(reason[:15], "unreadable_member"), field, k)
        for k, (reason, field) in bad.items()
    ]


def key_of(fault: str, place: int) -> str:
    return {"a label appended": "3", "images first, then labels": str(place % 4)}.get(fault, str(place))


def test_raised_it_names_the_sample(tmp_path):
    """With on_bad="raise", the error names the sample."""
    url = str(make_tar(tmp_path / "s.tar", with_two(3, ("3.cls", b"7"))))
    with pytest.raises(ShardError, match=r"s\.tar: 3: has two members 'cls'"):
        epoch(url, on_bad="raise")


def test_all_members_are_asked_for(tmp_path):
    """A duplicate of a member that no field reads is a fault only if all members are read."""
    url = str(make_tar(tmp_path / "s.tar", with_two(3, ("3.txt", b"a"), ("3.txt", b"b"))))
    options = {"batch_size": 8, "on_bad": "drop", "max_bad_fraction": 1.0, "quarantine": tmp_path / "q"}
    fields = ("image", "cls", "__members__")
    with ZoomLoader(url, UniformSampler(8), fields=fields, **options) as loader:
        with pytest.warns(ShardWarning, match="has two members 'txt'"):
            assert [len(labels) for _, labels, _ in loader] == [7]
        assert [bad.field for bad in loader.bad_samples] == ["__members__"]
    assert epoch(url, quarantine=tmp_path / "q") == (list(range(8)), [])


@pytest.mark.parametrize("content", [b"", b"<html>" * 100])
def test_a_tar_that_is_none(content, tmp_path):
    """If one file is no tar, the samples of the other tars are delivered."""
    for name in ("a", "c"):
        make_tar(tmp_path / f"{name}.tar", with_two(8))
    (tmp_path / "b.tar").write_bytes(content)
    with pytest.warns(ShardWarning, match=r"b\.tar: is .*; nothing of it is read$"):
        labels, found = epoch(str(tmp_path / "?.tar"))

    assert (labels, found) == ([*range(8)] * 2, [])


def test_packed_on_a_mac(tmp_path):
    """macOS's shadow files and attributes in headers are no samples and no parts of samples."""
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for k in range(8):
            for name, data in sample(k):
                for path, held in ((f"t/._{name}", b"\0\5\x16\7"), (f"t/{name}", data)):
                    info = tarfile.TarInfo(path)
                    info.size = len(held)
                    info.pax_headers = {"SCHILY.xattr.com.apple.quarantine": "0081;0;Safari"}
                    tar.addfile(info, io.BytesIO(held))

    assert epoch(str(tmp_path / "a.tar")) == (list(range(8)), [])


def test_hard_links(tmp_path):
    """Samples whose images are hard links to one file are separate samples."""
    files = [
        member
        for k in range(8)
        for member in [(f"{k}.jpg", HardLink("0.jpg") if k else JPEG), (f"{k}.cls", b"%d" % k)]
    ]

    assert epoch(str(make_tar(tmp_path / "s.tar", files))) == (list(range(8)), [])


@pytest.mark.usefixtures("_quiet_sheet")
def test_zoomed_offline(tmp_path):
    """In foveal zoom, each bad sample has a row with its reason; a damaged shard is named after all others are done."""
    jpegs = {k: encode(picture(k, 40, 60)) for k in range(4)}
    files = [m for k, jpeg in jpegs.items() for m in [(f"{k}.jpg", jpeg), (f"{k}.cls", b"1")]]
    make_tar(tmp_path / "a.tar", [*files, ("3.cls", b"2"), ("4.jpg", "link"), ("4.cls", b"1")])
    (tmp_path / "b.tar").write_bytes(b"junk" * 500)
    make_tar(tmp_path / "c.tar", files)
    recipe = Recipe(out_size=24, format="png")
    with (
        pytest.raises(ShardError, match=r"b\.tar: is not a tar: .*of which nothing was zoomed$"),
        pytest.warns(ShardWarning),
    ):
        zoom(str(tmp_path / "?.tar"), tmp_path / "out", recipe, max_bad_fraction=1.0)

    statuses = [(row["key"], row["status"]) for row in rows_of(tmp_path / "out")]
    ok = [(str(k), "ok") for k in range(4)]
    assert statuses == [*ok[:3], ("3", "unreadable_member"), ("4", "unreadable_member"), *ok]
    assert [key for key, _ in samples_of(tmp_path / "out")] == ["0", "1", "2", "0", "1", "2", "3"]
    with pytest.warns(ShardWarning):
        assert verify_against(str(tmp_path / "out"), [str(tmp_path / "?.tar")])
    assert not verify_against(str(tmp_path / "out"), [str(tmp_path / "[ac].tar")])


@pytest.fixture
def _quiet_sheet(monkeypatch):
    """Skip the sheet, which would take time."""
    monkeypatch.setitem(sys.modules, "foveal.tools.offline._sheet", None)


def test_verified(tmp_path):
    """One run of foveal verify finds all faults."""
    make_tar(tmp_path / "a.tar", with_two(3, ("3.jpg", JPEG)))
    (tmp_path / "b.tar").write_bytes(b"")
    (tmp_path / "c.tar").write_bytes((tmp_path / "a.tar").read_bytes() * 2)
    command = [
        sys.executable,
        "-m",
        "foveal.tools",
        "verify",
        str(tmp_path / "?.tar"),
        "--quarantine",
        str(tmp_path / "q"),
    ]
    run = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "250"},
    )

    assert (run.returncode, run.stderr) == (1, "")
    assert "b.tar: is an empty file, not a tar; nothing of it is read" in run.stdout
    assert "c.tar: goes on behind its end mark" in run.stdout
    assert "has two members 'jpg'" in run.stdout
    assert "14 images decoded; 2 bad" in run.stdout


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            [
                f"{folder}/{k}.{ext}"
                for folder, ext in (("images", "jpg"), ("labels", "cls"))
                for k in range(9)
            ],
            "there is no cls beside images/8.jpg, but labels/8.cls elsewhere",
        ),
        (
            [
                f"n{n}/{k}.{ext}"
                for n in range(2)
                for k in range(9)
                for ext in ("jpg", "cls")
                if ext != "cls" or n
            ],
            "there is no cls, only jpg",
        ),
        ([f"{k}.jpg" for k in range(9)], "there is no cls, only jpg"),
        (
            [f"{k}.{ext}" for k in range(9) for ext in ("jpg", "a.cls", "b", "c", "d")],
            "no cls, only a.cls and c and jpg and b and 1 more",
        ),
    ],
)
def test_what_stands_apart_is_told_from_what_is_missing(tmp_path, files, said):
    """Parts of one sample in two folders are named; complete samples of one name are not taken for parts."""
    url = str(
        make_tar(tmp_path / "s.tar", [(name, JPEG if name.endswith("jpg") else b"1") for name in files])
    )
    options = {"batch_size": 9, "on_bad": "drop", "max_bad_fraction": 1.0}
    with ZoomLoader(url, UniformSampler(8), **options) as loader, warnings.catch_warnings():
        warnings.simplefilter("ignore", ShardWarning)
        list(loader)
    bad = {sample.number_in_shard: sample.reason for sample in loader.bad_samples}

    assert said in bad[8]
    assert ("side by side" in bad[8]) == ("elsewhere" in said)


def test_too_many_of_them_say_so(tmp_path):
    """If there are too many such parts, the error says so, as it is the first thing that a user sees of such a tar."""
    files = [*((f"{k}.jpg", JPEG) for k in range(6)), *((f"{k}.cls", b"1") for k in range(6))]
    url = str(make_tar(tmp_path / "s.tar", files))
    with pytest.raises(TooManyBadSamplesError, match="side by side"):
        epoch(url, max_bad_fraction=0.1)
    with pytest.raises(TooManyBadSamplesError, match=r"100 samples in a row are bad.*side by side"):
        epoch(url)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("masks.png", "there is no masks.png, only mask.png and png and depth.png and json and 2 more"),
        ("clss;cst", "there is no clss or cst, only cls and txt and json and mask.png and 2 more"),
    ],
)
def test_of_many_members_the_nearest_are_named(write_shard, asked, said):
    """Of a sample with many members, those are named that a mistyped field may mean, and the others are counted."""
    members = ("cls", "depth.png", "json", "mask.png", "txt")
    url = write_shard(
        [{"__key__": "s", "png": encode(picture(0, 20, 20), "PNG")} | dict.fromkeys(members, b"1")]
    )
    options = {"batch_size": 1, "fields": ("image", asked), "on_bad": "raise"}
    with (
        ZoomLoader(url, UniformSampler(8), **options) as loader,
        pytest.raises(ShardError, match=f"{re.escape(said)}$"),
    ):
        list(loader)
