"""Deny assignments: what they certainly subtract.

https://learn.microsoft.com/azure/role-based-access-control/deny-assignments. Those with the effect ``audit`` subtract nothing;
those with a condition, or that leave out the members of a group, subtract nothing with certainty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.azure.evaluator.patterns import covers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from collectors.azure.evaluator.ways import Field

EVERYONE = "00000000-0000-0000-0000-000000000000"
"""The principal of a deny assignment that applies to all."""
_CUTS = {"actions": "notActions", "dataActions": "notDataActions"}


class Deny(msgspec.Struct, frozen=True, kw_only=True):
    """A deny assignment that is enforced, without a condition."""

    scope: str
    """In lower case, without a slash at its end."""
    children: bool
    """Whether it applies below its scope."""
    everyone: bool
    principals: frozenset[str]
    excluded: frozenset[str]
    permissions: tuple[dict[str, list[str]], ...]


def concerns(deny: Deny, principal: str) -> bool:
    """Return whether a deny assignment applies to a principal."""
    return principal not in deny.excluded and (deny.everyone or principal in deny.principals)


def deny_of(document: dict[str, Any]) -> Deny | None:
    """Return a deny assignment if it certainly subtracts: enforced, without a condition, and no group is left out.

    An assignment without an effect, as older API versions answer, is enforced only if Azure itself made it.
    """
    effect = str(document.get("denyAssignmentEffect") or "").lower()
    enforced = effect == "enforced" or (not effect and bool(document.get("isSystemProtected")))
    permissions: list[dict[str, Any]] = document.get("permissions") or []
    conditions = [document.get("condition"), *(one.get("condition") for one in permissions)]
    excluded: list[dict[str, Any]] = document.get("excludePrincipals") or []
    members = any(str(one.get("type", "")).lower() == "group" for one in excluded)
    if not enforced or any(conditions) or members:
        return None
    principals = {str(one.get("id", "")).lower() for one in document.get("principals") or []}
    return Deny(
        scope=str(document.get("scope") or "/").lower().rstrip("/"),
        children=not document.get("doNotApplyToChildScopes"),
        everyone=EVERYONE in principals,
        principals=frozenset(principals),
        excluded=frozenset(str(one.get("id", "")).lower() for one in excluded),
        permissions=tuple(
            {field: [str(action) for action in one.get(field) or []] for field in (*_CUTS, *_CUTS.values())}
            for one in permissions
        ),
    )


def denied(denies: Iterable[Deny], action: str, field: Field) -> bool:
    """Return whether one of the deny assignments covers an action."""
    return any(
        covers(permission[field], action) and not covers(permission[_CUTS[field]], action)
        for deny in denies
        for permission in deny.permissions
    )
