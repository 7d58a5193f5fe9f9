"""How a verb of the command line is registered.

Its help ends with an example, a flag is shown without the type of a value, an empty value is refused, and so are a remote
one in the place of a local path, and an option that would do nothing beside the others.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

import typer
from typer.core import TyperCommand, TyperGroup

Function = TypeVar("Function", bound=Callable[..., None])


@dataclass(frozen=True, slots=True)
class Idle:
    """Options of a verb that would do nothing, by the names of its parameters. They are refused: whoever gives one expects something of it.

    Attributes:
        options: These options.
        beside: They do nothing if this one is given; None for another reason.
        without: They do nothing if this one is not given; None for another reason.
        local: They do nothing if all that these name is on this machine; empty for another reason.
    """

    options: tuple[str, ...]
    beside: str | None = None
    without: str | None = None
    local: tuple[str, ...] = ()

    def refuse(self, given: Mapping[str, Any], parameters: Sequence[Any], context: Any) -> None:
        """Raise if one of the options is given and does nothing.

        Args:
            given: What the command line gives, by parameter, as text.
            parameters: Those of the verb.
            context: What the error is raised for.

        Raises:
            BadParameter: One is.
        """
        named = {each.name: each for each in parameters}
        for name in self.options:
            value = given.get(name)
            if value is not None and (why := self._why(given, named)) is not None:
                fault, advice = why
                got = "" if value is True else f", got {_text(value)!r}"
                raise typer.BadParameter(
                    f"must be left out {fault}{got} – {advice}.", ctx=context, param=named[name]
                )

    def _why(self, given: Mapping[str, Any], named: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return beside what the options do nothing, and what to do about it; None if they do something."""
        if self.beside is not None and given.get(self.beside):
            return f"with {_shown(named[self.beside])}", "leave one of the two out"
        if self.without is not None and not given.get(self.without):
            other = _shown(named[self.without])
            return f"without {other}", f"give {other}, too, or leave it out"
        places = [name for name in self.local if given.get(name)]
        if places and not any(_is_elsewhere(given[name]) for name in places):
            return (
                f"with local {' and '.join(_shown(named[name]) for name in places)}",
                "it is about what is on other machines",
            )
        return None


class Verb(TyperCommand):
    """A verb."""

    idle: ClassVar[tuple[Idle, ...]] = ()
    """The options that do nothing beside others."""

    def make_parser(self, ctx: Any) -> Any:
        """Return the parser, which also checks the arguments.

        It raises BadParameter if one of them is empty, as a shell variable is that was not set: as a path, it would be the
        current folder. So it does if a local path has a scheme: as a path, it would be a folder named ``s3:``; and if an option
        would do nothing.
        """
        parser: Any = super().make_parser(ctx)
        parse = parser.parse_args

        def parse_and_check(args: list[str]) -> tuple[dict[str, Any], list[str], list[Any]]:
            given, rest, order = parse(args=args)
            return self._checked(given, ctx), rest, order

        parser.parse_args = parse_and_check
        return parser

    def _checked(self, given: dict[str, Any], ctx: Any) -> dict[str, Any]:
        local, parameters = _local_ones(self.callback), self.get_params(ctx)
        for each in parameters:
            value = given.get(each.name)
            if _holds_empty(value):
                raise typer.BadParameter("must not be empty, got ''.", ctx=ctx, param=each)
            if value is not None and each.name in local:
                try:
                    given[each.name] = _as_path(value)
                except ValueError as error:
                    raise typer.BadParameter(str(error), ctx=ctx, param=each) from None
        for idle in self.idle:
            idle.refuse(given, parameters, ctx)
        return given

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters. In their help, no flag has the type ``<bool>``, because a flag takes no value."""
        return _flags_without_type(super().get_params(ctx))


class VerbGroup(TyperGroup):
    """A group of verbs."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, as a verb does."""
        return _flags_without_type(super().get_params(ctx))


def verb(
    app: typer.Typer, example: str, *, name: str | None = None, idle: tuple[Idle, ...] = ()
) -> Callable[[Function], Function]:
    """Return a decorator that makes a function a verb of ``app``.

    Args:
        app: The command line.
        example: One command that a reader can copy; the help ends with it, and a test runs it.
        name: The name of the verb, if it is not that of the function.
        idle: The options that do nothing beside others.
    """
    kind = type("Verb", (Verb,), {"idle": idle})
    return app.command(name=name, cls=kind, epilog=f"Example: {example}")


def _shown(parameter: Any) -> str:
    """Return a parameter as the help shows it: an option by its name, an argument by its metavar."""
    name: str = parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
    return name


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ", ".join(map(str, value))


def _is_elsewhere(value: str | Sequence[str]) -> bool:
    from foveal.shards.naming import has_other_scheme  # noqa: PLC0415 - heavy

    return any(map(has_other_scheme, [value] if isinstance(value, str) else value))


def _flags_without_type(parameters: list[Any]) -> list[Any]:
    for each in parameters:
        if getattr(each, "is_flag", False):
            each.metavar = ""
    return parameters


def _holds_empty(value: object) -> bool:
    return value == "" or (isinstance(value, list | tuple) and "" in value)


def _local_ones(callback: Callable[..., Any] | None) -> set[str]:
    """Return the names of the parameters that are local paths."""
    parameters = {} if callback is None else inspect.signature(callback).parameters
    return {name for name, each in parameters.items() if _names_path(each.annotation)}


def _names_path(kind: object) -> bool:
    """Return whether a type is a path, or made of one: ``Annotated[Path | None, ...]``, ``list[Path]``."""
    return kind is Path or any(_names_path(part) for part in get_args(kind))


def _as_path(value: Any) -> Any:
    """Return a path without ``file:``, or each of a list. Here it is still text: in a Path, ``//`` would be ``/``."""
    if isinstance(value, list | tuple):
        return type(value)(map(_as_path, value))
    if not isinstance(value, str) or ":" not in value:
        return value
    from foveal.shards.naming import has_other_scheme, local_path, must_be_local  # noqa: PLC0415 - heavy

    if has_other_scheme(value):
        raise ValueError(must_be_local(value))
    return local_path(value)
