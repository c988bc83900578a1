"""One endpoint on loopback that answers as AWS does for the whole make-believe organization.

    with AwsSandbox() as sandbox:
        build(sandbox, night=1)
        boto3.client("iam", endpoint_url=sandbox.url, **sandbox.credentials(MANAGEMENT))

Requests go to moto inside this process, except those that moto lacks (`sandbox.aws.answers`). The account is
known from the access key id of the SigV4 header; signatures are not checked. Moto's state belongs to the
process, so that one sandbox can be open at a time.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
import socket
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from sandbox.aws import backend, wire
from sandbox.aws.answers import handler
from sandbox.aws.keys import key_id, token, unique_id
from sandbox.aws.state import Session, State, changes, is_answer, overlaid
from sandbox.aws.wire import Answer, AwsError, Call
from sandbox.estate import FIRST_NIGHT, MANAGEMENT, REGION, SECOND_REGION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

FaultKind: TypeAlias = Literal["denied", "throttled", "error", "cut", "malformed", "truncated", "expired"]
"""cut ends the connection without an answer; malformed halves the body; truncated halves a file within a sound body
(the credential report); the others are what AWS answers."""
SEED = 20261122
SCANNER_ROLE = "sprawlscan-scanner"
"""The role in the management account with which the scanner signs."""
_OPEN = threading.Lock()
_REPETITION = {"ClientToken", "clientToken", "ClientRequestToken", "clientRequestToken"}


class Fault(msgspec.Struct, kw_only=True):
    """Something that goes wrong."""

    action: str
    """``iam:ListUsers``, or ``*``."""
    kind: FaultKind
    account: str | None
    region: str | None
    left: int | None
    """How many times more; None for always."""


class AwsSandbox:
    """The endpoint, from entering the context to leaving it.

    ``as_of`` is the night that ages are counted back from (aware UTC); ``deny`` lists, by account number, the
    IAM actions that the scanner lacks there; ``refuse`` are the accounts that let nobody assume a role.
    """

    def __init__(
        self,
        as_of: datetime = FIRST_NIGHT,
        *,
        deny: Mapping[str, Iterable[str]] | None = None,
        refuse: Iterable[str] = (),
    ) -> None:
        self.state = State(as_of)
        self.state.refusing.update(refuse)
        self.state.regions = [REGION, SECOND_REGION]
        self.deny = {account: set(actions) for account, actions in (deny or {}).items()}
        self.calls: Counter[str] = Counter()
        """Requests of scanners by IAM action (``iam:ListUsers``); the sandbox's own building is not counted."""
        self.latency = 0.0
        """Seconds that every answer to a scanner takes longer."""
        self.url = ""
        """``http://127.0.0.1:PORT`` while the sandbox is open."""
        self.night = 0
        """Which night was built; 0 for none."""
        self._made: Counter[str] = Counter()
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str, str], Any] = {}
        self._server: Any = None

    def __enter__(self) -> Self:
        from moto.moto_server.werkzeug_app import (
            DomainDispatcherApplication,
            MotoRequestHandler,
            create_backend_app,
        )
        from werkzeug.serving import make_server

        if not _OPEN.acquire(blocking=False):
            raise RuntimeError(
                "An AWS sandbox is open in this process already; moto's state is one a process."
            )
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        backend.reset(SEED)
        self._moto = DomainDispatcherApplication(create_backend_app)
        quiet = type(
            "Handler",
            (MotoRequestHandler,),
            {"protocol_version": "HTTP/1.1", "disable_nagle_algorithm": True, "log_request": _silent},
        )
        self._server = make_server("127.0.0.1", 0, self._application, threaded=True, request_handler=quiet)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._server.shutdown()
            self._server.server_close()
            backend.reset(SEED)
        finally:
            _OPEN.release()

    @property
    def as_of(self) -> datetime:
        """The night that ages are counted back from."""
        return self.state.as_of

    @as_of.setter
    def as_of(self, night: datetime) -> None:
        self.state.as_of = night
        for job in [job for job in self.state.known if job[1] == "credential-report"]:
            del self.state.known[job]
        self.state.version += 1

    def client(self, account: str, service: str, region: str = REGION) -> Any:
        """Return the boto3 client with which the estate is built: it may write, and is neither counted nor denied."""
        from botocore.config import Config

        name = key_id(account, "sandbox-builder")
        self.state.sessions[name] = Session(
            account=account, arn=f"arn:aws:iam::{account}:root", user_id=account, builder=True
        )
        if (account, service, region) not in self._clients:
            self._clients[account, service, region] = _boto().client(
                service,
                region_name=region,
                endpoint_url=self.url,
                aws_access_key_id=name,
                aws_secret_access_key=token(name, 40),
                config=Config(retries={"total_max_attempts": 1}, proxies={}),
            )
        return self._clients[account, service, region]

    def credentials(self, account: str, role: str = SCANNER_ROLE) -> dict[str, str]:
        """Return boto3's keyword arguments with which a scanner signs as a role of an account."""
        made = self.state.sign_in(account, role, unique_id("AROA", account, role), "nightly")
        return {
            "aws_access_key_id": made["AccessKeyId"],
            "aws_secret_access_key": made["SecretAccessKey"],
            "aws_session_token": made["SessionToken"],
        }

    def environment(self) -> dict[str, str]:
        """Return the environment variables with which a scanner signs: short-lived, in the management account."""
        variables = {name.upper(): value for name, value in self.credentials(MANAGEMENT).items()}
        return {
            **variables,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def fail(
        self,
        action: str,
        kind: FaultKind,
        *,
        account: str | None = None,
        region: str | None = None,
        times: int | None = None,
    ) -> None:
        """Let an action (``iam:ListUsers``, or ``*``) go wrong, always or ``times`` times."""
        self._faults.append(Fault(action=action, kind=kind, account=account, region=region, left=times))

    def heal(self) -> None:
        """End every fault."""
        self._faults.clear()

    def _fault(self, call: Call) -> FaultKind | None:
        with self._lock:
            for fault in self._faults:
                if (
                    fault.left != 0
                    and fault.action in {"*", call.action}
                    and fault.account in {None, call.account}
                    and fault.region in {None, call.region}
                ):
                    fault.left = None if fault.left is None else fault.left - 1
                    return fault.kind
        return None

    def _application(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        environ["wsgi.input"] = io.BytesIO(
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        )
        answer = self._answer(environ)
        headers = {name: value for name, value in answer.headers.items() if name.lower() != "content-length"}
        start(f"{answer.status} Sandbox", [*headers.items(), ("Content-Length", str(len(answer.body)))])
        return [answer.body]

    def _answer(self, environ: WSGIEnvironment) -> Answer:
        signed = wire.scope(environ)
        if signed is None:
            return wire.refused(
                "query",
                AwsError("MissingAuthenticationToken", "Request is missing Authentication Token", 403),
            )
        protocol = "query"
        try:
            session = self._session(signed.key_id)
            call = wire.understand(environ, signed, session.account)
            protocol = call.protocol
            if session.builder:
                return self._build(environ, call)
            with self._lock:
                self.calls[call.action] += 1
            if self.latency:
                time.sleep(self.latency)
            fault = self._fault(call)
            self._gate(call, session, fault)
            answer = self._ask(environ, call)
        except AwsError as error:
            return wire.refused(protocol, error)
        if fault == "cut":
            with contextlib.suppress(OSError):
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        if fault == "truncated":
            whole = wire.read(call, answer)
            return wire.written(call, {name: _half(value) for name, value in whole.items()})
        if fault == "malformed":
            return Answer(status=200, headers=answer.headers, body=answer.body[: len(answer.body) // 2])
        return answer

    def _session(self, key: str) -> Session:
        found = self.state.sessions.get(key)
        if found is not None:
            return found
        owner = backend.account_of_key(key)
        if owner is None:
            raise AwsError(
                "InvalidClientTokenId", "The security token included in the request is invalid.", 403
            )
        account, user = owner
        made = Session(
            account=account,
            arn=f"arn:aws:iam::{account}:user/{user}",
            user_id=str(backend.iam(account).users[user].id),
        )
        self.state.sessions[key] = made
        return made

    def _gate(self, call: Call, session: Session, fault: FaultKind | None) -> None:
        """Raise what stops a call: a missing permission, or a fault that a test switched on."""
        if fault == "denied" or call.action in self.deny.get(call.account, ()):
            code = {"query": "AccessDenied", "ec2": "UnauthorizedOperation", "rest-xml": "AccessDenied"}
            raise AwsError(
                code.get(call.protocol, "AccessDeniedException"),
                f"User: {session.arn} is not authorized to perform: {call.action} on resource: * because no "
                f"identity-based policy allows the {call.action} action",
                403 if call.protocol != "json" else 400,
            )
        if fault == "throttled":
            codes = {"query": "Throttling", "ec2": "RequestLimitExceeded", "rest-xml": "SlowDown"}
            raise AwsError(codes.get(call.protocol, "ThrottlingException"), "Rate exceeded", 400)
        if fault == "error":
            raise AwsError("InternalFailure", "The request processing has failed.", 500)
        if fault == "expired":
            raise AwsError("ExpiredToken", "The security token included in the request is expired", 403)

    def _build(self, environ: WSGIEnvironment, call: Call) -> Answer:
        """Answer the sandbox's own client: moto as it is, and what moto cannot write."""
        if "PolicyArn" in call.params:
            backend.ensure_managed(call.account, call.params["PolicyArn"])
        if changes(call):
            # An id depends on what is made, not on what moto happened to draw before: the same in every build.
            # boto3 makes up a token for each call, against repetition.
            given = sorted((name, value) for name, value in call.params.items() if name not in _REPETITION)
            made = f"{call.account}/{call.region}/{call.action}/{given}"
            self._made[made] += 1
            backend.reseed(f"{made}/{self._made[made]}")
        own = handler(call.service, call.operation) if changes(call) else None
        answer = (
            wire.written(call, own(self.state, call, dict))
            if own
            else self._moto_answer(environ, call.account)
        )
        if call.operation in {"CreateUser", "CreateGroup"}:
            backend.name_principals(call.account)
        if changes(call):
            self.state.version += 1
        return answer

    def _ask(self, environ: WSGIEnvironment, call: Call) -> Answer:
        if call.service == "s3" and call.operation != "ListBuckets":
            return self._moto_answer(environ, call.account)

        def forward() -> dict[str, Any]:
            answer = self._moto_answer(environ, call.account)
            if not is_answer(answer):
                raise _MotoError(answer)
            shape = call.model.output_shape
            seen = overlaid(self.state, call, shape, wire.read(call, answer)) if shape else {}
            return dict(seen)

        own = handler(call.service, call.operation)
        try:
            return wire.written(call, own(self.state, call, forward) if own else forward())
        except _MotoError as raw:
            return raw.answer

    def _moto_answer(self, environ: WSGIEnvironment, account: str) -> Answer:
        from werkzeug.test import run_wsgi_app

        environ["wsgi.input"].seek(0)
        asked = {**environ, "HTTP_X_MOTO_ACCOUNT_ID": account}
        for cached in ("werkzeug.request", "wsgi.input_terminated"):
            asked.pop(cached, None)
        chunks, status, headers = run_wsgi_app(self._moto, asked, buffered=True)
        return Answer(status=int(status.split()[0]), headers=dict(headers), body=b"".join(chunks))


class _MotoError(Exception):
    """An error of moto's own, which goes back as it is."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def _half(value: Any) -> Any:
    return value[: len(value) // 2] if isinstance(value, bytes) else value


@functools.cache
def _boto() -> Any:
    """Return the one session of all builders: it keeps the service models, which take seconds to load."""
    import boto3

    return boto3.session.Session()


def _silent(_handler: Any, *_args: Any) -> None:
    """Write no line a request."""
