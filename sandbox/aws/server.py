"""A loopback endpoint that answers like AWS for the whole simulated organization.

    with AwsSandbox() as sandbox:
        build(sandbox, night=1)
        boto3.client("iam", endpoint_url=sandbox.url, **sandbox.credentials(MANAGEMENT))

Requests go to moto inside this process, except those that moto lacks (`sandbox.aws.answers`). The account is known from
the access key id of the SigV4 header; signatures are not checked. Moto's state is global to the process, so only one
sandbox can be open at a time.
"""

from __future__ import annotations

import functools
import io
import os
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

import msgspec

from sandbox.aws import backend, wire
from sandbox.aws.answers import handler
from sandbox.aws.keys import key_id, unique_id
from sandbox.aws.operation import TOKENS
from sandbox.aws.state import READING, AwsSession, State, changes, is_answer, overlaid
from sandbox.aws.wire import AwsCall, AwsError
from sandbox.estate import FIRST_NIGHT, MANAGEMENT, REGION, SECOND_REGION
from sandbox.kit.api import ApiCall, HttpSandbox
from sandbox.kit.canaries import rewritten
from sandbox.kit.http import HttpRequest, Reply
from sandbox.kit.issued import secret_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from _typeshed.wsgi import WSGIEnvironment

    from sandbox.kit.authority import CertificateAuthority
    from sandbox.kit.canaries import Planter
    from sandbox.kit.faults import SetFault, Trouble

SEED = 20261122
SCANNER_ROLE = "sprawlscan-scanner"
"""The role in the management account with which the scanner signs."""
ROLE_NAME = "NhiInventoryReadOnly"
"""The role that the scanner assumes in the member accounts."""
EXTERNAL_ID = "lantern-nhi-inventory-7f3a91"
"""Its External ID."""
_OPEN = threading.Lock()
_REPETITION = {"ClientToken", "clientToken", "ClientRequestToken", "clientRequestToken"}
_FRESH = {
    "AssumeRole",
    "GenerateCredentialReport",
    "GenerateServiceLastAccessedDetails",
    "GetCallerIdentity",
    "GetCredentialReport",
    "GetServiceLastAccessedDetails",
}
"""Operations whose answer depends on the caller or on earlier calls; other answers are cached until something
changes."""
_DENIED = {"query": "AccessDenied", "ec2": "UnauthorizedOperation", "rest-xml": "AccessDenied"}
_THROTTLED = {"query": "Throttling", "ec2": "RequestLimitExceeded", "rest-xml": "SlowDown"}


class Understood(msgspec.Struct, kw_only=True):
    """A request, as far as it could be parsed."""

    environ: WSGIEnvironment
    protocol: str = "query"
    call: AwsCall | None = None
    session: AwsSession | None = None
    error: AwsError | None = None
    """Why it could not be parsed."""


class AwsSandbox(HttpSandbox):
    """The endpoint, open while used as a context manager.

    ``as_of`` is the night that ages are counted back from (aware UTC); ``deny`` lists, by account number, the IAM
    actions that the scanner lacks there; ``refuse`` are the accounts in which no role can be assumed; ``builder``
    builds the company's state of a night.

    Routes are IAM actions (``iam:ListUsers``). ``calls`` and ``log`` have the scanners' requests, without those that
    build the sandbox. Of the statuses, 401 is ExpiredToken, 403 the service's AccessDenied, 429 its throttling and 500
    InternalFailure. In addition to the faults of the kit, there is ``truncated``: half of a file in a valid body (the
    credential report).
    """

    provider = "aws"
    unfit = frozenset({"foreign-next", "short"})

    def __init__(
        self,
        as_of: datetime = FIRST_NIGHT,
        *,
        deny: Mapping[str, Iterable[str]] | None = None,
        refuse: Iterable[str] = (),
        builder: Callable[[AwsSandbox, int], None] | None = None,
        authority: CertificateAuthority | None = None,
    ) -> None:
        super().__init__("amazonaws.com", authority=authority)
        self.state = State(as_of)
        self.state.refusing.update(refuse)
        self.state.regions = [REGION, SECOND_REGION]
        self.deny = {account: set(actions) for account, actions in (deny or {}).items()}
        self.night = 0
        """The night that was built; 0 for none."""
        self.skips: tuple[str, ...] = ()
        """Accounts that the collector is configured to skip."""
        self._builder = builder
        self._made: Counter[str] = Counter()
        self._clients: dict[tuple[str, str, str], Any] = {}

    def __enter__(self) -> Self:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        if not _OPEN.acquire(blocking=False):
            raise RuntimeError(
                "An AWS sandbox is open in this process already; moto's state is one a process."
            )
        backend.reset(SEED)
        self._moto = DomainDispatcherApplication(create_backend_app)
        # It searches moto's folders for each request.
        self._moto.get_backend_for_host = functools.cache(self._moto.get_backend_for_host)
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, trace)
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
        """Return the boto3 client that builds the estate. It may write, and is neither counted nor denied."""
        from botocore.config import Config

        name = key_id(account, "sandbox-builder")
        self.state.sessions[name] = AwsSession(
            account=account, arn=f"arn:aws:iam::{account}:root", user_id=account, builder=True
        )
        if (account, service, region) not in self._clients:
            self._clients[account, service, region] = _boto().client(
                service,
                region_name=region,
                endpoint_url=self.url,
                aws_access_key_id=name,
                aws_secret_access_key=secret_value(name, 40),
                verify=str(self.bundle) if self.bundle else None,
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

    def section(self) -> dict[str, Any]:
        """Return the collector's section of config.yaml: the whole organization."""
        section: dict[str, Any] = {
            "organization": True,
            "role_name": ROLE_NAME,
            "external_id": EXTERNAL_ID,
            "regions": list(self.state.regions),
            "endpoint_url": self.url,
        }
        if self.skips:
            section["skip_accounts"] = list(self.skips)
            section["unused_access_principals"] = 2
        if self.bundle is not None:
            section["ca_bundle"] = str(self.bundle)
        return section

    def show(self, night: int) -> None:
        """Bring Lantern Pay to its state of a night."""
        if self._builder is None:
            raise ValueError("this sandbox was opened without a company")
        self._builder(self, night)

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
        account: str | None = None,
        region: str | None = None,
    ) -> None:
        """Make an action (``iam:ListUsers``, or ``*``) fail, everywhere or in an account or region."""
        if account is not None or region is not None:
            pattern = f"{pattern} {account or '*'} {region or '*'}"
        super().fail(
            pattern,
            kind,
            times,
            from_request=from_request,
            after_bytes=after_bytes,
            after_uses=after_uses,
            since=since,
        )

    # Requests

    def recognize(self, request: HttpRequest) -> ApiCall:
        """Return the action of a request."""
        understood = self._understood(_environ(request, self.origin))
        call, session = understood.call, understood.session
        action = call.action if call else request.path
        return ApiCall(
            request=request,
            name=action,
            template=action,
            path=f"{action} {call.account} {call.region}" if call else action,
            route=understood,
            caller=session.arn if session else "",
            counted=session is not None and not session.builder,
        )

    def _understood(self, environ: WSGIEnvironment) -> Understood:
        understood = Understood(environ=environ)
        signed = wire.scope(environ)
        if signed is None:
            understood.error = AwsError(
                "MissingAuthenticationToken", "Request is missing Authentication Token", 403
            )
            return understood
        try:
            understood.session = self._session(signed.key_id)
            understood.call = wire.understand(environ, signed, understood.session.account)
            understood.protocol = understood.call.protocol
        except AwsError as error:
            understood.error = error
        return understood

    def answer(self, call: ApiCall) -> Reply:
        """Answer one request."""
        understood: Understood = call.route
        if understood.error is not None:
            return wire.refused(understood.protocol, understood.error)
        asked, session = understood.call, understood.session
        assert asked is not None
        assert session is not None
        if not session.builder and asked.action in self.deny.get(asked.account, ()):
            return self.refusal(call, 403)
        try:
            if session.builder:
                return self._build(understood.environ, asked)
            if asked.operation in _FRESH or changes(asked):
                return self._ask(understood.environ, asked)
            question = (asked.account, asked.region, asked.action, asked.operation, repr(asked.params))
            known = self.state.kept(question, lambda: self._ask(understood.environ, asked))
            return Reply(status=known.status, body=known.body, headers=dict(known.headers))
        except AwsError as error:
            return wire.refused(asked.protocol, error)

    def refusal(self, call: ApiCall, status: int, text: str | None = None) -> Reply:
        """Return an error in the protocol of the operation."""
        protocol = call.route.protocol
        match status:
            case 401:
                words = "The security token included in the request is expired"
                error = AwsError("ExpiredToken", words, 403)
            case 403:
                words = (
                    f"User: {call.caller} is not authorized to perform: {call.name} on resource: * because no "
                    f"identity-based policy allows the {call.name} action"
                )
                error = AwsError(
                    _DENIED.get(protocol, "AccessDeniedException"), words, 403 if protocol != "json" else 400
                )
            case 404:
                error = AwsError("UnknownOperationException", f"No operation for {call.request.path}", 404)
            case 429:
                error = AwsError(_THROTTLED.get(protocol, "ThrottlingException"), "Rate exceeded", 400)
            case _:
                error = AwsError("InternalFailure", text or "The request processing has failed.", status)
        return wire.refused(protocol, error)

    def trouble(self, call: ApiCall, fault: SetFault) -> Reply | None:
        """Return AWS's own throttling, or an answer of the operation's form without any member."""
        asked: AwsCall | None = call.route.call
        if fault.kind in {"too-many", "too-many-bare"}:
            return self.refusal(call, 429)
        if fault.kind == "empty-object" and asked is not None and asked.model.output_shape is not None:
            return wire.written(asked, {})
        return None

    def spoil(self, call: ApiCall, answer: Reply, fault: SetFault) -> None:
        """Damage an answer, or only a file in it."""
        asked: AwsCall | None = call.route.call
        if fault.kind != "truncated" or asked is None:
            super().spoil(call, answer, fault)
            return
        whole = wire.read(asked, answer)
        answer.body = wire.written(asked, {name: _half(value) for name, value in whole.items()}).body

    def rewrite(self, call: ApiCall, answer: Reply, planter: Planter) -> bytes:
        """Return the body of an answer with every text in it passed through the planter."""
        asked: AwsCall | None = call.route.call
        if asked is None or asked.model.output_shape is None or asked.service == "s3":
            return answer.body
        return wire.written(asked, rewritten(wire.read(asked, answer), call.name, planter)).body

    def only_reads(self, name: str) -> bool:
        """Return whether an action is read-only. AssumeRole counts, because reading needs it."""
        operation = name.partition(":")[2]
        return operation == "AssumeRole" or operation.startswith(READING)

    def lead_on(self, call: ApiCall, answer: Reply, url: str) -> None:
        """Announce a next page that is the same page again: AWS has tokens, not links."""
        asked: AwsCall | None = call.route.call
        if asked is None or asked.model.output_shape is None or asked.model.input_shape is None:
            return
        given, shown = asked.model.input_shape.members, asked.model.output_shape.members
        for token_in, token_out, _ in TOKENS:
            if token_in in given and token_out in shown:
                whole = wire.read(asked, answer)
                whole[token_out] = asked.params.get(token_in) or "page-0"
                if "IsTruncated" in shown:
                    whole["IsTruncated"] = True
                written = wire.written(asked, whole)
                answer.body, answer.headers = written.body, written.headers
                return

    def _session(self, key: str) -> AwsSession:
        found = self.state.sessions.get(key)
        if found is not None:
            return found
        owner = backend.account_of_key(key)
        if owner is None:
            raise AwsError(
                "InvalidClientTokenId", "The security token included in the request is invalid.", 403
            )
        account, user = owner
        made = AwsSession(
            account=account,
            arn=f"arn:aws:iam::{account}:user/{user}",
            user_id=str(backend.iam(account).users[user].id),
        )
        self.state.sessions[key] = made
        return made

    def _build(self, environ: WSGIEnvironment, call: AwsCall) -> Reply:
        """Answer the sandbox's own client: from moto unchanged, and for what moto cannot write."""
        if "PolicyArn" in call.params:
            backend.ensure_managed(call.account, call.params["PolicyArn"])
        if changes(call):
            # Ids depend on what is created, not on earlier random numbers, so that every build has the same.
            # boto3 generates an idempotency token for each call.
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

    def _ask(self, environ: WSGIEnvironment, call: AwsCall) -> Reply:
        if call.service == "s3" and call.operation != "ListBuckets":
            return self._moto_answer(environ, call.account)

        def forward() -> dict[str, Any]:
            try:
                answer = self._moto_answer(environ, call.account)
            except (LookupError, ValueError) as error:
                if not any(call.params.get(token_in) for token_in, _, _ in TOKENS):
                    raise
                raise AwsError("InvalidNextTokenException", "The token is not valid") from error
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

    def _moto_answer(self, environ: WSGIEnvironment, account: str) -> Reply:
        from werkzeug.test import run_wsgi_app

        environ["wsgi.input"].seek(0)
        asked = {**environ, "HTTP_X_MOTO_ACCOUNT_ID": account}
        for cached in ("werkzeug.request", "wsgi.input_terminated"):
            asked.pop(cached, None)
        chunks, status, headers = run_wsgi_app(self._moto, asked, buffered=True)
        return Reply(status=int(status.split()[0]), headers=dict(headers), body=b"".join(chunks))


class _MotoError(Exception):
    """An error from moto, which is returned unchanged."""

    def __init__(self, answer: Reply) -> None:
        super().__init__(answer.status)
        self.answer = answer


def _half(value: Any) -> Any:
    return value[: len(value) // 2] if isinstance(value, bytes) else value


@functools.cache
def _boto() -> Any:
    """Return the session shared by all builders: it caches the service models, which take seconds to load."""
    import boto3

    return boto3.session.Session()


def _environ(request: HttpRequest, origin: str) -> WSGIEnvironment:
    """Return a request as a WSGI environment for moto (https://peps.python.org/pep-3333/#environ-variables)."""
    host, _, port = origin.partition("://")[2].partition(":")
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(request.path).decode("latin-1"),
        "QUERY_STRING": request.target.partition("?")[2],
        "REQUEST_URI": request.target,
        "RAW_URI": request.target,
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": origin.partition("://")[0],
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "CONTENT_LENGTH": str(len(request.body)),
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        if key != "CONTENT_LENGTH":
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    return environ
