"""Records that several listings make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.azure_devops.scope import PROVIDER, connection
from scanner.records import Link, Secret, record_id
from scanner.secrets.detectors import inspect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.azure_devops.facts import KnownResources
    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Record


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


def connections_of(
    known: KnownResources, inputs: list[dict[str, Any]], names: dict[str, str], groups: set[str]
) -> dict[str, str]:
    """Return the connections that a pipeline uses: their id -> why.

    ``inputs`` are those of tasks, which name a connection by its ID; ``names`` are of a definition file, each with its place;
    ``groups`` are variable groups, of which a key vault's is read through its connection. A name that the project's list of
    connections does not have leads to an identity that nobody knows, as does a parameter that was not resolved.
    """
    found: dict[str, str] = {}
    for given in inputs:
        for value in given.values():
            if isinstance(value, str) and value.lower() in known.connections.names:
                found[connection(value)] = "an input of a task"
    for name, place in names.items():
        number = known.connections.by_name.get(name.lower())
        number = number or (name.lower() if name.lower() in known.connections.names else None)
        unknown = record_id(PROVIDER, "connection-by-name", f"{known.project.id}/{name.lower()}")
        found[connection(number) if number else unknown] = place
    for group in sorted(groups & known.library.vaults.keys()):
        found.setdefault(connection(known.library.vaults[group]), f"variable group {group} of a key vault")
    return found


def stored_names(known: KnownResources, used: dict[str, str]) -> set[str]:
    """Return the names of the connections that store a secret, or may."""
    return {
        name
        for number, name in known.connections.names.items()
        if connection(number) in used and number not in known.connections.without_secret
    }


def connection_links(
    scope: DevOpsScope, known: KnownResources, me: str, used: dict[str, str]
) -> Iterator[Record]:
    """Yield a link to each connection that a pipeline or release uses."""
    names = {connection(number): name for number, name in known.connections.names.items()}
    for target, evidence in sorted(used.items()):
        name = names.get(target)
        yield Link(
            id=record_id(
                PROVIDER,
                "uses-connection",
                f"{me.rpartition(':')[2]}/{target.partition(':connection:')[2] or target}",
            ),
            **scope.own,
            source_id=me,
            relation="uses",
            target_id=target,
            evidence=evidence,
            why=f"uses the service connection {name}"
            if name
            else f"uses the service connection {target.rpartition('/')[2]}, which is not in the list",
        )


def unknown_use(scope: DevOpsScope, me: str, why: str) -> Link:
    """Return a link to an identity that nobody knows: what this pipeline uses was not read to the end."""
    return Link(
        id=record_id(PROVIDER, "unknown-use", me.rpartition(":")[2]),
        **scope.own,
        source_id=me,
        relation="uses",
        target_id=record_id(PROVIDER, "unknown-connections", me.rpartition(":")[2]),
        evidence=why,
        why=f"may use any connection, since {why}",
    )


def linked_groups(known: KnownResources, item: dict[str, Any]) -> set[str]:
    """Return the names, in lower case, of the variable groups that a definition is linked to: objects, or numbers."""
    linked = [
        group if isinstance(group, dict) else {"id": group} for group in item.get("variableGroups") or []
    ]
    return {
        known.library.by_id.get(str(group.get("id")), str(group.get("name", "")).lower()) for group in linked
    }


def names_in(known: KnownResources, groups: set[str]) -> set[str]:
    """Return the secret variables of variable groups."""
    return {name for group in groups for name in known.library.names.get(group, ())}
