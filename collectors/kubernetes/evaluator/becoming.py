"""Whom the holder of a grant can become."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from scanner.records import Level, Link, record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from collectors.kubernetes.evaluator.grants import GrantedRole
    from collectors.kubernetes.evaluator.residents import Residents
    from collectors.kubernetes.evaluator.rules import TakenWay

MOST = 200
"""Links of one grant. Service accounts with the strongest access come first."""
_STRENGTH: dict[Level, int] = {"admin": 0, "escalation": 1, "unknown": 2, "write": 3, "read": 5}


def becoming(granted: Sequence[GrantedRole], residents: Residents) -> Iterator[Link]:
    """Yield ``can_become`` links. What the platform's own subjects can become is the platform's business."""
    strength = _strengths(granted, residents)
    told: set[tuple[str, str]] = set()
    for one in granted:
        if one.allowed is None or one.grant.identity_id in residents.platform:
            continue
        count = 0
        for step in one.allowed.ways:
            if step.way.becomes is None:
                continue
            for target in sorted(
                _targets(step, one, residents), key=lambda found: (strength.get(found, 6), found)
            ):
                pair = (one.grant.identity_id, target)
                if target == one.grant.identity_id or pair in told:
                    continue
                if count == MOST:
                    break
                count += 1
                told.add(pair)
                yield _link(one, step, target)


def _strengths(granted: Iterable[GrantedRole], residents: Residents) -> dict[str, int]:
    """Return how much can be gained by becoming an identity: less is more."""
    found = dict.fromkeys(residents.cloud, 2)
    for one in granted:
        holder = one.grant.identity_id
        found[holder] = min(found.get(holder, 9), _STRENGTH[one.grant.level])
    return found


def _targets(step: TakenWay, one: GrantedRole, residents: Residents) -> Iterable[str]:
    namespace = one.binding.namespace
    here = residents.by_namespace.get(namespace, []) if namespace else list(residents.names)
    match step.way.becomes:
        case "accounts":
            return here
        case "running":
            return [number for number in here if number in residents.running]
        case "tokens":
            return [number for number in here if number in residents.holding]
        case "named":
            if step.names is None:
                return here
            return [number for number in here if residents.names[number][1] in step.names]
        case "anyone":
            if step.names is not None:
                return [number for number, who in residents.subjects.items() if who.name in step.names]
            groups = any("groups" in action for action in step.actions)
            return [residents.masters()] if groups else _strongest_users(residents)
        case None:
            return []


def _strongest_users(residents: Residents) -> list[str]:
    """Return the users of the platform that a certificate can name: no certificate may name system:masters.

    https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#certificatesubjectrestriction
    """
    return [number for number, who in residents.subjects.items() if who.kind == "kubernetes-user"]


def _link(one: GrantedRole, step: TakenWay, target: str) -> Link:
    source = one.grant.identity_id
    digest = hashlib.sha256(f"{source} {target}".encode()).hexdigest()[:24]
    action = step.actions[0]
    where = f"in namespace {one.binding.namespace}" if one.binding.namespace else "in the whole cluster"
    return Link(
        id=record_id("kubernetes", "can-become", digest),
        provider="kubernetes",
        account_id=one.grant.account_id,
        source_id=source,
        relation="can_become",
        target_id=target,
        evidence=step.way.id,
        why=f"{one.binding.title} allows {action} {where}",
        via=action,
        fix=f"Take {action} out of {one.binding.role_kind} {one.binding.role}, or delete {one.binding.title}.",
    )
