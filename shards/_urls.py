"""Expands what a user gives (braces, globs, lists and "::", as in webdataset) to one URL per tar."""

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from braceexpand import braceexpand

from foveal.shards.naming import has_other_scheme, is_remote, is_web, local_path
from foveal.shards.remote import Remote

_GLOB = re.compile(r"[*?\[]")
_EXPANDED = re.compile(r"::|[{\\]")
# An address is http://[::1]:8000/a.tar.
_ADDRESS_OR_JOINT = re.compile(r"//(?:(?!::)[^/\[\]])*\[[^/\]]*\]|::")
_REMOTE_GLOB = re.compile(r"[*\[]|\?(?!versionId=)")


def expand_urls(
    urls: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    storage_options: Mapping[str, Any] | None = None,
) -> list[str]:
    """Return one URL per shard, in the order given; the matches of a glob are sorted.

    Args:
        urls: One of, or an iterable of:

            ``"train-{000000..000146}.tar"``     braces, as the shell and webdataset expand them
            ``"data/train-*.tar"``               a glob over local files
            ``"a.tar::b-{0..3}.tar"``            several, joined by "::"
            ``Path("a.tar")``, ``"file:///data/a.tar"``
            ``"s3://bucket/a-{0..9}.tar"``       also gs://, http://, https://
            ``"s3://bucket/train-*.tar"``        also gs://; a web server cannot be listed
        storage_options: For fsspec's file system, where a remote glob has to be listed.

    Returns:
        Paths and URLs; repeated ones are kept. Only globs are checked against the files that exist. The path of a file
        that exists is taken as it is, also with braces, ``*``, ``::`` or a backslash in it.

    Raises:
        ValueError: ``urls`` is empty, braces do not match, the scheme is unknown, or a web server would have to be listed.
        FileNotFoundError: A glob matches no file.
        ShardError: A remote glob cannot be listed.

    Example:
        >>> expand_urls("train-{08..10}.tar::extra.tar")
        ['train-08.tar', 'train-09.tar', 'train-10.tar', 'extra.tar']
    """
    patterns = [urls] if isinstance(urls, str | os.PathLike) else list(urls)
    expanded = [url for pattern in patterns for url in _expand(os.fspath(pattern), storage_options)]
    if not expanded:
        raise ValueError(f"urls must name at least one shard, got {urls!r}")
    return expanded


def _is_file(pattern: str) -> bool:
    """Whether a pattern is the path of a local file, whose name has what would be expanded otherwise."""
    if not _EXPANDED.search(pattern) or is_remote(pattern):
        return False
    return os.path.isfile(local_path(pattern))  # noqa: PTH113 - a Path raises for what is too long for a name


def _expand(pattern: str, storage_options: Mapping[str, Any] | None) -> Iterator[str]:
    if _is_file(pattern):
        yield pattern
        return
    parts = _parts(pattern)
    if len(parts) > 1:
        for part in parts:
            yield from _expand(part, storage_options)
        return
    if not pattern:
        raise ValueError("urls must not be empty, got ''; name a shard, such as 'train-{000000..000146}.tar'")
    if pattern.startswith("pipe:") or (has_other_scheme(pattern) and not is_remote(pattern)):
        raise ValueError(
            f"urls must be local paths or start with file:, s3://, gs://, http:// or https://, got {pattern!r}"
        )
    try:
        alternatives = list(braceexpand(pattern))
    except ValueError:
        raise ValueError(f"urls must have matching braces, got {pattern!r}") from None
    for url in alternatives:
        yield from _remote_matches(url, storage_options) if is_remote(url) else _matches(url)


def _parts(pattern: str) -> list[str]:
    parts, start = [], 0
    for match in _ADDRESS_OR_JOINT.finditer(pattern):
        if match[0] == "::":
            parts.append(pattern[start : match.start()])
            start = match.end()
    return [*parts, pattern[start:]]


def _matches(url: str) -> list[str]:
    if not _GLOB.search(url) or Path(local_path(url)).exists():
        return [url]
    prefix = "file:" if url.startswith("file:") else ""
    paths = glob.glob(local_path(url), recursive=True)  # noqa: PTH207 - keeps the spelling: "./a" stays "./a"
    matches = [prefix + path for path in sorted(paths)]
    if not matches:
        raise FileNotFoundError(
            f"urls must match at least one file, got {url!r}; check the path, "
            f"seen from the folder {str(Path.cwd())!r}"
        )
    return matches


def _remote_matches(url: str, storage_options: Mapping[str, Any] | None) -> list[str]:
    if is_web(url):
        if "*" in url.partition("?")[0]:
            raise ValueError(
                f"urls must not have * on a web server, which cannot be listed, got {url!r} – "
                "name the shards with braces, such as 'train-{000000..000146}.tar'"
            )
        return [url]
    if not _REMOTE_GLOB.search(url):
        return [url]
    matches = Remote(storage_options).glob(url)
    if not matches:
        raise FileNotFoundError(f"urls must match at least one object, got {url!r}; check bucket and prefix")
    return matches
