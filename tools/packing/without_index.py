"""What is said of shards without an index beside them, which their names may not allow."""

from collections.abc import Collection, Sequence

from rich.console import Console

from foveal.tools.console.counted import counted


def print_without_index(console: Console, names: Sequence[str], files: Collection[str]) -> None:
    """Print how many shards have no index beside them, if there are any.

    Args:
        console: Where it is printed.
        names: The shards' file names, which end with ``.tar``.
        files: The names of all files in their folder.
    """
    without = without_index(names, files)
    if without:
        console.print(
            f"{len(without):,} of {counted(len(names), 'shard')} without an index beside it, the first: {without[0]}. None can hold "
            "names with white space; `foveal index` writes any other. Foveal and webdataset need none, DALI's reader does."
        )


def without_index(names: Sequence[str], files: Collection[str]) -> list[str]:
    """Return the shards that have no index beside them."""
    return [name for name in names if f"{name.removesuffix('.tar')}.idx" not in files]
