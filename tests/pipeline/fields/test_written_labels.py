"""Masks are written back to the members that they came from. Boxes and points have test files of their own."""

import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from foveal.pipeline import Mask
from tests.pipeline.making import encode


@pytest.mark.parametrize("most", [1, 255, 256, 65535])
def test_masks_that_were_written_are_read(most):
    """Masks are written with 8 bits if these suffice, else with 16, and read back equal."""
    label = torch.tensor([[0, most, 0], [1, 0, 1]])
    field, members = Mask("m.png"), {"m.png": encode(np.zeros((9, 9), np.uint8), "PNG")}
    written = field.write(members, label, (2, 3))

    assert set(written) == {"m.png"}
    assert torch.equal(field.read(written, max_pixels=None).long(), label)
    assert Image.open(io.BytesIO(written["m.png"])).mode == ("L" if most < 256 else "I;16")


def test_ids_that_no_png_holds():
    """Ids that do not fit in a PNG are refused."""
    with pytest.raises(ValueError, match=re.escape("class ids must be at most 65535 in a PNG, got 65536.")):
        Mask("m.png").write(
            {"m.png": encode(np.zeros((1, 1), np.uint8), "PNG")}, torch.tensor([[65536]]), (1, 1)
        )


def test_ids_without_a_colour():
    """If ids exceed the palette, the file is written in grey."""
    old = Image.new("P", (2, 1))
    old.putpalette([0, 0, 0, 255, 0, 0])
    written = Mask("m.png").write({"m.png": encode(old, "PNG")}, torch.tensor([[1, 200]]), (1, 2))

    assert Mask("m.png").read(written, max_pixels=None).tolist() == [[1, 200]]
