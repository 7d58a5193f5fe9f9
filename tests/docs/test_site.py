"""The tests, commands and code that the pages name exist, and the site builds without a warning."""

import ast
import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from foveal.tools.packing.pack import pack
from tests.docs.blocks import python_blocks
from tests.pipeline.making import encode, picture
from tests.tools import command_line

ROOT = Path(__file__).parents[2]
DOORS = ("pipeline", "sampler", "shards", "tools")
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *(ROOT / name for name in ("README.md", "SECURITY.md"))]


def missing_tests(text: str) -> list[str]:
    """Return the tests that a page names and that do not exist; ``::name`` alone belongs to the file named before."""
    missing, file = [], Path()
    for path, name in re.findall(r"`(tests/[\w/]+\.py)?(?:::(\w+))?`", text):
        file = ROOT / path if path else file
        found = file.is_file() and (not name or f"def {name}(" in file.read_text())
        if (path or name) and not found:
            missing.append(f"{file.name}::{name}")
    return missing


def undocumented(door: str, site: Path) -> set[str]:
    """Return public names of a door that its reference page does not describe."""
    names = set(importlib.import_module(f"foveal.{door}").__all__)
    page = (site / "reference" / f"{door}.html").read_text()
    return {name for name in names if not re.search(rf'id="foveal\.{door}(\.\w+)*\.{name}"', page)}


def unknown_options(text: str) -> set[str]:
    """Return options in a page's ``foveal`` commands that the parser does not have, as "verb --option"."""
    unknown = set()
    for line in re.findall(r"^(?:    |\$ ?)?(foveal [a-z].*)$", text.replace("\\\n", " "), re.MULTILINE):
        words = line.split("  #")[0].split()[1:]
        command, verb = command_line.command(), []
        while words and (inner := getattr(command, "commands", {}).get(words[0])) is not None:
            command = inner
            verb.append(words.pop(0))
        if not verb:
            unknown.add(words[0])
            continue
        known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        unknown |= {" ".join([*verb, option]) for option in options - known}
    return unknown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tests_that_a_page_names_exist(page):
    """Every test that a page names exists."""
    assert missing_tests(page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_exist(page):
    """Each verb and option in a page's commands exists."""
    assert unknown_options(page.read_text()) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_a_page_compiles(page):
    """Each Python block compiles; the tests of the pages run them."""
    for block in python_blocks(page.read_text()):
        ast.parse(block)


def test_the_checks_find_what_is_wrong():
    """A missing test, verb or option is found."""
    text = "`tests/docs/test_site.py::test_no` `::missing_tests` `::nor_this` `tests/none.py`"

    assert missing_tests(text) == ["test_site.py::test_no", "test_site.py::nor_this", "none.py::"]
    assert unknown_options("    foveal view x --rows 3 --nothing 4\n    foveal fly\n") == {
        "view --nothing",
        "fly",
    }


def test_the_first_script_runs(tmp_path, monkeypatch):
    """The script of the first page trains on shards that were packed as the page says."""
    for k in range(40):
        path = tmp_path / "train" / ("cat", "dog")[k % 2] / f"{k}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(picture(k, 130, 150)))
    monkeypatch.chdir(tmp_path)
    pack(Path("train"), Path("packed"), shuffle=True)
    [code] = python_blocks((ROOT / "docs/start.md").read_text())
    names = {}
    exec(compile(code, "start.md", "exec"), names)

    assert names["images"].shape == (8, 3, 96, 96)  # 40 images in batches of 16 leave 8
    assert names["loss"].isfinite()


@pytest.mark.slow
def test_the_site_builds_strictly(tmp_path):
    """No link is broken, and the reference describes every public name."""
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("no mkdocs: pip install '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )

    assert built.returncode == 0, built.stderr
    assert {name for door in DOORS for name in undocumented(door, tmp_path / "site")} == set()
    page = tmp_path / "site" / "reference" / "shards.html"
    page.write_text(page.read_text().replace('id="foveal.shards.ShardWriter"', ""))
    assert undocumented("shards", tmp_path / "site") == {"ShardWriter"}
