"""The names of arguments in errors, where a caller has other names for them."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def called(**names: str) -> Iterator[None]:
    """Make an error about an argument name it as the caller does: ``called(source="boxes")``.

    Errors begin with the argument and ``must``, which tells what is to be renamed.

    Raises:
        ValueError: With the caller's name.
    """
    try:
        yield
    except ValueError as error:
        name, must, rest = str(error).partition(" must ")
        if must and name in names:
            raise ValueError(f"{names[name]}{must}{rest}") from error
        raise
