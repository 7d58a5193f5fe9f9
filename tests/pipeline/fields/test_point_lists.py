"""Points as labelling tools write them are read, and written back."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.pipeline import Points
from foveal.pipeline.fields import ImagePoints
from tests.pipeline.fields.label_files import js
from tests.pipeline.making import npy

NONE = (math.nan, math.nan)


def read(field, member, content):
    return field.read({member: content}, max_pixels=None)


def same(points, expected):
    torch.testing.assert_close(
        points.double(), torch.tensor(expected, dtype=torch.float64).reshape(-1, 2), equal_nan=True
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([[1, 2], [3, 4]], [(1, 2), (3, 4)]),
        ([[1, 2, 2], [0, 0, 0], [5, 6, 1]], [(1, 2), NONE, (5, 6)]),
        ([1, 2, 2, 0, 0, 0, 5, 6, 1], [(1, 2), NONE, (5, 6)]),
        ([1, 2, 3, 4, 5, 6, 7, 8], [(1, 2), (3, 4), (5, 6), (7, 8)]),
        ([1, 2], [(1, 2)]),
        ([1, 2, 0.7], [(1, 2)]),
        ([1, 2, 3, 4], [(1, 2), (3, 4)]),
        ([[1, 2], [None, None], None, [3, 4]], [(1, 2), NONE, NONE, (3, 4)]),
        ([[1, 2], [math.nan, 5]], [(1, 2), NONE]),
        ([[[1, 2, 2], [0, 0, 0]], [[5, 6, 1], [7, 8, 2]]], [(1, 2), NONE, (5, 6), (7, 8)]),
        ([[[1, 2, 2]], None, []], [(1, 2)]),
        ([[1, 2, 3, 4, 5, 6, 7, 8], [9, 9]], [(1, 2), (3, 4), (5, 6), (7, 8), (9, 9)]),
        ([1, 2, None], [(1, 2)]),
        ([1, 2, None, None], [(1, 2), NONE]),
        ([None], [NONE]),
        ([None] * 2, [NONE] * 2),
        ([None] * 6, [NONE] * 6),
        ([None] * 68, [NONE] * 68),
        ([[None, None]] * 4, [NONE] * 4),
        ([[None, None], None, [None, None]], [NONE] * 3),
        ([[None] * 4, [None] * 4], [NONE] * 8),
        ([[[1, 2], None, [3, 4]], [None] * 3], [(1, 2), NONE, (3, 4), NONE, NONE, NONE]),
        ([[None, [1, 2]], None], [NONE, (1, 2)]),
        ([[1, 2, 3, 4, 5, 6, 7, 8], [None] * 8], [(1, 2), (3, 4), (5, 6), (7, 8), *[NONE] * 4]),
        ([], []),
        ([[]], []),
        (None, []),
    ],
)
def test_points_are_read(value, expected):
    """Pairs, triples and flat lists are read; an absent point is NaN, so that the others keep their numbers."""
    same(read(Points("json:p"), "json", js({"p": value})).points, expected)


def test_the_format_decides_where_numbers_do_not_tell():
    """Six numbers are three pairs or two triples, as the format says."""
    six = js({"p": [1, 2, 3, 4, 5, 0]})

    same(read(Points("json:p", format="xy"), "json", six).points, [(1, 2), (3, 4), (5, 0)])
    same(read(Points("json:p", format="xyv"), "json", six).points, [(1, 2), NONE])
    same(read(Points("json:p", format="xy"), "json", js({"p": [[1, 2, 3, 4]]})).points, [(1, 2), (3, 4)])


def test_points_of_all_items_of_a_list():
    """Points of COCO's persons are read one person after the other; a person without points adds none."""
    people = {"annotations": [{"keypoints": [1, 2, 2, 0, 0, 0, 5, 6, 1]}, {}, {"keypoints": [[7, 8, 1]]}]}

    found = read(Points("json:annotations[].keypoints"), "json", js(people)).points
    same(found, [(1, 2), NONE, (5, 6), (7, 8)])


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.one_of(st.none(), st.tuples(*[st.integers(0, 99)] * 2).map(list)), min_size=1), min_size=1
    ),
    st.sampled_from([None, "xy"]),
)
def test_a_person_without_any_point_in_sight_keeps_the_numbers_of_the_others(persons, point_format):
    """Each null is a point, also where all points of a person, or of all persons, are null."""
    expected = [each or NONE for person in persons for each in person]
    items = js({"p": [{"k": person} for person in persons]})

    same(read(Points("json:p[].k", format=point_format), "json", items).points, expected)
    same(
        read(
            Points("json:p", format=point_format), "json", js({"p": list(itertools.chain(*persons))})
        ).points,
        expected,
    )


def test_nulls_beside_flat_lists_are_numbers():
    """Lists of nothing but nulls are read in the form of those beside them: in other items, flat lists of numbers."""
    pairs = js({"p": [{"xy": [1, 2]}, {"xy": [None, None]}, {"xy": [5, 6]}]})
    triples = js({"p": [{"k": [1, 2, 2, 5, 6, 1]}, {"k": [None] * 6}, {"k": [7, 8, 0, 9, 9, 2]}]})

    same(read(Points("json:p[].xy"), "json", pairs).points, [(1, 2), NONE, (5, 6)])
    same(
        read(Points("json:p[].k", format="xyv"), "json", triples).points,
        [(1, 2), (5, 6), NONE, NONE, NONE, (9, 9)],
    )


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[1, 2], [3, 4]]), [(1, 2), (3, 4)]),
        (np.array([[1, 2, 0.5], [3, 4, 0]]), [(1, 2), NONE]),
        (np.array([[[1, 2], [3, np.nan]]]), [(1, 2), NONE]),
        (np.zeros((0, 17, 3)), []),
        (np.zeros(0), []),
    ],
)
def test_points_of_arrays(array, expected):
    """Arrays with any number of leading axes are read, and so is what a function returns."""
    same(read(Points("npy"), "npy", npy(array)).points, expected)
    same(read(Points(lambda _: array), "x", b"").points, expected)
    same(read(Points(lambda _: None), "x", b"").points, [])


OLD = [
    [[1, 2, 2], [0, 0, 0], [5, 6, 1]],
    [1, 2, 2, 0, 0, 0, 5, 6, 1],
    [[1, 2], None, [5, 6]],
    [[[1, 2], [None, None]], [[5, 6]]],
]


@settings(deadline=None)
@given(
    st.sampled_from(OLD),
    st.lists(st.floats(-9, 99, width=32), min_size=4, max_size=4),
    st.sampled_from(["pixel", "fraction"]),
)
def test_points_are_written_back(value, numbers, frame):
    """Points are written in their original form; absent points and other entries do not change."""
    field = Points("json:p[].k", frame=frame)
    old = js({"p": [{"k": value, "name": "a"}, {}], "more": 1})
    new = torch.tensor([numbers[:2], NONE, numbers[2:]])
    document = field.write({"json": old}, ImagePoints(new), (32, 40))["json"]

    again = read(field, "json", document)
    size = torch.tensor([40.0, 32.0]) if frame == "fraction" else 1
    torch.testing.assert_close(again.points * size, new, equal_nan=True, rtol=0, atol=1e-3)
    assert json.loads(document)["more"] == 1
    assert json.loads(document)["p"][0]["name"] == "a"


def test_the_form_stays():
    """Visibilities, nulls and nesting are kept."""
    field, new = Points("json:p"), ImagePoints(torch.tensor([[10.0, 20], NONE, [30, 40.00004]]))
    forms = [json.loads(field.write({"json": js({"p": value})}, new, (9, 9))["json"])["p"] for value in OLD]

    assert forms == [
        [[10, 20, 2], [0, 0, 0], [30, 40, 1]],
        [10, 20, 2, 0, 0, 0, 30, 40, 1],
        [[10, 20], None, [30, 40]],
        [[[10, 20], [None, None]], [[30, 40]]],
    ]


@pytest.mark.parametrize("nulls", [1, 2, 3, 4, 6, 68])
def test_points_are_written_beside_those_that_are_all_absent(nulls):
    """A person whose points are all null stays as it is, and the points of the next one are written into that one."""
    field = Points("json:p[].k")
    old = {"p": [{"k": [None] * nulls}, {"k": [[1, 2], None]}]}
    new = ImagePoints(torch.tensor([NONE] * nulls + [(7.0, 8.0), NONE]))
    written = json.loads(field.write({"json": js(old)}, new, (9, 9))["json"])

    assert written == {"p": [{"k": [None] * nulls}, {"k": [[7, 8], None]}]}


def test_arrays_are_written_back():
    """Arrays are written with their visibilities, and absent points do not change."""
    old = np.array([[[1, 2, 2], [0, 0, 0]]])
    new = ImagePoints(torch.tensor([[10.0, 20], NONE]))
    written = Points("npy").write({"npy": npy(old)}, new, (9, 9))["npy"]

    assert written == npy(np.array([[[10, 20, 2], [0, 0, 0]]], np.float32))
    assert Points("npy").write({"npy": npy(np.zeros(0))}, ImagePoints(torch.zeros(0, 2)), (9, 9)) == {
        "npy": npy(np.zeros(0, np.float32))
    }
    with pytest.raises(ValueError, match="source must be a member to be written back to, got len"):
        Points(len).write({}, new, (9, 9))


@pytest.mark.parametrize(
    ("field", "points", "reason"),
    [
        (Points("json:p"), [[0.5, 0.25], [1, 1]], 'json p can only be fractions of the image, and needs frame="fraction": one is [0.5, 0.25]'),
        (Points("json:p"), [[0, 0], [None, None]], None),
        (Points("json:p"), [[0.5, 0.5], [3, 4]], None),
        (Points("json:p"), [None], None),
        (Points("json:p", frame="fraction"), [[0.5, 0.5], [1.5, 1]], None),
        (Points("json:p", frame="fraction"), [[0.5, 0.5], [30, 1]], 'json p is beyond fractions of the image, and frame="pixel" is for pixels: one is [30.0, 1.0]'),
    ],
)  # fmt: skip
def test_another_frame_is_not_taken_silently(field, points, reason):
    """Points in the wrong frame are refused; absent points are not checked."""
    value = [[None, None]] if points == [None] else points

    assert field.misfit(read(field, "json", js({"p": value})), (480, 640)) == reason


def test_points_of_an_image_of_another_size_do_not_fit():
    """If the image size that LabelMe states is not that of the image, the sample is bad."""
    content = js({"shapes": [{"points": [[1, 2]]}], "imageHeight": 100, "imageWidth": 200})
    field = Points("json:shapes[].points")

    assert field.misfit(read(field, "json", content), (100, 200)) is None
    assert field.misfit(read(field, "json", content), (50, 100)) == (
        "json shapes[].points is of an image of another size: 100 × 200, and this one has 50 × 100 pixels (height × width)"
    )
