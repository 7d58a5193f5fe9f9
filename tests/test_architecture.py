"""ARCHITECTURE.md names what is there, and all of it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "ARCHITECTURE.md").read_text()
FOLDERS = ("shards", "sampler", "pipeline", "tools")


def named_paths(text: str) -> set[str]:
    """Files and folders in backticks, but for those with a part in capitals, which stands for a name of one's own."""
    found = set(re.findall(rf"`((?:{'|'.join((*FOLDERS, 'tests', 'src'))})/[\w/.]*)`", text))
    return {path for path in found if not re.search(r"[A-Z]", path)}


def missing_rooms(text: str) -> set[str]:
    """Rooms of the four folders that a text does not name."""
    rooms = {path.parent.name for folder in FOLDERS for path in (ROOT / folder).glob("*/__init__.py")}
    return {room for room in rooms if not re.search(rf"\b{room}\b", text)}


def test_every_path_exists():
    """A reader finds each file where the page says."""
    assert len(named_paths(TEXT)) > 15
    assert {path for path in named_paths(TEXT) if not (ROOT / path).exists()} == set()


def test_every_room_is_drawn():
    """No sub-package is left out."""
    assert missing_rooms(TEXT) == set()


def test_the_checks_can_fail():
    """A file that is not there, and a plan without rooms, would not pass."""
    assert named_paths("`tools/nothing.py` `tools/NAME/cli.py`") == {"tools/nothing.py"}
    assert "frames" in missing_rooms("the sampler")


def test_it_is_one_page():
    """What does not fit belongs into the docstring of its module."""
    assert len(TEXT.splitlines()) <= 100
