"""Runs the command line in this process."""

from typing import Any

from typer.main import get_command
from typer.testing import CliRunner

from foveal.tools._cli import app


def run(*arguments: object, width: int = 80) -> Any:
    """Run ``foveal`` with these arguments, on a console so wide; the result has ``exit_code``, ``stdout`` and ``exception``."""
    return CliRunner(env={"COLUMNS": str(width)}).invoke(app, list(map(str, arguments)))


def command() -> Any:
    """Return the parser, as click has it."""
    return get_command(app)
