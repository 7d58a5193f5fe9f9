"""Tables of numbers."""

from rich.console import Console
from rich.table import Table


def print_table(console: Console, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table whose first column is a name and whose others are numbers."""
    table = Table(box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)
