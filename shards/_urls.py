"""Which tars a user means: braces, globs, lists and "::", as webdataset spells them, down to one URL per tar."""

import glob
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from braceexpand import braceexpand

from foveal.shards._error import ShardError

_REMOTE = re.compile(r"(s3|gs|https?)://")
_OTHER_SCHEME = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]*://|pipe:")
_GLOB = re.compile(r"[*?\[]")


def expand_urls(urls: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[str]:
    """Return one URL per shard, in the order given; what a glob matches is sorted.

    Args:
        urls: One of, or an iterable of:

            ``"train-{000000..000146}.tar"``     braces, as the shell and webdataset expand them
            ``"data/train-*.tar"``               a glob over local files
            ``"a.tar::b-{0..3}.tar"``            several, joined by "::"
            ``Path("a.tar")``, ``"file:///data/a.tar"``
            ``"s3://bucket/a-{0..9}.tar"``       also gs://, http://, https://; no globs

    Returns:
        Paths and URLs, repeated ones kept. Only globs are compared with what exists.

    Raises:
        ValueError: There is nothing to expand, braces do not match, or the scheme is unknown.
        FileNotFoundError: A glob matches no file.

    Example:
        >>> expand_urls("train-{08..10}.tar::extra.tar")
        ['train-08.tar', 'train-09.tar', 'train-10.tar', 'extra.tar']
    """
    patterns = [urls] if isinstance(urls, str | os.PathLike) else list(urls)
    expanded = [
        url for pattern in patterns for part in os.fspath(pattern).split("::") for url in _expand(part)
    ]
    if not expanded:
        raise ValueError(f"urls must name at least one shard, got {urls!r}")
    return expanded


def _expand(pattern: str) -> Iterator[str]:
    if not pattern:
        raise ValueError("urls must not be empty, got ''; name a shard, such as 'train-{000000..000146}.tar'")
    if _OTHER_SCHEME.match(pattern) and not _REMOTE.match(pattern):
        raise ValueError(
            f"urls must be local paths or start with file:, s3://, gs://, http:// or https://, got {pattern!r}"
        )
    try:
        alternatives = list(braceexpand(pattern))
    except ValueError:
        raise ValueError(f"urls must have matching braces, got {pattern!r}") from None
    for url in alternatives:
        yield from _matches(url)


def _matches(url: str) -> list[str]:
    if _REMOTE.match(url) or not _GLOB.search(url) or Path(local_path(url)).exists():
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


def local_path(url: str) -> str:
    """Return the path that a local path or ``file:`` URL names; nothing is percent-decoded.

    Raises:
        ShardError: The URL is remote, or names another host.
    """
    if _REMOTE.match(url):
        raise ShardError(url, None, "remote shards are not supported yet: copy the shard to a local disk")
    if not url.startswith("file:"):
        return url
    rest = url.removeprefix("file:")
    if not rest.startswith("//"):
        return rest
    host, slash, path = rest[2:].partition("/")
    if host not in ("", "localhost"):
        raise ShardError(url, None, f"a file: URL names this machine, not {host!r}: write file:///path")
    return slash + path
