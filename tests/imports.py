"""Reads the imports of a module without running it."""

import ast
from pathlib import Path


def imports(path: Path) -> set[str]:
    """Return every module that a file imports, at the top or inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            found |= {
                f"{node.module}.{alias.name}"
                for alias in node.names
                if alias.name.startswith("_") and not alias.name.startswith("__")
            }
    return found


def past_the_door(module: str, path: Path) -> set[str]:
    """Return the private modules that a module imports from rooms in which it does not stand."""
    room = module if path.name == "__init__.py" else module.rpartition(".")[0]
    private = {name for name in imports(path) if name.startswith("foveal.") and "._" in name}
    return {name for name in private if not f"{room}.".startswith(name[: name.index("._") + 1])}
