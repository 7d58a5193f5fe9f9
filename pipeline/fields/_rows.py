"""Rows of coordinates out of a sample's JSON or NumPy member."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from foveal.pipeline.fields._members import (
    MemberError,
    alternatives,
    encode_array,
    find_member,
    kind_of,
    parse_member,
    shown,
)
from foveal.shards.naming import JSON

# Decimals of a pixel in JSON.
_DECIMALS = 4


def check_rows_source(source: str) -> None:
    """Refuse what names no coordinates.

    Raises:
        ValueError: It is neither a JSON member, with or without a path into it, nor an npy member.
    """
    if isinstance(source, str):
        member, colon, path = source.partition(":")
        kinds = {kind_of(extension) for extension in alternatives(member)}
        whole = not colon and kinds <= JSON | {"npy"}
        inside = kinds <= JSON and all(path.split(".")) and ":" not in path
        if whole or inside:
            return
    raise ValueError(
        "source must be a json member with a path to the coordinates in it, such as 'json:boxes', or an npy member, "
        f"got {source!r}."
    )


def read_rows(source: str, columns: int, members: Mapping[str, bytes]) -> Any:
    """Return the coordinates that a sample has at ``source``: (n, columns), float64; n may be zero.

    Raises:
        MemberError: There are none, or they are something else.
    """
    member, _, path = source.partition(":")
    found = value = parse_member(member, members)
    for entry in path.split(".") if path else ():
        if not isinstance(value, dict) or entry not in value:
            raise MemberError(f"{member} has no {path}: {shown(found)}")
        value = value[entry]
    rows = _numbers(value)
    if rows is not None and rows.shape == (0,):
        return np.empty((0, columns))
    if rows is None or rows.ndim != 2 or rows.shape[1] != columns:
        held = f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else shown(value)
        raise MemberError(f"{name_of(source)} is not (n, {columns}) numbers: {held}")
    return rows.astype(np.float64)


def write_rows(
    source: str, members: Mapping[str, bytes], rows: Any, *, kept: list[int] | None = None
) -> dict[str, bytes]:
    """Return the member that ``source`` names with other rows in it, all else in it as it was.

    Args:
        source: Where :func:`read_rows` found rows in these members.
        members: Of the sample.
        rows: The new ones, float32.
        kept: Which of the old ones they are; in JSON it goes beside rows called ``boxes`` as ``boxes_kept``.
    """
    names, _, path = source.partition(":")
    member = find_member(alternatives(names), members)
    if kind_of(member) == "npy":
        return {member: encode_array(rows)}
    values = np.round(rows.astype(np.float64), _DECIMALS).tolist()
    if not path:
        return {member: json.dumps(values).encode()}
    document = place = json.loads(members[member])
    *way, last = path.split(".")
    for entry in way:
        place = place[entry]
    place |= {last: values} | ({} if kept is None else {f"{last}_kept": kept})
    return {member: json.dumps(document).encode()}


def check_rows(source: str, fault: str, rows: Any, wrong: Any) -> None:
    """Refuse coordinates of which a row is wrong, and show the first that is.

    Raises:
        MemberError: One is.
    """
    if wrong.any():
        first = int(wrong.argmax())
        raise MemberError(f"{name_of(source)} {fault}: row {first} is {rows[first].tolist()}")


def name_of(source: str) -> str:
    """Return how messages call a source: up to a colon they are the same for all samples with one fault."""
    return source.replace(":", " ")


def _numbers(value: Any) -> Any:
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):  # rows of different lengths, numbers of a thousand digits
        return None
    return array if array.dtype.kind in "iuf" else None
