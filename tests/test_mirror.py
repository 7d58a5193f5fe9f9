"""tests/ mirrors the tree: each test imports private modules of its own room only, and shared helpers are plain modules."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.imports import imports, past_the_door

TESTS = Path(__file__).parent
ROOT = TESTS.parent
# What is no mirror: written files of earlier versions, whose script runs in another tree, and frameworks around a loader.
ELSEWHERE = {"golden", "frameworks"}


def mirrored() -> Iterator[Path]:
    """Yield every test module that mirrors one of ours."""
    for path in sorted(TESTS.rglob("*.py")):
        if path.relative_to(TESTS).parts[0] not in ELSEWHERE:
            yield path


def room_of(path: Path) -> str:
    """Return the name of the module that a test would be if it stood in the room that it mirrors."""
    return ".".join(("foveal", *path.relative_to(TESTS).with_suffix("").parts))


def beside(module: str, path: Path) -> set[str]:
    """Return the private modules that a test imports from rooms that are neither above nor below its own."""
    room = f"{module.rpartition('.')[0]}."
    return {name for name in past_the_door(module, path) if not name.startswith(room)}


def shared_from_tests(path: Path) -> set[str]:
    """Return the test modules and conftests that a file imports from."""
    return {name for name in imports(path) if re.search(r"^tests\.(.*\.)?(test_\w+|conftest)$", name)}


def loose_functions(path: Path) -> set[str]:
    """Return the functions of a module without a decorator, except pytest's hooks."""
    functions = (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef))
    return {f.name for f in functions if not f.decorator_list and not f.name.startswith("pytest_")}


def test_every_folder_mirrors_a_room():
    """Each folder of tests has the name of a room, or of the documents, whose tests stand in docs/."""
    folders = {path.parent.relative_to(TESTS) for path in mirrored()}

    assert {str(folder) for folder in folders if not (ROOT / folder).is_dir()} == set()


def test_a_test_reaches_into_its_own_room_only():
    """A test imports private modules of its room, of rooms in it and around it; everything else it imports from doors."""
    found = {str(path): beside(room_of(path), path) for path in mirrored()}

    assert {path: names for path, names in found.items() if names} == {}


def test_no_folder_has_more_than_twenty_files():
    """No folder of tests has more than twenty files."""
    folders = {path.parent for path in TESTS.rglob("*.py")}

    assert {str(f): n for f in folders if (n := len(list(f.glob("*.py")))) > 20} == {}


def test_helpers_stand_in_plain_modules():
    """No test imports from another one; a conftest has fixtures and hooks."""
    borrowed = {str(path): shared_from_tests(path) for path in mirrored()}
    loose = {str(path): loose_functions(path) for path in mirrored() if path.name == "conftest.py"}

    assert {path: names for path, names in (borrowed | loose).items() if names} == {}


def test_the_checks_can_fail(tmp_path):
    """A test that imports from another room or another test, and a helper in a conftest, are found."""
    file = tmp_path / "conftest.py"
    file.write_text(
        "from foveal.shards.remote import _retry\nfrom tests.pipeline.test_loader import keys\n\n\ndef helper(): ...\n"
    )

    assert beside("foveal.pipeline.test_x", file) == {"foveal.shards.remote._retry"}
    assert beside("foveal.shards.remote.test_x", file) == set()
    assert beside("foveal.shards.test_x", file) == set()
    assert shared_from_tests(file) == {"tests.pipeline.test_loader"}
    assert loose_functions(file) == {"helper"}
