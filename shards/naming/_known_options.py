"""Options for a remote file system that it does not know."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

_UNKNOWN = re.compile(r"unexpected keyword argument '(\w+)'")


@contextmanager
def known_options(scheme: str) -> Iterator[None]:
    """Say which of the ``storage_options`` is unknown: file systems take any when they are made, and raise TypeError with their first request.

    Raises:
        ValueError: One is unknown.
    """
    try:
        yield
    except TypeError as error:
        found = _UNKNOWN.search(str(error))
        if found is None:
            raise
        raise ValueError(
            f"storage_options must be arguments that fsspec's {scheme}:// takes, got {found[1]!r} – is it misspelt?"
        ) from error
