"""Roles, service accounts and keys through google-cloud-iam, over gRPC.

Predefined roles come from here alone. Accounts, keys and their policies do where Cloud Asset Inventory is denied or off.
https://docs.cloud.google.com/python/docs/reference/iam/latest/google.cloud.iam_admin_v1.services.iam.IAMClient
"""

from __future__ import annotations

import json
import os
import re
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from collectors.gcp.sign_in import IMPORTING
from scanner.collect.failures import SourceError, reason_of
from scanner.collect.http_config import authorities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.cloud.iam_admin_v1 import IAMClient

    from collectors.gcp.config import Config
    from collectors.gcp.sign_in import GoogleAuth
    from scanner.collect.collector import Run
    from scanner.records import Reason

T = TypeVar("T")
_STATUS = {4: 504, 14: 503}
"""gRPC codes without an HTTP status of their own: deadline exceeded, unavailable."""
_UNUSABLE = re.compile(r"deserializing response|(?P<large>message larger than max)", re.IGNORECASE)
"""What the library says of an answer that it cannot take apart, or that is too large."""


class IamLibrary:
    """Asks the IAM API. Rows are as its REST API shows them. Thread-safe."""

    def __init__(self, config: Config, run: Run, sign_in: GoogleAuth) -> None:
        self._config = config
        self._run = run
        self._sign_in = sign_in
        self._lock = threading.Lock()
        self._client: IAMClient | None = None
        self._channel: Any = None

    def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            self._channel.close()

    def roles(self, parent: str = "") -> Iterator[dict[str, Any]]:
        """Yield the predefined roles with their permissions, or the custom roles of ``projects/x``. Raises `SourceError`."""
        with IMPORTING:
            from google.cloud.iam_admin_v1.types import ListRolesRequest, RoleView

        token = ""
        while True:
            request = ListRolesRequest(parent=parent, page_size=1000, page_token=token, view=RoleView.FULL)
            answer = self._ask(
                partial(_first_page, lambda client: client.list_roles, request, self._limits())
            )
            for role in answer.roles:
                yield {
                    "name": role.name,
                    "title": role.title,
                    "stage": role.stage.name,
                    "deleted": role.deleted,
                    "includedPermissions": list(role.included_permissions),
                }
            token = _next(answer.next_page_token, token)
            if not token:
                return

    def accounts(self, project: str) -> Iterator[dict[str, Any]]:
        """Yield the service accounts of a project. Raises `SourceError`."""
        with IMPORTING:
            from google.cloud.iam_admin_v1.types import ListServiceAccountsRequest

        token = ""
        while True:
            request = ListServiceAccountsRequest(name=f"projects/{project}", page_size=100, page_token=token)
            answer = self._ask(
                partial(_first_page, lambda client: client.list_service_accounts, request, self._limits())
            )
            for account in answer.accounts:
                yield {
                    "name": account.name,
                    "projectId": account.project_id,
                    "uniqueId": account.unique_id,
                    "email": account.email,
                    "displayName": account.display_name,
                    "description": account.description,
                    "disabled": account.disabled,
                }
            token = _next(answer.next_page_token, token)
            if not token:
                return

    def keys(self, account: str) -> Iterator[dict[str, Any]]:
        """Yield the keys that users made for an account, by its name. Raises `SourceError`."""
        with IMPORTING:
            from google.cloud.iam_admin_v1.types import ListServiceAccountKeysRequest

        kinds = [ListServiceAccountKeysRequest.KeyType.USER_MANAGED]
        request = ListServiceAccountKeysRequest(name=account, key_types=kinds)
        answer = self._ask(lambda client: client.list_service_account_keys(request, **self._limits()))
        for key in answer.keys:
            yield {
                "name": key.name,
                "keyType": key.key_type.name,
                "keyOrigin": key.key_origin.name,
                "disabled": key.disabled,
                "validAfterTime": key.valid_after_time.isoformat() if key.valid_after_time else None,
                "validBeforeTime": key.valid_before_time.isoformat() if key.valid_before_time else None,
            }

    def policy(self, account: str) -> dict[str, Any]:
        """Return the IAM policy of an account, by its name. Raises `SourceError`."""
        with IMPORTING:
            from google.iam.v1 import iam_policy_pb2, options_pb2  # type: ignore[import-untyped]  # untyped
            from google.protobuf.json_format import MessageToJson  # type: ignore[import-untyped]  # untyped

        request = iam_policy_pb2.GetIamPolicyRequest(
            resource=account, options=options_pb2.GetPolicyOptions(requested_policy_version=3)
        )
        answer = self._ask(lambda client: client.get_iam_policy(request, **self._limits()))
        read: dict[str, Any] = json.loads(MessageToJson(answer))
        return read

    def _limits(self) -> dict[str, Any]:
        return {"timeout": self._config.answer_seconds, "retry": None}

    def _ask(self, call: Callable[[IAMClient], T]) -> T:
        """Send one request, again after a server error. Raises `SourceError`."""
        with IMPORTING:
            from google.api_core.exceptions import GoogleAPICallError

        left = self._config.retries
        while True:
            if self._run.stopping.is_set():
                raise SourceError("deadline", "the run was stopped")
            try:
                return call(self._connected())
            except GoogleAPICallError as exc:
                code = exc.grpc_status_code.value[0] if exc.grpc_status_code is not None else 0
                unusable = _UNUSABLE.search(str(exc.message))
                if unusable:
                    reason: Reason = "truncated" if unusable["large"] else "malformed"
                    raise SourceError(reason, f"gRPC {code}: {exc.message}") from None
                status = _STATUS.get(code) or int(exc.code or 500)
                wait = _asked_wait(exc) if status == 429 else 0.5 * 2 ** (self._config.retries - left)
                if (status >= 500 or 0 < wait <= self._config.longest_wait_seconds) and left > 0:
                    left -= 1
                    self._run.stopping.wait(wait)
                    continue
                raise SourceError(reason_of(status), f"gRPC {code}: {exc.message}", status=status) from None
            except (ValueError, TypeError, AttributeError, StopIteration) as exc:
                # A response that the library cannot take apart.
                raise SourceError("malformed", f"{type(exc).__name__}: {exc}") from None

    def _connected(self) -> IAMClient:
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> IAMClient:
        # Otherwise the library's core prints each failed connection, which becomes a Gap.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        with IMPORTING:
            import grpc  # type: ignore[import-untyped]  # untyped
            from google.cloud.iam_admin_v1 import IAMClient
            from google.cloud.iam_admin_v1.services.iam.transports import IAMGrpcTransport

        trusted = authorities(self._config.ca_bundle)
        roots = Path(trusted).read_bytes() if isinstance(trusted, str) else None

        def signed(_: object, done: Any) -> None:
            try:
                headers = self._sign_in.headers()
            except SourceError as exc:
                done((), exc)
                return
            quota = self._config.quota_project
            more = (("x-goog-user-project", quota),) if quota else ()
            done((("authorization", headers["Authorization"]), *more), None)

        credentials = grpc.composite_channel_credentials(
            grpc.ssl_channel_credentials(roots), grpc.metadata_call_credentials(signed)
        )
        largest = int(self._config.largest_answer_mb * 2**20)
        self._channel = grpc.secure_channel(
            self._config.iam_grpc, credentials, options=[("grpc.max_receive_message_length", largest)]
        )
        return IAMClient(transport=IAMGrpcTransport(channel=self._channel))


def _first_page(
    method: Callable[[IAMClient], Callable[..., Any]], request: Any, limits: dict[str, Any], client: IAMClient
) -> Any:
    """Return one page: the library's own paging would repeat a page without an end."""
    return next(method(client)(request, **limits).pages)


def _asked_wait(exc: Any) -> float:
    """Return the seconds that an exhausted quota asks to wait; 0 if it does not say.

    https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto#RetryInfo
    """
    delays = [detail.retry_delay for detail in exc.details or () if hasattr(detail, "retry_delay")]
    return max((delay.seconds + delay.nanos / 1e9 for delay in delays), default=0.0)


def _next(token: str, last: str) -> str:
    """Return the token of the next page. Raises `SourceError` (malformed) if it is the same again."""
    if token and token == last:
        raise SourceError("malformed", "the next page is the page already read")
    return token
