"""The installed package has what the folders have."""

import importlib.metadata
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import torch

import foveal

ROOT = Path(__file__).parents[1]
DEVELOPERS = {"test", "dev", "docs", "frameworks"}


def test_version():
    """The installed version is the one in the source."""
    assert importlib.metadata.version("foveal") == foveal.__version__


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_four_folders(tmp_path):
    """No file is missing from the wheel; hatchling silently leaves out what .gitignore names."""
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("foveal-*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("foveal/")}
    tracked = subprocess.run(["git", "ls-files", "pipeline", "sampler", "shards", "tools"], cwd=ROOT, check=True, capture_output=True, text=True)  # fmt: skip

    assert packed == {
        f"foveal/{name}"
        for name in [
            *tracked.stdout.split(),
            "__init__.py",
            "_choices.py",
            "_outside.py",
            "_submit.py",
            "py.typed",
        ]
    }


def test_the_table_of_extras():
    """The table names every extra that a user may want, and all of its packages."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    rows = re.findall(r"^\| `(\w+)` \| .+ \| (.+) \|$", (ROOT / "docs/start.md").read_text(), re.MULTILINE)

    assert {extra: set(packages.split(", ")) for extra, packages in rows} == {
        extra: packages_of(extra, extras) for extra in extras.keys() - DEVELOPERS
    }


def packages_of(extra: str, extras: dict[str, list[str]]) -> set[str]:
    """Return the packages of an extra, with those of the extras that it includes."""
    found = set()
    for requirement in extras[extra]:
        name, others = re.match(r"([\w-]+)(?:\[(.+)\])?", requirement).groups()
        found |= (
            {name}
            if name != "foveal"
            else set().union(*(packages_of(each, extras) for each in others.split(",")))
        )
    return found


def missing(workflow: dict) -> list[str]:
    """Return what a workflow lacks: a limit of time, few rights, and make targets and files that exist."""
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    commands = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    asked = re.findall(r"\bmake ([\w-]+)", "\n".join(commands))
    files = re.findall(r"\bbash (\S+)", "\n".join(commands))
    return [
        *(name for name, job in workflow["jobs"].items() if "timeout-minutes" not in job),
        *(["permissions"] if workflow.get("permissions") != {"contents": "read"} else []),
        *(target for target in asked if target not in targets),
        *(file for file in files if not (ROOT / file).is_file()),
    ]


def test_the_workflows():
    """Each workflow of CI has what it needs; the tests run on just the versions of Python that the package claims."""
    yaml = pytest.importorskip("yaml", reason="no PyYAML: pip install pyyaml")
    workflows = {
        path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github/workflows").glob("*.yml")
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    claimed = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))

    assert set(workflows) == {"tests", "docs", "release"}
    assert not any(missing(workflow) for workflow in workflows.values())
    assert workflows["tests"]["jobs"]["check-and-test"]["strategy"]["matrix"]["python"] == claimed
    broken = {"jobs": {"one": {"steps": [{"run": "make nothing && bash .ci/nothing"}]}}}
    assert missing(broken) == ["one", "permissions", "nothing", ".ci/nothing"]


@pytest.mark.slow
def test_sdist_and_wheel_install_into_an_empty_environment(tmp_path):
    """A wheel that is built from the sdist installs, and its command decodes and zooms."""

    def run(*command):
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path).stdout

    run(sys.executable, "-m", "build", "--outdir", tmp_path / "dist", ROOT)
    (sdist,), (wheel,) = ((tmp_path / "dist").glob(kind) for kind in ("*.tar.gz", "*.whl"))
    venv.create(tmp_path / "empty", with_pip=True)
    python = tmp_path / "empty/bin/python"
    run(python, "-m", "pip", "install", f"torch=={torch.__version__.split('+')[0]}")
    run(python, "-m", "pip", "install", f"{wheel}[plots]")

    with tarfile.open(sdist) as packed:
        assert any(name.endswith("/tests/conftest.py") for name in packed.getnames())
    assert run(tmp_path / "empty/bin/foveal", "--version").strip() == f"foveal {foveal.__version__}"
    run(tmp_path / "empty/bin/foveal", "demo", "--out", "demo")
    assert (tmp_path / "demo/sheet.png").stat().st_size > 10_000
