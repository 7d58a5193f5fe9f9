import re

import pytest

from foveal.shards.naming import known_options


def test_an_unknown_option_is_named():
    """The TypeError of whatever got the option becomes an error of the options."""
    message = (
        "storage_options must be arguments that fsspec's s3:// takes, got 'endpont_url' – is it misspelt?"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"), known_options("s3"):
        _session(endpont_url="http://127.0.0.1:1")


def test_other_errors_stay():
    """A TypeError about something else is not about options."""
    with pytest.raises(TypeError, match=r"^unsupported operand"), known_options("s3"):
        _session(None)


def _session(number=0):
    return number + 1
