"""Files appear complete or not at all, because one room writes them."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("sampler", "pipeline", "shards", "tools")


def direct_writers(root: Path) -> set[str]:
    """Return the files of the product that write a file by its path, in place."""
    return {
        str(path.relative_to(root))
        for folder in FOLDERS
        for path in (root / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("write_text", "write_bytes")
    }


def test_files_are_written_by_the_store():
    """Results go through ``write_whole`` or ``replacing``; a benchmark writes to a file of the operating system."""
    assert direct_writers(ROOT) == {"shards/store/_replace.py", "tools/bench/timing.py"}


def test_the_check_can_fail(tmp_path):
    """A verb that writes its report in place is found."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "_verb.py").write_text("def verb(path): path.write_text('{}')\n")

    assert direct_writers(tmp_path) == {"tools/_verb.py"}
