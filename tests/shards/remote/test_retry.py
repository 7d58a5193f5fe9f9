import re

import pytest

from foveal.shards.remote import _retry
from foveal.shards.remote._retry import (
    ChangedError,
    LastingError,
    PassingError,
    RefusedError,
    failure,
    persistently,
)


def asking(*outcomes):
    """Return a function that raises or returns one outcome after the other."""
    remaining = list(outcomes)

    def ask():
        outcome = remaining.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    ask.remaining = remaining
    return ask


def test_pauses_double_and_differ():
    """Pauses are random between half and all of 0.5, 1, 2 and 4 seconds."""
    pauses = []

    assert persistently(asking(*[PassingError("x")] * 4, 7), pauses.append) == 7
    assert all(full / 2 <= pause <= full for pause, full in zip(pauses, [0.5, 1, 2, 4], strict=True))
    again = []
    persistently(asking(*[PassingError("x")] * 4, 7), again.append)
    assert again != pauses


def test_a_server_may_ask_for_more_time_but_not_for_ever():
    """Retry-After is respected, up to the longest pause."""
    pauses = []

    persistently(asking(PassingError("x", 10), PassingError("x", 900), 7), pauses.append)
    assert pauses == [10, _retry.LONGEST_PAUSE]


def test_gives_up_with_a_tally():
    """After six attempts the error counts the outcomes."""
    ask = asking(*[PassingError("HTTP 503")] * 4, *[PassingError("lost")] * 3)
    message = (
        "cannot be read in 6 attempts: HTTP 503 (4 times), lost (2 times): try again when the server is well"
    )

    with pytest.raises(LastingError, match=f"^{re.escape(message)}$"):
        persistently(ask, lambda _: None)
    assert len(ask.remaining) == 1


def test_what_lasts_is_raised_at_once():
    """A permanent failure is not retried."""
    with pytest.raises(RefusedError):
        persistently(asking(RefusedError("no"), 7), lambda _: pytest.fail("waited"))


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (408, PassingError, "HTTP 408"),
        (429, PassingError, "HTTP 429"),
        (500, PassingError, "HTTP 500"),
        (502, PassingError, "HTTP 502"),
        (503, PassingError, "HTTP 503"),
        (504, PassingError, "HTTP 504"),
        (401, RefusedError, "access is refused: HTTP 401"),
        (403, RefusedError, "access is refused: HTTP 403"),
        (404, RefusedError, "does not exist: HTTP 404"),
        (410, RefusedError, "does not exist: HTTP 410"),
        (412, ChangedError, "HTTP 412"),
        (416, ChangedError, "HTTP 416"),
        (400, LastingError, "cannot be read: HTTP 400"),
        (501, LastingError, "cannot be read: HTTP 501"),
    ],
)
def test_statuses(status, kind, message):
    """Each HTTP status is temporary, a refusal, or a sign of a change."""
    error = failure(status, f"HTTP {status}")

    assert (type(error), str(error)) == (kind, message)
