"""HTTP requests and replies."""

from __future__ import annotations

from collections.abc import Iterable  # noqa: TC003  msgspec reads the annotations at run time
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import msgspec

Json: TypeAlias = dict[str, Any]
"""A JSON object."""
JSON = "application/json; charset=utf-8"
CLOSED = 0
"""Used as a status: the connection is closed without an answer."""


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One received request."""

    method: str
    target: str
    """Path and query, as sent."""
    path: str
    """The path alone, still percent-encoded."""
    query: dict[str, str]
    """The last value of each parameter, decoded."""
    headers: dict[str, str]
    """By name in lower case."""
    body: bytes


class Reply(msgspec.Struct, kw_only=True):
    """One reply. ``Content-Type`` is JSON unless ``headers`` sets another."""

    status: int
    body: bytes
    headers: dict[str, str]
    stream: Iterable[bytes | float] | None = None
    """Sent instead of the body: bytes, and pauses in seconds."""
    length: int | None = None
    """The ``Content-Length`` to declare, if it is not the length of the body."""


class RefusedError(Exception):
    """An API's own refusal of a request: a status and a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def reply(status: int, body: Any, headers: dict[str, str] | None = None) -> Reply:
    """Return a reply with a JSON body."""
    return Reply(status=status, body=msgspec.json.encode(body), headers=dict(headers or {}))


def request(method: str, target: str, headers: dict[str, str], body: bytes) -> HttpRequest:
    """Return a request; ``target`` is path and query as sent."""
    parts = urlsplit(target)
    return HttpRequest(
        method=method,
        target=target,
        path=parts.path,
        query=dict(parse_qsl(parts.query, keep_blank_values=True)),
        headers=headers,
        body=body,
    )
