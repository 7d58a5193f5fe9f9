"""Imports point one way: tools -> pipeline -> (sampler | shards), and into a room only through its door."""

import itertools
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.imports import imports, past_the_door

ROOT = Path(__file__).parents[1]

# What each folder may know of its neighbours, and what none but it may know of the world.
ALLOWED = {
    "shards": set(),
    "sampler": set(),
    "pipeline": {"shards", "sampler"},
    "tools": {"shards", "sampler", "pipeline"},
}
# Choices that the command line offers, too, where a warning points, and work for a pool: they load nothing of
# Foveal, and all folders may load them.
SHARED = {"_choices", "_outside", "_submit"}
FOREIGN = {
    "shards": {"torch", "nvidia"},
    "sampler": {"nvidia", "tarfile", "webdataset"},
    "tools": {"nvidia"},  # except for the peers that are DALI and nvImageCodec themselves
    "pipeline": {"tarfile"},
}
PEERS = {"_dali.py": "nvidia.dali", "_nvimagecodec.py": "nvidia.nvimgcodec"}


def violations(folder: str, path: Path) -> set[str]:
    """Return the imports that this folder must not have."""
    found = imports(path)
    peer = PEERS.get(path.name) if path.parts[-3:-1] == ("bench", "peers") else None
    if peer is not None:
        found = {name for name in found if not name.startswith(peer)}
    neighbours = {name.split(".")[1] for name in found if name.startswith("foveal.")}
    return (neighbours - ALLOWED[folder] - {folder} - SHARED) | (
        {name.split(".")[0] for name in found} & FOREIGN[folder]
    )


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield every module below the four folders, with its dotted name."""
    for path in sorted(itertools.chain.from_iterable((root / folder).rglob("*.py") for folder in ALLOWED)):
        parts = path.relative_to(root).with_suffix("").parts
        yield ".".join(("foveal", *(p for p in parts if p != "__init__"))), path


def circles(edges: Iterable[tuple[str, str]]) -> set[str]:
    """Return sub-packages of one folder that can be reached from themselves through their siblings."""
    after: dict[str, set[str]] = {}
    for importing, imported in edges:
        a, b = importing.split("."), imported.split(".")
        shared = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)
        if shared is not None and min(len(a), len(b)) > shared:
            after.setdefault(".".join(a[: shared + 1]), set()).add(".".join(b[: shared + 1]))

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            fresh = after.get(ahead.pop(), set()) - seen
            seen |= fresh
            ahead += fresh
        return seen

    return {name for name in after if name in reached(name)}


def room_edges(root: Path) -> set[tuple[str, str]]:
    """Return (importing room, imported room) over all modules."""
    found = dict(modules(root))
    rooms = {name for name, path in found.items() if path.name == "__init__.py"}

    def room(name: str) -> str:
        return name if name in rooms else name.rpartition(".")[0]

    return {
        (room(module), room(name))
        for module, path in found.items()
        for name in imports(path)
        if name.startswith("foveal.")
    }


@pytest.mark.parametrize("folder", ALLOWED)
def test_no_import_points_the_wrong_way(folder):
    """Each file of a folder imports only from the folders below it."""
    files = sorted((ROOT / folder).rglob("*.py"))

    assert files
    assert {str(file): violations(folder, file) for file in files if violations(folder, file)} == {}


def test_private_files_are_imported_in_their_own_room_only():
    """A private file is imported in its own room only; other rooms import from the door."""
    assert {name: found for name, path in modules(ROOT) if (found := past_the_door(name, path))} == {}


def test_rooms_form_no_circle():
    """Sub-packages side by side import each other in one direction."""
    edges = room_edges(ROOT)

    assert len(edges) > 50
    assert circles(edges) == set()


def test_no_folder_has_more_than_twenty_files():
    """No folder has more than twenty files."""
    folders = {path.parent for _, path in modules(ROOT)}

    assert {str(f): n for f in folders if (n := len(list(f.glob("*.py")))) > 20} == {}


def test_only_decoding_knows_dali():
    """One file imports DALI's dynamic mode, which is young and will change, and two import nvImageCodec."""
    knowing = {
        str(file.relative_to(ROOT)): {name for name in imports(file) if name.startswith("nvidia")}
        for file in (ROOT / "pipeline").rglob("*.py")
    }

    assert {name: found for name, found in knowing.items() if found} == {
        "pipeline/decoding/decoders/_decoder.py": {"nvidia.dali", "nvidia.dali.experimental.dynamic"},
        "pipeline/decoding/_peek.py": {"nvidia.nvimgcodec"},
        "pipeline/decoding/formats/_plain_tiff.py": {"nvidia"},
    }


def test_the_check_finds_a_violation(tmp_path):
    """A sampler that reads tars is found."""
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    import tarfile\n    from foveal.shards import Shards\n")

    assert violations("sampler", bad) == {"tarfile", "shards"}


def test_the_check_finds_a_way_past_a_door(tmp_path):
    """A private file or name of another room is found; those of the module's own room, and above it, are allowed."""
    file = tmp_path / "_x.py"
    file.write_text(
        "from foveal.sampler.grids._bounds import a\nfrom foveal.sampler.labels import _warp_map\n"
        "from foveal.sampler.zooms._zoomed import b\nfrom foveal.sampler._root import c\n"
    )

    assert past_the_door("foveal.sampler.zooms._x", file) == {
        "foveal.sampler.grids._bounds",
        "foveal.sampler.labels._warp_map",
    }


def test_the_check_finds_a_circle():
    """Two rooms that import each other, or three in a ring, are found; a folder and its own modules are not a circle."""
    straight = [("f.a", "f.b"), ("f.a.x", "f.c"), ("f.a", "f.a.x"), ("f.a.x", "f.a")]

    assert circles(straight) == set()
    assert circles([*straight, ("f.c", "f.a.y")]) == {"f.a", "f.c"}
    assert circles([("f.a", "f.b"), ("f.b", "f.c"), ("f.c", "f.a")]) == {"f.a", "f.b", "f.c"}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("foveal", "torch nvidia.dali numpy"),
        ("foveal._choices", "torch nvidia.dali numpy foveal.shards"),
        ("foveal.shards", "torch nvidia.dali"),
        ("foveal.sampler", "nvidia.dali numba triton foveal.shards"),
        ("foveal.tools", "torch nvidia.dali numpy matplotlib"),
    ],
)
def test_importing_stays_light(module, unwanted):
    """Importing a door does not load packages that it does not need."""
    code = f"import sys, {module}; print(*(set({unwanted.split()!r}) & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert run.stdout.strip() == ""
