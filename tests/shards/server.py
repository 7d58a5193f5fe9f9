"""A local web server that fails on request, and records what it was asked for."""

import hashlib
import http.client
import re
import socket
import struct
import threading
import time
from contextlib import contextmanager
from email.utils import formatdate
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

STATUSES = ("429", "500", "502", "503", "504")
BREAKS = ("close", "reset", "short", "shorter", "elsewhere", "slow")
FAULTS = STATUSES + BREAKS
SLOW = 1.0  # seconds that a slow answer takes
_FAILURE = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce</Message></Error>"


class Request(NamedTuple):
    """A request, and how many bytes of body were sent."""

    method: str
    path: str
    range: str | None
    status: int
    sent: int


class Files:
    """Files by path, sent as a well-behaved web server sends them.

    Attributes:
        tag: How a state is told: "strong" or "weak" ETags, "modified" for Last-Modified, or "nothing".
        ranges: Whether parts are sent.
    """

    def __init__(self, files):
        self.files = dict(files)
        self.modified = dict.fromkeys(files, 1_700_000_000)
        self.tag, self.ranges = "strong", True

    def replace(self, path, content):
        """Replace a file's content, with a new time."""
        self.files[path] = content
        self.modified[path] = self.modified.get(path, 0) + 5

    def __call__(self, method, path, headers):
        name = path.partition("?")[0]
        if method != "GET":
            return 405, {}, b""
        if name not in self.files:
            return 404, {}, b"<html>not here</html>"
        content = self.files[name]
        state = self._state(name, content)
        if headers.get("If-Match", state.get("ETag")) != state.get("ETag"):
            return 412, {}, b""
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("Range", "")) if self.ranges else None
        if asked is None:
            return 200, state, content
        first, last = int(asked[1]), min(int(asked[2]), len(content) - 1)
        if first >= len(content):
            return 416, {"Content-Range": f"bytes */{len(content)}"}, b""
        state["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        return 206, state, content[first : last + 1]

    def _state(self, name, content):
        etag = _etag(content)
        return {
            "strong": {"ETag": etag},
            "weak": {"ETag": f"W/{etag}"},
            "modified": {"Last-Modified": formatdate(self.modified.get(name, 0), usegmt=True)},
            "nothing": {},
        }[self.tag]


@cache
def _etag(content):
    return f'"{hashlib.md5(content).hexdigest()}"'


class Forward:
    """Passes requests on to another server.

    Attributes:
        refuses: Files that end with this cannot be put there; None for all can.
    """

    def __init__(self, port):
        self.port, self.refuses = port, None

    def __call__(self, method, path, headers, content=None):
        if method == "PUT" and self.refuses is not None and path.partition("?")[0].endswith(self.refuses):
            return 500, {"Retry-After": "0"}, _FAILURE
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request(method, path, content, headers)
        with connection.getresponse() as response:
            passed_on = {
                k: v for k, v in response.getheaders() if k.lower() not in ("content-length", "connection")
            }
            answer = response.status, passed_on, response.read()
        connection.close()
        return answer


class Server(ThreadingHTTPServer):
    """Responds as ``site`` does; the next requests fail by ``faults``, one each; None is no fault.

    Attributes:
        requests: What was asked, in order.
        pauses: Seconds of silence between the parts of each body.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, site):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.site, self.faults, self.requests = site, [], []
        self.pauses: list[float] = []
        self.lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def next_fault(self):
        with self.lock:
            return self.faults.pop(0) if self.faults else None

    def handle_error(self, request, client_address):
        """Ignore clients that disconnect."""

    @property
    def sent(self):
        return sum(request.sent for request in self.requests)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body go out at once

    def _answer(self):
        fault = self.server.next_fault()
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, headers, body = self._ask(fault, content)
        if fault == "shorter" and status < 400:  # a proxy that lost some, and says how much is left
            body = body[: len(body) // 2]
        if fault == "elsewhere" and "Content-Range" in headers:
            first, last, total = map(int, re.findall(r"\d+", headers["Content-Range"]))
            headers["Content-Range"] = f"bytes {first + 1}-{last + 1}/{total + 1}"
        self.server.requests.append(
            Request(self.command, self.path, self.headers.get("Range"), status, len(body))
        )
        if fault == "slow":
            time.sleep(SLOW)
        if fault != "close":
            self._send(status, headers, body, fault)
        if fault in ("close", "reset"):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()  # with a reset, not an end
        if fault in ("close", "reset", "short"):
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - the base class looks for these names

    def _ask(self, fault, content):
        if fault in STATUSES:  # and nothing is changed
            return int(fault), {"Retry-After": "0"}, _FAILURE
        return self.server.site(self.command, self.path, dict(self.headers), *filter(None, [content]))

    def _send(self, status, headers, body, fault):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Transfer-Encoding" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self._send_parts(body[: len(body) // 2] if fault in ("reset", "short") else body)

    def _send_parts(self, body):
        pauses = self.server.pauses
        ends = [len(body) * (k + 1) // (len(pauses) + 1) for k in range(len(pauses) + 1)]
        for start, end, pause in zip([0, *ends], ends, [0.0, *pauses], strict=False):
            time.sleep(pause)
            self.wfile.write(body[start:end])
            self.wfile.flush()

    def log_message(self, *_):
        """Stay silent."""


@contextmanager
def serving(site):
    """Run a server of a site in a thread."""
    with Server(site) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
