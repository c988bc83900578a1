"""The server of one API: what is the same for every provider.

A request is recognized, counted, met by a fault or answered, and written into the log. A provider's sandbox derives
from `HttpSandbox`, says which route a request takes and what is answered, and may word refusals its own way.
"""

from __future__ import annotations

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
    from types import TracebackType

    from sandbox.kit.authority import CertificateAuthority
    from sandbox.kit.canaries import CanaryPlanter


class ApiCall(msgspec.Struct, kw_only=True):
    """One request, recognized."""

    request: HttpRequest
    name: str
    """Its route, as in ``calls``: ``GET /repos/{owner}/{repo}/keys``."""
    template: str
    """The route without the method."""
    path: str
    """The path that faults are matched against, without the prefix of the API."""
    route: Any = None
    """What the provider knows of the route."""
    values: dict[str, str] = {}
    """The values of its parameters."""
    caller: str = ""
    """Who asked, in the provider's words: the kind of token."""
    fault: SetFault | None = None
    counted: bool = True
    """False for the sandbox's own requests: they are in no log, and meet no fault."""

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
    """Who asked, in the provider's words."""
    headers: dict[str, str]
    """As sent, names in lower case."""
    fault: Trouble | None = None
    """The fault that met it."""

    @property
    def line(self) -> str:
        """Method, path and query."""
        return f"{self.method} {self.path}"

    @property
    def conditional(self) -> bool:
        """Whether it carried ``If-None-Match``."""
        return "if-none-match" in self.headers


class HttpSandbox(ABC):
    """One API on 127.0.0.1. Thread-safe; it answers while it is used as a context manager.

    `provider` is the name of the collector that reads it; `reads` are the calls other than GET that only read;
    `unfit` are the faults that the API cannot have.

    ``name`` is what the server calls itself, ``latency`` the seconds that every answer takes longer. With an
    ``authority`` it speaks TLS.
    """

    provider: ClassVar[str]
    reads: ClassVar[frozenset[str]] = frozenset()
    unfit: ClassVar[frozenset[Trouble]] = frozenset()

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
        """Where foreign links and redirects lead: the origin of another host."""
        self.canaries: CanaryPlanter | None = None
        """Plants in every answer, when a test asks for it."""
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
    ) -> None:
        """Switch on a fault for the routes or paths that match: a status, or a name of `sandbox.kit.faults`.

        It strikes ``times`` times, or always; from the n-th request of each path on; once the token was used so often.
        """
        self.faults.add(
            SetFault(
                pattern=pattern,
                kind=kind,
                times=times,
                from_request=from_request,
                after_bytes=after_bytes,
                after_uses=after_uses,
            )
        )

    def heal(self) -> None:
        """Switch all faults off."""
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
        """Let the company be as it is on a night, 1 or 2."""

    def permissions(self) -> tuple[str, ...]:
        """Return what can be taken from the collector's credential."""
        return ()

    def revoke(self, permission: str) -> None:
        """Take one of the permissions away. Raises LookupError for an API without any."""
        raise LookupError(permission)

    def restore(self) -> None:  # noqa: B027  nothing to give back where nothing can be taken
        """Give back everything that was revoked."""

    # What a provider says

    @abstractmethod
    def recognize(self, request: HttpRequest) -> ApiCall:
        """Return the route of a request. Raises nothing: what is unknown is named by its path."""

    @abstractmethod
    def answer(self, call: ApiCall) -> Reply:
        """Answer a request. Raises `RefusedError`."""

    def refusal(self, call: ApiCall, status: int, text: str | None = None) -> Reply:
        """Return an error as the API words it."""
        return reply(status, {"message": text or f"{status} (made by the sandbox)"})

    def trouble(self, call: ApiCall, fault: SetFault) -> Reply | None:
        """Return the answer to a fault that the provider words its own way; None for the kit's."""
        return None

    def spoil(self, call: ApiCall, answer: Reply, fault: SetFault) -> None:
        """Spoil an answer that was right."""
        spoil(answer, fault)

    def rewrite(self, call: ApiCall, answer: Reply, planter: CanaryPlanter) -> bytes:
        """Return the body of an answer with every text in it passed through the planter."""
        try:
            return msgspec.json.encode(rewritten(msgspec.json.decode(answer.body), call.name, planter))
        except msgspec.DecodeError:
            text = answer.body.decode("utf-8", errors="replace")
            return planter.outgoing(call.name, "(text)", text).encode()

    def only_reads(self, name: str) -> bool:
        """Tell whether a route, as in ``calls``, changes nothing."""
        return name.startswith("GET ") or name in self.reads

    def lead_on(self, call: ApiCall, answer: Reply, url: str) -> None:
        """Write into an answer that its next page is at ``url``."""
        answer.headers["Link"] = f'<{url}>; rel="next"'

    def admit(self, call: ApiCall) -> Reply | None:
        """Let a request in, or refuse it because too many are running."""
        return None

    def finish(self, call: ApiCall) -> None:  # noqa: B027  most APIs count no running requests
        """Note that a request which was let in is answered."""

    def credential(self, request: HttpRequest) -> str:
        """Return what tells one token from another."""
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
