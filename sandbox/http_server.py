"""Replies as they go over the wire, and the server on 127.0.0.1 that carries them."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

import msgspec


class Reply(msgspec.Struct, kw_only=True):
    """What goes back over the wire."""

    status: int
    body: bytes
    headers: dict[str, str]


Answerer: TypeAlias = Callable[[str, str, dict[str, str], bytes], Reply | None]
"""Takes method, target, headers (names in lower case) and body; None cuts the connection."""


def reply(status: int, body: Any, headers: dict[str, str] | None = None) -> Reply:
    """Return a reply with a JSON body."""
    return Reply(status=status, body=msgspec.json.encode(body), headers=dict(headers or {}))


class Server(ThreadingHTTPServer):
    """A threaded server on a free port of 127.0.0.1."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Answerer, name: str) -> None:
        """``name`` is what the server calls itself in the header ``Server``."""
        self.answer = answer
        self.name = name
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
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.server.open.add(self.connection)

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        super().finish()

    def version_string(self) -> str:
        """Return the server's name."""
        return self.server.name

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
