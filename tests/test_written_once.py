"""Settings that users name, and the choices of an argument, are written in one place."""

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("sampler", "pipeline", "shards", "tools", "src")


def spelling(word: str, root: Path = ROOT) -> list[str]:
    """Return the files of the product in which a word occurs, in code or in text."""
    files = (path for folder in FOLDERS for path in sorted((root / folder).rglob("*.*")) if path.is_file())
    return [
        str(path.relative_to(root))
        for path in files
        if path.suffix in (".py", ".sh", ".md") and word in path.read_text()
    ]


@pytest.mark.parametrize(("setting", "most"), [("max_zoom", 8), ("fwhm_cells", 5)])
def test_settings_of_a_zoom_travel_as_one_value(setting, most):
    """Functions and modules that users call take them one by one; everything between passes a choice on."""
    files = spelling(setting)

    assert "sampler/grids/_grid_settings.py" in files
    assert "tools/console/zoom_choice.py" in files
    assert len(files) <= most, files


def test_every_spelling_is_counted(tmp_path):
    """A file that takes the setting by name, or mentions it, is found."""
    (tmp_path / "tools" / "new").mkdir(parents=True)
    (tmp_path / "sampler").mkdir()
    (tmp_path / "tools" / "new" / "_verb.py").write_text("def verb(*, max_zoom=None): ...\n")
    (tmp_path / "sampler" / "_doc.py").write_text('"""About ``max_zoom``."""\n')
    (tmp_path / "sampler" / "_other.py").write_text("zoom = 1\n")

    assert spelling("max_zoom", tmp_path) == ["sampler/_doc.py", "tools/new/_verb.py"]


def _constants(nodes: list[ast.expr]) -> frozenset[object]:
    return frozenset(node.value for node in nodes if isinstance(node, ast.Constant))


def typed(tree: ast.AST) -> Iterator[tuple[int, frozenset[object]]]:
    """Yield line and choices of each ``Literal[...]``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("Literal"):
            choices = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            yield node.lineno, _constants(choices)


def listed(tree: ast.AST) -> Iterator[tuple[int, frozenset[object], bool]]:
    """Yield line and strings of each tuple, list or set of two or more, and whether something is looked up in it."""
    in_literals = {
        id(node.slice)
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("Literal")
    }
    looked_up = {
        id(side)
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn)
        for side in node.comparators
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple | ast.List | ast.Set) and id(node) not in in_literals:
            values = _constants(node.elts)
            if len(node.elts) == len(values) > 1 and all(isinstance(each, str) for each in values):
                yield node.lineno, values, id(node) in looked_up


def twice(root: Path = ROOT) -> list[str]:
    """Return choices that are written in two places.

    Two ``Literal`` with the same choices, or with two in common, which then must grow together; a ``Literal`` and a tuple of just
    its choices; two tuples of the same strings in each of which something is looked up.
    """
    types: list[tuple[str, frozenset[object]]] = []
    lists: list[tuple[str, frozenset[object], bool]] = []
    for path in (path for folder in FOLDERS for path in sorted((root / folder).rglob("*.py"))):
        tree, name = ast.parse(path.read_text()), path.relative_to(root)
        types += [(f"{name}:{line}", choices) for line, choices in typed(tree)]
        lists += [(f"{name}:{line}", choices, used) for line, choices, used in listed(tree)]
    pairs = [(a, b) for (a, x), (b, y) in itertools.combinations(types, 2) if x == y or len(x & y) > 1]
    pairs += [(a, b) for a, x in types for b, y, _ in lists if x == y]
    pairs += [(a, b) for (a, x, p), (b, y, q) in itertools.combinations(lists, 2) if x == y and p and q]
    return [f"{a} and {b}" for a, b in pairs]


def test_choices_are_spelt_once():
    """The choices of an argument are one named type, which is imported elsewhere."""
    assert sum(1 for path in (ROOT / "sampler").rglob("*.py") for _ in typed(ast.parse(path.read_text()))) > 5
    assert twice() == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('A = Literal["x", "y"]', 'def f(a: typing.Literal["y", "x"]): ...'),
        ('A = Literal["x"]', 'B = Literal["x"] | None'),
        ('A = Literal["x", "y"]', 'B = Literal["x", "z", "y"]'),
        ('A = Literal["x", "y"]', 'B = ("x", "y")'),
        ('ok = a in ("x", "y")', 'ok = a not in {"y", "x"}'),
    ],
)
def test_choices_that_are_spelt_twice_are_found(tmp_path, one, other):
    """Repeated choices are found in any order, as types or as strings to look up, also in one file."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "_a.py").write_text(one)
    (tmp_path / "tools" / "_b.py").write_text(other)
    assert twice(tmp_path) == ["tools/_a.py:1 and tools/_b.py:1"]

    (tmp_path / "tools" / "_b.py").write_text(f"{one}\n{other}\n")
    (tmp_path / "tools" / "_a.py").write_text(
        'ok = a in ("x", "z")\nC = Literal["x", 1]\nfor a in ("p", "q"): ...\n'
    )
    assert twice(tmp_path) == ["tools/_b.py:1 and tools/_b.py:2"]
