"""The file that lists bad samples."""

import io
import json
import multiprocessing
import re
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveal.pipeline import BadSample, FaultKind, Quarantine
from tests.full_disk import full_at

# Keys come out of tars: any bytes but NUL, those that are no UTF-8 as surrogates.
TEXT = st.binary(min_size=1, max_size=12).map(lambda b: b.decode("utf-8", "surrogateescape"))
KINDS = st.sampled_from(get_args(FaultKind))
SAMPLES = st.lists(
    st.builds(BadSample, TEXT, TEXT, TEXT, KINDS, TEXT, st.integers(-1, 9), st.sampled_from(["", "0f"])),
    max_size=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(parts=st.lists(SAMPLES, max_size=4))
def test_what_was_added_is_read(tmp_path, parts):
    """Samples that several processes added are read in their order, with any key."""
    path = tmp_path / "bad.jsonl"
    path.unlink(missing_ok=True)
    for part in parts:
        Quarantine(path).add(part)

    assert Quarantine(path).read() == [sample for part in parts for sample in part]


def test_a_file_on_a_server(tmp_path, monkeypatch):
    """A file: URL is the path that it names; another URL is refused, even if there is a folder named by its scheme."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:/bucket").mkdir(parents=True)
    message = (
        "quarantine must be a local path, got 's3://bucket/x' – only shards, and the folder that foveal zoom writes, may be "
        "elsewhere."
    )

    assert Quarantine((tmp_path / "q").as_uri()).path == tmp_path / "q"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Quarantine("s3://bucket/x")


def test_each_line_is_json(tmp_path):
    """Each line is JSON that other tools can read."""
    reason = "image is empty: 0 bytes"
    Quarantine(tmp_path / "bad.jsonl").add([BadSample("a.tar", "k", reason, "corrupt", "jpg", 3)])

    lines = (tmp_path / "bad.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "url": "a.tar",
            "key": "k",
            "reason": reason,
            "kind": "corrupt",
            "field": "jpg",
            "number_in_shard": 3,
            "digest": "",
        }
    ]


@pytest.mark.parametrize("cut", [1, 5, 12, 30])
def test_a_line_that_a_killed_process_left(tmp_path, cut):
    """An incomplete last line is ignored, and the next line is not lost."""
    path = tmp_path / "bad.jsonl"
    first, second, third = (BadSample("a.tar", str(k), "r", "corrupt") for k in range(3))
    Quarantine(path).add([first, second])
    path.write_bytes(path.read_bytes()[:-cut])

    left = [first, second] if cut == 1 else [first]  # all but its line end is there
    assert Quarantine(path).read() == left
    Quarantine(path).add([third])
    assert Quarantine(path).read() == [*left, third]


@pytest.mark.parametrize("room", [0, 1, 95, 96, 97, 98, 99, 700, 1001])
def test_a_disk_that_is_almost_full(tmp_path, room):
    """The error names the file, the lines that fit are read, and the next line is not lost."""
    path = tmp_path / "bad.jsonl"
    samples = [BadSample("a.tar", str(k), "r", "corrupt") for k in range(20)]
    with full_at(room), pytest.raises(OSError, match=re.escape(f"File too large: {str(path)!r}")):
        Quarantine(path).add(samples)

    assert path.stat().st_size == room
    listed = Quarantine(path).read()
    assert listed == samples[: len(listed)]
    Quarantine(path).add(samples[len(listed) :])
    assert Quarantine(path).read() == samples


def test_another_file(tmp_path):
    """A file that is no quarantine is refused with the offending line, before anything is written to it."""
    path = tmp_path / "labels.csv"
    path.write_text("key,label\n1,2\n")

    message = (
        "quarantine must be a JSON-lines file of bad samples, got b'key,label' in line 1 of "
        f"{str(path)!r} – name another file."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        Quarantine(path).read()


def _add(path, name):
    for k in range(100):
        Quarantine(path).add([BadSample(name, str(k), "r" * 200, "corrupt")])


def _add_in_three_processes(path):
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=_add, args=(path, f"{n}.tar")) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def test_many_processes_add(tmp_path):
    """No line of any process is lost or mixed with another."""
    path = tmp_path / "bad.jsonl"
    _add_in_three_processes(path)

    found = Quarantine(path).read()
    assert sorted(set(found)) == sorted(found)
    assert len(found) == 300


class Grudging(io.FileIO):
    """A file that takes at most seven bytes at a time."""

    def write(self, content):
        return super().write(content[:7])


def test_writes_that_take_a_part(tmp_path, monkeypatch):
    """If a write takes some of its bytes, the rest is written before another process writes."""
    path = tmp_path / "bad.jsonl"
    monkeypatch.setattr(Path, "open", lambda path, mode, **_: Grudging(path, mode.replace("b", "")))
    _add_in_three_processes(path)
    monkeypatch.undo()

    assert len(set(Quarantine(path).read())) == 300


@pytest.mark.parametrize(
    ("reason", "kind", "field"),
    [
        ("member is missing: there is no jpg or jpeg or png or webp", "missing_member", "jpg;jpeg;png;webp"),
        ("member is missing: there is no lable", "missing_member", "lable"),
        ("cls is not an integer: b'dog'", "bad_label", "cls"),
        ("json is not JSON: b'{'", "bad_label", "json"),
        ("json has no boxes: {}", "bad_label", ""),
        ("json boxes has exchanged corners: row 0 is [3.0, 2.0, 1.0, 4.0]", "bad_label", ""),
        ("image is cut: after 9000 bytes there is no end mark", "corrupt", ""),
        ("image has more pixels than max_pixels=5: 2 × 3 pixels (height × width)", "too_large", ""),
    ],
)
def test_a_file_of_an_older_version(tmp_path, reason, kind, field):
    """Lines with only a reason are read; kind and field are derived from the reason."""
    line = json.dumps({"url": "a.tar", "key": "k", "reason": reason})
    (tmp_path / "bad.jsonl").write_text(line + "\n")

    assert Quarantine(tmp_path / "bad.jsonl").read() == [BadSample("a.tar", "k", reason, kind, field)]


@pytest.mark.parametrize("more", [{"kind": "odd"}, {"kind": "corrupt", "severity": 3}])
def test_a_line_of_a_newer_version(tmp_path, more):
    """A line with an unknown kind is ignored, so its sample is tried again."""
    known = BadSample("a.tar", "0", "r", "corrupt")
    Quarantine(tmp_path / "bad.jsonl").add([known])
    with (tmp_path / "bad.jsonl").open("a") as file:
        file.write(json.dumps({"url": "a.tar", "key": "k", "reason": "r", **more}) + "\n")

    assert Quarantine(tmp_path / "bad.jsonl").read() == [known]
