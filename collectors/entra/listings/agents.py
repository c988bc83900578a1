"""Agent identities (Entra Agent ID): their blueprints, sponsors, users, and the permissions that they inherit.

https://learn.microsoft.com/entra/agent-id/identity-platform/agent-blueprint : the blueprint alone has credentials, so that
whoever has one of them is every agent of the blueprint. What an agent inherits does not show among its own assignments.
https://learn.microsoft.com/graph/api/agentidentity-list-inheritedapproleassignments
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.entra.consents import delegated_grant
from collectors.entra.evaluator import app_grant_with_powers
from collectors.entra.records import OWNER_FIELDS, becoming, owner_links, text
from collectors.entra.scope import application, principal
from scanner.collect.failures import unsupported_on
from scanner.collect.scope import utc_time
from scanner.records import Grant, Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.entra.facts import ServicePrincipals
    from collectors.entra.scope import EntraScope
    from scanner.records import Record

NEEDS = "AgentIdentity.Read.All"
_NONE = "This tenant has no agent identities, or its cloud does not offer them."
AGENTS = "/beta/servicePrincipals/microsoft.graph.agentIdentity"
BLUEPRINTS = "/beta/servicePrincipals/microsoft.graph.agentIdentityBlueprintPrincipal"
USERS = "/beta/users/microsoft.graph.agentUser"
INHERITED_DELEGATED = (
    "GET /beta/servicePrincipals/microsoft.graph.agentIdentity/{id}/inheritedOauth2PermissionGrants"
)
INHERITED = "GET /beta/servicePrincipals/microsoft.graph.agentIdentity/{id}/inheritedAppRoleAssignments"


def agents(scope: EntraScope, known: ServicePrincipals) -> Iterator[Record]:
    """Yield what agents are made of: the link from each blueprint, sponsors, agent users and inherited permissions."""
    found = yield from _agents(scope)
    yield from _blueprints(scope)
    yield from _users(scope)
    yield from _inherited(scope, known, found)
    yield from _inherited_delegated(scope, known, found)


def _agents(scope: EntraScope) -> Generator[Record, None, list[str]]:
    found: list[str] = []

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        number = text(item["id"])
        found.append(number)
        blueprint = str(item.get("agentIdentityBlueprintId") or "")
        if blueprint:
            source, link = application(blueprint), record_id("entra", "blueprint-of", number)
            yield becoming(scope, link, source, principal(number), "agentIdentityBlueprintId")
        sponsors = item.get("sponsors") or []
        yield from owner_links(scope, sponsors, principal(number), "sponsor of the agent", becomes=False)

    yield from scope.listing(
        AGENTS,
        convert,
        table="links",
        kind="agents",
        needs=NEEDS,
        parameters={
            "$select": "id,agentIdentityBlueprintId",
            "$expand": f"sponsors({OWNER_FIELDS})",
        },
        fills=("identities/entra-user", "identities/entra-group"),
        loses=("grants/inherited-app-role", "grants/inherited-delegated"),
        classify=unsupported_on({400, 404}, _NONE),
    )
    return found


def _blueprints(scope: EntraScope) -> Iterator[Record]:
    """Yield the sponsors of blueprints, and the applications that manage their agents.

    https://learn.microsoft.com/graph/api/resources/agentidentityblueprintprincipal
    """

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        number = text(item["id"])
        sponsors = item.get("sponsors") or []
        yield from owner_links(scope, sponsors, principal(number), "sponsor of the blueprint", becomes=False)
        for manager in item["managerApplications"] or []:
            source, link = application(text(manager)), record_id("entra", "manager-of", f"{number}/{manager}")
            yield becoming(scope, link, source, principal(number), "managerApplications")

    yield from scope.listing(
        BLUEPRINTS,
        convert,
        table="links",
        kind="blueprints",
        needs="AgentIdentityBlueprintPrincipal.Read.All",
        parameters={"$select": "id,managerApplications", "$expand": f"sponsors({OWNER_FIELDS})"},
        fills=("identities/entra-user", "identities/entra-group"),
        classify=unsupported_on({400, 404}, _NONE),
    )


def _users(scope: EntraScope) -> Iterator[Record]:
    def convert(item: dict[str, Any]) -> Iterator[Record]:
        number = text(item["id"])
        yield Identity(
            id=principal(number),
            **scope.own,
            surface="workload",
            kind="entra-agent-user",
            native_id=number,
            name=item.get("displayName") or number,
            enabled=item.get("accountEnabled"),
        )
        parent = str(item.get("identityParentId") or "")
        if parent:
            link = record_id("entra", "agent-user-of", number)
            yield becoming(scope, link, principal(parent), principal(number), "identityParentId")

    yield from scope.listing(
        USERS,
        convert,
        table="identities",
        kind="entra-agent-user",
        needs="User.Read.All",
        parameters={"$select": "id,displayName,identityParentId,accountEnabled"},
        fills=("links/agents",),
        classify=unsupported_on({400, 404}, _NONE),
    )


def _inherited(scope: EntraScope, known: ServicePrincipals, found: list[str]) -> Iterator[Record]:
    app_ids = {number: app_id for app_id, number in known.app_ids.items()}
    paths = {
        f"/servicePrincipals/microsoft.graph.agentIdentity/{number}/inheritedAppRoleAssignments": number
        for number in sorted(found)
    }

    def convert(number: str, roles: list[dict[str, Any]]) -> Iterator[Record]:
        for item in roles:
            yield _grant(scope, item, known, app_ids, number)

    yield from scope.list_of_each(
        paths,
        convert,
        INHERITED,
        table="grants",
        kind="inherited-app-role",
        needs="Application.Read.All",
        classify=unsupported_on({404}, "The service does not show it for this agent."),
    )


def _inherited_delegated(scope: EntraScope, known: ServicePrincipals, found: list[str]) -> Iterator[Record]:
    """Yield what agents may do in the name of every user, by consent to their blueprint.

    https://learn.microsoft.com/graph/api/agentidentity-list-inheritedoauth2permissiongrants
    """
    app_ids = {number: app_id for app_id, number in known.app_ids.items()}
    paths = {
        f"/servicePrincipals/microsoft.graph.agentIdentity/{number}/inheritedOauth2PermissionGrants": number
        for number in sorted(found)
    }

    def convert(number: str, consents: list[dict[str, Any]]) -> Iterator[Record]:
        for item in consents:
            yield delegated_grant(
                scope,
                item,
                known,
                app_ids,
                number=record_id("entra", "inherited-delegated", f"{number}/{text(item.get('id'))}"),
                holder=principal(number),
                via="inherited delegated permission for all users",
            )

    yield from scope.list_of_each(
        paths,
        convert,
        INHERITED_DELEGATED,
        table="grants",
        kind="inherited-delegated",
        needs="Application.Read.All",
        classify=unsupported_on({404}, "The service does not show it for this agent."),
    )


def _grant(
    scope: EntraScope, item: dict[str, Any], known: ServicePrincipals, app_ids: dict[str, str], agent: str
) -> Grant:
    api = text(item.get("resourceId")).lower()
    role_id = text(item.get("appRoleId")).lower()
    role = known.roles.get(api, {}).get(role_id, "a role that the API no longer defines")
    name = known.names.get(api) or str(item.get("resourceDisplayName") or api)
    grant = Grant(
        id=record_id("entra", "inherited-app-role", f"{agent}/{text(item.get('id'))}"),
        **scope.own,
        identity_id=principal(agent),
        role=role,
        resource=name,
        breadth="organization",
        conditional=False,
        via="inherited from the agent's blueprint",
        actions=[role],
        granted_at=utc_time(item.get("creationTimestamp")),  # beta's name of it
    )
    return app_grant_with_powers(grant, app_ids.get(api, ""))
