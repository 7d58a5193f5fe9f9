"""Imports point one way: tools -> pipeline -> (sampler | shards)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What each folder may know of its neighbours, and what none but it may know of the world.
ALLOWED = {
    "shards": set(),
    "sampler": set(),
    "pipeline": {"shards", "sampler"},
    "tools": {"shards", "sampler", "pipeline"},
}
FOREIGN = {
    "shards": {"torch", "nvidia"},
    "sampler": {"nvidia", "tarfile", "webdataset"},
    "tools": {"nvidia"},  # but for what is compared with: _peer_dali.py
    "pipeline": {"tarfile"},
}


def imports(path: Path) -> set[str]:
    """Every module that a file names in an import, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


def violations(folder: str, path: Path) -> set[str]:
    """Imports that this folder should not have."""
    found = imports(path)
    if path.name == "_peer_dali.py":
        found = {name for name in found if not name.startswith("nvidia.dali")}
    neighbours = {name.split(".")[1] for name in found if name.startswith("foveal.")}
    return (neighbours - ALLOWED[folder] - {folder}) | (
        {name.split(".")[0] for name in found} & FOREIGN[folder]
    )


@pytest.mark.parametrize("folder", ALLOWED)
def test_no_import_points_the_wrong_way(folder):
    """Each file of a folder knows only what lies below it."""
    files = sorted((ROOT / folder).rglob("*.py"))

    assert files
    assert {str(file): violations(folder, file) for file in files if violations(folder, file)} == {}


def test_only_two_files_know_dali():
    """Dynamic mode is young and will move: one file to change, and one for the parser of image headers."""
    knowing = {
        file.name: {name for name in imports(file) if name.startswith("nvidia")}
        for file in (ROOT / "pipeline").rglob("*.py")
    }

    assert {name: modules for name, modules in knowing.items() if modules} == {
        "_decode.py": {"nvidia.dali", "nvidia.dali.experimental.dynamic"},
        "_peek.py": {"nvidia.nvimgcodec"},
    }


def test_the_check_finds_a_violation(tmp_path):
    """A sampler that reads tars would not pass."""
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    import tarfile\n    from foveal.shards import Shards\n")

    assert violations("sampler", bad) == {"tarfile", "shards"}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("foveal", "torch nvidia.dali numpy"),
        ("foveal.shards", "torch nvidia.dali"),
        ("foveal.sampler", "nvidia.dali numba triton foveal.shards"),
        ("foveal.tools", "torch nvidia.dali numpy matplotlib"),
    ],
)
def test_importing_stays_light(module, unwanted):
    """What a door does not need, opening it does not load."""
    code = f"import sys, {module}; print(*(set({unwanted.split()!r}) & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert run.stdout.strip() == ""
