"""The HTTP/1.1 server on 127.0.0.1 of all sandboxes, with or without TLS."""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from cryptography import x509
from cryptography.x509.oid import NameOID

from sandbox.kit.http import CLOSED, JSON, Reply

if TYPE_CHECKING:
    from types import TracebackType

    from sandbox.kit.authority import CertificateAuthority

Answerer: TypeAlias = Callable[[str, str, dict[str, str], bytes], Reply]
"""Takes method, target, headers (names in lower case) and body."""


CLIENT_SUBJECT = "sandbox-client-subject"
"""A header that the server itself adds: a JSON list with the common name and the organizations of a client certificate."""


class LoopbackServer(ThreadingHTTPServer):
    """A threaded server on a free port of 127.0.0.1, running while used as a context manager. ``name`` is sent in the
    header ``Server``; with an ``authority`` it uses TLS.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Answerer, name: str, authority: CertificateAuthority | None = None) -> None:
        self.answer = answer
        self.name = name
        self.closing = threading.Event()
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), LoopbackHandler)
        if authority is not None:
            # The connection's own thread does the handshake, on its first read.
            self.socket = authority.context().wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )
        self.origin = f"{'http' if authority is None else 'https'}://127.0.0.1:{self.server_address[1]}"
        """Scheme, host and port."""
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening and close open connections."""
        self.closing.set()
        self.shutdown()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self.server_close()
        self._thread.join()

    def opened(self, connection: socket.socket) -> None:
        """Note a connection, to be ended with the server."""
        self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        """Forget a connection."""
        self._open.discard(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that closes the connection; print anything else, which is a bug in the sandbox."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class LoopbackHandler(BaseHTTPRequestHandler):
    """Reads requests from one connection and writes the replies."""

    server: LoopbackServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        self.server.closed(self.connection)
        super().finish()

    def version_string(self) -> str:
        """Return the server's name."""
        return self.server.name

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Write no access log: `HttpSandbox.calls` and ``log`` have the requests."""

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        headers.pop(CLIENT_SUBJECT, None)
        subject = self._client_subject()
        if subject is not None:
            headers[CLIENT_SUBJECT] = subject
        reply = self.server.answer(self.command, self.path, headers, body)
        if reply.status == CLOSED:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status == 304:
            self.end_headers()
            self.wfile.flush()
            return
        if not any(name.lower() == "content-type" for name in reply.headers):
            self.send_header("Content-Type", JSON)
        self.send_header("Content-Length", str(len(reply.body) if reply.length is None else reply.length))
        self.end_headers()
        self._write(reply)
        self.wfile.flush()

    def _client_subject(self) -> str | None:
        if not isinstance(self.connection, ssl.SSLSocket):
            return None
        shown = self.connection.getpeercert(binary_form=True)
        if shown is None:
            return None
        subject = x509.load_der_x509_certificate(shown).subject
        names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)[:1]
        groups = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        return json.dumps([str(one.value) for one in (*names, *groups)])

    def _write(self, reply: Reply) -> None:
        if self.command == "HEAD":
            return
        sent = 0
        for part in (reply.body,) if reply.stream is None else reply.stream:
            if isinstance(part, float):
                self.wfile.flush()
                if self.server.closing.wait(part):
                    self.close_connection = True
                    return
            else:
                self.wfile.write(part)
                sent += len(part)
        if sent != (len(reply.body) if reply.length is None else reply.length):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _handle  # noqa: N815
