"""Records that several listings make."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from collectors.azure_devops.scope import PROVIDER, connection
from scanner.records import Link, Secret, record_id
from scanner.secrets.detectors import inspect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.azure_devops.facts import KnownResources
    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Record

_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def variable(
    scope: DevOpsScope, native: str, name: str, shown: dict[str, Any], *, holder: str, store: str
) -> Iterator[Record]:
    """Yield a variable if it is marked as secret or its value looks like one; the value is dropped."""
    secret = bool(shown.get("isSecret"))
    seen = None if secret else inspect(name, str(shown.get("value") or ""), scope.run.fingerprint)
    if not secret and seen is None:
        return
    yield Secret(
        id=record_id(PROVIDER, store, native),
        **scope.own,
        store=store,
        name=name,
        holder_id=holder,
        readable=not secret,
        masked=secret,
        visibility="repository",
        looks_like=seen.looks_like if seen is not None else None,
        recognized_by=seen.recognized_by if seen is not None else None,
        length=seen.length if seen is not None else None,
        fingerprint=seen.fingerprint if seen is not None else None,
        credential_id=record_id("aws", "access-key", seen.key_id)
        if seen is not None and seen.key_id
        else None,
        tags={"settable": "yes"} if shown.get("allowOverride") else {},
    )


def named_connections(
    scope: DevOpsScope, known: KnownResources, me: str, inputs: list[dict[str, Any]]
) -> Iterator[Record]:
    """Yield a link to each connection whose ID is an input of a task."""
    found = {
        str(value).lower()
        for given in inputs
        for value in given.values()
        if isinstance(value, str) and _GUID.fullmatch(value) and value.lower() in known.connections.names
    }
    for number in sorted(found):
        yield uses_connection(scope, me, number, known.connections.names[number], "an input of a task")


def uses_connection(scope: DevOpsScope, me: str, number: str, name: str, evidence: str) -> Link:
    """Return the link from a pipeline to a connection that it names."""
    return Link(
        id=record_id(PROVIDER, "uses-connection", f"{me.rpartition(':')[2]}/{number}"),
        **scope.own,
        source_id=me,
        relation="uses",
        target_id=connection(number),
        evidence=evidence,
        why=f"uses the service connection {name}",
    )
