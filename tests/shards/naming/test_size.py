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
        ("100000", 100_000),
        ("200_000_000_000", 200_000_000_000),
        ("9007199254740993", 2**53 + 1),
        ("1_000 kB", 10**6),
    ],
)
def test_sizes(value, size):
    """Units are powers of 1000, or with an i of 1024."""
    assert parse_size("cache_size", value) == size


@pytest.mark.parametrize(
    "value",
    [
        *(
            0,
            -5,
            True,
            "0GB",
            "0",
            "200G",
            "5K",
            "200gb",
            "200 gigs",
            "GB",
            "-1GB",
            "1iB",
            "1e3MB",
            "1e5",
            "1.5",
        ),
        *("1,000", "_1", "1__0", "", "0.5B", 1.5, 2e9, None),
    ],
)
def test_refuses_what_is_no_size(value):
    """An ambiguous size is refused with its value."""
    message = f"cache_size must be a whole number of bytes above zero, got {value!r} – write it as 200_000_000_000, '200GB' or '186GiB'"

    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_size("cache_size", value)


@pytest.mark.parametrize("advice", ["200_000_000_000", "200GB", "186GiB"])
def test_the_advice_is_good(advice):
    """What the message says to write is taken, also from the command line."""
    with pytest.raises(ValueError, match=advice):
        parse_size("shard_size", "200G")

    assert parse_size("shard_size", advice) > 199e9


def test_is_refused_before_anything_is_read():
    """A loader with an invalid size does not open its shards."""
    with pytest.raises(ValueError, match=r"^cache_size must be"):
        Shards("missing.tar", cache_size="200 gigs")
