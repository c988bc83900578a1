"""Service connections: what pipelines sign in to other systems with.

https://learn.microsoft.com/rest/api/azure/devops/serviceendpoint/endpoints/get-endpoints : without ``includeFailed``, drafts
and connections that never became ready are left out. With the role Reader the response has no ``authorization``, so that
how the connection signs in is unknown. Confidential parameters come back as null.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.azure_devops.calls import VERSION, WHOLE
from collectors.azure_devops.connections import ConnectionClass, classify_connection
from collectors.azure_devops.facts import GUARDS, Connections
from collectors.azure_devops.nights import digest_of
from collectors.azure_devops.scope import PROVIDER, connection
from collectors.azure_devops.sign_ins import identity_links, presented
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Identity, Secret, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from collectors.azure_devops.facts import Runs
    from collectors.azure_devops.scope import DevOpsProjectFacts, DevOpsScope
    from scanner.records import Record

CALL = "/{project}/_apis/serviceendpoint/endpoints"
HISTORY = "/{project}/_apis/serviceendpoint/{id}/executionhistory"
NEEDS = "User of the service connections (Reader does not see how they sign in)"
_LOGINS = {"federated": "oidc", "person": "static"}
"""How a connection signs in, as `Identity.logins` says it."""
_ACCESS_KEY = re.compile(r"A(?:KIA|SIA)[A-Z2-7]{16}")


def service_connections(
    scope: DevOpsScope,
    project: DevOpsProjectFacts,
    projects: set[str],
    runs: Runs,
    logged: Mapping[str, datetime],
) -> Generator[Record, None, Connections]:
    """Yield the project's service connections, and return all that it can use, by name.

    A shared connection is in the list of each project; its records are yielded once, by the first of ``projects`` (IDs of
    those that are read). ``runs`` are those of this project: while nothing runs, no connection is used. ``logged`` is when the audit log last
    says that a connection was used.
    """
    found = Connections()
    hidden: list[str] = []

    def read() -> Iterator[Record]:
        parameters = {**VERSION, "includeFailed": "true"}
        for item in list(scope.client.items(scope.path(CALL), parameters, paginator=WHOLE)):
            number, name = str(item["id"]).lower(), str(item["name"])
            found.by_name[name.lower()] = number
            found.names[number] = name
            authorization = item.get("authorization")
            if not isinstance(authorization, dict):
                authorization = None
            kind = classify_connection(str(item["type"]), authorization)
            if kind.stores_secret is False:
                found.without_secret.add(number)
            sharing = sorted({project.id} | (_projects(item) & projects))
            if sharing[0] != project.id:
                continue
            if authorization is None:
                hidden.append(name)
            used: datetime | None = None
            if scope.config.last_use:
                used = yield from _kept_use(scope, item, sharing, runs, logged.get(number))
            yield _identity(scope, item, kind, authorization or {}, used)
            yield from identity_links(scope, item, kind, (authorization or {}).get("parameters") or {})
            if kind.stores_secret is not False:
                yield _secret(scope, item, kind, authorization or {})

    request = scope.request("identities", f"GET {CALL}", kind="ado-service-connection", needs=NEEDS)
    fills = ("secrets/ado-service-connection", "links/ado-service-connection")
    yield from with_coverage(
        read(),
        request,
        fills=fills,
        loses=(*GUARDS, "identities/last-use", "links/ado-pipeline", "links/ado-release"),
    )
    if hidden:
        yield scope.unseen(
            "secrets",
            "ado-service-connection",
            f"GET {CALL} (authorization)",
            f"How {len(hidden)} service connections sign in is not shown to a Reader.",
            needs=NEEDS,
        )
    return found


def _projects(item: dict[str, Any]) -> set[str]:
    """Return the IDs of the projects that share a connection."""
    return {
        str((reference.get("projectReference") or {}).get("id")).lower()
        for reference in item.get("serviceEndpointProjectReferences") or []
    }


def _identity(
    scope: DevOpsScope,
    item: dict[str, Any],
    kind: ConnectionClass,
    authorization: dict[str, Any],
    used: datetime | None,
) -> Identity:
    number, parameters = str(item["id"]).lower(), authorization.get("parameters") or {}
    creator = item.get("createdBy") or {}
    owner = creator.get("uniqueName") or creator.get("displayName")
    data = item.get("data") or {}
    tokens = presented(scope, item, kind, parameters)
    return Identity(
        id=connection(number),
        **scope.own,
        surface="automation",
        kind="ado-service-connection",
        native_id=number,
        name=str(item["name"]),
        enabled=False if item.get("isDisabled") else None,
        created_at=utc_time(item.get("creationDate")),
        last_used_at=used,
        owner=owner,
        owner_source="creator" if owner else None,
        issuer=tokens.issuer,
        subjects=tokens.subjects,
        tokens=tokens.tokens,
        logins=[f"{kind.service}:{_LOGINS.get(kind.how, kind.how)}"],
        tags={
            "type": str(item["type"]),
            "scheme": str(authorization.get("scheme") or "unknown"),
            "shared": "yes" if item.get("isShared") else "no",
            "ready": "no" if item.get("isReady") is False else "yes",
            **({"environment": str(data["environment"])} if data.get("environment") else {}),
            **({"scope": str(data["scopeLevel"])} if data.get("scopeLevel") else {}),
            **({"subscription": str(data["subscriptionId"]).lower()} if data.get("subscriptionId") else {}),
        },
    )


def _secret(
    scope: DevOpsScope, item: dict[str, Any], kind: ConnectionClass, authorization: dict[str, Any]
) -> Secret:
    number, parameters = str(item["id"]).lower(), authorization.get("parameters") or {}
    key_id = str(parameters.get("username") or "")
    return Secret(
        id=record_id(PROVIDER, "connection-secret", number),
        **scope.own,
        store="ado-service-connection",
        name=str(item["name"]),
        holder_id=connection(number),
        readable=False,
        visibility="selected" if item.get("isShared") else "repository",
        looks_like=kind.looks if kind.stores_secret else None,
        recognized_by="provider" if kind.stores_secret and kind.looks else None,
        credential_id=record_id("aws", "access-key", key_id) if _ACCESS_KEY.fullmatch(key_id) else None,
        created_at=utc_time(item.get("creationDate")),
        updated_at=utc_time(item.get("modificationDate")),
        tags={"how": kind.how, "type": str(item["type"])},
    )


_USED = msgspec.json.Decoder(datetime | None)
"""Made at import: msgspec crashes when two threads are the first to decode a type at the same time."""


def _kept_use(
    scope: DevOpsScope, item: dict[str, Any], sharing: list[str], runs: Runs, logged: datetime | None
) -> Generator[Record, None, datetime | None]:
    """Return when a connection was last used, as it was last read unless something ran since."""
    number = str(item["id"]).lower()
    key = f"last use of {number}"
    earlier = scope.nights.earlier(key)
    # What runs in another project that shares it is not known here.
    quiet = earlier is not None and len(sharing) == 1 and runs.quiet_since(earlier.read_at)
    digest = digest_of(item.get("modificationDate"), sharing)
    read = _last_use(scope, number, str(item["name"]), sharing, logged)
    again = logged is not None
    used: datetime | None = yield from scope.nights.reading(
        key, digest, read, _USED, slowly=quiet, again=again
    )
    return used


def _last_use(
    scope: DevOpsScope, number: str, name: str, projects: list[str], logged: datetime | None
) -> Generator[Record, None, datetime | None]:
    """Return when a pipeline last used a connection, in any project that shares it.

    https://learn.microsoft.com/rest/api/azure/devops/serviceendpoint/executionhistory/list : how far the history goes back is
    not documented, so that a connection without one is of unknown last use. What the audit log said (``logged``) is not asked again.
    """
    found: list[datetime] = [] if logged is None else [logged]
    for project in projects:

        def convert(item: dict[str, Any]) -> Iterator[Record]:
            data: dict[str, Any] = item["data"]
            when = utc_time(data.get("finishTime") or data.get("startTime"))
            if when is not None:
                found.append(when)
            yield from ()

        yield from scope.listing(
            HISTORY,
            convert,
            table="identities",
            kind="last-use",
            needs=NEEDS,
            parameters={**VERSION, "top": 1},
            limit=1,
            rows=None if logged is None else (),
            item=f"{project} {name}",
            project=project,
            id=number,
        )
    return max(found, default=None)
