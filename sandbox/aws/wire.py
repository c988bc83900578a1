"""AWS's protocols on the server side: a request becomes an `AwsCall`, an answer becomes bytes. Botocore's service
models define requests and answers (https://github.com/boto/botocore, folder ``data``); moto provides the router, the
request parser and the serializer for them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import msgspec

from sandbox.kit.http import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed.wsgi import WSGIEnvironment

SIGNED_AS = {"sso": "sso-admin", "access-analyzer": "accessanalyzer"}
"""Signing name -> botocore's service name, where they differ."""

IAM_ACTION = {
    "access-analyzer:ListFindingsV2": "access-analyzer:ListFindings",
    "access-analyzer:GetFindingV2": "access-analyzer:GetFinding",
    "s3:ListBuckets": "s3:ListAllMyBuckets",
}
"""Operation -> the IAM action that allows it, where they differ
(https://docs.aws.amazon.com/service-authorization/latest/reference/)."""


class SigningScope(msgspec.Struct, frozen=True, kw_only=True):
    """The credential scope of a SigV4 signature."""

    key_id: str
    region: str
    signing_name: str

    @property
    def service(self) -> str:
        """Botocore's name of the service."""
        return SIGNED_AS.get(self.signing_name, self.signing_name)


class AwsCall(msgspec.Struct, frozen=True, kw_only=True):
    """One parsed request."""

    account: str
    region: str
    service: str
    """Botocore's name of the service."""
    action: str
    """The IAM action: ``iam:ListUsers``."""
    operation: str
    key_id: str
    protocol: str
    params: dict[str, Any]
    model: Any
    """The operation's model (moto's subclass of botocore's ``OperationModel``)."""


class AwsError(Exception):
    """An error returned by the service."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def scope(environ: WSGIEnvironment) -> SigningScope | None:
    """Read the credential scope of the Authorization header; None for an unsigned request."""
    header = environ.get("HTTP_AUTHORIZATION", "")
    if "Credential=" not in header:
        return None
    parts = header.split("Credential=", 1)[1].split(",", 1)[0].split("/")
    if len(parts) != 5:
        return None
    key, _, region, service, _ = parts
    return SigningScope(key_id=key, region=region, signing_name=service)


def understand(environ: WSGIEnvironment, signed: SigningScope, account: str) -> AwsCall:
    """Find the operation of a request, and its parameters.

    Raises `AwsError` for an operation that the service does not have. The body can be read again afterwards.
    """
    from moto.core.parse import PROTOCOL_PARSERS
    from moto.core.request import Request, determine_request_protocol
    from moto.core.routing import get_service_router
    from moto.core.utils import get_service_model
    from werkzeug.exceptions import NotFound

    request = Request(environ)
    body = request.get_data()
    try:
        model, found = get_service_router(signed.service).match(request)
    except NotFound as error:
        raise AwsError("UnknownOperationException", f"No operation for {request.path}", 404) from error
    service = get_service_model(signed.service)
    protocol: str = determine_request_protocol(service, request.content_type)
    parameters: dict[str, Any] = {}
    if signed.service != "s3":
        parameters = PROTOCOL_PARSERS[protocol](model).parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": body,
                "url_path": request.path,
                "url_params": found,
            }
        )
    name = f"{signed.signing_name}:{model.name}"
    return AwsCall(
        action=IAM_ACTION.get(name, name),
        account=account,
        region=signed.region,
        service=signed.service,
        operation=model.name,
        key_id=signed.key_id,
        protocol=protocol,
        params={**parameters, **found},
        model=model,
    )


def written(call: AwsCall, result: Mapping[str, Any]) -> Reply:
    """Serialize an answer in the operation's protocol."""
    from moto.core.serialize import get_serializer_class

    made = get_serializer_class(call.service, call.protocol)(call.model).serialize(dict(result))
    body = made["body"] or b""
    return Reply(
        status=made["status_code"],
        headers={"x-amzn-RequestId": "sandbox", **dict(made["headers"])},
        body=body if isinstance(body, bytes) else body.encode(),
    )


def read(call: AwsCall, answer: Reply) -> dict[str, Any]:
    """Parse an answer as a client would."""
    from botocore.parsers import create_parser

    parsed: dict[str, Any] = create_parser(call.protocol).parse(
        {"status_code": answer.status, "headers": _Headers(answer.headers), "body": answer.body},
        call.model.output_shape,
    )
    parsed.pop("ResponseMetadata", None)
    return parsed


def refused(protocol: str, error: AwsError) -> Reply:
    """Write an error in a protocol's own form (https://smithy.io/2.0/aws/protocols/)."""
    if protocol in {"json", "rest-json"}:
        text = json.dumps({"__type": error.code, "message": error.message, "Message": error.message})
        headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-errortype": error.code}
    else:
        inner = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
        text = {
            "ec2": f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>sandbox</RequestID></Response>",
            "rest-xml": f"<Error>{inner}<RequestId>sandbox</RequestId></Error>",
        }.get(
            protocol,
            f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error><RequestId>sandbox</RequestId></ErrorResponse>",
        )
        headers = {"Content-Type": "text/xml"}
    return Reply(status=error.status, headers={"x-amzn-RequestId": "sandbox", **headers}, body=text.encode())


class _Headers(dict[str, str]):
    """Case-insensitive headers, as botocore's parsers need them."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__({name.lower(): value for name, value in headers.items()})

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())
