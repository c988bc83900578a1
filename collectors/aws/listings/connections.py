"""Connections to source control (AWS CodeConnections): an app on the other side, no token on ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.aws.client import items
from collectors.aws.place import PROVIDER
from scanner.records import Credential, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.aws.place import Place
    from scanner.records import Record


def connections_region(place: Place) -> Iterator[Record]:
    """Yield connections under the service's present and former name: each may list those of the other."""
    seen: set[str] = set()
    for service in ("codeconnections", "codestar-connections"):
        yield from place.ask(
            _connections(place, service, seen), f"{service}:ListConnections", ("credentials", "connection")
        )


def _connections(place: Place, service: str, seen: set[str]) -> Iterator[Record]:
    for connection in items(place.client(service), "list_connections", "Connections"):
        arn = connection["ConnectionArn"]
        native = arn.rsplit("/", 1)[-1]
        if native in seen:
            continue
        seen.add(native)
        status = connection.get("ConnectionStatus")
        yield Credential(
            id=record_id(PROVIDER, "connection", native),
            provider=PROVIDER,
            account_id=place.ref,
            identity_id=place.ref,
            kind="connection",
            native_id=native,
            name=connection.get("ConnectionName") or native,
            lifetime="short-lived",
            enabled=status == "AVAILABLE" if status else None,
            scopes=[connection["ProviderType"]] if connection.get("ProviderType") else [],
            location=arn,
        )
