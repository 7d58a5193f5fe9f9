"""ARCHITECTURE.md names all rooms, and every path in it exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "ARCHITECTURE.md").read_text()
FOLDERS = ("shards", "sampler", "pipeline", "tools")


def named_paths(text: str) -> set[str]:
    """Return files and folders in backticks, except those with a part in capitals, which is a placeholder."""
    found = set(re.findall(rf"`((?:{'|'.join((*FOLDERS, 'tests', 'src'))})/[\w/.]*)`", text))
    return {path for path in found if not re.search(r"[A-Z]", path)}


def missing_rooms(text: str) -> set[str]:
    """Return the rooms of the four folders that a text does not name."""
    rooms = {path.parent.name for folder in FOLDERS for path in (ROOT / folder).glob("*/__init__.py")}
    return {room for room in rooms if not re.search(rf"\b{room}\b", text)}


def test_every_path_exists():
    """Every file and folder that the page names exists."""
    assert len(named_paths(TEXT)) > 15
    assert {path for path in named_paths(TEXT) if not (ROOT / path).exists()} == set()


def test_every_room_is_drawn():
    """Every sub-package is named."""
    assert missing_rooms(TEXT) == set()


def test_the_checks_can_fail():
    """A missing file, and a plan without rooms, are found."""
    assert named_paths("`tools/nothing.py` `tools/NAME/cli.py`") == {"tools/nothing.py"}
    assert "frames" in missing_rooms("the sampler")


def test_it_is_one_page():
    """The page has at most a page's length; details belong to the docstrings of modules."""
    assert len(TEXT.splitlines()) <= 100
