"""An entry of a quarantine file holds for the fields, settings and samples with which it was found, and for no others."""

import functools
import json
import re
import warnings

import numpy as np
import pytest

from foveal.pipeline import Boxes, Mask, Quarantine, TooManyBadSamplesError, ZoomLoader
from foveal.pipeline.fields import encode_array
from foveal.sampler import UniformSampler
from foveal.shards import ShardWarning, ShardWriter
from tests.pipeline.faults.quarantined import ALL, CUT, epoch
from tests.pipeline.making import encode, picture


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


@pytest.mark.parametrize("on_bad", ["substitute", "drop", "raise"])
def test_a_window_that_was_given(tmp_path, on_bad):
    """Images that needed a window are tried again with one, and not listed twice."""
    url, file = str(tmp_path / "s.tar"), tmp_path / "bad.jsonl"
    with ShardWriter(url) as writer:
        for key in ALL:
            writer.write({"__key__": key, "npy": encode_array(np.full((20, 30), int(key), np.int16))})
    names = {"fields": ("__key__", "npy"), "batch_size": 20, "quarantine": file}
    with (
        ZoomLoader(url, UniformSampler(8), on_bad="drop", max_bad_fraction=1, **names) as loader,
        pytest.warns(ShardWarning, match="needs a window"),
    ):
        assert [keys for keys, _ in loader] == [[]]
    listed = Quarantine(file).read()
    assert {bad.kind for bad in listed} == {"unsupported"}

    with ZoomLoader(
        url, UniformSampler(8), on_bad=on_bad, max_bad_fraction=0, window=(0, 20), **names
    ) as loader:
        assert [keys for keys, _ in loader] == [ALL]
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
