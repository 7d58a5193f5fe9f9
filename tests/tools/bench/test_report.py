import json
import re

import pytest
from PIL import Image

from foveal.tools.bench._report import _describe, bars_of, draw_report
from tests.full_disk import full_at


def report(benchmark="loader", **seconds):
    names = {"decode": "DALI decode only", "read": "reading only", "ours": "Foveal"}
    return {
        "benchmark": benchmark,
        "images": 10,
        "pixels": 100_000_000,
        "size": 224,
        "batch_size": 32,
        "ours": ["Foveal"],
        "ceilings": ["DALI decode only", "reading only"],
        "cases": {names.get(name, name): {"seconds": taken} for name, taken in seconds.items()},
        "environment": {"gpu": "a GPU", "cores": 2, "cpu": "a CPU"},
    }


def test_bars_are_medians_of_ratios():
    """Bars are medians of ratios to decoding alone in the same round; upper limits have no bar."""
    bars = bars_of(report(read=[0.1] * 3, decode=[1, 10, 2], ours=[0.5, 10, 1], theirs=[2, 2, 2]))

    assert [(bar.name, bar.ratio, bar.megapixels, bar.ours) for bar in bars] == [
        ("Foveal", 2, 100, True),
        ("theirs", 1, 50, False),
    ]


def test_what_is_said_of_the_machine():
    """The reports that are drawn are of processors, also on a machine with a GPU."""
    assert _describe(report(decode=[1], ours=[0.5])) == (
        "foveal bench loader: 10 images, 100 MP, to 224 × 224 in batches of 32; 2 cores of a CPU; medians of 1 round"
    )


def test_the_chart(tmp_path):
    """The chart has the bars of all files from the fastest to the slowest, each loader once."""
    (tmp_path / "a.json").write_text(json.dumps(report(decode=[1], ours=[0.5], theirs=[2])))
    (tmp_path / "b.json").write_text(json.dumps(report("peers", decode=[1], ours=[0.9], others=[1.25])))
    bars = draw_report([tmp_path / "a.json", tmp_path / "b.json"], tmp_path / "chart.png")

    assert [(bar.name, bar.ratio) for bar in bars] == [("Foveal", 2), ("others", 0.8), ("theirs", 0.5)]
    with Image.open(tmp_path / "chart.png") as chart:
        assert chart.width > 1000
        assert chart.convert("L").getextrema()[0] < 100


@pytest.mark.parametrize(
    ("text", "kind"), [("no JSON", "None"), ("[1]", "None"), ('{"benchmark": "grid"}', "'grid'")]
)
def test_other_files_are_refused(tmp_path, text, kind):
    """A file without results is named."""
    path = tmp_path / "x.json"
    path.write_text(text)
    message = (
        f"reports must be what foveal bench loader or peers wrote with --json, got {kind} in {str(path)!r}."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        draw_report([path], tmp_path / "chart.png")


@pytest.mark.parametrize("name", ["c.jpg", "c"])
def test_another_format_is_refused(tmp_path, name):
    """A chart that would be no PNG is refused before the reports are read."""
    out = tmp_path / name
    message = f"out must be a file with the extension .png, got {str(out)!r} – the picture is a PNG."
    with pytest.raises(ValueError, match=re.escape(message)):
        draw_report([tmp_path / "none.json"], out)


def test_a_chart_that_does_not_fit(tmp_path):
    """If the disk is full, an earlier chart stays whole, and the error names the file."""
    source, chart = tmp_path / "a.json", tmp_path / "chart.png"
    source.write_text(json.dumps(report(decode=[1], ours=[0.5])))
    draw_report([source], chart)
    before = chart.read_bytes()
    with full_at(1000), pytest.raises(OSError, match=re.escape(f"File too large: {str(chart)!r}")):
        draw_report([source], chart)

    assert chart.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_for_the_chart_is_made(tmp_path):
    """The folder of the chart is created, as that of a sheet is."""
    (tmp_path / "a.json").write_text(json.dumps(report(decode=[1], ours=[0.5])))
    draw_report([tmp_path / "a.json"], tmp_path / "charts" / "chart.png")

    assert (tmp_path / "charts" / "chart.png").exists()
