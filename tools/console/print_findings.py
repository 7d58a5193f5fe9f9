"""A table of the faults that were found in shards."""

from collections import defaultdict
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table


def print_findings(console: Console, found: Iterable[tuple[str, str]], *, what: str) -> None:
    """Print how many faults there are of each kind, the most frequent first, each with an example; nothing if there are none.

    Args:
        console: Where to print.
        found: The kind and the place of each fault.
        what: The heading over the counts.
    """
    by_kind: defaultdict[str, list[str]] = defaultdict(list)
    for kind, where in found:
        by_kind[kind].append(where)
    if not by_kind:
        return
    table = Table(what, "what is wrong", "the first", box=None, pad_edge=False)
    table.columns[0].justify = "right"
    for kind, places in sorted(by_kind.items(), key=lambda item: -len(item[1])):
        table.add_row(f"{len(places):,}", kind, places[0])
    console.print(table, markup=False)
