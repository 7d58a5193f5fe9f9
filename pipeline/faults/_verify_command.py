"""The command that finds bad samples, for messages about them."""

import shlex
from collections.abc import Iterable, Mapping

from foveal.pipeline.faults._bad_sample import BadSample, FaultKind
from foveal.pipeline.fields import IMAGE

# Faults of a member that is not there in one piece, whatever it is read for.
_MISSING: frozenset[FaultKind] = frozenset({"missing_member", "unreadable_member"})


def verify_command(bad: Iterable[BadSample], asked: Mapping[str, str]) -> str | None:
    """Return the call of ``foveal verify`` that finds these samples, without the shards; None if it does not find them all.

    It reads the image, and the members that it is told: it knows whether such a member is there and holds what its extension says, but
    not how a loader warps it.

    Args:
        bad: The samples.
        asked: The members that may hold each field of the loader, by the field's name, the image first.
    """
    image, beside = next(iter(asked.values()), IMAGE), []
    for each in bad:
        if each.field in {"", image}:
            continue
        members = asked.get(each.field)
        if not members or (each.kind not in _MISSING and each.field != members):
            return None
        beside.append(members)
    members = ",".join(dict.fromkeys(["image", *beside]))
    named = [] if image == IMAGE else ["--image", image]
    return shlex.join(["foveal", "verify", *named, *(["--members", members] if beside else [])])
