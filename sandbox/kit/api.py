"""The server of one API: the part that is the same for all providers.

A request is matched to a route, counted, answered or failed by a fault, and logged. A provider's sandbox derives from
`HttpSandbox`, defines routes and answers, and can define the format of errors.
"""

from __future__ import annotations

import contextlib
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec

from sandbox.kit.canaries import rewritten
from sandbox.kit.faults import FaultSwitch, SetFault, Trouble, instead, spoil
from sandbox.kit.http import HttpRequest, RefusedError, Reply, reply, request
from sandbox.kit.server import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from sandbox.kit.authority import CertificateAuthority
    from sandbox.kit.canaries import Planter


class ApiCall(msgspec.Struct, kw_only=True):
    """One request with its route."""

    request: HttpRequest
    name: str
    """Its route, as in ``calls``: ``GET /repos/{owner}/{repo}/keys``."""
    template: str
    """The route without the method."""
    path: str
    """The path that faults are matched against, without the prefix of the API."""
    route: Any = None
    """The provider's data about the route."""
    values: dict[str, str] = {}
    """The values of its parameters."""
    caller: str = ""
    """The caller, in the provider's terms: the kind of token."""
    fault: SetFault | None = None
    counted: bool = True
    """False for the sandbox's own requests: they are not logged, and no fault applies."""

    @property
    def method(self) -> str:
        return self.request.method


class LoggedCall(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request that was answered."""

    method: str
    path: str
    """Path and query, as sent."""
    name: str
    """Its route, as in ``calls``."""
    template: str
    """The route without the method."""
    status: int
    caller: str
    """The caller, in the provider's terms."""
    headers: dict[str, str]
    """As sent, names in lower case."""
    fault: Trouble | None = None
    """The fault that was applied."""
    opens: str = ""
    """The first character of the body: ``[`` for a list, ``{`` for an object, ``<`` for XML."""

    @property
    def line(self) -> str:
        """Method, path and query."""
        return f"{self.method} {self.path}"

    @property
    def conditional(self) -> bool:
        """Whether it had ``If-None-Match``."""
        return "if-none-match" in self.headers


class HttpSandbox(ABC):
    """One API on 127.0.0.1. Thread-safe; it runs while used as a context manager.

    `provider` is the name of the collector that reads it; `reads` are the calls other than GET that only read;
    `unfit` are the faults that the API cannot have.

    ``name`` is the name of the server, ``latency`` a delay of every answer in seconds. With an ``authority`` it uses
    TLS.
    """

    provider: ClassVar[str]
    reads: ClassVar[frozenset[str]] = frozenset()
    unfit: frozenset[Trouble] = frozenset()

    def __init__(
        self, name: str, *, latency: float = 0.0, authority: CertificateAuthority | None = None
    ) -> None:
        self.latency = latency
        self.calls: Counter[str] = Counter()
        """Requests by route: ``GET /repos/{owner}/{repo}/keys``."""
        self.log: list[LoggedCall] = []
        """Every request in the order of the answers."""
        self.faults = FaultSwitch()
        self.elsewhere = "https://elsewhere.example"
        """The origin of another host, target of foreign links and redirects."""
        self.canaries: Planter | None = None
        """Plants canaries in every answer, if set by a test."""
        self._uses: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = LoopbackServer(self.handle, name, authority)
        self.origin = self._server.origin
        """Scheme, host and port."""
        self.url = self.origin
        """The base URL that clients are configured with."""
        self.bundle = authority.bundle if authority else None
        """The PEM file of the authority that signed the server's certificate; None without TLS."""

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.__exit__(kind, error, trace)

    def fail(
        self,
        pattern: str,
        kind: Trouble,
        times: int | None = None,
        *,
        from_request: int = 1,
        after_bytes: int | None = None,
        after_uses: int = 0,
        since: str | None = None,
    ) -> None:
        """Enable a fault for matching routes or paths: a status, or a name in `sandbox.kit.faults`.

        It applies ``times`` times, or always; from the n-th request of each path on; after the token was used this
        often; after a request to the route ``since``.
        """
        self.faults.add(
            SetFault(
                pattern=pattern,
                kind=kind,
                times=times,
                from_request=from_request,
                after_bytes=after_bytes,
                after_uses=after_uses,
                since=since,
            )
        )

    @contextlib.contextmanager
    def front(self, authority: CertificateAuthority) -> Iterator[dict[str, Any]]:
        """Serve the API a second time, with TLS of another authority. Yields the options of the section that lead there."""
        with LoopbackServer(self.handle, "tls", authority) as server:
            yield {
                name: value.replace(self.origin, server.origin)
                for name, value in self.section().items()
                if isinstance(value, str) and value.startswith(self.origin)
            }

    def heal(self) -> None:
        """Disable all faults."""
        self.faults.clear()

    # What the collector needs

    @abstractmethod
    def section(self) -> dict[str, Any]:
        """Return the collector's section of config.yaml."""

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """Return the environment variables that the section refers to: tokens and keys."""

    @abstractmethod
    def show(self, night: int) -> None:
        """Set the company to its state of a night, 1 or 2."""

    def connection(self) -> dict[str, Any]:
        """Return more that another client needs, for the line that ``python -m sandbox serve`` prints."""
        return {}

    def permissions(self) -> tuple[str, ...]:
        """Return the permissions that can be revoked from the collector's credential."""
        return ()

    def revoke(self, permission: str) -> None:
        """Revoke one of the permissions. Raises LookupError for an API without permissions."""
        raise LookupError(permission)

    def restore(self) -> None:  # noqa: B027  nothing to give back where nothing can be taken
        """Restore all revoked permissions."""

    # What a provider says

    @abstractmethod
    def recognize(self, request: HttpRequest) -> ApiCall:
        """Return the route of a request. Never raises: an unknown route is named by its path."""

    @abstractmethod
    def answer(self, call: ApiCall) -> Reply:
        """Answer a request. Raises `RefusedError`."""

    def refusal(self, call: ApiCall, status: int, text: str | None = None) -> Reply:
        """Return an error in the API's format."""
        return reply(status, {"message": text or f"{status} (made by the sandbox)"})

    def trouble(self, call: ApiCall, fault: SetFault) -> Reply | None:
        """Return the answer to a fault with a provider-specific format; None for the kit's default."""
        return None

    def spoil(self, call: ApiCall, answer: Reply, fault: SetFault) -> None:
        """Damage a correct answer."""
        spoil(answer, fault)

    def rewrite(self, call: ApiCall, answer: Reply, planter: Planter) -> bytes:
        """Return the body of an answer with every text in it passed through the planter."""
        try:
            return msgspec.json.encode(rewritten(msgspec.json.decode(answer.body), call.name, planter))
        except msgspec.DecodeError:
            text = answer.body.decode("utf-8", errors="replace")
            return planter.outgoing(call.name, "(text)", text).encode()

    def only_reads(self, name: str) -> bool:
        """Return whether a route, as in ``calls``, is read-only."""
        return name.startswith("GET ") or name in self.reads

    def lead_on(self, call: ApiCall, answer: Reply, url: str) -> None:
        """Set the link of an answer's next page."""
        answer.headers["Link"] = f'<{url}>; rel="next"'

    def admit(self, call: ApiCall) -> Reply | None:
        """Admit a request (None), or refuse it because too many are running."""
        return None

    def finish(self, call: ApiCall) -> None:  # noqa: B027  most APIs count no running requests
        """Note the end of an admitted request."""

    def credential(self, request: HttpRequest) -> str:
        """Return the request's credential."""
        return request.headers.get("authorization", "")

    # One request

    def handle(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """Answer one request."""
        planter = self.canaries
        if planter is not None:
            target = planter.incoming(target)
            body = planter.incoming(body.decode("latin-1")).encode("latin-1")
        received = request(method, target, headers, body)
        call = self.recognize(received)
        token = self.credential(received)
        if not call.counted:
            return self._answer(call)
        with self._lock:
            uses = self._uses[token]
            self._uses[token] += 1
        call.fault = self.faults.strike(
            (call.template, call.name), (call.path, f"{method} {call.path}"), uses
        )
        refused = self.admit(call)
        if refused is not None:
            answer = refused
        else:
            try:
                if self.latency:
                    time.sleep(self.latency)
                answer = self._answer(call)
            finally:
                self.finish(call)
        with self._lock:
            self.calls[call.name] += 1
            self.log.append(
                LoggedCall(
                    method=method,
                    path=target,
                    name=call.name,
                    template=call.template,
                    status=answer.status,
                    caller=call.caller,
                    headers=headers,
                    fault=call.fault.kind if call.fault else None,
                    opens=answer.body[:1].decode("latin-1"),
                )
            )
        return answer

    def _planted(self, call: ApiCall, answer: Reply) -> Reply:
        if self.canaries is not None and call.counted and answer.status < 300:
            answer.body = self.rewrite(call, answer, self.canaries)
        return answer

    def _answer(self, call: ApiCall) -> Reply:
        fault = call.fault
        try:
            if fault is None:
                return self._planted(call, self.answer(call))
            given = self.trouble(call, fault)
            if given is None and isinstance(fault.kind, int):
                given = self.refusal(call, fault.kind)
            if given is None:
                given = instead(fault, call.request.target, self.elsewhere)
            if given is not None:
                return given
            answer = self.answer(call)
        except RefusedError as refused:
            return self.refusal(call, refused.status, refused.message)
        self.spoil(call, answer, fault)
        match fault.kind:
            case "foreign-next":
                self.lead_on(call, answer, f"{self.elsewhere}{call.request.target}")
            case "looping-next":
                self.lead_on(call, answer, f"{self.origin}{call.request.target}")
            case _:
                pass
        return answer
