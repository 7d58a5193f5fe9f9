"""How a verb of the command line is registered.

Its help ends with an example, a flag is shown without the type of a value, and an empty value is refused.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

Function = TypeVar("Function", bound=Callable[..., None])


class Verb(TyperCommand):
    """A verb."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments.

        Raises:
            BadParameter: One of them is empty, as a shell variable is that was not set: as a path, it would be the current folder.
        """
        given, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        for each in self.get_params(ctx):
            if _holds_empty(given.get(each.name)):
                raise typer.BadParameter("must not be empty, got ''.", ctx=ctx, param=each)
        return super().parse_args(ctx, args)

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


def _holds_empty(value: object) -> bool:
    return value == "" or (isinstance(value, list | tuple) and "" in value)
