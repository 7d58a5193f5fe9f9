"""Old names: on the command line they work for one more release, and files that were written with them stay readable."""

import warnings
from collections.abc import Mapping
from typing import Any

_ON_COMMAND_LINE = {
    "fields": "members",
    "force": "overwrite",
    "full": "dali",  # a choice of --decode
    "grid": "family",
    "max-failure-rate": "max-bad-fraction",
    "no-labels": "no-classes",
    "retry-failed": "retry-bad",
    "size": "out-size",
    "workers": "num-threads",
}
_IN_FILES = {"grid": "family", "size": "out_size"}


def current_name(name: str) -> str:
    """Return the name that an option, or one of its choices, has today.

    Click calls this for every name that it reads on the command line (``token_normalize_func``).

    Warns:
        FutureWarning: The name is an old one.
    """
    if name not in _ON_COMMAND_LINE:
        return name
    new = _ON_COMMAND_LINE[name]
    warnings.warn(
        f"{name!r} on the command line is now called {new!r}; the old name will be removed in the next release",
        FutureWarning,
        stacklevel=2,
    )
    return new


def with_current_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings that an earlier version wrote to a file, under the names that they have today."""
    named = {_IN_FILES.get(name, name): value for name, value in settings.items()}
    return {**named, "decode": "dali"} if named.get("decode") == "full" else named
