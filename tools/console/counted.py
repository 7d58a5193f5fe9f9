"""A number with its noun."""


def counted(number: int, noun: str) -> str:
    """Return ``"1 shard"`` or ``"1,200 shards"``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
