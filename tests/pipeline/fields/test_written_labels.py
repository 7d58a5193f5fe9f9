"""Labels that are put back into the members that they came from."""

import io
import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from PIL import Image

from foveal.pipeline import Boxes, Mask, Points, WarpedBoxes
from tests.pipeline.fields.test_fields import npy
from tests.pipeline.making import encode


def js(value) -> bytes:
    return json.dumps(value).encode()


OLD_BOXES = [[9, 9, 12, 12], [1, 2, 3, 4], [5, 5, 6, 6]]
corners = st_numpy.arrays(
    np.float64, st.tuples(st.integers(0, 3), st.just(4)), elements=st.floats(0, 500, width=32)
).map(lambda rows: np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:]], axis=1))


def check_round_trip(field, members, label):
    """What was written is what is read, to the decimals of JSON; members that were not written are not there."""
    changed = field.write(members, label)
    expected = label.boxes[0] if isinstance(label, WarpedBoxes) else label

    assert set(changed) == {field.extensions[0]}
    torch.testing.assert_close(
        field.read({**members, **changed}, max_pixels=None).double(), expected.double(), rtol=0, atol=1e-3
    )


@settings(deadline=None)
@given(corners, st.sampled_from(["xyxy", "xywh", "cxcywh"]), st.booleans())
def test_boxes_that_were_written_are_read(rows, box_format, in_json):
    """In each format and kind of member."""
    label = WarpedBoxes([torch.from_numpy(rows).float()], [torch.arange(len(rows))])
    source, members = (
        ("json:a.boxes", {"json": js({"a": {"boxes": OLD_BOXES}})})
        if in_json
        else ("npy", {"npy": npy(np.array(OLD_BOXES))})
    )

    check_round_trip(Boxes(source, format=box_format), members, label)


@settings(deadline=None)
@given(corners, st.booleans())
def test_points_that_were_written_are_read(rows, in_json):
    """Also those beyond the image."""
    label = torch.from_numpy(rows[:, :2] - 100).float()
    source, members = (
        ("json:p", {"json": js({"p": []})}) if in_json else ("npy", {"npy": npy(np.zeros((3, 2)))})
    )

    check_round_trip(Points(source), members, label)


@pytest.mark.parametrize("most", [1, 255, 256, 65535])
def test_masks_that_were_written_are_read(most):
    """As 8 bits if they suffice, else as 16."""
    label = torch.tensor([[0, most, 0], [1, 0, 1]])
    field, members = Mask("m.png"), {"m.png": encode(np.zeros((9, 9), np.uint8), "PNG")}
    written = field.write(members, label)

    check_round_trip(field, members, label)
    assert Image.open(io.BytesIO(written["m.png"])).mode == ("L" if most < 256 else "I;16")


def test_a_wrong_box_would_be_seen():
    """The check above fails if a field wrote another box than it was given."""

    class Wrong(Boxes):
        def write(self, members, label):
            return super().write(members, WarpedBoxes([label.boxes[0] + 1], label.kept))

    label = WarpedBoxes([torch.tensor([[1.0, 2, 3, 4]])], [torch.tensor([1])])
    with pytest.raises(AssertionError, match="Tensor-likes are not close"):
        check_round_trip(Wrong("json"), {"json": js([])}, label)


def test_the_rest_of_a_document_stays():
    """Beside boxes stands which of the old ones they are; nothing else changes."""
    old = {"a": {"boxes": OLD_BOXES, "names": ["x", "y", "z"]}, "boxes": 7}
    label = WarpedBoxes([torch.tensor([[1.0, 2, 3, 4.00004]])], [torch.tensor([1])])
    written = Boxes("json:a.boxes").write({"json": js(old)}, label)

    assert json.loads(written["json"]) == {
        "a": {"boxes": [[1, 2, 3, 4]], "boxes_kept": [1], "names": ["x", "y", "z"]},
        "boxes": 7,
    }
    assert Boxes("json").write({"json": js(OLD_BOXES)}, label) == {"json": b"[[1.0, 2.0, 3.0, 4.0]]"}


def test_ids_that_no_png_holds():
    """Are refused, not cut."""
    with pytest.raises(ValueError, match=re.escape("class ids must be at most 65535 in a PNG, got 65536.")):
        Mask("m.png").write({"m.png": b""}, torch.tensor([[65536]]))
