"""Read-only clients for one account.

Every client is created here, with the same retries, endpoint, certificate authorities and hooks:

- before a call: operations not listed in `permissions` are rejected, and so is every call once the run must stop;
- before a response is parsed: bodies of the wrong protocol are rejected. botocore turns JSON that it cannot parse, and
  EC2 XML of a different document, into an empty response, which would look like "there is none".
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from collectors.aws.failures import DeadlineError, MalformedError, NotReadOnlyError, TruncatedError
from collectors.aws.permissions import is_listed
from scanner.collect.answers import read_json, valid_unicode
from scanner.collect.failures import SourceError
from scanner.collect.http_config import authorities
from scanner.secrets.configured import remember

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.aws.config import Config
    from scanner.collect.collector import Run

_TOKENS = (("Marker", "Marker"), ("NextToken", "NextToken"), ("nextToken", "nextToken"))
"""Names of request and response tokens for operations without a botocore paginator."""

_loading = threading.Lock()
"""Creating clients reads and caches service models, which is not thread-safe in botocore."""
_loaders: list[Any] = []
"""The loader of service models, shared by the sessions of all accounts, because a model takes up to a second."""


class Access:
    """Authenticated access to one account. Creates one client for each service and region."""

    def __init__(self, config: Config, run: Run, session: Any) -> None:
        self._config = config
        self._run = run
        self._session = session
        self._clients: dict[tuple[str, str], Any] = {}
        from botocore import handlers

        session.register("before-call", self._before_call, unique_id="sprawlscan-before-call")
        session.register("before-parse", _before_parse, unique_id="sprawlscan-before-parse")
        session.register("before-parse.s3.*", _before_parse_s3, unique_id="sprawlscan-before-parse-s3")
        # It takes any body that is not XML for a server error.
        session.unregister("before-parse.s3.*", handlers._handle_200_error)  # type: ignore[attr-defined]  # noqa: SLF001

    @property
    def home_region(self) -> str:
        """The region for global calls."""
        return str(
            self._config.home_region
            or self._session.get_config_variable("region")
            or (self._config.regions[0] if self._config.regions else "us-east-1")
        )

    def client(self, service: str, region: str | None = None) -> Any:
        """Return a client. Raises botocore's exceptions for missing credentials and unknown services."""
        from botocore.config import Config as ClientConfig

        key = (service, region or self.home_region)
        with _loading:
            if key not in self._clients:
                self._clients[key] = self._session.create_client(
                    service,
                    region_name=key[1],
                    config=ClientConfig(
                        retries={
                            # Adaptive mode needs more than one attempt.
                            "mode": "adaptive" if self._config.max_attempts > 1 else "standard",
                            "total_max_attempts": self._config.max_attempts,
                        },
                        connect_timeout=min(10, self._config.timeout_seconds),
                        read_timeout=self._config.timeout_seconds,
                        max_pool_connections=self._config.workers,
                        user_agent_extra="sprawlscan",
                        # The sandbox has no wildcard DNS name, so buckets use path-style addresses.
                        s3={"addressing_style": "path"} if self._config.endpoint_of("s3", key[1]) else {},
                    ),
                )
            return self._clients[key]

    def is_offered(self, service: str, region: str) -> bool:
        """Return whether botocore knows endpoints of a service in other regions only."""
        with _loading:
            partition = self._session.get_partition_for_region(region)
            known = self._session.get_available_regions(service, partition)
        return not known or region in known

    def assume(self, role_arn: str, external_id: str | None) -> Access:
        """Return access as another role, renewed automatically. Raises botocore's ``ClientError`` if denied."""
        from botocore.credentials import RefreshableCredentials

        arguments = {"RoleArn": role_arn, "RoleSessionName": "sprawlscan"}
        if external_id:
            arguments["ExternalId"] = external_id

        def assumed() -> dict[str, str]:
            answer = self.client("sts").assume_role(**arguments)["Credentials"]
            remember(answer["SecretAccessKey"])
            remember(answer["SessionToken"])
            return {
                "access_key": answer["AccessKeyId"],
                "secret_key": answer["SecretAccessKey"],
                "token": answer["SessionToken"],
                "expiry_time": answer["Expiration"].isoformat(),
            }

        session = new_session(self._config, self._run)
        # Requested here rather than on first use, where botocore logs a denial with a traceback.
        session._credentials = RefreshableCredentials.create_from_metadata(  # noqa: SLF001  as boto3's users must
            metadata=assumed(), refresh_using=assumed, method="assume-role"
        )
        return Access(self._config, self._run, session)

    def _before_call(self, model: Any, **_: Any) -> None:
        service, operation = model.service_model.service_name, model.name
        if (service, operation) == ("s3", "HeadBucket"):
            # botocore looks for the region of a bucket whose answer is a redirect:
            # https://github.com/boto/botocore/blob/develop/botocore/utils.py (S3RegionRedirectorv2)
            raise SourceError("malformed", "the bucket answered with a redirect, which is not followed")
        if not is_listed(service, operation):
            raise NotReadOnlyError(f"{service}:{operation} is not on the list of permitted reads")
        if self._run.stopping.is_set():
            raise DeadlineError


def new_session(config: Config, run: Run) -> Any:
    """Return a botocore session on the default credential chain. Raises ``ProfileNotFound`` at first use."""
    import botocore.loaders
    from botocore.session import Session

    from collectors.aws.bounded import check_answers, limit
    from scanner.collect.transport import Watchdog

    watchdog = Watchdog(run.stopping)

    class ConfiguredSession(Session):
        """Gives every client the configured hosts and limits, those that botocore makes itself to sign in included."""

        def create_client(  # type: ignore[override]  # botocore passes all else by name
            self, service_name: str, region_name: str | None = None, **more: Any
        ) -> Any:
            region = region_name or self.get_config_variable("region") or "us-east-1"
            more["endpoint_url"] = more.get("endpoint_url") or config.endpoint_of(service_name, region)
            client: Any = super().create_client(service_name, region_name=region_name, **more)
            limit(client._endpoint, config, watchdog, run)  # noqa: SLF001  what sends its requests
            return client

    with _loading:
        if not _loaders:
            _loaders.append(botocore.loaders.create_loader())
        session = ConfiguredSession(profile=config.profile)
        session.register_component("data_loader", _loaders[0])
        session.register("creating-client-class", check_answers)
        trusted = authorities(config.ca_bundle)
        if isinstance(trusted, str) and (config.ca_bundle or not os.environ.get("AWS_CA_BUNDLE")):
            session.set_config_variable("ca_bundle", trusted)
        return session


def sign_in(config: Config, run: Run) -> Access:
    """Return access with the process's own credentials. Raises what botocore raises for credentials that are broken."""
    session = new_session(config, run)
    credentials = session.get_credentials()
    if credentials is not None:
        current = credentials.get_frozen_credentials()
        for value in (current.secret_key, current.token):
            remember(value or "")
    return Access(config, run, session)


def pages(client: Any, operation: str, **arguments: Any) -> Iterator[dict[str, Any]]:
    """Yield the pages of an operation (``list_roles``), with or without botocore's paginator.

    Raises `MalformedError` if a page repeats the token of its request, `TruncatedError` if a response has more items but
    no token.
    """
    if client.can_paginate(operation):
        yield from client.get_paginator(operation).paginate(**arguments)
        return
    token: dict[str, str] = {}
    while True:
        page = getattr(client, operation)(**arguments, **token)
        yield page
        following = {asked: page[answered] for asked, answered in _TOKENS if page.get(answered)}
        if not following:
            if page.get("IsTruncated"):
                raise TruncatedError(f"{operation}: the response is truncated and has no next page")
            return
        if following == token:
            raise MalformedError(f"{operation}: a page links to itself as the next page")
        token = following


LEFT_OUT_WHEN_EMPTY = {("sqs", "list_queues"): "https://github.com/boto/boto3/issues/1813"}
"""boto3 service and operation -> where it says that an answer without the list means "there is none"."""


def items(client: Any, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
    """Yield the members of the list ``key`` of every page. Raises `MalformedError` when a page has no such list.

    An empty list is a fact; a list that is missing would read as one, and everything on it as deleted.
    """
    absent_is_empty = (client.meta.service_model.service_name, operation) in LEFT_OUT_WHEN_EMPTY
    for page in pages(client, operation, **arguments):
        members = page.get(key, [] if absent_is_empty else None)
        if not isinstance(members, list):
            raise MalformedError(f"{operation}: the response contains no list {key}")
        yield from members


def answer_with(answer: dict[str, Any], key: str) -> dict[str, Any]:
    """Return an answer. Raises `SourceError` (malformed) if it lacks a field that every answer of its operation has."""
    answer[key]
    return answer


def _before_parse(operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
    """Reject a successful response whose body does not match its protocol."""
    if response_dict["status_code"] >= 300 or operation_model.output_shape is None:
        return
    body = response_dict.get("body")
    if not isinstance(body, bytes) or operation_model.has_streaming_output:
        return
    protocol = operation_model.service_model.resolved_protocol
    name = operation_model.name
    text = body.strip()
    match protocol:
        case "json" | "rest-json":
            sound = _is_json_object(text)
            # botocore would hand on a lone surrogate, which nothing can encode again.
            response_dict["body"] = valid_unicode(body)
        case "query" | "ec2":
            sound = f"<{name}Response".encode() in text[:1000] and text.endswith(
                f"</{name}Response>".encode()
            )
        case "rest-xml" if name == "ListBuckets":
            sound = b"<ListAllMyBucketsResult" in text[:1000]
        case _:
            sound = bool(text)
    if not sound:
        raise MalformedError(f"{name}: a response of {len(body)} bytes is not a {protocol} document")


def _before_parse_s3(operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
    """Reject a body of the wrong protocol. An error inside a 200 is left to botocore, which repeats the request."""
    from botocore import handlers

    body = response_dict.get("body")
    if isinstance(body, bytes) and b"<Error" in body[:1000]:
        handlers._handle_200_error(operation_model, response_dict)  # type: ignore[attr-defined]  # noqa: SLF001
    else:
        _before_parse(operation_model, response_dict)


def _is_json_object(text: bytes) -> bool:
    try:
        return isinstance(read_json(text), dict)
    except SourceError:
        return False
