"""Under which names the page of foveal explore may be requested."""

import asyncio
import socket

import pytest

pytest.importorskip("starlette", reason="no NiceGUI: pip install '.[explore]'")
from foveal.tools.explore._own_names import OwnNames, is_own, shown_host
from foveal.tools.explore.serve import _check_free

OWN = socket.gethostname().lower()


@pytest.mark.parametrize(
    ("header", "host", "allowed"),
    [
        ("127.0.0.1:8780", "127.0.0.1", True),
        ("localhost", "127.0.0.1", True),
        ("192.168.1.20:8780", "127.0.0.1", False),
        ("elsewhere.example:8780", "127.0.0.1", False),
        ("", "127.0.0.1", False),
        ("192.168.1.20:8780", "192.168.1.20", True),
        ("box.example:8780", "Box.example", True),
        ("192.168.1.20:8780", "0.0.0.0", True),
        ("[fe80::1]:8780", "::", True),
        (f"{OWN}:8780", "0.0.0.0", True),
        ("elsewhere.example:8780", "0.0.0.0", False),
        ("elsewhere.example:8780", "::", False),
        ("[::1]:8780", "::1", True),
        ("[", "::1", False),
    ],
)
def test_own_names(header, host, allowed):
    """A server on all addresses answers under any address and the machine's name, never under the name of another site."""
    assert is_own(header, host) == allowed


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("0.0.0.0", socket.gethostname())]
)
def test_the_address_that_is_printed_can_be_opened(host, shown):
    """No browser opens 0.0.0.0, and an IPv6 address needs brackets."""
    assert shown_host(host) == shown


@pytest.mark.parametrize("kind", ["http", "websocket", "lifespan"])
def test_refuses_before_the_page_is_asked(kind):
    """A request under another name does not reach the page, of whatever kind it is; events of the server itself do."""
    reached, sent = [], []

    async def app(scope, _receive, _send):
        reached.append(scope["type"])

    async def send(message):
        sent.append(message)

    def ask(name):
        scope = {"type": kind, "headers": [(b"host", name)], "extensions": {"websocket.http.response": {}}}
        asyncio.run(OwnNames(app, "127.0.0.1")(scope, None, send))

    ask(b"elsewhere.example")
    assert reached == ([kind] if kind == "lifespan" else [])
    if kind != "lifespan":
        assert [message["status"] for message in sent if "status" in message] == [400]
    ask(b"127.0.0.1:8780")
    assert reached[-1:] == [kind]


def test_an_address_of_ipv6_is_free_to_listen_on():
    """The family of the socket is that of the address."""
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with socket.socket(socket.AF_INET6) as one:
        try:
            one.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6 address")
        port = one.getsockname()[1]
    _check_free("::1", port)
