"""Conditional Access for workload identities: from where, and at which risk, service principals and agents may sign in.

https://learn.microsoft.com/entra/identity/conditional-access/workload-identity : it applies to single-tenant applications
registered in this tenant, not to those of others and not to managed identities; it only blocks. Read from beta, where
agents are named, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.entra.records import text
from collectors.entra.scope import principal
from scanner.records import Control, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.entra.scope import EntraScope
    from scanner.records import Enforcement, Record

CALL = "/beta/identity/conditionalAccess/policies"
NEEDS = "Policy.Read.All"
_STATES: dict[str, Enforcement] = {
    "enabled": "enforced",
    "enabledForReportingButNotEnforced": "audited",
    "disabled": "absent",
}
_EVERY = frozenset(("ServicePrincipalsInMyTenant", "All"))


def conditional_access(scope: EntraScope) -> Iterator[Record]:
    """Yield a control for each policy that names service principals or agents."""

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        conditions: dict[str, Any] = item.get("conditions") or {}
        clients: dict[str, Any] = conditions.get("clientApplications") or {}
        included = [
            str(one)
            for field in ("includeServicePrincipals", "includeAgentIdServicePrincipals")
            for one in clients.get(field) or []
        ]
        filtered = [
            str(clients[field].get("rule"))
            for field in ("servicePrincipalFilter", "agentIdServicePrincipalFilter")
            if clients.get(field)
        ]
        if not included and not filtered:
            return
        excluded = [
            str(one)
            for field in ("excludeServicePrincipals", "excludeAgentIdServicePrincipals")
            for one in clients.get(field) or []
        ]
        number = text(item["id"])
        yield Control(
            id=record_id("entra", "workload-conditional-access", number),
            **scope.own,
            stage="runtime",
            kind="workload-conditional-access",
            name=item.get("displayName") or number,
            # What only reports lets everything in; a state that is not known here is no proof of enforcement.
            enforcement=_STATES.get(str(item.get("state")), "documented"),
            target=scope.account_id
            if len(included) != 1 or _EVERY & set(included)
            else principal(included[0]),
            bypass=sorted(principal(one) for one in excluded if one not in _EVERY),
            detail=_detail(item, conditions, included, filtered),
        )

    yield from scope.listing(
        CALL,
        convert,
        table="controls",
        kind="workload-conditional-access",
        needs=NEEDS,
        parameters={"$select": "id,displayName,state,conditions,grantControls"},
    )


def _detail(
    item: dict[str, Any], conditions: dict[str, Any], included: list[str], filtered: list[str]
) -> str:
    """Return what a policy requires of whom."""
    controls = [str(one) for one in (item.get("grantControls") or {}).get("builtInControls") or []]
    does = "Blocks" if "block" in controls else f"Requires {', '.join(controls) or 'nothing'} of"
    whom = (
        "every service principal of the tenant's own"
        if _EVERY & set(included)
        else f"{len(included)} service principals"
        if included
        else f"service principals where {'; '.join(filtered)}"
    )
    when = []
    if conditions.get("locations"):
        when.append("outside of trusted locations")
    if conditions.get("servicePrincipalRiskLevels"):
        when.append(f"at risk {', '.join(str(one) for one in conditions['servicePrincipalRiskLevels'])}")
    return f"{does} {whom}{' ' + ' and '.join(when) if when else ''}; single-tenant applications only"
