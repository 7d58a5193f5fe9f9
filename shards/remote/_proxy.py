"""The proxy that the environment names for a URL, by the same rules as curl: HTTP_PROXY, ALL_PROXY, NO_PROXY."""

from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from foveal.shards.remote._retry import LastingError


def proxy_of(url: str) -> str | None:
    """Return the proxy for an ``http(s)://`` URL; None for no proxy.

    Raises:
        LastingError: The proxy is of a kind that is not supported.
    """
    parts, named = urlsplit(url), getproxies_environment()
    proxy = named.get(parts.scheme) or named.get("all")
    if not proxy or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if not proxy.startswith("http://"):
        raise LastingError(
            f"cannot be read: the environment names the proxy {shown(proxy)}, and only http:// proxies are supported: set "
            f"{parts.scheme}_proxy to one, or no_proxy to {parts.hostname}"
        )
    return proxy


def shown(proxy: str) -> str:
    """Return a proxy without user and password."""
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
