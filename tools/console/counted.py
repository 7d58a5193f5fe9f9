"""A number with its noun."""


def counted(number: int, noun: str, nouns: str | None = None) -> str:
    """Return ``"1 shard"`` or ``"1,200 shards"``; ``nouns`` is the plural if it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"
