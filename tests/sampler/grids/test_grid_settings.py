"""The settings of a grid travel as one value."""

import dataclasses
import inspect
import json
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foveal._choices import MAX_ZOOM
from foveal.sampler import SaliencySampler, ZoomRecord, zoom_grid
from foveal.sampler.grids import GridSettings, unchecked_grid
from tests.checks import unhooked
from tests.strategies import FAMILIES, PADDINGS, softmax_map

SETTINGS = st.fixed_dictionaries(
    {
        "family": st.sampled_from(FAMILIES),
        "padding": st.sampled_from(PADDINGS),
        "fwhm_cells": st.floats(2, 13),
        "max_zoom": st.none() | st.floats(1.5, 9),
        "min_zoom": st.none() | st.floats(0.1, 0.9),
        "marginal": st.sampled_from(["sum", "max"]),
        "bound": st.sampled_from(["blend", "local", "axes"]),
    }
)
NAMES = [field.name for field in dataclasses.fields(GridSettings)]


def test_they_are_the_keywords_of_zoom_grid():
    """Names and defaults of the value equal the keywords of zoom_grid."""
    keywords = {
        name: parameter.default
        for name, parameter in inspect.signature(zoom_grid).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }

    assert keywords == dataclasses.asdict(GridSettings())


@pytest.mark.parametrize("of", [SaliencySampler, ZoomRecord])
def test_a_sampler_and_a_record_take_them_one_by_one(of):
    """SaliencySampler and ZoomRecord have the same keywords with the same defaults."""
    parameters = inspect.signature(of).parameters

    own = {"max_zoom": MAX_ZOOM} if of is SaliencySampler else {}
    for name, default in (dataclasses.asdict(GridSettings()) | own).items():
        assert parameters[name].default == default, name


@given(SETTINGS)
def test_json_brings_them_back(settings):
    """Settings survive JSON text, and equal ones compare equal."""
    whole = GridSettings(**settings)
    again = GridSettings.from_json(json.loads(json.dumps(whole.to_json())))

    assert (again, hash(again)) == (whole, hash(whole))


def test_files_of_the_first_version_keep_their_meaning():
    """Old files of "kernel" grids keep their bounds along the axes, and old versions refuse files that they would misread."""
    first = {"family": "kernel", "fwhm_cells": 8.0, "padding": "reflect", "max_zoom": 2.0, "min_zoom": None}
    read = GridSettings.from_json(first)

    assert read == GridSettings(max_zoom=2.0, bound="axes")
    assert (read.to_json(), read.version) == (first, 1)
    assert GridSettings(max_zoom=2.0).to_json() == {**first, "bound": "blend"}
    assert GridSettings(max_zoom=2.0).version == 2
    assert GridSettings().version == 1
    for family in ("separable", "cdf"):
        there = {**first, "family": family}
        assert GridSettings.from_json(there) == GridSettings(family=family, max_zoom=2.0)
        assert GridSettings(family=family, max_zoom=2.0).to_json() == there


@given(SETTINGS)
def test_the_grid_is_that_of_the_keywords(settings):
    """A sampler's grid is bit-identical to zoom_grid's."""
    saliency = softmax_map(7, 9, batch=2)

    assert torch.equal(
        unchecked_grid(saliency / saliency.sum((2, 3), keepdim=True), (6, 8), GridSettings(**settings)),
        zoom_grid(saliency, (6, 8), **settings),
    )


def test_a_sampler_has_each_as_an_attribute():
    """Each setting is an attribute of a sampler that can be read and set, with all checks."""
    zoom = SaliencySampler(8, max_zoom=4.0)
    zoom.max_zoom, zoom.family = 2.0, "cdf"

    assert zoom.grid_settings == GridSettings(family="cdf", max_zoom=2.0)
    assert (zoom.family, zoom.fwhm_cells, zoom.padding, zoom.max_zoom, zoom.min_zoom) == (
        "cdf",
        8.0,
        "reflect",
        2.0,
        None,
    )
    assert zoom.source_px == (32, 32)
    with unhooked(), pytest.raises(ValueError, match=re.escape("max_zoom must be at least 1, got 0.5")):
        zoom.max_zoom = 0.5
    assert zoom.max_zoom == 2.0


def test_setting_an_attribute_changes_the_grid():
    """After setting an attribute, the grid is that of a sampler made with this value."""
    image = torch.rand(1, 3, 40, 50)
    zoom = SaliencySampler(8, temperature=0.001).eval()
    bounded = SaliencySampler(8, saliency=zoom.saliency, temperature=0.001, max_zoom=1.5).eval()
    before = zoom(image).grid
    zoom.max_zoom = 1.5

    assert not torch.equal(before, bounded(image).grid)
    assert torch.equal(zoom(image).grid, bounded(image).grid)


def test_they_cannot_be_changed():
    """The settings are frozen."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        GridSettings().max_zoom = 2.0
