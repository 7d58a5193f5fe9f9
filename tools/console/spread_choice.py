"""A verb that takes the settings of a zoom as one value, and has an option for each of them."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from foveal.tools.console.zoom_choice import TrainZoomChoice, options


def spread_choice(verb: Callable[..., None]) -> Callable[..., None]:
    """Return a verb as Typer takes it: in the place of its parameter of a zoom's choice are that choice's own settings."""
    hints = get_type_hints(verb, include_extras=True)
    [(taken, kind)] = [(name, each) for name, each in hints.items() if _is_choice(each)]
    spread = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in options(kind).items()
    ]

    @functools.wraps(verb)
    def with_options(**given: Any) -> None:
        choice = kind(**{each.name: given.pop(each.name) for each in spread})
        verb(**given, **{taken: choice})

    parameters = []
    for parameter in inspect.signature(verb).parameters.values():
        parameters += spread if parameter.name == taken else [parameter]
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {each.name: each.annotation for each in parameters}
    return with_options


def _is_choice(hint: object) -> bool:
    return isinstance(hint, type) and issubclass(hint, TrainZoomChoice)
