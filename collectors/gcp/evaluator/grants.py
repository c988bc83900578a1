"""Grants of role bindings: the permissions of the role, less what is denied, under the binding's condition.

https://docs.cloud.google.com/iam/docs/policy-types: deny policies come first, then access boundaries, then allow policies. A
policy applies to its resource and to everything below it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from collectors.gcp.evaluator.conditions import ConditionEffect, effect_of
from collectors.gcp.evaluator.denies import denied_of
from collectors.gcp.evaluator.members import PolicyMember, member_of
from collectors.gcp.evaluator.roles import (
    BASIC,
    RolePowers,
    at_resource,
    level_is_sure,
    permissions_of,
    role_powers,
)
from collectors.gcp.names import CONTAINERS, breadth, last, member_id, own, service_account_id
from scanner.records import POWERS, Grant, Level, level_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from collectors.gcp.evaluator.boundaries import Boundaries
    from collectors.gcp.evaluator.denies import DenyRule
    from collectors.gcp.evaluator.estate import GcpEstate
    from scanner.records import Policy

BINDING = "gcp:iam-binding:"
ACCOUNTS = "//iam.googleapis.com/projects/"
_NAMED = (
    "compute.", "storage.", "secretmanager.", "cloudkms.", "bigquery.", "cloudsql.", "spanner.", "container.clusters.",
    "binaryauthorization.", "clouddeploy.", "resourcemanager.", "pubsublite.", "logging.", "apigee.",
)  # fmt: skip
"""Services that tell conditions the name and type of a resource.
https://docs.cloud.google.com/iam/docs/conditions-resource-attributes"""


class HeldRole(msgspec.Struct, frozen=True, kw_only=True):
    """One binding of one principal, evaluated."""

    grant: Grant
    member: PolicyMember
    permissions: frozenset[str]
    """What it allows, less what is certainly denied."""
    doubtful: frozenset[str]
    """Those that a deny policy or an access boundary may take, which is not known."""
    place: str
    """The `Account.id` whose policy it is; of a service account's policy the account's `Identity.id`."""


class _Binding(NamedTuple):
    """One binding of an IAM policy."""

    policy: Policy
    resource: str
    role: str
    condition: str
    effect: ConditionEffect


class BindingEvaluator:
    """Evaluates the bindings of one organization. Equal roles under equal limits are evaluated once."""

    def __init__(
        self,
        estate: GcpEstate,
        roles: Iterable[Policy],
        denies: Iterable[DenyRule],
        boundaries: Boundaries,
        *,
        as_of: datetime,
        unused: Mapping[tuple[str, str, str], list[str]] | None = None,
    ) -> None:
        """``unused`` are roles that nobody uses, by account, role and principal, with the roles that would be enough."""
        self._estate = estate
        self._documents = {policy.address or policy.native_id: policy.document or "{}" for policy in roles}
        self._denies: dict[str, list[DenyRule]] = {}
        for rule in denies:
            self._denies.setdefault(rule.place, []).append(rule)
        self._boundaries = boundaries
        self._as_of = as_of
        self._unused = unused or {}

    def held(self, policy: Policy) -> Iterator[HeldRole]:
        """Yield the bindings of an IAM policy, one for each principal."""
        document: dict[str, Any] = json.loads(policy.document or "{}")
        resource = policy.address or policy.native_id
        for binding in document.get("bindings") or []:
            condition: dict[str, Any] = binding.get("condition") or {}
            effect = effect_of(str(condition.get("expression") or ""), self._as_of)
            if not effect.active and effect.until is None:
                continue
            granted = _Binding(
                policy,
                resource,
                str(binding.get("role") or ""),
                str(condition.get("expression") or ""),
                effect,
            )
            for text in binding.get("members") or []:
                held = self._held(granted, str(text))
                # A known role of which nothing is left gives nothing.
                if held.permissions or granted.role not in self._documents or effect.hands_out is not None:
                    yield held

    def _held(self, binding: _Binding, text: str) -> HeldRole:
        policy, resource, role, condition, effect = binding
        member = member_of(text)
        chain = self._estate.chain(policy.account_id)
        identity, sets = self._identity(member)
        document = self._documents.get(role)
        permissions = at_resource(permissions_of(document or "{}"), resource)
        if not effect.nameless:
            permissions = frozenset(one for one in permissions if one.startswith(_NAMED))
        permissions, doubtful = self._less(permissions, member, chain, sets)
        left_out = self._boundaries.leaves_out(sets, chain)
        if left_out:
            doubtful = permissions
        if self._estate.barred(policy.account_id, ("iam.disableServiceAccountKeyCreation", "iam.managed.disableServiceAccountKeyCreation")):  # fmt: skip
            permissions -= {"iam.serviceAccountKeys.create"}
        given = None
        if effect.hands_out is not None:
            given = [role_powers(permissions_of(self._documents.get(one, "{}"))) for one in effect.hands_out]
            permissions = frozenset(one for one in permissions if not one.endswith(".setIamPolicy"))
        found = role_powers(permissions)
        powers = [power for power in POWERS if power in {*found.powers, *(one for powers in given or () for one in powers.powers)}]  # fmt: skip
        if permissions and not powers:
            # The rest lets its holder use what other permissions guard.
            powers = ["read"]
        level = level_of(powers)
        sure = (
            document is not None
            and effect.sure
            and not _matters(permissions, doubtful, level)
            and (bool(given) or level_is_sure(found))
        )
        instead = (
            self._unused.get((policy.account_id, role, member.text))
            if resource.startswith(CONTAINERS) and not condition
            else None
        )
        grant = Grant(
            id=f"{BINDING}{_digest(resource, role, member.text, condition)}",
            **own(policy.account_id),
            identity_id=identity,
            role=role,
            resource=resource,
            breadth=breadth(resource),
            powers=powers,
            level=level,
            conditional=effect.conditional,
            confidence="high" if sure or (document is not None and not powers) else "low",
            wildcard="*" if role in BASIC else None,
            via=_via(member, condition),
            why=_why(role, resource, found, document, left_out=left_out),
            fix=_recommended(role, instead) if instead is not None else _fix(role, resource, found),
            never_used=True if instead == [] else None,
            actions=list(found.permissions),
            expires_at=effect.until,
        )
        return HeldRole(
            grant=grant,
            member=member,
            permissions=permissions,
            doubtful=doubtful & permissions,
            place=self._place(policy, resource),
        )

    def _place(self, policy: Policy, resource: str) -> str:
        if resource.startswith(ACCOUNTS) and "/serviceAccounts/" in resource:
            name = last(resource)
            found = self._estate.account(name) if "@" in name else None
            return found.id if found is not None else service_account_id(name)
        return policy.account_id

    def _identity(self, member: PolicyMember) -> tuple[str, frozenset[str]]:
        """Return who a principal is, and the sets that it belongs to: accounts above a service account, its pool."""
        if member.kind == "service-account":
            account = self._estate.account(member.email)
            if account is None:
                return member.email, frozenset()
            return account.id, frozenset(self._estate.chain(account.account_id))
        if member.kind == "federated":
            project = self._estate.project_of_number(member.project)
            above = self._estate.chain(project) if project else ()
            pool = f"projects/{member.project}/locations/global/workloadIdentityPools/{member.pool}"
            return member_id(member.text), frozenset((*above, pool))
        return member_id(member.text), frozenset()

    def _less(
        self, permissions: frozenset[str], member: PolicyMember, chain: tuple[str, ...], sets: frozenset[str]
    ) -> tuple[frozenset[str], frozenset[str]]:
        """Return permissions less what is denied, and which of them a deny policy may take as well."""
        rules = [rule for place in chain for rule in self._denies.get(place, ())] if self._denies else []
        doubtful: set[str] = set()
        for rule in rules:
            applies = rule.applies(member.text, self._account_sets(sets))
            if applies is False:
                continue
            hit = denied_of(rule, permissions)
            if applies:
                permissions -= hit
            else:
                doubtful |= hit
        return permissions, frozenset(doubtful) & permissions

    def _account_sets(self, sets: frozenset[str]) -> list[str]:
        """Return the principal sets of all service accounts of some accounts, as policies write them."""
        containers = (self._estate.container(account) for account in sets)
        return [f"principalSet:{CONTAINERS}{one}/type/ServiceAccount" for one in containers if one]


def _matters(permissions: frozenset[str], doubtful: frozenset[str], level: Level) -> bool:
    """Return whether a level would be another one without the permissions that may be denied."""
    return bool(doubtful) and level_of(role_powers(permissions - doubtful).powers) != level


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:24]


def _via(member: PolicyMember, condition: str) -> str:
    kinds = {"group": "group binding", "domain": "domain binding", "public": "public binding", "deleted": "binding of a deleted principal", "account-set": "binding of a set of service accounts"}  # fmt: skip
    how = kinds.get(member.kind, "binding")
    return f"{how} with a condition" if condition else how


def _why(role: str, resource: str, found: RolePowers, document: str | None, *, left_out: bool) -> str | None:
    where = resource.removeprefix("//").partition("/")[2] or resource
    if document is None:
        return f"the permissions of {role} on {where} could not be read"
    if not found.permissions:
        return None
    text = f"{role} on {where} has {found.permissions[0]}"
    level = level_of(found.powers)
    way = next(
        (way for way, one in found.ways if one == found.permissions[0] and level_of([way.power]) == level),
        None,
    )
    if way is not None and level in {"escalation", "admin"}:
        text += f" ({way.id})"
    return f"{text}; a principal access boundary may keep it from this resource" if left_out else text


def _recommended(role: str, instead: list[str]) -> str:
    return (
        f"Replace {role} with {', '.join(instead)}, which is enough for what was used."
        if instead
        else f"Remove {role}: nothing of it was used."
    )


def _fix(role: str, resource: str, found: RolePowers) -> str | None:
    if level_of(found.powers) not in {"admin", "escalation"}:
        return None
    if role in BASIC:
        return f"Replace {role} with a predefined role for what is used."
    if resource.startswith(CONTAINERS) and any(
        one.startswith("iam.serviceAccount") for one in found.permissions
    ):
        return f"Grant {role} on the one service account that is needed, not on all below {last(resource)}."
    return f"Replace {role} with a role that lacks {found.permissions[0]}." if found.permissions else None
