"""Says which row of a benchmark's table a check found wrong."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def named(row: str) -> Iterator[None]:
    """Put the name of the row before the message of a check that fails inside.

    Raises:
        ValueError: The check failed.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{row}: {error}") from error
