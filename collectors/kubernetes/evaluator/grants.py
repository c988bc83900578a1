"""Bindings as grants."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from collectors.kubernetes.evaluator.bindings import (
    BoundSubject,
    StoredBinding,
    StoredRole,
    binding_of,
    gathered,
    role_of,
    subject_id,
)
from collectors.kubernetes.evaluator.rules import RbacAllowed, RbacRule, allowed
from scanner.records import Breadth, Grant, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.records import Policy

MISSING = "binding to a role that does not exist"
"""`Grant.via` of a binding whose role is not there: who creates a role of that name decides what it gives."""


class GrantedRole(msgspec.Struct, frozen=True, kw_only=True):
    """A grant, and what its rules allow."""

    grant: Grant
    binding: StoredBinding
    allowed: RbacAllowed | None
    """None if the role is not known."""


class ClusterRoles:
    """The roles and bindings of one cluster."""

    def __init__(self, account_id: str) -> None:
        self.account_id = account_id
        self._roles: dict[tuple[str, str], StoredRole] = {}
        self._rules: dict[tuple[str, str], tuple[RbacRule, ...]] = {}
        self.bindings: list[StoredBinding] = []

    def add(self, policy: Policy) -> None:
        """Take note of a stored role or binding."""
        match policy.kind:
            case "cluster-role" | "role":
                role = role_of(policy)
                self._roles[role.namespace, role.name] = role
            case "cluster-role-binding" | "role-binding":
                self.bindings.append(binding_of(policy))
            case _:
                pass

    def rules(self, binding: StoredBinding) -> tuple[RbacRule, ...] | None:
        """Return the rules of a binding's role; None if there is none of that name."""
        key = (binding.namespace if binding.role_kind == "Role" else "", binding.role)
        if key not in self._rules:
            role = self._roles.get(key)
            if role is None:
                return None
            sum_of = (other for (namespace, _), other in sorted(self._roles.items()) if not namespace)
            self._rules[key] = gathered(role, sum_of)
        return self._rules[key]

    def listed(self, binding: StoredBinding) -> bool:
        """Return whether roles of the kind that a binding names are known at all."""
        wanted = binding.role_kind == "Role"
        return any(bool(namespace) == wanted for namespace, _ in self._roles)

    def powerful(self) -> frozenset[BoundSubject]:
        """Return whom bindings that the API server did not make let change permissions or become others."""
        found: set[BoundSubject] = set()
        for binding in self.bindings:
            if binding.default or binding.role.startswith("system:"):
                continue
            rules = self.rules(binding)
            powers = allowed(rules, namespaced=bool(binding.namespace)).powers if rules is not None else ()
            if level_of(list(powers)) in {"admin", "escalation"}:
                found.update(binding.subjects)
        return frozenset(found)

    def granted(self) -> Iterator[GrantedRole]:
        """Yield a grant for each subject of each binding, in an order that does not depend on how they were listed."""
        bindings = sorted(self.bindings, key=lambda one: (one.namespace, one.name, one.id))
        held: dict[BoundSubject, list[StoredBinding]] = {}
        for binding in bindings:
            for subject in binding.subjects:
                held.setdefault(subject, []).append(binding)
        for binding in bindings:
            for subject in binding.subjects:
                yield self._granted(binding, subject, held[subject])

    def _granted(
        self, binding: StoredBinding, subject: BoundSubject, held: list[StoredBinding]
    ) -> GrantedRole:
        rules = self.rules(binding)
        found: RbacAllowed | None = None
        if rules is not None:
            others = tuple(
                rule
                for other in held
                if other is not binding and other.namespace in {"", binding.namespace}
                for rule in self.rules(other) or ()
            )
            found = allowed(rules, others, namespaced=bool(binding.namespace))
        missing = rules is None and self.listed(binding)
        powers = list(found.powers) if found is not None else []
        where = f"namespaces/{binding.namespace}" if binding.namespace else "*"
        digest = hashlib.sha256(f"{subject.kind} {subject.namespace} {subject.name}".encode()).hexdigest()[
            :16
        ]
        grant = Grant(
            id=record_id("kubernetes", "binding", f"{binding.id}/{digest}"),
            provider="kubernetes",
            account_id=self.account_id,
            identity_id=subject_id(self.account_id, subject),
            role=binding.role if binding.role_kind != "Role" else f"{binding.namespace}/{binding.role}",
            resource=where,
            breadth=_breadth(binding, found),
            powers=powers,
            # A role without rules, or one that does not exist, gives nothing.
            level=level_of(powers) if powers or (rules is None and not missing) else "read",
            conditional=False,
            wildcard=found.wildcard if found is not None else None,
            confidence="low" if rules is None and not missing else "high",
            via=MISSING if missing else binding.title,
            why=_why(binding, found, missing=missing),
            fix=_fix(binding, found, missing=missing),
            actions=found.actions if found is not None else [],
            granted_at=binding.created_at,
        )
        return GrantedRole(grant=grant, binding=binding, allowed=found)


def _breadth(binding: StoredBinding, found: RbacAllowed | None) -> Breadth:
    if found is not None and found.narrowed:
        return "resource"
    return "group" if binding.namespace else "account"


def _why(binding: StoredBinding, found: RbacAllowed | None, *, missing: bool) -> str:
    role = f"{binding.role_kind} {binding.role}"
    if missing:
        return f"{binding.title} names {role}, which does not exist."
    if found is None:
        return f"{binding.title} gives {role}, whose rules could not be read."
    if not found.powers:
        return f"{binding.title} gives {role}, whose rules allow nothing here."
    strongest = next(iter(found.powers.values()))
    where = f"in namespace {binding.namespace}" if binding.namespace else "in the whole cluster"
    return f"{binding.title} gives {role}, which allows {', '.join(strongest[:3])} {where}."


def _fix(binding: StoredBinding, found: RbacAllowed | None, *, missing: bool) -> str:
    if missing:
        return f"Delete {binding.title}, or create the role that it names."
    if found is None or not found.powers:
        return f"Delete {binding.title} if nobody needs it."
    power, actions = next(iter(found.powers.items()))
    if power == "admin":
        return f"Bind a role with the verbs and resources that are needed in place of {binding.role}."
    narrower = "" if binding.namespace else ", or bind it in the namespaces that need it"
    return f"Take {', '.join(actions[:3])} out of {binding.role_kind} {binding.role}{narrower}."
