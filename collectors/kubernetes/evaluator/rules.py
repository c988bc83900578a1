"""What a list of RBAC rules allows, in one namespace or in the whole cluster.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.kubernetes.evaluator.ways import RbacWay, rbac_powers
from scanner.records import POWERS, Power

if TYPE_CHECKING:
    from collections.abc import Iterable

WRITES = frozenset(("create", "update", "patch", "delete", "deletecollection"))
READS = frozenset(("get", "list", "watch"))
_NAMELESS = frozenset(("create", "deletecollection"))
"""Requests whose object has no name yet, or several: a rule with names does not allow them.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources"""


class RbacRule(msgspec.Struct, frozen=True):
    """One rule of a role."""

    groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...]
    urls: tuple[str, ...] = ()

    def covers(self, verb: str, address: str) -> bool:
        """Return whether the rule allows a verb on ``GROUP/RESOURCE`` or ``GROUP/RESOURCE/SUBRESOURCE`` (of some name)."""
        group, _, resource = address.partition("/")
        if verb not in self.verbs and "*" not in self.verbs:
            return False
        if ("" if group == "core" else group) not in self.groups and "*" not in self.groups:
            return False
        if self.names and verb in _NAMELESS and "/" not in resource:
            return False
        if resource == "*":
            # Any resource of the group: a rule for every group names resources of other groups.
            return "*" in self.resources or (
                bool(self.resources) and ("" if group == "core" else group) in self.groups
            )
        return self._has(resource)

    def _has(self, resource: str) -> bool:
        if "*" in self.resources or resource in self.resources:
            return True
        if resource.endswith("/*") and any(one.startswith(resource[:-1]) for one in self.resources):
            return True
        _, slash, below = resource.partition("/")
        return bool(slash) and f"*/{below}" in self.resources

    @property
    def everything(self) -> bool:
        """Whether it allows every verb on every resource."""
        return "*" in self.verbs and "*" in self.groups and "*" in self.resources and not self.names


class TakenWay(msgspec.Struct, frozen=True):
    """A way that rules allow."""

    way: RbacWay
    actions: tuple[str, ...]
    """``create pods``, ``get pods/exec``."""
    names: tuple[str, ...] | None
    """The objects it is limited to; None if it is not."""


class RbacAllowed(msgspec.Struct, frozen=True):
    """What rules come to."""

    powers: dict[Power, tuple[str, ...]]
    """The actions that give each power, strongest power first."""
    ways: tuple[TakenWay, ...]
    wildcard: str | None
    narrowed: bool
    """Whether every rule is limited to named objects."""

    @property
    def actions(self) -> list[str]:
        """Those that give the two strongest powers."""
        found = dict.fromkeys(action for power in list(self.powers)[:2] for action in self.powers[power])
        return list(found)[:10]


def rules_of(document: Any) -> tuple[RbacRule, ...]:
    """Return the rules of a stored role."""
    return tuple(
        RbacRule(
            _texts(rule, "apiGroups"),
            _texts(rule, "resources"),
            _texts(rule, "verbs"),
            _texts(rule, "resourceNames"),
            _texts(rule, "nonResourceURLs"),
        )
        for rule in document or ()
        if isinstance(rule, dict)
    )


def _texts(rule: dict[str, Any], key: str) -> tuple[str, ...]:
    values = rule.get(key)
    return tuple(str(value) for value in values) if isinstance(values, list) else ()


@lru_cache(maxsize=4096)
def allowed(
    rules: tuple[RbacRule, ...], others: tuple[RbacRule, ...] = (), *, namespaced: bool = False
) -> RbacAllowed:
    """Return what rules allow. ``others`` are further rules of the same subject in the same place, for ways that need both.

    ``namespaced`` tells a binding in a namespace, which gives nothing on resources of the cluster.
    """
    found: dict[Power, dict[str, None]] = {}
    taken = []
    objects = [rule for rule in rules if rule.resources]
    for way in rbac_powers().ways:
        if way.cluster and namespaced:
            continue
        step = _taken(way, objects)
        if step is None or not all(_also(part, (*rules, *others)) for part in way.also):
            continue
        taken.append(step)
        found.setdefault(way.power, {}).update(dict.fromkeys(step.actions))
    for rule in objects:
        for power, action in _plain(rule, frozenset(step.way.id for step in taken), namespaced=namespaced):
            found.setdefault(power, {})[action] = None
    if any(rule.everything for rule in objects):
        found["admin"] = {"* *": None}
    if not namespaced and any(rule.urls for rule in rules):
        found.setdefault("read", {})["get " + next(rule.urls[0] for rule in rules if rule.urls)] = None
    return RbacAllowed(
        {power: tuple(found[power]) for power in POWERS if power in found},
        tuple(taken),
        _widest(objects),
        narrowed=bool(objects) and all(rule.names for rule in objects),
    )


def _taken(way: RbacWay, rules: Iterable[RbacRule]) -> TakenWay | None:
    actions: dict[str, None] = {}
    names: set[str] | None = set()
    for rule in rules:
        for address in way.resources:
            for verb in way.verbs:
                if rule.covers(verb, address):
                    actions[action_of(verb, address)] = None
                    if not rule.names:
                        names = None
                    elif names is not None:
                        names.update(rule.names)
    if not actions:
        return None
    return TakenWay(way, tuple(actions), None if names is None else tuple(sorted(names)))


def _also(part: str, rules: Iterable[RbacRule]) -> bool:
    """Return whether rules allow ``VERB GROUP/RESOURCE``, of an object of a given name if there is a third word."""
    verb, address, *name = part.split(" ")
    return any(
        rule.covers(verb, address) and (not name or not rule.names or _prefix(name[0], rule.names))
        for rule in rules
    )


def _prefix(signer: str, names: Iterable[str]) -> bool:
    """Return whether names cover a signer: ``kubernetes.io/*`` stands for all of a domain.

    https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#authorization
    """
    return signer in names or f"{signer.partition('/')[0]}/*" in names


def action_of(verb: str, address: str) -> str:
    """Return an action as people write it: ``create pods/exec``, ``create deployments.apps``."""
    group, _, resource = address.partition("/")
    name, slash, below = resource.partition("/")
    return f"{verb} {name}{'' if group == 'core' else f'.{group}'}{slash}{below}"


def _plain(rule: RbacRule, taken: frozenset[str], *, namespaced: bool) -> Iterable[tuple[Power, str]]:
    """Yield what a rule gives beside the ways: reading, and changing objects that are no way to more."""
    writes = WRITES if "*" in rule.verbs else WRITES & set(rule.verbs)
    reads = "*" in rule.verbs or bool(READS & set(rule.verbs))
    known = rbac_powers()
    for group in rule.groups:
        for resource in rule.resources:
            address = f"{group or 'core'}/{resource}"
            if namespaced and (
                address in known.cluster_resources or f"{group or 'core'}/*" in known.cluster_resources
            ):
                continue
            if reads:
                yield (
                    "read",
                    action_of("get" if "get" in rule.verbs or "*" in rule.verbs else "list", address),
                )
            if writes and address in known.harmless:
                yield "read", action_of(min(writes), address)
            elif writes and not _is_way(address, frozenset(writes), taken):
                yield "change-data", action_of(min(writes), address)


@lru_cache(maxsize=4096)
def _is_way(address: str, verbs: frozenset[str], taken: frozenset[str]) -> bool:
    """Return whether each of the verbs on a resource counts already, by one of the ways that are taken."""
    named = {
        verb
        for way in rbac_powers().ways
        if way.id in taken and address in way.resources
        for verb in way.verbs
    }
    return verbs <= named


def _widest(rules: Iterable[RbacRule]) -> str | None:
    """Return the widest wildcard: ``*`` for everything, ``* secrets`` for every verb, ``get *`` for every resource."""
    best: str | None = None
    for rule in rules:
        if rule.everything:
            return "*"
        if "*" in rule.resources:
            best = f"{'*' if '*' in rule.verbs else ','.join(sorted(rule.verbs))} *"
        elif "*" in rule.verbs and best is None:
            best = f"* {','.join(sorted(rule.resources))}"
    return best
