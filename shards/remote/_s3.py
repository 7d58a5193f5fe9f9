"""Ranges of bytes from S3, through the client of s3fs but without its retries."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
)
from botocore.parsers import ResponseParserError
from s3fs.core import version_id_kw

from foveal.shards.remote._answer import (
    Answer,
    Asked,
    headers_of,
    is_wanted,
    tell_extent,
    tell_stamp,
    whole_body,
)
from foveal.shards.remote._retry import LastingError, PassingError, RefusedError, failure
from foveal.shards.remote._waits import Heard

OPTIONS: dict[str, Any] = {
    "config_kwargs": {"retries": {"total_max_attempts": 1}, "max_pool_connections": 64}
}
_CHUNK = 1 << 18  # bytes that are taken at most at a time
_LOST = (HTTPClientError, FlexibleChecksumError, IncompleteReadError, ResponseParserError)
_PASSING = frozenset({"SlowDown", "InternalError", "RequestTimeout", "ServiceUnavailable", "Throttling"})


async def ask(fs: Any, asked: Asked, heard: Heard) -> Answer:
    """Ask as :func:`foveal.shards.remote._http.ask` does."""
    with _judging():
        return await _ask(fs, asked, heard)


async def find(fs: Any, pattern: str) -> list[str]:
    """Return the keys that a pattern matches, with their bucket. Raises as :func:`ask` does."""
    with _judging():
        return list(await fs._glob(pattern))  # noqa: SLF001 - the public one waits by itself


@contextmanager
def _judging() -> Iterator[None]:
    """Tell what passes from what lasts."""
    try:
        yield
    except ClientError as error:
        raise _failure(error) from error
    except (FileNotFoundError, PermissionError) as error:  # as s3fs says it
        raise RefusedError(f"cannot be listed: {error}") from error
    except (*_LOST, aiohttp.ClientError, OSError) as error:
        raise PassingError(type(error).__name__) from error
    except BotoCoreError as error:
        raise LastingError(f"cannot be read: {error}: see storage_options") from error


async def _ask(fs: Any, asked: Asked, heard: Heard) -> Answer:
    bucket, key, version = fs.split_path(asked.url)
    if not key:
        raise LastingError(
            "is a bucket, not an object in it: name one, or a pattern such as s3://bucket/train/*.tar"
        )
    await fs.set_session()
    client = await fs.get_s3(bucket)
    headers = headers_of(asked)
    wanted = {"Bucket": bucket, "Key": key, "Range": headers["Range"], **version_id_kw(version)}
    if "If-Match" in headers:
        wanted["IfMatch"] = headers["If-Match"]
    response = await client.get_object(**fs._get_s3_method_kwargs(client.get_object, **wanted))  # noqa: SLF001
    heard()
    async with response["Body"] as body:
        extent = tell_extent(
            response["ResponseMetadata"]["HTTPStatusCode"],
            response.get("ContentRange"),
            response.get("ContentLength"),
        )
        stamp = tell_stamp({"ETag": response.get("ETag", "")}, extent)
        if not is_wanted(extent, asked):
            return Answer(None, stamp)
        return Answer(await whole_body(body.iter_chunks(_CHUNK), extent, heard), stamp)


def _failure(error: ClientError) -> Exception:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = error.response.get("Error", {}).get("Code", "")
    said = f"HTTP {status} {code}".rstrip()
    return PassingError(said) if code in _PASSING else failure(status, said)
