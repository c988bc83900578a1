"""What role definitions, assignments, conditions and deny assignments come to: pure, without an SDK or the network."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from collectors._microsoft.federated import trust_of
from collectors.azure.evaluator.denies import Deny, deny_of
from collectors.azure.evaluator.estate import Estate
from collectors.azure.evaluator.grants import RoleEvaluator
from scanner.records import Account, Grant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from scanner.records import Policy, Record

__all__ = ["ELIGIBLE", "HANDS_OUT", "Estate", "RoleEvaluator", "evaluate"]

ASSIGNMENT = "azure:role-assignment:"
DELEGATION = "azure:lighthouse:"
ELIGIBLE = "/eligible"
"""How the id of an eligible delegation ends."""
HANDS_OUT = "/hands-out"
"""How the id of a delegation ends that only assigns some roles: which ones stands in the delegation, not in its role."""


def evaluate(policies: Iterable[Policy], records: Iterable[Record], as_of: datetime) -> Iterator[Record]:
    """Yield the grants of role assignments as their definitions, conditions and deny assignments make them, whom their
    holders can become, and the trust of each federated credential. For a snapshot's own records this is what the night yielded.
    """
    roles: list[Policy] = []
    conditions: dict[str, str] = {}
    denies: list[Deny] = []
    federated: list[Policy] = []
    for policy in policies:
        match policy.kind:
            case "role-definition":
                roles.append(policy)
            case "role-condition":
                conditions[policy.attached_to[0]] = str(
                    json.loads(policy.document or "{}").get("condition") or ""
                )
            case "federated-credential":
                federated.append(policy)
            case "deny-assignment":
                deny = deny_of(json.loads(policy.document or "{}"))
                if deny is not None:
                    denies.append(deny)
            case _:
                pass
    estate = Estate()
    grants = []
    tenant = ""
    for record in records:
        estate.add(record)
        if isinstance(record, Account) and record.kind == "azure-tenant":
            tenant = record.native_id
        if isinstance(record, Grant) and record.id.startswith((ASSIGNMENT, DELEGATION)):
            if record.id.endswith(HANDS_OUT):
                continue
            grants.append(record)
    yield from (trust_of(policy, tenant) for policy in federated)
    evaluator = RoleEvaluator(estate, roles, denies, as_of.date())
    for grant in grants:
        if evaluator.knows(grant.role):
            text = conditions.get(grant.id)
            found = evaluator.allowed(grant, text)
            evaluated = evaluator.evaluated(grant, text, found)
            if grant.id.startswith(DELEGATION):
                # Whether a delegation is eligible is not in the role.
                evaluated = msgspec.structs.replace(evaluated, conditional=grant.conditional)
            yield evaluated
            if not grant.id.endswith(ELIGIBLE):
                yield from evaluator.links(grant, found)
    yield from evaluator.combined()
