"""Conditional requests: ETag and 304 (https://www.rfc-editor.org/rfc/rfc9110#name-conditional-requests)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.kit.http import HttpRequest, Reply


def conditional(request: HttpRequest, reply: Reply, *, varies: str = "", origin: str = "") -> bool:
    """Add an ETag to a 200, and turn it into a 304 if the client already has it. Returns whether it did. ``varies`` is
    what else the answer depends on (the token). ``origin`` does not affect the tag, so that a later sandbox on another
    port returns the same tag for unchanged content.
    """
    if reply.status != 200:
        return False
    content = reply.body.replace(origin.encode(), b"") if origin else reply.body
    tag = hashlib.sha256(f"{varies}\0".encode() + content).hexdigest()
    reply.headers["ETag"] = f'W/"{tag}"'
    given = request.headers.get("if-none-match", "")
    if not any(part.strip().removeprefix("W/").strip('"') == tag for part in given.split(",")):
        return False
    reply.status, reply.body = 304, b""
    return True
