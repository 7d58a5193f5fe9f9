"""The settings that a folder of zoomed shards was made with: all shards must have the same, or the run is refused."""

import json
from collections.abc import Mapping
from typing import Any

from foveal.shards.store import Store
from foveal.tools.console.old_names import with_current_names
from foveal.tools.offline.recipe import fingerprint_id

MANIFEST = "manifest.json"
_VERSION = 1


class OtherFingerprintError(ValueError):
    """The folder holds shards that were made with other settings."""


def claim(store: Store, fingerprint: Mapping[str, Any], *, overwrite: bool) -> str:
    """Record in a folder that from now on all its shards are made with these settings.

    Args:
        store: The folder.
        fingerprint: Everything that decides how the shards come out.
        overwrite: Whether existing shards that were made with other settings may be replaced.

    Returns:
        The fingerprint's short name.

    Raises:
        OtherFingerprintError: The folder holds shards with other settings; the message shows the differences.
    """
    there = read_manifest(store)
    if there is not None:
        differences = _differences(with_current_names(there), fingerprint)
        if not differences:
            return fingerprint_id(there)  # as the stats of finished shards have it
        if not overwrite:
            raise OtherFingerprintError(
                f"out must be a folder whose shards were made with the same settings, got {store.url!r}, where {differences} – "
                "name another folder, or add --overwrite to make them all anew."
            )
    text = json.dumps({"version": _VERSION, "fingerprint": dict(fingerprint)}, indent=1) + "\n"
    store.write(MANIFEST, text.encode())
    return fingerprint_id(dict(fingerprint))


def read_manifest(store: Store) -> dict[str, Any] | None:
    """Return the fingerprint that a folder was claimed with, as it was written; None if the folder was not claimed.

    Raises:
        ValueError: Its manifest was not written by Foveal, or by a newer version.
    """
    if MANIFEST not in store.names():
        return None
    try:
        manifest = json.loads(store.read(MANIFEST))
        if manifest["version"] == _VERSION:
            return dict(manifest["fingerprint"])
    except (ValueError, KeyError, TypeError):
        pass
    raise ValueError(
        f"{MANIFEST} must be one that this version of foveal wrote, got another in {store.url!r}."
    )


def _differences(there: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    names = [name for name in {**there, **now} if there.get(name) != now.get(name)]
    return ", ".join(f"{name} was {_short(there.get(name))} and is {_short(now.get(name))}" for name in names)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:16]}..."
