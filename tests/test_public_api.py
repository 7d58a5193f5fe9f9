"""The public names of the four doors."""

import ast
import builtins
import importlib
import inspect
import itertools
import re
import types
import typing
from pathlib import Path
from pkgutil import iter_modules, walk_packages
from typing import Literal

import pytest

ROOT = Path(__file__).parents[1]
DOORS = ("pipeline", "sampler", "shards", "tools")


@pytest.mark.parametrize("door", DOORS)
def test_all_names_exactly_what_is_public(door):
    """`__all__` is sorted, and has exactly the public names."""
    module = importlib.import_module(f"foveal.{door}")
    public = {
        n for n, v in vars(module).items() if not n.startswith("_") and not isinstance(v, types.ModuleType)
    }

    assert module.__all__ == sorted(module.__all__)
    loaded_late = {n for n in module.__all__ if n not in vars(module) and getattr(module, n)}
    assert set(module.__all__) == public | loaded_late


@pytest.mark.parametrize("door", DOORS)
def test_no_room_is_hidden_by_a_name_of_its_door(door):
    """``foveal.pipeline.NAME`` is either a sub-package or something that the door exports, never both."""
    package = importlib.import_module(f"foveal.{door}")
    packages = [
        package.__name__,
        *(m.name for m in walk_packages(package.__path__, f"foveal.{door}.") if m.ispkg),
    ]

    assert len(packages) > 4
    assert {
        name: hidden for name in packages if (hidden := hidden_modules(importlib.import_module(name)))
    } == {}


def test_a_hidden_room_is_found(tmp_path, monkeypatch):
    """A package that imports a function with the name of one of its modules is found."""
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "__init__.py").write_text(
        "from house.room import room\nfrom house.hall import enter\n"
    )
    (tmp_path / "house" / "room.py").write_text("def room(): ...\n")
    (tmp_path / "house" / "hall.py").write_text("def enter(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)

    assert hidden_modules(importlib.import_module("house")) == {"room"}


def hidden_modules(package):
    """Return modules of a package whose names the package uses for something else."""
    return {
        module.name
        for module in iter_modules(package.__path__)
        if not isinstance(vars(package).get(module.name, package), types.ModuleType)
    }


@pytest.mark.parametrize("door", DOORS)
def test_everything_public_is_documented(door):
    """Every public name has a docstring; a type alias has a string below it."""
    module = importlib.import_module(f"foveal.{door}")
    aliases = described_aliases([ROOT / "src" / "foveal" / "_choices.py", *(ROOT / door).rglob("*.py")])

    assert [name for name in module.__all__ if not is_documented(name, getattr(module, name), aliases)] == []


def test_an_alias_without_a_description_is_found(tmp_path):
    """An alias without a string below it, or with an empty one, is found."""
    (tmp_path / "_x.py").write_text('A = int\n"""A number."""\nB = int\nC = int\n""" """\n')

    assert described_aliases([tmp_path / "_x.py"]) == {"A"}
    assert not is_documented("B", Literal["b"], {"A"})


@pytest.mark.parametrize("door", DOORS)
def test_errors_that_are_promised_can_be_caught(door):
    """Each error that a public docstring promises is Python's own, or a public name."""
    module = importlib.import_module(f"foveal.{door}")
    public = {n for each in DOORS for n in importlib.import_module(f"foveal.{each}").__all__}
    promised = {name: errors_of(getattr(module, name)) for name in module.__all__}

    assert {n: left for n, errors in promised.items() if (left := errors - public - set(dir(builtins)))} == {}


def test_a_promised_error_is_found():
    """The errors are those of a function or class and of its public methods, several in a line, without their descriptions."""

    class Reader:
        """Read.

        Raises:
            ValueError: A value, as: this.
                And: more.
        """

        def read(self):
            """Read.

            Raises:
                OtherError, KeyError: It.

            Example:
                >>> print: 1
            """

        def _own(self):
            """Hide.

            Raises:
                HiddenError: It.
            """

    assert errors_of(Reader) == {"ValueError", "OtherError", "KeyError"}


def errors_of(value):
    """Return the names of the errors that the docstrings of a function, or of a class and its public methods, promise."""
    own = vars(value).items() if isinstance(value, type) else ()
    documented = [value, *(each for name, each in own if not name.startswith("_"))]
    texts = [inspect.cleandoc(each.__doc__ or "") for each in documented]
    parts = [part for text in texts for part in re.findall(r"^Raises:\n((?: .*\n?|\n)+)", text, re.MULTILINE)]
    lines = [names for part in parts for names in re.findall(r"^ {4}(\w[\w, ]*):", part, re.MULTILINE)]
    return {name for names in lines for name in names.split(", ")}


def is_documented(name, value, aliases):
    if typing.get_origin(value) is not None:
        return name in aliases
    return bool((value.__doc__ or "").strip())


def described_aliases(files):
    """Return names that are assigned in these files and described by a string on the next line."""
    bodies = (ast.parse(path.read_text()).body for path in files)
    pairs = itertools.chain.from_iterable(map(itertools.pairwise, bodies))
    return {
        target.id
        for assigned, below in pairs
        if isinstance(assigned, ast.Assign) and isinstance(below, ast.Expr)
        if isinstance(below.value, ast.Constant) and str(below.value.value).strip()
        for target in assigned.targets
        if isinstance(target, ast.Name)
    }
