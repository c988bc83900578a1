"""Azure Policy: assignments that run as an identity, and those that refuse or change what does not comply.

https://learn.microsoft.com/azure/governance/policy/concepts/effect-basics,
https://learn.microsoft.com/azure/governance/policy/concepts/assignment-structure
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from collectors.azure.calls import GRAPH
from collectors.azure.records import runs_as
from collectors.azure.scope import own, principal, resource_id
from scanner.collect.by_account import by_account
from scanner.collect.scope import utc_time
from scanner.records import Control, Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.azure.facts import Containers
    from collectors.azure.scope import AzureScope
    from scanner.records import Enforcement, Record

NEEDS = "Microsoft.Authorization/*/read"
_TABLE = "policyresources | where type"
ASSIGNMENTS = (
    f"{_TABLE} in~ ('microsoft.authorization/policyassignments', 'microsoft.authorization/policyexemptions') "
    "| project id, name, type, identity, shown = properties.displayName, where = properties.scope, "
    "mode = properties.enforcementMode, definition = properties.policyDefinitionId, "
    "chosen = properties.parameters.effect.value, overrides = properties.overrides, left = properties.notScopes, "
    "assignment = properties.policyAssignmentId, ends = properties.expiresOn | order by id asc"
)
DEFINITIONS = (
    f"{_TABLE} in~ ('microsoft.authorization/policydefinitions', 'microsoft.authorization/policysetdefinitions') "
    "| project id, effect = properties.policyRule.then.effect, usual = properties.parameters.effect.defaultValue, "
    "members = properties.policyDefinitions | order by id asc"
)
_EFFECTS: dict[str, Enforcement] = {
    "deny": "enforced",
    "denyaction": "enforced",
    "modify": "enforced",
    "append": "enforced",
    "deployifnotexists": "enforced",
    "audit": "audited",
    "auditifnotexists": "audited",
    "disabled": "absent",
}
_STRONGEST: tuple[Enforcement, ...] = ("enforced", "audited", "documented", "absent")


def policies(scope: AzureScope, held: Containers) -> Iterator[Record]:
    """Yield what policies are assigned, how they are enforced, who is exempt, and as whom they change resources."""
    effects: dict[str, dict[str, Any]] = {}

    def definitions() -> Generator[Record, None, None]:
        for row in scope.client.query(DEFINITIONS):
            effects[str(row["id"]).lower()] = row
        yield from ()

    yield from by_account(
        scope,
        held.accounts,
        definitions(),
        call=f"POST {GRAPH} policydefinitions",
        table="controls",
        kind="policy-assignment",
        needs=NEEDS,
    )

    def assignments() -> Iterator[Record]:
        assigned: list[dict[str, Any]] = []
        exempt: defaultdict[str, list[str]] = defaultdict(list)
        for row in scope.client.query(ASSIGNMENTS):
            if str(row["type"]).lower().endswith("/policyassignments"):
                assigned.append(row)
                continue
            ends = utc_time(row.get("ends"))
            if ends is None or ends > scope.run.as_of:
                exempt[str(row.get("assignment") or "").lower()].append(
                    str(row["id"])
                    .lower()
                    .partition("/providers/microsoft.authorization/policyexemptions/")[0]
                )
        for row in assigned:
            yield from _assignment(scope, row, effects, exempt)

    yield from by_account(
        scope,
        held.accounts,
        assignments(),
        call=f"POST {GRAPH} policyassignments",
        table="identities",
        kind="policy-assignment",
        needs=NEEDS,
        fills=("controls/policy-assignment", "links/runs_as"),
        loses=("links/can_become",),
    )


def _assignment(
    scope: AzureScope, row: dict[str, Any], effects: dict[str, dict[str, Any]], exempt: dict[str, list[str]]
) -> Iterator[Record]:
    address = str(row["id"])
    account = scope.account_of(address)
    name = str(row.get("shown") or row["name"])
    yield Control(
        id=record_id("azure", "policy-assignment", address.lower()),
        **own(account),
        stage="deploy",
        kind="policy-assignment",
        name=name,
        enforcement=_enforcement(row, effects),
        target=str(row.get("where") or ""),
        bypass=sorted(
            {*exempt.get(address.lower(), ()), *(str(one).lower() for one in row.get("left") or [])}
        ),
        detail="Not enforced: it only reports" if _only_reports(row) else None,
    )
    identity: dict[str, Any] = row.get("identity") or {}
    assigned = sorted(identity.get("userAssignedIdentities") or {})
    number = identity.get("principalId")
    if not number and not assigned:
        return
    yield Identity(
        id=resource_id(address),
        **own(account),
        surface="automation",
        kind="policy-assignment",
        native_id=address.lower(),
        name=name,
        address=address,
        tags={"resource_type": str(row["type"]).lower()},
    )
    if number:
        yield runs_as(scope, address, principal(str(number)), "its system-assigned identity")
    for one in assigned:
        yield runs_as(scope, address, resource_id(str(one)), "its user-assigned identity")


def _only_reports(row: dict[str, Any]) -> bool:
    return str(row.get("mode") or "Default").lower() == "donotenforce"


def _enforcement(row: dict[str, Any], effects: dict[str, dict[str, Any]]) -> Enforcement:
    """Return how an assignment is enforced; what is not known is ``documented``."""
    overridden = [
        str(one.get("value"))
        for one in row.get("overrides") or []
        if str(one.get("kind") or "").lower() == "policyeffect" and not one.get("selectors")
    ]
    definition = effects.get(str(row.get("definition") or "").lower(), {})
    members: list[dict[str, Any]] = definition.get("members") or []
    if overridden:
        found = [_of(overridden[-1])]
    elif members:
        found = [
            _of(_effect(effects.get(str(one.get("policyDefinitionId") or "").lower(), {}), _given(one)))
            for one in members
        ]
    else:
        found = [_of(_effect(definition, row.get("chosen")))]
    best = min(found, key=_STRONGEST.index)
    return "audited" if best == "enforced" and _only_reports(row) else best


def _given(member: dict[str, Any]) -> Any:
    """Return the effect that an initiative sets for a member, if it is not one of its own parameters."""
    value = ((member.get("parameters") or {}).get("effect") or {}).get("value")
    return None if str(value or "").startswith("[") else value


def _effect(definition: dict[str, Any], chosen: Any) -> Any:
    fixed = definition.get("effect")
    if isinstance(fixed, str) and not fixed.startswith("["):
        return fixed
    return chosen or definition.get("usual")


def _of(effect: Any) -> Enforcement:
    return _EFFECTS.get(str(effect or "").lower(), "documented")
