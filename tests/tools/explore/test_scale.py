"""Sliders stand for values, and lose none."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.tools.console.zoom_choice import DESCRIBED
from foveal.tools.explore._scale import Scale

SLIDERS = [name for name, each in DESCRIBED.items() if each.label is not None]


@given(name=st.sampled_from(SLIDERS), value=st.floats(0.01, 200) | st.sampled_from([16.0, 0.0, math.inf]))
def test_every_value_has_its_mark(name, value):
    """A checkpoint's value comes back from its slider as it is, wherever it lies, and has a place on the slider."""
    if value == math.inf and DESCRIBED[name].unbounded != math.inf:
        return
    scale = Scale.reaching(DESCRIBED[name], value)

    assert scale.value_at(scale.mark_of(value)) == value
    assert scale.least <= scale.mark_of(value) <= scale.most


@pytest.mark.parametrize(
    ("name", "value", "scale"),
    [
        ("max_zoom", 5.0, (1, 16.5, 0.5)),
        ("max_zoom", math.inf, (1, 16.5, 0.5)),
        ("max_zoom", 40.3, (1, 41, 0.5)),
        ("temperature", 0.5, (0.05, 2, 0.05)),
        ("temperature", 3.0, (0.05, 3, 0.05)),
        ("fwhm_cells", 0.5, (0.5, 24, 0.5)),
    ],
)
def test_a_slider_is_as_long_as_its_value_needs(name, value, scale):
    """The marks are the usual ones, and more where a checkpoint needs more; one after them means no bound."""
    found = Scale.reaching(DESCRIBED[name], value)

    assert (found.least, found.most, found.step) == pytest.approx(scale)


def test_what_is_said_of_a_mark():
    """The mark of no bound says so; 16 is a bound like others."""
    most, least = (Scale.reaching(DESCRIBED[name], 1.0) for name in ("max_zoom", "min_zoom"))

    assert [most.text(mark) for mark in (1, 15.5, 16, 16.5)] == ["1", "15.5", "16", "no bound"]
    assert [least.text(mark) for mark in (0, 0.05)] == ["no bound", "0.05"]
