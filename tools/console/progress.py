"""The progress bar of every verb."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text


class _Rate(ProgressColumn):
    """A column with the number of items a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.1f} {self._unit}/s")


def progress_bar(console: Console, *, unit: str | None = None) -> Progress:
    """Return a bar that shows how much is done and how long the rest will take. It is shown on terminals only, and removed at the end.

    With a unit it also shows how many items are done a second.
    """
    return Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        *(() if unit is None else (_Rate(unit),)),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
