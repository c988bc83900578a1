"""Sends one HTTP request and reads one complete response, within limits. `scanner.collect.rest` decides what to send.

Limits that the underlying libraries do not enforce:

- A timeout of ``requests`` applies to each read: a response of one byte a second never ends. Here the whole response
  has a deadline, from the first byte sent to the last byte read.
- A thread that waits for a socket does not notice that the run must stop. Here a watchdog shuts the socket down.
- A megabyte of gzip can be a gigabyte. Here the decompressed bytes are counted as they arrive.
- Redirects are not followed: the credential is sent only to the requested host.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.utils import get_environ_proxies

from scanner.collect.failures import SourceError
from scanner.collect.http_config import authorities

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scanner.collect.http_config import HttpConfig
    from scanner.collect.night_order import SourceClock

_CHUNK = 2**16
_CONNECT_SECONDS = 8.0
"""Connect timeout in seconds. It is independent of the response timeout, so that the run stops within 10 s."""
_TICK = 0.25
_IDLE_SECONDS = 10
"""A watchdog with nothing to watch for so long ends its thread; the next request starts another."""
_here = threading.local()


class CutError(SourceError):
    """The connection was refused, lost or timed out. The same request may succeed later."""

    def __init__(self, detail: str) -> None:
        super().__init__("unreachable", detail)


class RawAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One complete response, decompressed."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    content: bytes


class WatchedRequest:
    """A request in progress: its socket, once connected, and why it was aborted."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.failure: SourceError | None = None
        self._socket: Any = None
        self._lock = threading.Lock()

    def on(self, connected: Any) -> None:
        """Watch this socket. If the request was already aborted, shut it down."""
        with self._lock:
            # TLS through a TLS proxy: the socket is inside.
            self._socket = getattr(connected, "socket", connected)
            if self.failure is not None:
                self._shut()

    def cut(self, failure: SourceError) -> None:
        """Abort the request: the reader of the socket gets an end of file."""
        with self._lock:
            if self.failure is None:
                self.failure = failure
                self._shut()

    def _shut(self) -> None:
        if isinstance(self._socket, socket.socket):
            with contextlib.suppress(OSError):
                # Not SSLSocket.shutdown, which removes the TLS state while another thread is reading.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class Watchdog:
    """Aborts requests past their deadline, and all requests when the run stops. Runs one thread, only while needed."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._watched: set[WatchedRequest] = set()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def watching(self, seconds: float) -> Iterator[WatchedRequest]:
        """Watch the request sent by this thread."""
        watched = WatchedRequest(time.monotonic() + seconds)
        with self._lock:
            self._watched.add(watched)
            if self._thread is None:
                self._closed.clear()
                self._thread = threading.Thread(target=self._run, name="http-watchdog", daemon=True)
                self._thread.start()
        _here.watched = watched
        try:
            yield watched
        finally:
            _here.watched = None
            with self._lock:
                self._watched.discard(watched)

    def close(self) -> None:
        """Stop the thread."""
        self._closed.set()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        idle = 0
        while not self._closed.wait(_TICK):
            with self._lock:
                watched = list(self._watched)
                idle = 0 if watched else idle + 1
                if idle * _TICK > _IDLE_SECONDS:
                    self._thread = None
                    return
            now = time.monotonic()
            for one in watched:
                if self._stopping.is_set():
                    one.cut(SourceError("deadline", "the run was stopped before this was read"))
                elif now > one.deadline:
                    one.cut(SourceError("unreachable", "the response did not end in time (answer_seconds)"))


class WatchedConnection:
    """Registers this thread's socket with the watchdog. Mixed into a connection class of `http.client` or urllib3."""

    sock: Any

    def getresponse(self, *given: Any, **named: Any) -> Any:
        """Watch the socket from now on: the request is sent, and only the response is waited for."""
        watched = getattr(_here, "watched", None)
        if watched is not None:
            watched.on(self.sock)
        return super().getresponse(*given, **named)  # type: ignore[misc]  # of the class that it is mixed into


class _Connection(WatchedConnection, urllib3.connection.HTTPConnection):
    pass


class _TlsConnection(WatchedConnection, urllib3.connection.HTTPSConnection):
    pass


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    """Creates watched connections. Does not retry; the client does."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager


class _Carried(AuthBase):
    """Sets the headers last. Without an ``auth`` object, requests would read passwords from ~/.netrc."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        return request


class Transport:
    """Sends requests. Thread-safe; each thread has its own connections."""

    def __init__(
        self,
        config: HttpConfig,
        stopping: threading.Event,
        clock: SourceClock,
        certificate: tuple[str, str] | None = None,
    ) -> None:
        """``certificate`` are the paths of a client certificate and its key, in PEM."""
        self._config = config
        self._certificate = certificate
        self._clock = clock
        self._stopping = stopping
        self._watchdog = Watchdog(stopping)
        self._threads = threading.local()
        self._open: list[requests.Session] = []
        self._lock = threading.Lock()
        self._known_proxies: dict[str, dict[str, str]] = {}

    def close(self) -> None:
        """Close every connection."""
        self._watchdog.close()
        with self._lock:
            for session in self._open:
                session.close()
            self._open.clear()
            self._threads = threading.local()

    def _session(self) -> requests.Session:
        mine: requests.Session | None = getattr(self._threads, "session", None)
        if mine is None:
            mine = requests.Session()
            # What the environment says is read once for each host, not for each request.
            mine.trust_env = False
            mine.cert = self._certificate
            for scheme in ("http://", "https://"):
                mine.mount(scheme, _Adapter(pool_connections=4, pool_maxsize=1, max_retries=0))
            self._threads.session = mine
            with self._lock:
                self._open.append(mine)
        mine.cookies.clear()
        return mine

    def _proxies(self, url: str) -> dict[str, str]:
        """Return the proxies for a host: ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``."""
        parts = urlsplit(url)
        host = f"{parts.scheme}://{parts.netloc}"
        if host not in self._known_proxies:
            self._known_proxies[host] = get_environ_proxies(host)
        return self._known_proxies[host]

    def _authorities(self) -> str | bool:
        """Return the file of trusted certificate authorities, or True for those that come with certifi."""
        return authorities(self._config.ca_bundle)

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        credential: Mapping[str, str],
        body: bytes | None = None,
        largest: int | None = None,
    ) -> RawAnswer:
        """Send one request without following redirects, and return the complete response.

        ``credential`` are the authentication headers; ``largest`` is in bytes, by default ``largest_answer_mb``.
        Raises `CutError` for errors that can be retried, `SourceError` for others.
        """
        if self._stopping.is_set():
            raise SourceError("deadline", "the run was stopped before this was read")
        config = self._config
        bound = largest if largest is not None else int(config.largest_answer_mb * 2**20)
        silence = min(config.timeout_seconds, config.answer_seconds)
        with self._watchdog.watching(config.answer_seconds) as watched:
            try:
                response = self._session().request(
                    method,
                    url,
                    headers={"Accept-Encoding": "gzip, deflate", **headers},
                    auth=_Carried(credential),
                    data=body,
                    timeout=(min(_CONNECT_SECONDS, silence), silence),
                    proxies=self._proxies(url),
                    verify=self._authorities(),
                    allow_redirects=False,
                    stream=True,
                )
                try:
                    content = read_bounded(response.raw, bound, status=response.status_code)
                finally:
                    response.close()
            except requests.exceptions.SSLError:
                raise watched.failure or CutError(_TLS) from None
            except (
                requests.RequestException,
                urllib3.exceptions.HTTPError,
                http.client.HTTPException,
                OSError,
            ) as exc:
                if watched.failure is None and isinstance(exc, urllib3.exceptions.DecodeError):
                    raise SourceError("malformed", "the compressed response is broken") from None
                raise watched.failure or CutError(_message(exc)) from None
            if watched.failure is not None:
                raise watched.failure
        received = {name.lower(): value for name, value in response.headers.items()}
        self._clock.note(urlsplit(response.url).hostname or "", received.get("date"))
        return RawAnswer(status=response.status_code, headers=received, content=content)


def read_bounded(raw: Any, bound: int, *, status: int, decode: bool = True) -> bytes:
    """Return the whole body of a response of urllib3, decompressed if ``decode``. Raises `SourceError` if it has more than ``bound`` bytes."""
    parts: list[bytes] = []
    size = 0
    for part in raw.stream(_CHUNK, decode_content=decode):
        size += len(part)
        if size > bound:
            raise SourceError("truncated", f"the response is larger than {bound} bytes", status=status)
        parts.append(part)
    return b"".join(parts)


_TLS = "TLS failed: the certificate is not trusted, or the server does not speak TLS (behind a proxy that inspects TLS, set ca_bundle)"


def _message(exc: Exception) -> str:
    """Return the message of an HTTP library without object addresses, which differ between runs."""
    inner: Any = exc
    while inner.args and isinstance(inner.args[0], Exception):
        inner = inner.args[0]
    reason = getattr(inner, "reason", None) or inner
    text = str(reason).rpartition("object at 0x")[2].partition(">: ")[2] or str(reason)
    return f"{type(exc).__name__}: {text}"[:500]
