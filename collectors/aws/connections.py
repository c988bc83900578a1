"""Connections to source control (AWS CodeConnections): an app on the other side, no token on ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.aws.place import PROVIDER
from collectors.aws.session import items
from scanner.records import Credential, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.aws.place import Place
    from scanner.records import Record


def connections_region(place: Place) -> Iterator[Record]:
    """Yield connections under the service's present and former name: each lists those that were made under it."""
    for service in ("codeconnections", "codestar-connections"):
        yield from place.ask(
            _connections(place, service), f"{service}:ListConnections", ("credentials", "connection")
        )


def _connections(place: Place, service: str) -> Iterator[Record]:
    for connection in items(place.client(service), "list_connections", "Connections"):
        arn = connection["ConnectionArn"]
        if f":{service}:" not in arn:
            continue  # the new service lists the old one's connections, too
        status = connection.get("ConnectionStatus")
        yield Credential(
            id=record_id(PROVIDER, "connection", arn),
            provider=PROVIDER,
            account_id=place.ref,
            identity_id=place.ref,
            kind="connection",
            native_id=arn,
            name=f"{connection.get('ProviderType')} {connection.get('ConnectionName')}",
            lifetime="short-lived",
            enabled=status == "AVAILABLE" if status else None,
            scopes=[status] if status else [],
            location=connection.get("HostArn") or place.region,
        )
