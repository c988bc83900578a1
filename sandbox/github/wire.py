"""Requests and replies as they go over the wire, and the server that carries them."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from sandbox.github.access import Token  # noqa: TC001  msgspec reads the annotations at run time
from sandbox.github.faults import Trouble  # noqa: TC001
from sandbox.github.route import Route  # noqa: TC001

if TYPE_CHECKING:
    from sandbox.github.limits import Resource, Window

DOCUMENTATION = "https://docs.github.com/rest"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What came in over the wire, and the route that it leads to."""

    method: str
    path: str
    """Without the prefix of the edition; empty for a path outside of the API."""
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    token: Token
    route: Route | None
    values: dict[str, str]
    trouble: Trouble | None


class Reply(msgspec.Struct, kw_only=True):
    """What goes back over the wire."""

    status: int
    body: bytes
    headers: dict[str, str]


Answerer: TypeAlias = Callable[[str, str, dict[str, str], bytes], Reply | None]
"""Takes method, target, headers (names in lower case) and body; None cuts the connection."""


def phrase(status: int) -> str:
    """Return the reason phrase of a status."""
    return responses.get(status, "Error")


def reply(status: int, body: Any, headers: dict[str, str] | None = None) -> Reply:
    """Return a reply with a JSON body."""
    return Reply(status=status, body=msgspec.json.encode(body), headers=dict(headers or {}))


def message(status: int, text: str) -> Reply:
    """Return a refusal as GitHub words it."""
    return reply(
        status,
        {"message": text, "documentation_url": DOCUMENTATION, "status": str(status)},
    )


def limit_headers(window: Window, resource: Resource) -> dict[str, str]:
    """Return the headers that tell a client what is left of its hour."""
    return {
        "X-RateLimit-Limit": str(window.limit),
        "X-RateLimit-Remaining": str(window.remaining),
        "X-RateLimit-Used": str(window.used),
        "X-RateLimit-Reset": str(window.reset),
        "X-RateLimit-Resource": resource,
    }


class Server(ThreadingHTTPServer):
    """A threaded server on a free port of 127.0.0.1."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Answerer) -> None:
        self.answer = answer
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing when a client hangs up; everything else is a bug of the sandbox, and told."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def cut_all(self) -> None:
        """End the connections that clients keep open."""
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


class Handler(BaseHTTPRequestHandler):
    """Reads a request, has it answered, writes the reply: HTTP/1.1 with kept connections."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "github.com"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.server.open.add(self.connection)

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Write no access log: ``calls`` and ``log`` tell."""

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.answer(self.command, self.path, headers, body)
        if reply is None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", "4096")
            self.end_headers()
            self.wfile.write(b'[{"id": 1')
            self.wfile.flush()
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 304:
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if reply.status != 304 and self.command != "HEAD":
            self.wfile.write(reply.body)
        self.wfile.flush()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _handle  # noqa: N815
