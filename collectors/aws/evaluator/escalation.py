"""Finds the escalation paths of ``escalation.yaml`` in one account. The search starts from administrators: principals
that reach one are privileged themselves, and so on until none is added. Each distinct set of policies is checked once
per round, and only for paths whose actions it allows.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import msgspec

from collectors.aws.evaluator.actions import catalog
from collectors.aws.evaluator.conditions import Truth
from collectors.aws.evaluator.escalation_hits import (
    EMPTY,
    MOST_LOOKED_AT,
    Hit,
    Holder,
    PrincipalIndex,
    best_hits,
)
from collectors.aws.evaluator.escalation_paths import (
    EscalationPath,
    assume_role,
    paths,
    tagging,
)
from collectors.aws.evaluator.escalation_steps import StepAuthorizer, about
from collectors.aws.evaluator.grants import names_service
from collectors.aws.evaluator.policy import glob
from collectors.aws.evaluator.role_trust import trusts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from collectors.aws.evaluator.facts import AwsFacts
    from collectors.aws.evaluator.principals import Directory, Principal
    from scanner.records import Power

T = TypeVar("T")
PowerOn: TypeAlias = "tuple[Power, str]"
"""A power, and a pattern of the resources that it is on."""

MOST_LINKS = 5
"""Maximum number of ``can_become`` links for one holder."""
MOST_TARGETS = 3
"""Maximum number of targets kept for one path."""
MOST_ROUNDS = 12
"""Maximum length of a chain."""
TAKING = frozenset({"principal-access", "new-passrole"})
"""The families of paths that take over an existing identity."""
OWN_PATHS = frozenset({"self", "nothing", "any-user", "any-role", "assumable-role"})
"""The targets that do not require a privileged principal."""


class Search:
    """One search over one account."""

    def __init__(
        self, facts: AwsFacts, found: Directory, holders: dict[str, Holder], strong: tuple[str, ...]
    ) -> None:
        self.facts = facts
        self.steps = StepAuthorizer(facts, found, strong)
        self.holders = holders
        self.privileged = {arn for arn, holder in holders.items() if holder.admin}
        roles = [one for one in found.of_kind("iam-role") if not one.service_linked]
        trust = self.steps.trust
        self.all = {
            "role": PrincipalIndex(roles),
            "user": PrincipalIndex(self.steps.users),
            "open": PrincipalIndex(role for role in roles if role.arn in trust and trust[role.arn].account),
        }
        self.named: dict[str, list[Principal]] = {}
        for role in roles:
            if role.arn in trust:
                for arn in trust[role.arn].named:
                    self.named.setdefault(arn, []).append(role)
        self.fresh: dict[str, PrincipalIndex] = {}
        self.fresh_named: dict[str, list[Principal]] = {}
        self.walkable: dict[int, tuple[EscalationPath, ...]] = {}
        self._cut: set[tuple[object, ...]] = set()
        self._ready = False
        """Whether the index has every privileged principal."""

    @property
    def cut(self) -> set[str]:
        """ARNs of the holders for which not every target was checked."""
        return {arn for arn, holder in self.holders.items() if holder.key in self._cut}

    def _checked(self, holder: Holder, targets: Iterable[T]) -> Iterator[T]:
        """Yield targets up to the maximum, and remember holders with more."""
        for number, target in enumerate(targets):
            if number >= MOST_LOOKED_AT:
                self._cut.add(holder.key)
                return
            yield target

    def run(self) -> dict[str, list[Hit]]:
        """Return the hits of every holder that is not already an administrator, by its ARN. Each round searches for
        paths from principals that are not yet privileged to those found in the round before.
        """
        hits: dict[str, list[Hit]] = {}
        candidates = [holder for holder in self.holders.values() if not holder.admin]
        for holder in self.holders.values():
            if holder.alone:
                continue
            walked = [
                hit
                for path in self._usable_paths(holder)
                if path.target in OWN_PATHS
                for hit in self._hits_on_path(holder, path)
            ]
            if walked:
                hits[holder.principal.arn] = walked
        fresh = self.privileged | {arn for arn in hits if self.steps.by_arn[arn].kind != "iam-group"}
        left = candidates
        for _ in range(MOST_ROUNDS):
            self.privileged |= fresh
            self._index(fresh)
            shared: dict[tuple[object, ...], list[Hit]] = {}
            reached: set[str] = set()
            for holder in left:
                walked = self._hits_on_privileged(holder, shared)
                if walked:
                    arn = holder.principal.arn
                    hits.setdefault(arn, []).extend(walked)
                    reached.add(arn)
            fresh = reached - self.privileged
            if not fresh:
                break
            left = [holder for holder in left if holder.principal.arn not in reached]
        best = {arn: best_hits(self._informative(arn, walked)) for arn, walked in hits.items()}
        return {arn: walked for arn, walked in best.items() if walked}

    def way(self, holder: Holder) -> Hit | None:
        """Return a way of a holder, which may be changed, to itself or to a principal found to be privileged; None if
        there is none. Call after `run`.
        """
        if not self._ready:
            self._index(self.privileged)
            self._ready = True
        own = (
            hit
            for path in self._usable_paths(holder)
            if path.target != "assumed-role"
            for hit in self._hits_on_path(holder, path)
        )
        return next(itertools.chain(own, self._assume(holder)), None)

    def _informative(self, arn: str, hits: list[Hit]) -> list[Hit]:
        if not self.holders[arn].on_condition:
            return hits
        return [hit for hit in hits if hit.truth is Truth.YES]

    def unprivileged_targets(self, powers: Callable[[str], frozenset[PowerOn]]) -> dict[str, list[Hit]]:
        """Return, by the holder's ARN, the principals that it can become that are not privileged but have a power that
        the holder lacks, or lead to one that has: roles it may assume, users and roles whose access it may take over, and
        roles of existing compute that it may change.
        """
        self._ready = False
        self._index(set(self.steps.by_arn))
        found: dict[str, list[Hit]] = {}
        shared: dict[tuple[object, ...], list[Hit]] = {}
        for holder in self._unprivileged():
            own = powers(holder.principal.arn)
            useful: Callable[[Principal], bool] = lambda one: _gains(own, powers(one.arn))  # noqa: B023, E731
            hits = self._become(holder, useful, shared, own)
            if hits:
                found[holder.principal.arn] = hits
        fresh = set(found)
        for _ in range(MOST_ROUNDS):
            if not fresh:
                break
            self._index(fresh)
            leading = fresh
            shared, fresh = {}, set()
            for holder in self._unprivileged():
                arn = holder.principal.arn
                known = {hit.target.arn for hit in found.get(arn, ()) if hit.target is not None}
                hits = self._become(holder, lambda one: one.arn in leading, shared, None)  # noqa: B023
                more = [hit for hit in hits if hit.target is not None and hit.target.arn not in known]
                if more:
                    if arn not in found:
                        fresh.add(arn)
                    found[arn] = [*found.get(arn, ()), *more]
        return found

    def _unprivileged(self) -> Iterator[Holder]:
        return (
            holder
            for holder in self.holders.values()
            if holder.principal.arn not in self.privileged and holder.principal.kind != "iam-group"
        )

    def _become(
        self,
        holder: Holder,
        useful: Callable[[Principal], bool],
        shared: dict[tuple[object, ...], list[Hit]],
        own: frozenset[PowerOn] | None,
    ) -> list[Hit]:
        """Return the useful indexed principals that a holder can become; takeovers are computed once for equal policies."""
        principal = holder.principal
        assumed = (
            Hit(path=assume_role(), target=role, truth=truth)
            for role, truth in self._assumable(holder, self.fresh_named, self.fresh["open"], useful)
            if truth is not Truth.NO
        )
        hits = list(itertools.islice(assumed, MOST_LINKS))
        if holder.actions:
            key = (holder.key, own)
            taken = shared.get(key)
            if taken is None:
                taken = shared[key] = list(self._takeovers(holder, useful))
            hits += taken
        return best_hits([hit for hit in hits if hit.target is not None and hit.target.arn != principal.arn])

    def _takeovers(self, holder: Holder, useful: Callable[[Principal], bool]) -> Iterator[Hit]:
        """Yield the useful principals whose access the holder may take over, directly or through existing compute."""
        for path in self._usable_paths(holder):
            known = path.compute is not None and path.compute in self.steps.compute
            if not known and (path.family not in TAKING or path.target not in {"user", "role"}):
                continue
            before = self.steps.allowed(holder, path, None, None, shared=True)
            if before is Truth.NO or not self.steps.on_some_target(holder, path):
                continue
            if known:
                through = self._through_known(holder, path, before)
                yield from (hit for hit in through if hit.target is not None and useful(hit.target))
                continue
            found = 0
            candidates = (one for one in self._candidates(holder, path) if useful(one[0]))
            for target, trusted in self._checked(holder, candidates):
                truth = min(before, trusted, self.steps.allowed(holder, path, target, None, shared=False))
                if truth is not Truth.NO:
                    found += 1
                    yield Hit(path=path, target=target, truth=truth)
                if found >= MOST_LINKS:
                    break

    def _index(self, fresh: set[str]) -> None:
        """Index newly privileged principals by how they can be reached."""
        ones = [self.steps.by_arn[arn] for arn in sorted(fresh)]
        roles = [one for one in ones if one.kind == "iam-role" and not one.service_linked]
        self.fresh = {
            "user": PrincipalIndex(one for one in ones if one.kind == "iam-user"),
            "group": PrincipalIndex(one for one in ones if one.kind == "iam-group"),
            "role": PrincipalIndex(roles),
            "open": PrincipalIndex(role for role in roles if role.arn in self.all["open"].by_arn),
        }
        serving: dict[str, list[Principal]] = {}
        self.fresh_named = {}
        for role in roles:
            trust = self.steps.trust.get(role.arn)
            for service in trust.services if trust else ():
                serving.setdefault(service, []).append(role)
            for arn in trust.named if trust else ():
                self.fresh_named.setdefault(arn, []).append(role)
        self.fresh |= {service: PrincipalIndex(serving[service]) for service in serving}

    def _usable_paths(self, holder: Holder) -> tuple[EscalationPath, ...]:
        """Return the paths whose actions the holder all has on some resource."""
        found = self.walkable.get(holder.actions)
        if found is None:
            found = self.walkable[holder.actions] = tuple(
                path for path in paths() if all(holder.actions & step.mask for step in path.steps)
            )
        return found

    def _hits_on_privileged(self, holder: Holder, shared: dict[tuple[object, ...], list[Hit]]) -> list[Hit]:
        """Return the hits on privileged principals; computed once for holders with the same policies."""
        arn = holder.principal.arn
        hits: list[Hit] = []
        if holder.actions:
            found = shared.get(holder.key)
            if found is None:
                found = shared[holder.key] = [
                    hit
                    for path in self._usable_paths(holder)
                    if path.target not in OWN_PATHS and path.target != "assumed-role"
                    for hit in self._hits_on_path(holder, path)
                ]
            hits += [hit for hit in found if hit.target is None or hit.target.arn != arn]
        return hits + list(self._assume(holder))

    def _assume(self, holder: Holder) -> Iterator[Hit]:
        """Yield the privileged roles that trust the holder and that it may assume."""
        principal = holder.principal
        if principal.kind == "iam-group":
            return
        found = 0
        for role, truth in self._assumable(holder, self.fresh_named, self.fresh["open"]):
            if truth is not Truth.NO:
                found += 1
                yield Hit(path=assume_role(), target=role, truth=truth)
            if found >= MOST_TARGETS:
                return

    def _assumable(
        self,
        holder: Holder,
        named: dict[str, list[Principal]],
        trusting: PrincipalIndex,
        useful: Callable[[Principal], bool] | None = None,
    ) -> Iterator[tuple[Principal, Truth]]:
        """Yield the useful roles whose trust policy names the holder, or trusts the account and which the holder may
        assume.
        """
        principal = holder.principal
        for role in named.get(principal.arn, ()):
            if useful is not None and not useful(role):
                continue
            if role.arn != principal.arn:
                within = holder.authorizer.if_given(
                    "sts:AssumeRole",
                    role.arn,
                    unbounded=principal.kind == "iam-user" and principal.boundary is not None,
                )
                if within is not Truth.NO:
                    yield role, min(within, self._trusted(holder, role, named=True))
        if holder.actions & assume_role().steps[0].mask:
            reachable = self._reachable(holder, ("sts:AssumeRole",), (trusting,))
            for role in self._checked(holder, (one for one in reachable if useful is None or useful(one))):
                truth = self._trusted(holder, role, named=False)
                if truth is not Truth.NO:
                    yield role, min(truth, self.steps.tagged(holder.authorizer, "sts:AssumeRole", role, {}))

    def _trusted(self, holder: Holder, role: Principal, *, named: bool) -> Truth:
        """Return how certainly a role trusts a holder, which may be able to set the required tags on itself."""
        principal = holder.principal
        truth = trusts(self.steps.trust[role.arn], principal, named=named)
        own = "iam:TagUser" if principal.kind == "iam-user" else "iam:TagRole"
        if truth is not Truth.NO or not any(row.actions & tagging() for row in holder.authorizer.allows):
            return truth
        if holder.authorizer.on(own, principal.arn, about(principal)) is Truth.NO:
            return truth
        known = {
            key: values
            for key, values in principal.context.known.items()
            if not key.startswith("aws:principaltag/")
        }
        context = msgspec.structs.replace(principal.context, known=known, tags_final=False)
        tagged = msgspec.structs.replace(principal, context=context)
        return min(Truth.NARROW, trusts(self.steps.trust[role.arn], tagged, named=named))

    def _reachable(
        self, holder: Holder, actions: tuple[str, ...], indexes: Iterable[PrincipalIndex]
    ) -> Iterator[Principal]:
        """Yield the principals in the indexes that an Allow for an action names."""
        mask = catalog().of(actions)
        patterns = dict.fromkeys(
            pattern for row in holder.authorizer.rows if row.actions & mask for pattern in row.resources
        )
        seen = {holder.principal.arn}
        for index in indexes:
            for pattern in patterns:
                for one in index.named(pattern):
                    if one.arn not in seen:
                        seen.add(one.arn)
                        yield one

    def _hits_on_path(self, holder: Holder, path: EscalationPath) -> Iterator[Hit]:
        """Yield the targets that the holder reaches on a path whose actions it all has, up to a limit."""
        principal = holder.principal
        if path.holder is not None and principal.kind != f"iam-{path.holder}":
            return
        if path.requires is not None and path.requires not in holder.stronger:
            return
        if path.target == "self" and not holder.unlimited and "boundary" not in path.id:
            return
        before = self.steps.allowed(
            holder, path, principal if path.target == "self" else None, None, shared=True
        )
        if before is Truth.NO or (holder.on_condition and before is not Truth.YES):
            return
        if path.family == "identity-center" and self.facts.management is not True:
            # Only the management account or a delegated administrator can do this.
            first = path.steps[0].mask
            if not any(
                row.actions & first and names_service(row.statement, first)
                for row in holder.authorizer.allows
            ):
                return
            before = Truth.UNKNOWN
        if path.target in {"self", "nothing"}:
            yield Hit(path=path, target=None, truth=before)
        elif path.target == "compute":
            yield from self._through_compute(holder, path, before)
        elif self.steps.on_some_target(holder, path):
            found = 0
            candidates: Iterable[tuple[Principal, Truth]] = self._candidates(holder, path)
            if any(step.covers == "policy-of-target" for step in path.steps):
                candidates = (one for one in candidates if self.steps.policies(one[0], path))
            for target, trusted in self._checked(holder, candidates):
                truth = min(before, trusted, self.steps.allowed(holder, path, target, None, shared=False))
                if truth is not Truth.NO:
                    found += 1
                    yield Hit(path=path, target=target, truth=truth)
                if found >= MOST_TARGETS:
                    return

    def _candidates(self, holder: Holder, path: EscalationPath) -> Iterable[tuple[Principal, Truth]]:
        actions = next((step.actions for step in path.steps if step.covers == "target"), None)
        match path.target:
            case "role" if path.services and actions is not None:
                indexes = [self.fresh.get(service, EMPTY) for service in path.services]
                return (
                    (role, self._serves(role, path.services))
                    for role in self._reachable(holder, actions, indexes)
                )
            case "role" if path.services:
                return self._serving(path.services)
            case "role" | "user" | "group" if actions is not None:
                return (
                    (one, Truth.YES) for one in self._reachable(holder, actions, (self.fresh[path.target],))
                )
            case "any-user" | "any-role" if actions is not None:
                kind = path.target.removeprefix("any-")
                return ((one, Truth.YES) for one in self._reachable(holder, actions, (self.all[kind],)))
            case "assumable-role":
                return self._assumable(holder, self.named, self.all["open"])
            case "federated-role":
                return self._federated(":saml-provider/", gone=False)
            case "dangling-federated-role":
                return self._federated(":oidc-provider/", gone=True)
            case _:
                return ()

    def _serves(self, role: Principal, services: tuple[str, ...]) -> Truth:
        trusted = self.steps.trust[role.arn].services
        return max(trusted.get(service, Truth.NO) for service in services)

    def _serving(self, services: tuple[str, ...]) -> Iterator[tuple[Principal, Truth]]:
        seen: set[str] = set()
        for service in services:
            for role in self.fresh.get(service, EMPTY).by_arn.values():
                if role.arn not in seen:
                    seen.add(role.arn)
                    yield role, self.steps.trust[role.arn].services[service]

    def _federated(self, kind: str, *, gone: bool) -> Iterator[tuple[Principal, Truth]]:
        providers = self.facts.oidc_providers
        for role in self.fresh["role"].by_arn.values():
            trust = self.steps.trust.get(role.arn)
            for arn in trust.federated if trust else ():
                if kind in arn and (not gone or (providers and arn not in providers)):
                    yield role, Truth.YES
                    break

    def _through_compute(self, holder: Holder, path: EscalationPath, before: Truth) -> Iterator[Hit]:
        found = False
        for hit in self._through_known(holder, path, before):
            found = True
            yield hit
        if found or path.compute in self.facts.compute_listed:
            return
        for target, trusted in itertools.islice(self._serving(path.services), 1):
            truth = min(before, trusted, self.steps.allowed(holder, path, target, None, shared=False))
            if truth is not Truth.NO:
                yield Hit(path=path, target=target, truth=truth, assumed=True)

    def _through_known(self, holder: Holder, path: EscalationPath, before: Truth) -> Iterator[Hit]:
        """Yield the principals that the holder becomes through compute known to exist."""
        found = 0
        for one in self.steps.compute.get(path.compute or "", ()):
            target = self.fresh["role"].by_arn.get(one.role_arn)
            if target is None or target.arn == holder.principal.arn:
                continue
            truth = min(before, self.steps.allowed(holder, path, target, one, shared=False))
            if truth is not Truth.NO:
                found += 1
                yield Hit(path=path, target=target, truth=truth, compute=one)
            if found >= MOST_TARGETS:
                return


def _gains(own: frozenset[PowerOn], other: frozenset[PowerOn]) -> bool:
    """Return whether someone with ``own`` gains a power, or a resource for one, from ``other``."""
    return any(
        one not in own and not any(power == one[0] and glob(pattern, one[1]) for power, pattern in own)
        for one in other
    )
