"""Application permissions: which service principal holds which app role of which API.

https://learn.microsoft.com/graph/api/serviceprincipal-list-approleassignedto : asked of each API that offers roles to
applications, which are far fewer than the applications that hold them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.entra.evaluator import app_grant_with_powers
from collectors.entra.records import text
from collectors.entra.scope import principal
from scanner.collect.failures import SourceError
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Grant, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.entra.facts import ServicePrincipals
    from collectors.entra.scope import EntraScope
    from scanner.records import Record

NEEDS = "Application.Read.All"
UNDEFINED = "a role that the API no longer defines"
CALL = "GET /beta/servicePrincipals/{id}/appRoleAssignedTo"


def app_roles(scope: EntraScope, known: ServicePrincipals) -> Iterator[Record]:
    """Yield a grant for each application permission that a service principal holds."""
    app_ids = {number: app_id for app_id, number in known.app_ids.items()}
    paths = {
        f"/servicePrincipals/{number}/appRoleAssignedTo?$top=999": number for number in sorted(known.roles)
    }
    for path, answer in scope.client.lists(paths):
        number = paths[path]

        def read(
            answer: list[dict[str, Any]] | SourceError = answer, number: str = number
        ) -> Iterator[Record]:
            if isinstance(answer, SourceError):
                raise answer
            for item in answer:
                # A user or group that is assigned to an application: who may use it, not what it may do.
                if item.get("principalType") not in {"User", "Group"}:
                    yield assigned(scope, item, known, app_ids.get(number, ""), number)

        request = scope.request(
            "grants", CALL, kind="app-role", needs=NEEDS, item=app_ids.get(number, number)
        )
        yield from with_coverage(read(), request)


def assigned(
    scope: EntraScope, item: dict[str, Any], known: ServicePrincipals, api: str, api_object: str
) -> Grant:
    """Return the grant of one app role. ``api`` is the API's client ID, empty if it is not known."""
    role_id = text(item.get("appRoleId")).lower()
    # All zeros: the API has no roles, the assignment only lets the client in.
    default = role_id == "00000000-0000-0000-0000-000000000000"
    role = "default access" if default else known.roles.get(api_object, {}).get(role_id, UNDEFINED)
    name = known.names.get(api_object) or str(item.get("resourceDisplayName") or api_object)
    grant = Grant(
        id=record_id("entra", "app-role", text(item.get("id"))),
        **scope.own,
        identity_id=principal(text(item.get("principalId"))),
        role=role,
        resource=name,
        breadth="organization",
        powers=["read"] if default else [],
        level="read" if default else "unknown",
        conditional=False,
        via=f"application permission of {name}",
        actions=[role],
        granted_at=utc_time(item.get("creationTimestamp")),  # beta's name of it
    )
    return grant if default else app_grant_with_powers(grant, api)
