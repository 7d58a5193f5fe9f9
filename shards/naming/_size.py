"""Sizes as people write them: ``"200GB"``."""

import re

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kKMGTP]?)(i?)B", re.ASCII)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}


def parse_size(name: str, value: object) -> int:
    """Return bytes: 200 GB are 200 * 1000**3, 200 GiB are 200 * 1024**3.

    Raises:
        ValueError: It is not a size, or not above zero.
    """
    size = value if isinstance(value, int) and not isinstance(value, bool) else _parse(value)
    if size < 1:
        raise ValueError(
            f"{name} must be a number of bytes above zero, got {value!r} – write it as 200_000_000_000, '200GB' or '186GiB'"
        )
    return size


def _parse(value: object) -> int:
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None or (match[3] and not match[2]):
        return 0
    return int(float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2].upper()])
