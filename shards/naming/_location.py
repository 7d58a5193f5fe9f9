"""Local and remote locations of files."""

import os
import re
from urllib.parse import unquote, urlsplit, urlunsplit

from foveal.shards._error import ShardError
from foveal.shards.naming._extensions import PACKED

_REMOTE = re.compile(r"(s3|gs|https?)://")
_OTHER = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]*://")
_SIGNATURE = re.compile(  # of S3, Google Cloud Storage, CloudFront
    r"(?i)x-(amz|goog)-.*|awsaccesskeyid|googleaccessid|signature|expires|policy|key-pair-id"
)


def is_remote(url: str) -> bool:
    """Return whether a URL names something on another machine."""
    return _REMOTE.match(url) is not None


def has_other_scheme(url: str) -> bool:
    """Return whether a URL is neither a local path nor a ``file:`` URL; a path may have a colon in it, but no scheme."""
    return _OTHER.match(url) is not None


def scheme_of(url: str) -> str:
    """Return ``s3`` of ``s3://bucket/a.tar``."""
    return url.partition("://")[0]


def is_web(url: str) -> bool:
    """Return whether a URL names something on a web server."""
    return scheme_of(url) in ("http", "https")


def identity_of(url: str) -> str:
    """Return the part of a URL that stays the same from one day to the next: without user, password and signature."""
    parts = urlsplit(url)
    if not is_web(url):
        return url
    query = [field for field in parts.query.split("&") if not _SIGNATURE.fullmatch(field.partition("=")[0])]
    return urlunsplit((*parts[:1], parts.netloc.rpartition("@")[2], parts.path, "&".join(query), ""))


def index_url(url: str) -> str:
    """Return the URL of the index of a remote shard: ``s3://bucket/a.idx`` beside ``s3://bucket/a.tar``."""
    path, mark, query = url.partition("?") if url.startswith("http") else (url, "", "")
    return path.removesuffix(".tar") + ".idx" + mark + query


def is_packed(url: str) -> bool:
    """Return whether a remote shard is compressed, by its name: looking inside would cost a request."""
    return path_of(url).endswith(PACKED)


def path_of(url: str) -> str:
    """Return the path that a remote URL names: a web server's decoded, and an object's key as it is, with its bucket."""
    if is_web(url):
        return unquote(urlsplit(url).path)
    return url.partition("://")[2].partition("?versionId=")[0]


def local_path(url: str) -> str:
    """Return the path that a local path or ``file:`` URL names; nothing is percent-decoded.

    Raises:
        ShardError: The URL is remote, or names another host.
    """
    if _REMOTE.match(url):
        raise ShardError(url, None, "is remote, and this needs a local file: copy it to a local disk")
    if not url.startswith("file:"):
        return url
    rest = url.removeprefix("file:")
    if not rest.startswith("//"):
        return rest
    host, slash, path = rest[2:].partition("/")
    if host not in ("", "localhost"):
        raise ShardError(url, None, f"a file: URL names this machine, not {host!r}: write file:///path")
    return slash + path


def place_of(name: str, path: str | os.PathLike[str]) -> str:
    """Return the path of a file or folder that can only be local, and may be given as a ``file:`` URL.

    Args:
        name: What it is to the caller, for the error.
        path: It.

    Raises:
        ValueError: It has another scheme; as a path, it would be a folder of that name.
        ShardError: It names another host.
    """
    text = os.fspath(path)
    if has_other_scheme(text):
        raise ValueError(f"{name} {must_be_local(text)}")
    return local_path(text)


def must_be_local(path: str) -> str:
    """Return what to say of a path that has a scheme."""
    return f"must be a local path, got {path!r} – only shards, and the folder that foveal zoom writes, may be elsewhere."
