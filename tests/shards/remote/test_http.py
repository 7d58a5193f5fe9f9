"""What a web server's headers say."""

import time
from email.utils import formatdate

import pytest

from foveal.shards.remote._http import _seconds

NOON = "Wed, 01 Jul 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "Wed, 01 Jul 2026 12:00:09 GMT", "Date": NOON}, 9),  # whatever the clock here says
        ({"Retry-After": "Wed, 01 Jul 2026 11:59:00 GMT", "Date": NOON}, 0),
        ({"Retry-After": "soon", "Date": NOON}, 0),
        ({"Retry-After": "Wed, 01 Foo 0000 99:99:99 GMT", "Date": NOON}, 0),
        ({"Date": NOON}, 0),
        ({}, 0),
    ],
)
def test_how_long_to_wait(headers, seconds):
    """Retry-After is a number of seconds, or a time by the server's clock; anything else is no time to wait."""
    assert _seconds(headers) == seconds


def test_a_server_without_a_clock():
    """Without a Date, the time in Retry-After is taken by the clock here."""
    assert 3500 < _seconds({"Retry-After": formatdate(time.time() + 3600, usegmt=True)}) <= 3600
