"""What a service connection stores, by its type and scheme. The list is data: ``data/connections.yaml``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from scanner.yaml_data import read_yaml

How: TypeAlias = Literal["federated", "managed", "app", "person", "static", "none", "unknown"]


class ConnectionClass(msgspec.Struct, frozen=True, kw_only=True):
    """How a service connection signs in."""

    how: How
    service: str = "unknown"
    looks: str | None = None

    @property
    def stores_secret(self) -> bool | None:
        """Whether a secret is stored; None if it is unknown."""
        match self.how:
            case "static" | "person":
                return True
            case "unknown":
                return None
            case _:
                return False


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    scheme: str
    how: How
    service: str
    looks: str | None = None


@cache
def _lines() -> list[_Line]:
    listed = read_yaml(Path(__file__).resolve().parent / "data" / "connections.yaml")["connections"]
    return msgspec.convert(listed, list[_Line])


def classify_connection(kind: str, authorization: dict[str, Any] | None) -> ConnectionClass:
    """Return how a connection of a type signs in. ``authorization`` is None where the scanner may not see it."""
    if authorization is None:
        return ConnectionClass(how="unknown")
    scheme = str(authorization.get("scheme") or "")
    parameters = authorization.get("parameters") or {}
    if kind.lower() == "aws" and str(parameters.get("useOIDC", "")).lower() == "true":
        return ConnectionClass(how="federated", service="aws")
    for line in _lines():
        if line.type == kind.lower() and line.scheme in {"*", scheme}:
            return ConnectionClass(how=line.how, service=line.service, looks=line.looks)
    return ConnectionClass(how="unknown")
