"""The gRPC API of IAM, ``google.iam.admin.v1.IAM``, on 127.0.0.1 over TLS.

Each call becomes a request to the REST sandbox, with the message as JSON, so that faults, permissions and the log are the
same for both. Answers are messages of google-cloud-iam: only well-typed ones are possible, unless a fault says otherwise.
https://docs.cloud.google.com/iam/docs/reference/rpc/google.iam.admin.v1
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]  # the library has no types
from google.cloud.iam_admin_v1 import types
from google.iam.v1 import iam_policy_pb2, policy_pb2  # type: ignore[import-untyped]  # the library has no types
from google.protobuf import any_pb2, duration_pb2  # type: ignore[import-untyped]  # the library has no types
from google.protobuf.json_format import MessageToJson, Parse, ParseError  # type: ignore[import-untyped]  # the library has no types
from google.rpc import code_pb2, error_details_pb2, status_pb2  # type: ignore[import-untyped]  # the library has no types

from sandbox.gcp.routes import GRPC
from sandbox.kit.http import CLOSED

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.kit.authority import CertificateAuthority
    from sandbox.kit.http import Reply

_CODES = {
    CLOSED: grpc.StatusCode.UNAVAILABLE,
    302: grpc.StatusCode.UNKNOWN,
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    502: grpc.StatusCode.UNAVAILABLE,
}
"""https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md"""
_GARBAGE = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
"""No message: a varint that never ends."""
_TOO_LARGE = 8 * 2**20
_DETAILS = "grpc-status-details-bin"
_METHODS: dict[str, tuple[Any, Any]] = {
    "ListRoles": (types.ListRolesRequest.pb(), types.ListRolesResponse.pb()),
    "ListServiceAccounts": (types.ListServiceAccountsRequest.pb(), types.ListServiceAccountsResponse.pb()),
    "ListServiceAccountKeys": (
        types.ListServiceAccountKeysRequest.pb(),
        types.ListServiceAccountKeysResponse.pb(),
    ),
    "GetIamPolicy": (iam_policy_pb2.GetIamPolicyRequest, policy_pb2.Policy),
}
"""Messages of request and response."""


class IamGrpcServer:
    """Serves the API on a free port. ``handle`` answers HTTP requests: method, path, headers and body."""

    def __init__(
        self, handle: Callable[[str, str, dict[str, str], bytes], Reply], authority: CertificateAuthority
    ) -> None:
        self._handle = handle
        self._pool = ThreadPoolExecutor(16, thread_name_prefix="iam-grpc")
        self._server = grpc.server(self._pool, options=[("grpc.so_reuseport", 0)])
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                self._answering(name, *messages), request_deserializer=None, response_serializer=None
            )
            for name, messages in _METHODS.items()
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(GRPC, handlers),))
        pem = authority.chain.read_bytes()
        port = self._server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(pem, pem)]))
        self.address = f"127.0.0.1:{port}"
        """Host and port."""

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()

    def stop(self) -> None:
        """End all calls."""
        self._server.stop(0).wait()
        self._pool.shutdown()

    def _answering(
        self, name: str, asked: Any, answered: Any
    ) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        def answer(sent: bytes, context: grpc.ServicerContext) -> bytes:
            message = asked.FromString(sent)
            headers = {str(key).lower(): str(value) for key, value in context.invocation_metadata()}
            reply = self._handle("POST", f"/{GRPC}/{name}", headers, MessageToJson(message).encode())
            return _sent(reply, answered, context)

        return answer


def _sent(reply: Reply, answered: Any, context: grpc.ServicerContext) -> bytes:
    """Return the bytes of an answer, or end the call with a status."""
    if reply.status != 200:
        _refuse(reply, context)
    if reply.length is not None:
        # A body that is not what was declared: too large, cut off, or so slow that nobody waits for it.
        if reply.stream is None:
            return _GARBAGE
        if reply.length > _TOO_LARGE:
            return b"\0" * _TOO_LARGE
        for part in reply.stream:
            if not context.is_active():
                break
            if isinstance(part, float):
                time.sleep(part)
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "too slow")
    if reply.headers.get("Content-Encoding") == "gzip":
        return b"\0" * _TOO_LARGE
    try:
        body = json.loads(reply.body)
        if not isinstance(body, dict):
            return _GARBAGE
        message = Parse(reply.body, answered(), ignore_unknown_fields=True)
    except (ValueError, ParseError, RecursionError):
        return _GARBAGE
    data: bytes = message.SerializeToString()
    return data


def _refuse(reply: Reply, context: grpc.ServicerContext) -> None:
    """End a call with the status of an HTTP answer. Raises."""
    code = _CODES.get(reply.status, grpc.StatusCode.UNKNOWN)
    try:
        words = str(json.loads(reply.body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        words = f"{reply.status} from the server"
    if "Retry-After" in reply.headers:
        wait = any_pb2.Any()
        wait.Pack(
            error_details_pb2.RetryInfo(
                retry_delay=duration_pb2.Duration(seconds=int(reply.headers["Retry-After"]))
            )
        )
        status = status_pb2.Status(code=code_pb2.RESOURCE_EXHAUSTED, message=words, details=[wait])
        context.set_trailing_metadata(((_DETAILS, status.SerializeToString()),))
    context.abort(code, words)
