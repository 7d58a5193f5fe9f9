"""Writing a shard: the same samples give the same bytes, and the file appears when it is complete."""

import io
import json
import os
import re
import tarfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from foveal.shards.index import split_name
from foveal.shards.naming import INTEGERS, JSON, place_of
from foveal.shards.store import replacing

# "__key__", "__url__" and the like are not members; an extension that consists of underscores alone is one.
_PASSED_OVER = re.compile(r"__.*[^_].*__", re.DOTALL)


class ShardWriter:
    """Writes one tar of samples that webdataset, DALI and :class:`Shards` read.

    A context manager. The file appears under its name, complete, when the block ends. If the block raises, there is no
    new file, and an old one is kept. Members are sorted by name and have no date and no owner.

    Args:
        path: The tar to write, a local path or ``file:`` URL; its folder must exist. An existing file is replaced.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The path has another scheme, such as ``s3://``.

    Example:
        >>> with ShardWriter("train-000000.tar") as writer:
        ...     writer.write({"__key__": "n01440764_10026", "jpg": encoded, "cls": 0, "json": {"width": 400}})
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(place_of("path", path))
        if not self._path.parent.is_dir():
            raise FileNotFoundError(f"path must be in a folder that exists, got {os.fspath(path)!r}")
        self._block = ExitStack()
        self._tar: tarfile.TarFile | None = None
        self._last_key: str | None = None

    def __enter__(self) -> Self:
        with ExitStack() as block:
            file = block.enter_context(replacing(self._path, sync=True))
            self._tar = block.enter_context(
                tarfile.open(
                    fileobj=file,
                    mode="w",
                    format=tarfile.GNU_FORMAT,
                    encoding="utf-8",
                    errors="surrogateescape",
                )
            )
            self._block = block.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tar = None
        self._block.__exit__(kind, error, trace)

    def write(self, sample: Mapping[str, Any]) -> None:
        """Append a sample; after an error the tar is as it was before.

        Args:
            sample: ``"__key__"`` names it: no dot after the last slash, and not the key of the sample before.
                Every other entry is a member by its extension, except for names like ``"__url__"``, which are ignored. Extensions
                are written in lower case, as webdataset and :class:`Shards` return them: ``"JPG"`` becomes ``jpg``.
                Bytes are written as they are, text as UTF-8; whole numbers as decimal text for ``cls`` and similar
                extensions (``cls2 class count index inx id``), dicts and lists as JSON for ``json``.

        Raises:
            ValueError: The key would be read back as another, or an extension as another than its lower case; two extensions differ
                only in case; or there is no member.
            TypeError: A value is of another type.
        """
        named = {ext: value for ext, value in sample.items() if not _PASSED_OVER.fullmatch(ext)}
        self.write_members(sample.get("__key__"), named)

    def write_members(self, key: Any, members: Mapping[str, Any]) -> None:
        """Append a sample of members as they were read from files, also such as are named like ``"__url__"``. Else as :meth:`write`."""
        if self._tar is None:
            raise ValueError(
                "a ShardWriter must be open to write, got a closed one; use it in a with statement"
            )
        self._check(key, members)
        members = {ext.lower(): value for ext, value in members.items()}
        encoded = [(f"{key}.{ext}", _encode(ext, value)) for ext, value in sorted(members.items())]
        for name, content in encoded:
            info = tarfile.TarInfo(name)  # time, user and group are 0 by default
            info.size, info.mode = len(content), 0o644
            self._tar.addfile(info, io.BytesIO(content))
        self._last_key = key

    def _check(self, key: Any, members: Mapping[str, Any]) -> None:
        if not isinstance(key, str) or key.endswith("/") or not _survives(key, "x"):
            raise ValueError(
                f"__key__ must be a path that webdataset reads back, its last part not empty and without a dot, got {key!r}"
            )
        if key == self._last_key:
            raise ValueError(
                f"__key__ must differ from the sample before, got {key!r}; readers would join the two"
            )
        if not members:
            raise ValueError(f"sample must have at least one member, got only {key!r} for its __key__")
        for ext in members:
            if (
                not ext
                or not _survives(key, ext.lower())
                or sum(ext.lower() == other.lower() for other in members) > 1
            ):
                raise ValueError(
                    f"members must be named by extensions without a slash, different when in lower case, got {ext!r}"
                )


def _survives(key: str, ext: str) -> bool:
    """Return whether a reader of the tar splits the name into the same key and extension."""
    name = f"{key}.{ext}"
    try:
        name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return "\0" not in name and split_name(name) == (key, ext)


def _encode(ext: str, value: Any) -> bytes:
    kind = ext.rpartition(".")[2].lower()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str):
        return value.encode()
    if kind in INTEGERS and not isinstance(value, bool) and hasattr(value, "__index__"):
        return str(value.__index__()).encode()
    if kind in JSON and isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True).encode()
    raise TypeError(
        f"member {ext!r} must be bytes or text, a whole number for cls, a dict or list for json, "
        f"got {type(value).__name__}"
    )
