"""Privileged Identity Management: roles that may be activated, those that are, and what activation takes.

https://learn.microsoft.com/rest/api/authorization/role-eligibility-schedule-instances/list-for-scope,
.../role-assignment-schedule-instances/list-for-scope, .../role-management-policy-assignments/list-for-scope
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from collectors.azure.calls import template_of
from collectors.azure.records import role_grant
from collectors.azure.scope import own, scopes_of
from scanner.collect.failures import unsupported_on
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Control, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from datetime import datetime

    from collectors.azure.evaluator import RoleEvaluator
    from collectors.azure.facts import Containers
    from collectors.azure.scope import AzureScope
    from scanner.records import Record

ELIGIBLE = "/providers/Microsoft.Authorization/roleEligibilityScheduleInstances"
ACTIVE = "/providers/Microsoft.Authorization/roleAssignmentScheduleInstances"
RULES = "/providers/Microsoft.Authorization/roleManagementPolicyAssignments"
LICENSE = "Available with Entra ID P2 or Microsoft Entra ID Governance."
_VERSION = "api-version=2020-10-01"


class Eligible(msgspec.Struct, kw_only=True):
    """Where roles may be activated."""

    roles: dict[str, set[str]] = {}
    """GUIDs of roles by the scope at which they may be activated, as ARM writes it."""
    accounts: set[str] = set()


def eligible(
    scope: AzureScope, held: Containers, evaluator: RoleEvaluator
) -> Generator[Record, None, Eligible]:
    """Yield a conditional grant for each assignment that may be activated, and return where there are any."""
    found = Eligible()
    seen: set[str] = set()
    places = {f"{place.path}{ELIGIBLE}?{_VERSION}": place for place in scopes_of(held)}
    for path, answer in scope.client.lists(places):
        place = places[path]

        def read(answer: list[dict[str, Any]] | Exception = answer) -> Iterator[Record]:
            if isinstance(answer, Exception):
                raise answer
            for item in answer:
                number = str(item["name"]).lower()
                properties: dict[str, Any] = item["properties"]
                inherited = str(properties.get("memberType") or "").lower() in {"inherited", "group"}
                current = str(properties.get("status") or "Provisioned").lower() == "provisioned"
                if number in seen or inherited or not current:
                    continue
                seen.add(number)
                where = str(properties["scope"])
                found.roles.setdefault(where, set()).add(str(properties["roleDefinitionId"]))
                found.accounts.add(scope.account_of(where))
                grant = role_grant(
                    scope,
                    f"azure:eligible-role:{number}",
                    principal_id=str(properties["principalId"]),
                    role_id=str(properties["roleDefinitionId"]),
                    where=where,
                    evaluator=evaluator,
                    granted=utc_time(properties.get("startDateTime")),
                    until=utc_time(properties.get("endDateTime")),
                    via="eligible, by Privileged Identity Management",
                )
                text = properties.get("condition")
                evaluated = evaluator.evaluated(grant, text) if evaluator.knows(grant.role) else grant
                yield msgspec.structs.replace(evaluated, conditional=True)

        request = scope.within(place.account).request(
            "grants",
            f"GET {place.template}{ELIGIBLE}",
            kind="eligible-role",
            needs="Microsoft.Authorization/roleEligibilityScheduleInstances/read",
        )
        yield from with_coverage(
            read(),
            request,
            unsupported_on({400}, LICENSE),
            loses=("controls/role-activation", "grants/activated-role"),
        )
    return found


def activated(
    scope: AzureScope, held: Containers, found: Eligible
) -> Generator[Record, None, dict[str, datetime]]:
    """Return when the assignments end that were activated, by the GUID of the role assignment.

    Only places are asked where something may be activated. A night that cannot tell shows an activated role as a standing one.
    """
    ends: dict[str, datetime] = {}
    places = {
        f"{place.path}{ACTIVE}?{_VERSION}": place
        for place in scopes_of(held)
        if place.account in found.accounts
    }
    for path, answer in scope.client.lists(places):
        place = places[path]

        def read(answer: list[dict[str, Any]] | Exception = answer) -> Iterator[Record]:
            if isinstance(answer, Exception):
                raise answer
            for item in answer:
                properties: dict[str, Any] = item["properties"]
                number = str(properties.get("originRoleAssignmentId") or "").rpartition("/")[2].lower()
                end = utc_time(properties.get("endDateTime"))
                if number and end and str(properties.get("assignmentType") or "").lower() == "activated":
                    ends[number] = end
            yield from ()

        request = scope.within(place.account).request(
            "grants",
            f"GET {place.template}{ACTIVE}",
            kind="activated-role",
            needs="Microsoft.Authorization/roleAssignmentScheduleInstances/read",
        )
        yield from with_coverage(
            read(), request, unsupported_on({400}, LICENSE), loses=("grants/role-assignment",)
        )
    return ends


def activation(scope: AzureScope, found: Eligible, evaluator: RoleEvaluator) -> Iterator[Record]:
    """Yield what the activation of each eligible role takes: approval, multifactor authentication, and for how long."""
    places: dict[str, tuple[str, str]] = {}
    for where, roles in sorted(found.roles.items()):
        for role in sorted(roles):
            only = quote(f"roleDefinitionId eq '{role}'", safe="")
            places[f"{where.rstrip('/')}{RULES}?{_VERSION}&$filter={only}"] = (where, role)
    for path, answer in scope.client.lists(places):
        where, role = places[path]
        guid = role.rpartition("/")[2].lower()

        def read(
            answer: list[dict[str, Any]] | Exception = answer, where: str = where, guid: str = guid
        ) -> Iterator[Record]:
            if isinstance(answer, Exception):
                raise answer
            for item in answer:
                properties: dict[str, Any] = item["properties"]
                if str(properties.get("roleDefinitionId") or "").rpartition("/")[2].lower() == guid:
                    yield _control(scope, properties.get("effectiveRules") or [], where, guid, evaluator)

        request = scope.within(scope.account_of(where)).request(
            "controls",
            f"GET {template_of(where)}{RULES}",
            kind="role-activation",
            needs="Microsoft.Authorization/roleManagementPolicyAssignments/read",
            item=f"{where} {guid}",
        )
        yield from with_coverage(read(), request, unsupported_on({400}, LICENSE))


def _control(
    scope: AzureScope, rules: list[dict[str, Any]], where: str, guid: str, evaluator: RoleEvaluator
) -> Control:
    """Return the control of one role's activation: enforced if a person must approve, audited if only MFA is asked for."""
    by_id = {str(rule.get("id")): rule for rule in rules}
    approval: dict[str, Any] = by_id.get("Approval_EndUser_Assignment", {}).get("setting") or {}
    asked = [str(one) for one in by_id.get("Enablement_EndUser_Assignment", {}).get("enabledRules") or []]
    longest = by_id.get("Expiration_EndUser_Assignment", {}).get("maximumDuration")
    approvers = [
        str(one.get("id"))
        for stage in approval.get("approvalStages") or []
        for one in stage.get("primaryApprovers") or []
    ]
    approved = approval.get("isApprovalRequired") is True
    name = evaluator.name_of(guid) or guid
    words = ["approval"] if approved else []
    words += [word for word in asked if word in {"MultiFactorAuthentication", "Justification", "Ticketing"}]
    return Control(
        id=record_id("azure", "role-activation", f"{where.lower().rstrip('/')}/{guid}"),
        **own(scope.account_of(where)),
        stage="runtime",
        kind="role-activation",
        name=name,
        enforcement="enforced"
        if approved
        else ("audited" if "MultiFactorAuthentication" in asked else "absent"),
        target=where,
        approvers=sorted(approvers),
        detail=f"Activation takes {', '.join(words) or 'nothing'}"
        + (f", for at most {longest}" if longest else ""),
    )
