"""Requests as they come over the wire, and how GitHub words its replies."""

from __future__ import annotations

from http.client import responses
from typing import TYPE_CHECKING

import msgspec

from sandbox.github.access import Token  # noqa: TC001  msgspec reads the annotations at run time
from sandbox.github.faults import Trouble  # noqa: TC001
from sandbox.github.route import Route  # noqa: TC001
from sandbox.http_server import Reply, reply

if TYPE_CHECKING:
    from sandbox.github.limits import Resource, Window

DOCUMENTATION = "https://docs.github.com/rest"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What came in over the wire, and the route that it leads to."""

    method: str
    path: str
    """Without the prefix of the edition; empty for a path outside of the API."""
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    token: Token
    route: Route | None
    values: dict[str, str]
    trouble: Trouble | None


def phrase(status: int) -> str:
    """Return the reason phrase of a status."""
    return responses.get(status, "Error")


def message(status: int, text: str) -> Reply:
    """Return a refusal as GitHub words it."""
    return reply(
        status,
        {"message": text, "documentation_url": DOCUMENTATION, "status": str(status)},
    )


def limit_headers(window: Window, resource: Resource) -> dict[str, str]:
    """Return the headers that tell a client what is left of its hour."""
    return {
        "X-RateLimit-Limit": str(window.limit),
        "X-RateLimit-Remaining": str(window.remaining),
        "X-RateLimit-Used": str(window.used),
        "X-RateLimit-Reset": str(window.reset),
        "X-RateLimit-Resource": resource,
    }
