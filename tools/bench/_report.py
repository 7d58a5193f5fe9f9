"""``foveal bench report``: one chart out of what ``foveal bench loader`` and ``foveal bench peers`` wrote.

A bar for each loader: how many pixels of the originals it processes per second, relative to decoding alone in the same run.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console

from foveal.shards.store import write_whole
from foveal.tools.bench.ceilings import DECODE
from foveal.tools.bench.timing import Timing
from foveal.tools.console.counted import counted
from foveal.tools.pictures.check_png import check_png

_OURS, _OTHERS, _INK, _FAINT = "#0b7285", "#ced4da", "#212529", "#868e96"
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
_KINDS = ("loader", "peers")
_NOTE = "Foveal zooms and the others resize uniformly, unless their names say otherwise. Pixels are those of the originals."


@dataclass(frozen=True, slots=True)
class Bar:
    """One loader.

    Attributes:
        name: As the benchmark has it.
        ratio: How many times as fast as decoding alone, the median over the rounds.
        megapixels: Megapixels per second, the median over the rounds.
        ours: Whether it is Foveal.
    """

    name: str
    ratio: float
    megapixels: float
    ours: bool


def draw_report(paths: Sequence[Path], out: Path) -> list[Bar]:
    """Draw the chart, and return its bars from the fastest to the slowest.

    Args:
        paths: What ``foveal bench loader --json`` and ``foveal bench peers --json`` wrote. A loader that is in several
            is taken from the first.
        out: The PNG to write.

    Raises:
        ValueError: A file is something else, or the one to write is not called a PNG.
    """
    check_png(out)
    reports = [_read(path) for path in paths]
    found = {bar.name: bar for report in reversed(reports) for bar in bars_of(report)}
    bars = sorted(found.values(), key=lambda bar: -bar.ratio)
    with mpl.rc_context({"font.size": 11, "font.family": "DejaVu Sans", "text.color": _INK}):
        figure = Figure(figsize=(10, 1.5 + 0.42 * len(bars)), facecolor="white", layout="constrained")
        _draw(figure.add_subplot(), bars)
        figure.suptitle(
            "Megapixels a second, beside decoding alone", x=0.01, ha="left", size=15, weight="bold"
        )
        figure.supxlabel(
            "\n".join([_NOTE, *map(_describe, reports)]), x=0.01, ha="left", size=8.5, color=_FAINT
        )
        content = io.BytesIO()
        figure.savefig(content, dpi=160, format="png", metadata={"Software": None})
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, content.getvalue())
    Console().print(f"{len(bars)} bars in {out}", soft_wrap=True)
    return bars


def bars_of(report: Mapping[str, Any]) -> list[Bar]:
    """Return a bar for each case of a report except its upper limits."""
    timings = {name: Timing(case["seconds"], 0) for name, case in report["cases"].items()}
    return [
        Bar(
            name,
            timing.times_faster_than(timings[DECODE]),
            report["pixels"] / timing.median / 1e6,
            name in report["ours"],
        )
        for name, timing in timings.items()
        if name not in report["ceilings"]
    ]


def _read(path: Path) -> Mapping[str, Any]:
    """Read a report.

    Raises:
        ValueError: It is not the report of a benchmark of loaders.
    """
    try:
        report = json.loads(path.read_text())
    except ValueError:
        report = None
    kind = report.get("benchmark") if isinstance(report, dict) else None
    if kind not in _KINDS:
        raise ValueError(
            f"reports must be what foveal bench loader or peers wrote with --json, got {kind!r} in {str(path)!r}."
        )
    checked: Mapping[str, Any] = report
    return checked


def _draw(axes: Axes, bars: Sequence[Bar]) -> None:
    places = range(len(bars), 0, -1)
    colours = [_OURS if bar.ours else _OTHERS for bar in bars]
    axes.barh(places, [bar.ratio for bar in bars], height=0.68, color=colours)
    for place, bar in zip(places, bars, strict=True):
        for text, away, style in (
            (f"{bar.ratio:.2f}", 5, {"weight": "bold", "size": 10}),
            (f"{bar.megapixels:,.0f} MP/s", 38, {"size": 9, "color": _FAINT}),
        ):
            beside: dict[str, Any] = {
                "textcoords": "offset points",
                "va": "center",
                "bbox": _PAPER,
                "zorder": 4,
                **style,
            }
            axes.annotate(text, (bar.ratio, place), (away, 0), **beside)
    axes.axvline(1, color=_INK, linewidth=1, linestyle=(0, (4, 3)), zorder=3)
    axes.text(1, len(bars) + 0.62, DECODE, ha="center", va="bottom", size=9.5)
    axes.set_yticks(places, [bar.name for bar in bars])
    for label, bar in zip(axes.get_yticklabels(), bars, strict=True):
        label.set_fontweight("bold" if bar.ours else "normal")
    axes.set_xlim(0, 1.25 * max(1.0, *(bar.ratio for bar in bars)))
    axes.set_ylim(0.4, len(bars) + 0.6)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _describe(report: Mapping[str, Any]) -> str:
    machine = report["environment"]
    where = (
        f"{machine['cores']} cores of {machine['cpu']}"  # the reports that are drawn are of processors alone
    )
    rounds = len(next(iter(report["cases"].values()))["seconds"])
    return (
        f"foveal bench {report['benchmark']}: {report['images']:,} images, {report['pixels'] / 1e6:,.0f} MP, to "
        f"{report['size']} × {report['size']} in batches of {report['batch_size']}; {where}; medians of {counted(rounds, 'round')}"
    )
