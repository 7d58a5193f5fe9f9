"""A mistyped path is reported, although each sample by itself could have no labels."""

import warnings

import pytest

from foveal.pipeline import Boxes, Points, ZoomLoader
from foveal.pipeline.fields import parse_fields
from foveal.sampler import UniformSampler
from tests.pipeline.fields.label_files import js
from tests.pipeline.making import encode, picture

JPEG = encode(picture(0, 40, 60))
TYPED_WRONG = (
    r"json boxs is absent in all of {} samples, the last of which has json b'{{\"boxes\": \[\]}}': is 'json:boxs' "
    r"where the labels are\?"
)


def shard(write_shard, *documents):
    return write_shard(
        [{"__key__": f"{k}", "jpg": JPEG, "json": document} for k, document in enumerate(documents)]
    )


def load(url, *fields):
    with ZoomLoader(url, UniformSampler(8), batch_size=4, fields=("image", *fields)) as loader:
        return list(loader)


def test_labels_that_no_sample_has(write_shard):
    """At the end of an epoch, a warning says what the samples have instead."""
    url = shard(write_shard, *[{"boxes": []}] * 3)

    with pytest.warns(UserWarning, match=TYPED_WRONG.format(3)):
        [(_, (boxes, _))] = load(url, Boxes("json:boxs"))
    assert [len(each) for each in boxes] == [0, 0, 0]


def test_labels_that_some_sample_has(write_shard):
    """If some samples have the labels, there is no warning."""
    url = shard(write_shard, {}, {"boxes": [[1, 2, 30, 40]]}, {"boxes": []}, {"points": None})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batches = load(url, Boxes("json:boxes"))

    assert [len(each) for each in batches[0][1].boxes] == [0, 1, 0, 0]


def test_a_long_epoch_is_warned_early():
    """In a long epoch, the warning comes once, after a hundred samples."""
    fields = parse_fields(("image", Points("json:boxs")))
    for _ in range(99):
        fields.located({"json": js({"boxes": []})})
    with pytest.warns(UserWarning, match=TYPED_WRONG.format(100)):
        fields.located({"json": js({"boxes": []})})
    for _ in range(200):
        fields.located({"json": js({"boxes": []})})
    fields.absences.end_epoch()


def test_yolo_without_any_file(write_shard):
    """A missing txt member means no objects in one picture, and a warning if all pictures lack it."""
    url = write_shard([{"__key__": f"{k}", "jpg": JPEG, "cls": k} for k in range(2)])

    with pytest.warns(
        UserWarning, match="txt is absent in all of 2 samples, the last of which has the members jpg"
    ):
        load(url, Boxes("txt"))
