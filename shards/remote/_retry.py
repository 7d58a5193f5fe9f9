"""Retries: which failures may be temporary, how often to try, and how long to wait. No layer below this retries by itself."""

import random
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

ATTEMPTS = 6
FIRST_PAUSE = 0.5  # seconds before the second attempt; the pause doubles before each later one
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
    """A failure that may be temporary.

    Args:
        reason: What the server sent, or what failed.
        wait: Seconds that the server asks to wait.
    """

    def __init__(self, reason: str, wait: float = 0) -> None:
        super().__init__(reason)
        self.wait = wait


class LastingError(Exception):
    """A failure that another request would not mend."""


class RefusedError(LastingError):
    """The object does not exist, or may not be read."""


class ChangedError(LastingError):
    """The object is in another state than the one that was requested."""


class InterruptedReadError(LastingError):
    """Another thread has interrupted all reading."""


class GivenUpError(LastingError):
    """Each of several attempts failed.

    Args:
        attempts: Their number, and how often each failure occurred.
    """

    def __init__(self, attempts: str) -> None:
        super().__init__(f"{attempts}: try again when the server is well")
        self.attempts = attempts


def persistently(ask: Callable[[], T], sleep: Callable[[float], None]) -> T:
    """Call ``ask`` until it succeeds, and return its result.

    Raises:
        LastingError: As ``ask`` raised it.
        GivenUpError: :data:`ATTEMPTS` attempts failed.
    """
    failures: list[str] = []
    while True:
        try:
            return ask()
        except PassingError as error:
            failures.append(str(error))
            if len(failures) == ATTEMPTS:
                raise GivenUpError(_tell(failures)) from error
            sleep(_pause(len(failures), error.wait))


def failure(status: int, said: str, wait: float = 0) -> Exception:
    """Return the error for an HTTP status of 400 or above; ``said`` is the message of the answer."""
    if status in _PASSING:
        return PassingError(said, wait)
    if status in _REFUSED:
        return RefusedError(f"{_REFUSED[status]}: {said}")
    if status in (412, 416):  # another ETag; or the file is too short for the range, so its size has changed
        return ChangedError(said)
    return LastingError(f"cannot be read: {said}")


def _pause(failures: int, wait: float) -> float:
    """Return the seconds to wait, random within a factor of two, so that readers do not all retry at once."""
    pause: float = FIRST_PAUSE * 2.0 ** (failures - 1) * random.uniform(0.5, 1)  # noqa: S311 - no secret
    return min(max(pause, wait), LONGEST_PAUSE)


def _tell(failures: list[str]) -> str:
    tally = ", ".join(f"{reason} ({count} times)" for reason, count in Counter(failures).items())
    return f"cannot be read in {len(failures)} attempts: {tally}"
