"""Asking a server again: what may pass, how often, how long between. Nothing below this retries by itself."""

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

ATTEMPTS = 6
FIRST_PAUSE = 0.5  # seconds before the second attempt; twice as long before each that follows
LONGEST_PAUSE = 30.0

_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_REFUSED = {
    401: "access is refused",
    403: "access is refused",
    404: "does not exist",
    410: "does not exist",
}

T = TypeVar("T")


class PassingError(Exception):
    """A failure that may be over when asked again.

    Args:
        reason: What came.
        wait: Seconds that the server asks to wait.
    """

    def __init__(self, reason: str, wait: float = 0) -> None:
        super().__init__(reason)
        self.wait = wait


class LastingError(Exception):
    """A failure that asking again would not mend."""


class RefusedError(LastingError):
    """The object is not there, or not for us."""


class ChangedError(LastingError):
    """The object is not in the state that was asked for."""


def persistently(ask: Callable[[], T], sleep: Callable[[float], None] = time.sleep) -> T:
    """Return what ``ask`` returns, in the end.

    Raises:
        LastingError: As it was raised, or after :data:`ATTEMPTS` attempts; the message then tells what came how often.
    """
    failures: list[str] = []
    while True:
        try:
            return ask()
        except PassingError as error:
            failures.append(str(error))
            if len(failures) == ATTEMPTS:
                raise LastingError(_tell(failures)) from error
            sleep(_pause(len(failures), error.wait))


def failure(status: int, said: str, wait: float = 0) -> Exception:
    """Return the error that an HTTP status of 400 and above means; ``said`` is the answer in words."""
    if status in _PASSING:
        return PassingError(said, wait)
    if status in _REFUSED:
        return RefusedError(f"{_REFUSED[status]}: {said}")
    if status in (412, 416):  # another ETag; or too short for the range, so that it has another size
        return ChangedError(said)
    return LastingError(f"cannot be read: {said}")


def _pause(failures: int, wait: float) -> float:
    """Return seconds to wait, at random within a factor of two so that readers do not come back all at once."""
    pause: float = FIRST_PAUSE * 2.0 ** (failures - 1) * random.uniform(0.5, 1)  # noqa: S311 - no secret
    return min(max(pause, wait), LONGEST_PAUSE)


def _tell(failures: list[str]) -> str:
    tally = ", ".join(f"{reason} ({count} times)" for reason, count in Counter(failures).items())
    return f"cannot be read in {len(failures)} attempts: {tally}: try again when the server is well"
