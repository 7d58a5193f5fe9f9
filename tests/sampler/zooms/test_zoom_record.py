"""A zoom record is enough to compute the zoom's grid again."""

import json
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.sampler import (
    MixedResolution,
    SaliencySampler,
    UniformSampler,
    ZoomRecord,
    unwarp_points,
    warp_points,
)
from tests.checks import check_close, unhooked
from tests.strategies import FAMILIES, PADDINGS

SETTINGS = st.fixed_dictionaries(
    {
        "family": st.sampled_from(FAMILIES),
        "padding": st.sampled_from(PADDINGS),
        "fwhm_cells": st.floats(2, 13),
        "max_zoom": st.none() | st.floats(1.5, 9),
        "min_zoom": st.none() | st.floats(0.1, 0.9),
        "bound": st.sampled_from(["blend", "local", "axes"]),
    }
)


@settings(max_examples=12)
@given(
    settings=SETTINGS,
    size=st.tuples(st.integers(40, 90), st.integers(40, 90)),
    seed=st.integers(0, 99),
)
def test_the_grid_comes_back(settings, size, seed):
    """The grid is restored from JSON text, for any sampler, to float32 rounding."""
    torch.manual_seed(seed)
    zoom = SaliencySampler((24, 32), temperature=0.01, **settings)
    zoomed = zoom(torch.rand(2, 3, *size))
    records = [ZoomRecord.of(zoom, saliency, size) for saliency in zoomed.saliency]
    back = [ZoomRecord.from_json(json.loads(json.dumps(record.to_json()))) for record in records]

    for k, record in enumerate(back):
        check_close(record.grid()[0], zoomed.grid[k], 2e-5)
        assert record.source_size == size
        assert torch.equal(record.saliency, records[k].saliency)


@pytest.mark.parametrize("wrap", [lambda zoom: torch.compile(zoom, backend="eager"), torch.nn.DataParallel])
def test_a_wrapped_zoom(wrap):
    """A compiled or parallel zoom has the record of the zoom inside."""
    zoom = SaliencySampler(16, family="separable", max_zoom=2.0)
    saliency = torch.rand(1, 9, 9)
    found, expected = (ZoomRecord.of(each, saliency, (100, 120)).to_json() for each in (wrap(zoom), zoom))

    assert found == expected
    assert (found["family"], found["max_zoom"]) == ("separable", 2.0)


def test_zooms_without_a_record():
    """A zoom whose grid has no settings is refused, rather than recorded as another."""
    message = (
        "zoom must be a SaliencySampler or UniformSampler, got MixedResolution – another zoom has no record."
    )
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        ZoomRecord.of(MixedResolution(3, refined=2), torch.rand(1, 9, 9), (100, 120))


def test_without_a_zoom():
    """The record of a uniform resize maps points there and back."""
    zoom = UniformSampler(16)
    zoomed = zoom(torch.rand(1, 3, 40, 50))
    record = ZoomRecord.of(zoom, zoomed.saliency[0], (40, 50))
    points = torch.tensor([[1.0, 2.0], [30.5, 20.0]])

    check_close(record.grid(), zoomed.grid, 1e-6)
    [seen] = warp_points([points], record.grid(), (40, 50))
    [back] = unwarp_points([seen], record.grid(), record.source_size)
    check_close(back, points, 1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 3}, "version must be in [1, 2], got 3 – use a newer foveal."),
        ({"version": None}, "version must be in [1, 2], got None"),
        ({"map_size": [5, 5]}, "record must be one that to_json made, got ["),
        ({"saliency": "%"}, "record must be one that to_json made, got ["),
        ({"source_size": 3}, "record must be one that to_json made, got ["),
    ],
)
def test_something_else(change, message):
    """Anything but a record is refused, with what is wrong."""
    zoom = UniformSampler(16)
    record = ZoomRecord.of(zoom, torch.ones(1, 1, 1), (40, 50)).to_json()

    with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
        ZoomRecord.from_json({**record, **change})
