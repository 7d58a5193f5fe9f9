import re

import pytest

from foveal.shards import Shards
from foveal.shards.naming import parse_size


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (1, 1),
        (200_000_000_000, 200_000_000_000),
        ("200GB", 200_000_000_000),
        ("200 GB", 200_000_000_000),
        ("1.5kB", 1500),
        ("1KB", 1000),
        ("3B", 3),
        ("2KiB", 2048),
        ("1GiB", 2**30),
        ("0.5TiB", 2**39),
        ("1PB", 10**15),
    ],
)
def test_sizes(value, size):
    """Units are powers of 1000, or with an i of 1024."""
    assert parse_size("cache_size", value) == size


@pytest.mark.parametrize(
    "value",
    [0, -5, True, "0GB", "200", "200G", "200gb", "200 gigs", "GB", "-1GB", "1iB", "1e3MB", "", 1.5, None],
)
def test_refuses_what_is_no_size(value):
    """An ambiguous size is refused with its value."""
    message = f"cache_size must be a number of bytes above zero, got {value!r} – write it as 200_000_000_000, '200GB' or '186GiB'"

    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_size("cache_size", value)


def test_is_refused_before_anything_is_read():
    """A loader with an invalid size does not open its shards."""
    with pytest.raises(ValueError, match=r"^cache_size must be"):
        Shards("missing.tar", cache_size="200 gigs")
