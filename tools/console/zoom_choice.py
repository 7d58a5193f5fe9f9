"""What can be chosen of a zoom, described once: for the command line, for runs and their files, and for the page of ``foveal explore``.

Nothing heavy is imported, because ``--help`` shows these descriptions.
"""

import math
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, get_type_hints

import typer

from foveal._choices import FWHM_CELLS, MAX_ZOOM, TEMPERATURE, Family
from foveal.tools.console.options import ZOOM

# A lower temperature than the sampler's default, because saliency that was not trained for a zoom is too even. The bound keeps
# a single bright spot from filling the whole output.
UNTRAINED: dict[str, Any] = {"temperature": 0.5, "max_zoom": 4.0}
"""Settings for saliency that was not trained, where they differ from the defaults of :class:`SaliencySampler`."""

_FROM_FILE = "as the trained zoom of --saliency has it; without one, "


@dataclass(frozen=True, slots=True)
class Described:
    """One setting of a zoom, as people are shown it.

    Attributes:
        help: The help text of its option.
        label: The label of its slider in ``foveal explore``; None for a setting without a slider.
        marks: The slider's least value, largest value and step; a value of a checkpoint beyond them lengthens the slider.
        unbounded: The value that stands for no bound; None if the setting is not a bound.
    """

    help: str
    label: str | None = None
    marks: tuple[float, float, float] = (0.0, 1.0, 0.1)
    unbounded: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainZoomChoice:
    """The settings of a zoom that learns. None means the setting in the file that the zoom comes from, or else the default.

    Attributes:
        family: How saliency becomes a grid, as :class:`foveal.sampler.SaliencySampler` takes it.
        temperature: What saliency is divided by before the softmax; lower values zoom harder.
        fwhm_cells: Width of the Gaussian that attracts, in cells of the saliency map; without meaning for "cdf".
        max_zoom: Upper bound on local magnification; ``math.inf`` for no bound.
    """

    DEFAULTS: ClassVar[dict[str, Any]] = {
        "family": "kernel",
        "temperature": TEMPERATURE,
        "fwhm_cells": FWHM_CELLS,
        "max_zoom": MAX_ZOOM,
    }
    """What None means without a file."""

    IDLE: ClassVar[dict[str, frozenset[str]]] = {"cdf": frozenset(("fwhm_cells",))}
    """By family, the settings that do nothing."""

    family: Annotated[
        Family | None,
        Described(
            "How saliency becomes a zoom. kernel moves each sampling point by itself towards salient places, which bends straight "
            "lines. separable and cdf move whole rows and columns, so horizontal and vertical lines, and boxes, stay straight: "
            "separable pulls them towards salient places, cdf gives each one space in proportion to its saliency."
        ),
    ] = None
    temperature: Annotated[
        float | None,
        Described(
            "How sharp the saliency is: its logits are divided by this number before the softmax. Lower values zoom harder; 0.1 to 2 "
            "are usual.",
            label="Temperature: lower zooms harder",
            marks=(0.05, 2, 0.05),
        ),
    ] = None
    fwhm_cells: Annotated[
        float | None,
        Described(
            "How far a salient place pulls sampling points: full width at half maximum of the Gaussian, in cells of the saliency "
            "map, which is 31 cells wide and high unless a trained zoom has another. Larger values zoom in more smoothly. cdf does "
            "not use it.",
            label="Width of attraction, in cells",
            marks=(1, 24, 0.5),
        ),
    ] = None
    max_zoom: Annotated[
        float | None,
        Described(
            "Largest local magnification: no part of the image becomes more than this many times as long as in a uniform resize. "
            "At least 1; inf for no bound.",
            label="Most magnification",
            marks=(1, 16, 0.5),
            unbounded=math.inf,
        ),
    ] = None

    @property
    def given(self) -> dict[str, Any]:
        """The settings that are not None."""
        settings = {name: getattr(self, name) for name in self.DEFAULTS}
        return {name: value for name, value in settings.items() if value is not None}

    @property
    def chosen(self) -> dict[str, Any]:
        """The settings that are not None, as a sampler takes them."""
        return {
            name: None if value == DESCRIBED[name].unbounded else value for name, value in self.given.items()
        }

    def refuse_given(self, beside: str, reason: str) -> None:
        """Raise if a setting is given beside something that would ignore it.

        Raises:
            ValueError: One is.
        """
        for name, value in self.given.items():
            raise ValueError(
                f"{name} must be None with {beside}, got {value!r} – {reason}; leave one of the two out."
            )

    def refuse_width_of(self, family: str) -> None:
        """Raise if the width of attraction is given for a zoom of a family that attracts nothing.

        Raises:
            ValueError: It is.
        """
        if self.fwhm_cells is not None and "fwhm_cells" in self.IDLE.get(family, ()):
            raise ValueError(
                f"fwhm_cells must be None with family={family!r}, got {self.fwhm_cells!r} – {family} has no Gaussian; leave one of the two out."
            )

    @property
    def of_new_zoom(self) -> dict[str, Any]:
        """All settings of a zoom that comes from no file, as a sampler takes them."""
        return {**self.DEFAULTS, **self.chosen}


PAPER = TrainZoomChoice(temperature=1.0, fwhm_cells=13.0, max_zoom=math.inf)
"""The settings of Recasens et al. 2018, as far as they can be chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoomChoice(TrainZoomChoice):
    """The settings of a zoom that does not learn. None means what it means for :class:`TrainZoomChoice`.

    Attributes:
        min_zoom: Lower bound on local magnification; 0 for no bound.
    """

    DEFAULTS: ClassVar[dict[str, Any]] = {**TrainZoomChoice.DEFAULTS, **UNTRAINED, "min_zoom": None}

    NOT_IN_RUNS: ClassVar[frozenset[str]] = frozenset(("fwhm_cells",))
    """What the files of ``foveal zoom`` hold only as a setting of the zoom, not as a choice."""

    min_zoom: Annotated[
        float | None,
        Described(
            "Smallest local magnification, 0 to 1: with 0.5, no part of the image becomes less than half as long as in a uniform "
            "resize. 0 for no bound.",
            label="Least magnification",
            marks=(0, 1, 0.05),
            unbounded=0.0,
        ),
    ] = None


_HINTS = get_type_hints(ZoomChoice, include_extras=True)
DESCRIBED: dict[str, Described] = {
    each.name: _HINTS[each.name].__metadata__[0] for each in fields(ZoomChoice)
}
"""How each setting of a zoom is described."""


def options(kind: type[TrainZoomChoice]) -> dict[str, Any]:
    """Return the option of each setting for the command line, as Typer takes an annotation."""
    types = get_type_hints(ZoomChoice)
    return {
        name: Annotated[
            types[name],
            typer.Option(
                help=DESCRIBED[name].help, show_default=_shown(kind.DEFAULTS[name]), rich_help_panel=ZOOM
            ),
        ]
        for name in kind.DEFAULTS
    }


def _shown(default: object) -> str:
    shown = f"{default:g}" if isinstance(default, float) else str(default)
    return _FROM_FILE + ("no bound" if default is None else shown)
