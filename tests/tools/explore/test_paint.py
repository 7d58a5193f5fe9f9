"""The pictures of foveal explore, looked at by what stands where."""

from dataclasses import replace

import numpy as np
import pytest

from foveal.shards import ShardWriter
from foveal.tools.explore._looker import Looker
from foveal.tools.explore._settings import Settings, Source
from tests.pipeline.making import encode

pytest.importorskip("matplotlib", reason="no matplotlib: pip install '.[plots]'")

from foveal.tools.explore._paint import original_with_grid, saliency_over_grey, zoomed_with_boxes

BOX = (30, 130, 90, 190)  # of an image of 400 x 300


def source_of(folder, height, width):
    """A grey image, with a box that does not lie in the middle."""
    grey = np.full((height, width, 3), 90, np.uint8)
    with ShardWriter(folder / "grey.tar") as writer:
        writer.write({"__key__": "0", "png": encode(grey, "PNG"), "json": {"boxes": [list(BOX)]}})
    return Source((str(folder / "grey.tar"),), boxes="json:boxes")


@pytest.mark.parametrize("view", [{}, {"hflip": 1.0}, {"rotate_deg": 45}, {"hflip": 1.0, "crop_least": 0.5}])
def test_saliency_lies_where_it_came_from(tmp_path, view):
    """The brightest place is in the box that zooms, also if a view shows the image mirrored, turned or cropped."""
    look = Looker(source_of(tmp_path, 300, 400)).look(0, Settings(saliency="boxes", **view))
    drawn = np.asarray(saliency_over_grey(look)).astype(int).sum(-1)
    rows, cols = (drawn >= drawn.max() - 10).nonzero()
    x, y = (cols.mean() + 0.5) * 400 / drawn.shape[1], (rows.mean() + 0.5) * 300 / drawn.shape[0]

    assert (look.view is not None) == bool(view)
    assert BOX[0] < x < BOX[2]
    assert BOX[1] < y < BOX[3]


def test_what_a_view_leaves_out_has_no_colour(tmp_path):
    """Around a crop the original is grey; without a view the map covers all of it."""
    looker = Looker(source_of(tmp_path, 300, 400))

    def share_in_colour(**view):
        picture = np.asarray(saliency_over_grey(looker.look(0, Settings(saliency="boxes", **view))))
        return (np.ptp(picture, axis=-1) > 0).mean()

    assert share_in_colour() == 1
    assert share_in_colour(crop_least=0.1) < 0.9


def test_lines_are_as_fine_on_a_small_image(tmp_path):
    """The grid covers as much of an image of 80 x 60 pixels as of one of 1600 x 1200."""

    def covered(times):
        source = replace(source_of(tmp_path, 60 * times, 80 * times), boxes=None)
        picture = original_with_grid(Looker(source).look(0, Settings(saliency="uniform")))
        return (np.abs(np.asarray(picture).astype(int) - 90).max(-1) > 20).mean()

    small = covered(1)

    assert small == pytest.approx(covered(20), abs=0.03)
    assert small < 0.5


@pytest.mark.parametrize(("size", "width"), [(32, 1), (224, 2)])
def test_a_frame_is_as_fine_on_a_small_output(tmp_path, size, width):
    """A box in the zoomed image has a frame of one pixel if there are few."""
    look = Looker(source_of(tmp_path, 300, 400)).look(0, Settings(saliency="uniform", size=size))
    differs = (np.asarray(zoomed_with_boxes(look)) != 90).any(-1)

    assert np.flatnonzero(differs[round(160 / 300 * size)]).size == 2 * width
