"""The settings that a folder of zoomed shards was made with: all shards must have the same, or the run is refused."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from foveal.shards.store import Store
from foveal.tools.console.old_names import with_current_names
from foveal.tools.offline._done import stats_of
from foveal.tools.offline.recipe import WITH_QUALITY, fingerprint_id

MANIFEST = "manifest.json"
_VERSION = 1


class OtherFingerprintError(ValueError):
    """The folder holds shards that were made with other settings."""


def claim(store: Store, fingerprint: Mapping[str, Any], *, anew: Collection[str] | None = None) -> str:
    """Record in a folder that from now on all its shards are made with these settings.

    Args:
        store: The folder.
        fingerprint: Everything that decides how the shards come out.
        anew: The names of the shards that are made anew, whatever their settings were; None if all finished shards are kept.

    Returns:
        The fingerprint's short name.

    Raises:
        OtherFingerprintError: The folder holds shards with other settings, and they are not all made anew; the message shows
            the differences, or the shards that would be left.
    """
    there = read_manifest(store)
    differences = "" if there is None else _differences(with_current_names(there), fingerprint)
    if differences and anew is None:
        raise OtherFingerprintError(
            f"out must be a folder whose shards were made with the same settings, got {store.url!r}, where {differences} – "
            "name another folder, or add --overwrite to make them all anew."
        )
    # what is the same keeps its name: the stats of finished shards have it
    name = fingerprint_id(dict(fingerprint) if there is None or differences else there)
    if anew is not None:
        _refuse_mixture(store, name, anew, changed=bool(differences))
    if there is None or differences:
        text = json.dumps({"version": _VERSION, "fingerprint": dict(fingerprint)}, indent=1) + "\n"
        store.write(MANIFEST, text.encode())
    return name


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


def _refuse_mixture(store: Store, fingerprint: str, anew: Collection[str], *, changed: bool) -> None:
    """Refuse if shards of other settings would be left beside those that are made anew.

    A shard without stats has the settings that the folder had, so it is refused only if these are changed.
    """
    files = store.names()
    kept = sorted(name for name in files if name.endswith(".tar") and name not in anew)
    stats = stats_of(store, kept, files)
    others = [name for name in kept if (stats[name].fingerprint != fingerprint if name in stats else changed)]
    if others:
        more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
        raise OtherFingerprintError(
            f"out must be a folder without shards of other settings that would stay, got {store.url!r} with {others[0]!r}{more} – "
            "zoom these anew, too, or zoom into another folder."
        )


def _differences(there: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    names = [name for name in {**there, **now} if there.get(name) != now.get(name)]
    if now["format"] not in WITH_QUALITY and "quality" in names:
        names.remove("quality")  # once another one was taken, and recorded, with these formats, too
    return ", ".join(f"{name} was {_short(there.get(name))} and is {_short(now.get(name))}" for name in names)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:16]}..."
