"""Makes retries fast."""

from typing import Any

from foveal.shards.remote import _retry


def hurry(monkeypatch: Any, *, attempts: int | None = None) -> None:
    """Retry after milliseconds, and more often if wanted."""
    monkeypatch.setattr(_retry, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(_retry, "LONGEST_PAUSE", 0.01)
    if attempts is not None:
        monkeypatch.setattr(_retry, "ATTEMPTS", attempts)
