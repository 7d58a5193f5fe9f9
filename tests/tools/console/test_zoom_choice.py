"""The settings of a zoom are described once, and each verb has an option for each."""

import inspect
import math
import re
from dataclasses import fields, replace
from typing import Annotated

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from foveal.sampler import SaliencyNet, SaliencySampler
from foveal.tools.console.choose_zoom import choose_zoom
from foveal.tools.console.sampler_code import sampler_code
from foveal.tools.console.spread_choice import spread_choice
from foveal.tools.console.zoom_choice import DESCRIBED, TrainZoomChoice, ZoomChoice
from foveal.tools.offline.recipe import Recipe
from foveal.tools.training.options import TrainOptions

KINDS = pytest.mark.parametrize("kind", [ZoomChoice, TrainZoomChoice])


def names(kind):
    return [each.name for each in fields(kind)]


def parsed(kind, *words):
    """Return the choice that a verb gets for these words, and its help."""
    got = []

    def verb(first: Annotated[int, typer.Argument()] = 1, *, choice: kind, last: str = "x") -> None:
        got.append((first, choice, last))

    app = typer.Typer(add_completion=False)
    app.command()(spread_choice(verb))
    run = CliRunner().invoke(app, list(words))
    return got, run


@KINDS
def test_a_verb_has_an_option_for_each_setting(kind):
    """Options arrive as one value, in which settings that were not given are None."""
    [(first, choice, last)], _ = parsed(kind, "--family", "cdf", "--max-zoom", "inf", "--last", "y", "7")

    assert (first, last) == (7, "y")
    assert choice == kind(family="cdf", max_zoom=math.inf)
    assert parsed(kind)[0] == [(1, kind(), "x")]


@KINDS
def test_help_shows_each_setting_and_its_default(kind):
    """Help lists the settings in order, each with its default without a file."""
    got, run = parsed(kind, "--help")
    shown = " ".join(run.output.replace("│", " ").split())

    assert got == []
    assert [run.output.index(f"--{name.replace('_', '-')}") for name in names(kind)] == sorted(
        run.output.index(f"--{name.replace('_', '-')}") for name in names(kind)
    )
    for name, default in kind.DEFAULTS.items():
        said = "no bound" if default is None else f"{default:g}" if isinstance(default, float) else default
        assert f"without one, {said})]" in shown
        assert " ".join(DESCRIBED[name].help.split()[:3]) in shown


def test_a_setting_that_is_not_there_is_refused():
    """Training has no lower bound, so its verb refuses this option."""
    got, run = parsed(TrainZoomChoice, "--min-zoom", "0.5")

    assert (got, run.exit_code) == ([], 2)
    assert "No such option" in run.output


@given(
    st.builds(
        ZoomChoice,
        family=st.sampled_from([None, "cdf"]),
        temperature=st.sampled_from([None, 0.25]),
        fwhm_cells=st.sampled_from([None, 4.0]),
        max_zoom=st.sampled_from([None, 2.0, math.inf]),
        min_zoom=st.sampled_from([None, 0.0, 0.5]),
    )
)
def test_a_sampler_has_what_is_chosen(choice):
    """None means the default, and the values for "no bound" become None."""
    zoom = SaliencySampler(16, **choice.of_new_zoom)
    no_bound = {"max_zoom": math.inf, "min_zoom": 0.0}

    for name, default in ZoomChoice.DEFAULTS.items():
        value = getattr(choice, name)
        wanted = default if value is None else None if value == no_bound.get(name) else value
        assert getattr(zoom, name) == wanted
        assert (name in choice.chosen) == (value is not None)


@pytest.mark.parametrize(("whole", "kind"), [(Recipe, ZoomChoice), (TrainOptions, TrainZoomChoice)])
def test_the_settings_of_a_run_are_those_of_its_zoom(whole, kind):
    """Settings of a run are its own keywords, and its sampler gets them."""
    own = {"family": "separable", "temperature": 0.3, "fwhm_cells": 5.0, "max_zoom": math.inf}
    run = whole(out_size=16, **own)

    assert set(names(kind)) <= set(names(whole))
    assert run.chosen == kind(**own).chosen
    assert replace(run, max_zoom=2.0).of_new_zoom == kind(**{**own, "max_zoom": 2.0}).of_new_zoom


def test_defaults_of_training_are_those_of_the_sampler():
    """A training without options makes a sampler with its own defaults."""
    parameters = inspect.signature(SaliencySampler).parameters

    assert {name: parameters[name].default for name in TrainZoomChoice.DEFAULTS} == TrainZoomChoice.DEFAULTS


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({}, "SaliencySampler(32, saliency=X())"),
        ({"temperature": 1.0, "max_zoom": 5.0, "min_zoom": None}, "SaliencySampler(32, saliency=X())"),
        (
            {"max_zoom": None, "family": "cdf"},
            "SaliencySampler(32, saliency=X(), max_zoom=None, family='cdf')",
        ),
    ],
)
def test_code_leaves_defaults_out(settings, code):
    """The printed code has only what differs from the defaults, and makes the same sampler."""
    assert sampler_code(32, "X()", settings) == code


def test_a_width_of_attraction_where_nothing_attracts(tmp_path):
    """--fwhm-cells is refused for a zoom of the family cdf, which it would not change, also if a file says the family."""
    SaliencySampler(16, family="cdf", saliency=SaliencyNet()).save_checkpoint(tmp_path / "zoom.pt")
    message = (
        "fwhm_cells must be None with family='cdf', got 4.0 – cdf has no Gaussian; leave one of the two out."
    )
    for saliency, family in [("spectral", "cdf"), (str(tmp_path / "zoom.pt"), None)]:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            choose_zoom(16, saliency, ZoomChoice(family=family, fwhm_cells=4.0))
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        TrainOptions(saliency=str(tmp_path / "zoom.pt"), fwhm_cells=4.0).make_zoom()
    assert (
        choose_zoom(16, str(tmp_path / "zoom.pt"), ZoomChoice(family="kernel", fwhm_cells=4.0)).fwhm_cells
        == 4
    )
