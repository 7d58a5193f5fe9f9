"""The file of bad samples."""

import json
import multiprocessing
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foveal.pipeline import BadSample, Quarantine

# Keys come out of tars: any bytes but NUL, those that are no UTF-8 as surrogates.
TEXT = st.binary(min_size=1, max_size=12).map(lambda b: b.decode("utf-8", "surrogateescape"))
SAMPLES = st.lists(st.builds(BadSample, TEXT, TEXT, TEXT), max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(parts=st.lists(SAMPLES, max_size=4))
def test_what_was_added_is_read(tmp_path, parts):
    """In its order, over several processes' lives, any key."""
    path = tmp_path / "bad.jsonl"
    path.unlink(missing_ok=True)
    for part in parts:
        Quarantine(path).add(part)

    assert Quarantine(path).read() == [sample for part in parts for sample in part]


def test_each_line_is_json(tmp_path):
    """Other tools read it."""
    Quarantine(tmp_path / "bad.jsonl").add([BadSample("a.tar", "k", "image is empty: 0 bytes")])

    lines = (tmp_path / "bad.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"url": "a.tar", "key": "k", "reason": "image is empty: 0 bytes"}
    ]


@pytest.mark.parametrize("cut", [1, 5, 12, 30])
def test_a_line_that_a_killed_process_left(tmp_path, cut):
    """What is not whole counts as not written, and the next is not lost for it."""
    path = tmp_path / "bad.jsonl"
    first, second, third = (BadSample("a.tar", str(k), "r") for k in range(3))
    Quarantine(path).add([first, second])
    path.write_bytes(path.read_bytes()[:-cut])

    left = [first, second] if cut == 1 else [first]  # all but its line end is there
    assert Quarantine(path).read() == left
    Quarantine(path).add([third])
    assert Quarantine(path).read() == [*left, third]


def test_another_file(tmp_path):
    """Refused, with the line that shows it, before anything is written to it."""
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
        Quarantine(path).add([BadSample(name, str(k), "r" * 200)])


def test_many_processes_add(tmp_path):
    """No line is lost, none is mixed with another."""
    path = tmp_path / "bad.jsonl"
    spawn = multiprocessing.get_context("fork")
    workers = [spawn.Process(target=_add, args=(path, f"{n}.tar")) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    found = Quarantine(path).read()
    assert sorted(set(found)) == sorted(found)
    assert len(found) == 300
