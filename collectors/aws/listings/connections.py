"""Connections to source control (AWS CodeConnections), which use an app at the provider instead of a token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.aws.client import items
from collectors.aws.scope import PROVIDER
from scanner.records import Credential, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.aws.scope import AwsScope
    from scanner.records import Record


def connections_region(scope: AwsScope) -> Iterator[Record]:
    """Yield connections under the service's current and former name, either of which can list those of the other."""
    seen: set[str] = set()
    for service in ("codeconnections", "codestar-connections"):
        yield from scope.listing(
            _connections(scope, service, seen), f"{service}:ListConnections", "credentials/connection"
        )


def _connections(scope: AwsScope, service: str, seen: set[str]) -> Iterator[Record]:
    for connection in items(scope.client(service), "list_connections", "Connections"):
        arn = connection["ConnectionArn"]
        native = arn.rsplit("/", 1)[-1]
        if native in seen:
            continue
        seen.add(native)
        status = connection.get("ConnectionStatus")
        yield Credential(
            id=record_id(PROVIDER, "connection", native),
            provider=PROVIDER,
            account_id=scope.ref,
            identity_id=scope.ref,
            kind="connection",
            native_id=native,
            name=connection.get("ConnectionName") or native,
            lifetime="short-lived",
            enabled=status == "AVAILABLE" if status else None,
            scopes=[connection["ProviderType"]] if connection.get("ProviderType") else [],
            location=arn,
        )
