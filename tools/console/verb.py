"""How a verb of the command line is registered: its help ends with an example, and a flag is shown without the type of a value."""

from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

Function = TypeVar("Function", bound=Callable[..., None])


class Verb(TyperCommand):
    """A verb."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters. In their help, no flag has the type ``<bool>``, because a flag takes no value."""
        return _flags_without_type(super().get_params(ctx))


class VerbGroup(TyperGroup):
    """A group of verbs."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, as a verb does."""
        return _flags_without_type(super().get_params(ctx))


def verb(app: typer.Typer, example: str, *, name: str | None = None) -> Callable[[Function], Function]:
    """Return a decorator that makes a function a verb of ``app``.

    Args:
        app: The command line.
        example: One command that a reader can copy; the help ends with it, and a test runs it.
        name: The name of the verb, if it is not that of the function.
    """
    return app.command(name=name, cls=Verb, epilog=f"Example: {example}")


def _flags_without_type(parameters: list[Any]) -> list[Any]:
    for each in parameters:
        if getattr(each, "is_flag", False):
            each.metavar = ""
    return parameters
