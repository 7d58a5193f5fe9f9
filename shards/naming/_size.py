"""Sizes as people write them: ``"200GB"``."""

import re
from fractions import Fraction

_SIZE = re.compile(r"(\d+(?:_\d+)*)(\.\d+)?(?: ?([kKMGTP]?)(i?)B)?", re.ASCII)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}


def parse_size(name: str, value: object) -> int:
    """Return bytes: 200 GB are 200 * 1000**3, 200 GiB are 200 * 1024**3. A whole number without a unit counts bytes, also as text.

    Raises:
        ValueError: It is not a size, or not above zero.
    """
    size = value if isinstance(value, int) and not isinstance(value, bool) else _parse(value)
    if size < 1:
        raise ValueError(
            f"{name} must be a whole number of bytes above zero, got {value!r} – write it as 200_000_000_000, '200GB' or '186GiB'"
        )
    return size


def _parse(value: object) -> int:
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return 0
    whole, part, prefix, i = match.groups()
    if (prefix is None and part) or (i and not prefix):
        return 0
    factor = (1024 if i else 1000) ** _POWERS[(prefix or "").upper()]
    return int(Fraction(whole.replace("_", "") + (part or "")) * factor)
