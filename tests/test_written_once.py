"""What must stand in one place stands in few files: a setting that is spelt everywhere is changed everywhere."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("sampler", "pipeline", "shards", "tools", "src")


def spelling(word: str, root: Path = ROOT) -> list[str]:
    """The files of the product in which a word stands, be it in code or in words about it."""
    files = (path for folder in FOLDERS for path in sorted((root / folder).rglob("*.*")) if path.is_file())
    return [
        str(path.relative_to(root))
        for path in files
        if path.suffix in (".py", ".sh", ".md") and word in path.read_text()
    ]


@pytest.mark.parametrize(("setting", "most"), [("max_zoom", 8), ("fwhm_cells", 5)])
def test_settings_of_a_zoom_travel_as_one_value(setting, most):
    """Functions and modules take them one by one where users call them; everything between passes a choice on."""
    files = spelling(setting)

    assert "sampler/grids/_grid_settings.py" in files
    assert "tools/console/zoom_choice.py" in files
    assert len(files) <= most, files


def test_every_spelling_is_counted(tmp_path):
    """A file that takes the setting by name, or speaks of it, would be found."""
    (tmp_path / "tools" / "new").mkdir(parents=True)
    (tmp_path / "sampler").mkdir()
    (tmp_path / "tools" / "new" / "_verb.py").write_text("def verb(*, max_zoom=None): ...\n")
    (tmp_path / "sampler" / "_doc.py").write_text('"""About ``max_zoom``."""\n')
    (tmp_path / "sampler" / "_other.py").write_text("zoom = 1\n")

    assert spelling("max_zoom", tmp_path) == ["sampler/_doc.py", "tools/new/_verb.py"]
