"""Finds the escalation paths of ``escalation.yaml`` in one account.

Backwards from administrators: what reaches one is privileged itself, and so on until nothing is added. Each distinct
set of policies is asked once a round, and only about paths whose actions it holds.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec

from collectors.aws.evaluator.actions import catalogue
from collectors.aws.evaluator.conditions import Truth
from collectors.aws.evaluator.effective import Asking, Judge
from collectors.aws.evaluator.escalation_paths import (
    TAGGING,
    EscalationPath,
    PathStep,
    assume_role,
    implied,
    paths,
    tagging,
)
from collectors.aws.evaluator.grants import names_service
from collectors.aws.evaluator.policy import glob, overlaps
from collectors.aws.evaluator.role_trust import RoleTrust, role_trust, trusts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from collectors.aws.evaluator.facts import AwsFacts, Compute
    from collectors.aws.evaluator.principals import Directory, Principal
    from scanner.records import Power

MOST_TARGETS = 3
"""How many targets of one path are kept."""
MOST_LOOKED_AT = 40
"""How many principals behind one wildcard are looked at."""
MOST_ROUNDS = 12
"""How long a chain is followed."""


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A path that somebody can walk."""

    path: EscalationPath
    target: Principal | None
    """Who is reached; None for oneself or a new identity."""
    truth: Truth
    compute: Compute | None = None
    """Through which existing resource."""
    assumed: bool = False
    """True when a resource of the kind is assumed to exist, because not all of them are known."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A principal, and what decides what it can do."""

    principal: Principal
    judge: Judge
    actions: int
    """Every action that some statement allows it, before limits."""
    key: tuple[object, ...]
    """Equal for principals with the same policies."""
    admin: bool
    """Whether its policies make it an administrator."""
    alone: bool
    """Whether one of them does so by itself."""
    on_condition: bool
    """Whether one of them does so under a condition: then only what needs no condition adds to it."""
    unlimited: bool
    """Whether its boundary and the SCPs leave room for an administrator."""
    stronger: frozenset[str] = frozenset()
    """What of ``requires`` holds for it."""


class Index:
    """Principals by ARN, and those that a pattern names."""

    def __init__(self, principals: Iterable[Principal]) -> None:
        self.by_arn = {one.arn: one for one in principals}
        self._matches: dict[str, list[Principal]] = {}

    def named(self, pattern: str) -> list[Principal]:
        """Return the principals that a pattern names, but no more than are looked at."""
        if "*" not in pattern and "?" not in pattern:
            one = self.by_arn.get(pattern)
            return [] if one is None else [one]
        found = self._matches.get(pattern)
        if found is None:
            matching_ones = (one for arn, one in self.by_arn.items() if glob(pattern, arn))
            found = self._matches[pattern] = list(itertools.islice(matching_ones, MOST_LOOKED_AT))
        return found


EMPTY = Index(())
TAKING = frozenset({"principal-access", "new-passrole"})
"""The families by which an existing identity is become."""
OWN_PATHS = frozenset({"self", "nothing", "any-user", "any-role", "assumable-role"})
"""The targets that need nobody privileged."""
SHARED_COVERS = frozenset({"anything", "self", "own-policy", "own-group", "other-user", "role", "user"})
"""What is the same for every target of a path."""


class Search:
    """One search over one account."""

    def __init__(
        self, facts: AwsFacts, found: Directory, holders: dict[str, Holder], strong: tuple[str, ...]
    ) -> None:
        self.facts = facts
        self.strong = strong[:12]
        self.directory = found
        self.holders = holders
        self.privileged = {arn for arn, holder in holders.items() if holder.admin}
        roles = [one for one in found.of_kind("iam-role") if not one.service_linked]
        self.users = list(found.of_kind("iam-user"))
        self.by_arn = {one.arn: one for one in found.principals}
        self.trust: dict[str, RoleTrust] = {
            role.arn: role_trust(role.trust, facts.account_id, facts.partition, role.context.as_of)
            for role in roles
            if role.trust is not None
        }
        self.all = {
            "role": Index(roles),
            "user": Index(self.users),
            "open": Index(role for role in roles if role.arn in self.trust and self.trust[role.arn].account),
        }
        self.named: dict[str, list[Principal]] = {}
        for role in roles:
            if role.arn in self.trust:
                for arn in self.trust[role.arn].named:
                    self.named.setdefault(arn, []).append(role)
        self.compute: dict[str, list[Compute]] = {}
        for one in facts.compute:
            self.compute.setdefault(one.kind, []).append(one)
        self.fresh: dict[str, Index] = {}
        self.fresh_named: dict[str, list[Principal]] = {}
        self.walkable: dict[int, tuple[EscalationPath, ...]] = {}

    def run(self) -> dict[str, list[Hit]]:
        """Return the hits of every holder that is no administrator already, by its ARN.

        A round walks to those who turned out privileged in the round before, from those who are not yet.
        """
        hits: dict[str, list[Hit]] = {}
        candidates = [holder for holder in self.holders.values() if not holder.admin]
        for holder in self.holders.values():
            if holder.alone:
                continue
            walked = [
                hit
                for path in self._walkable(holder)
                if path.target in OWN_PATHS
                for hit in self._walk(holder, path)
            ]
            if walked:
                hits[holder.principal.arn] = walked
        fresh = self.privileged | {arn for arn in hits if self.by_arn[arn].kind != "iam-group"}
        left = candidates
        for _ in range(MOST_ROUNDS):
            self.privileged |= fresh
            self._index(fresh)
            shared: dict[tuple[object, ...], list[Hit]] = {}
            reached: set[str] = set()
            for holder in left:
                walked = self._further(holder, shared)
                if walked:
                    arn = holder.principal.arn
                    hits.setdefault(arn, []).extend(walked)
                    reached.add(arn)
            fresh = reached - self.privileged
            if not fresh:
                break
            left = [holder for holder in left if holder.principal.arn not in reached]
        best = {arn: _best(self._telling(arn, walked)) for arn, walked in hits.items()}
        return {arn: walked for arn, walked in best.items() if walked}

    def _telling(self, arn: str, hits: list[Hit]) -> list[Hit]:
        if not self.holders[arn].on_condition:
            return hits
        return [hit for hit in hits if hit.truth is Truth.YES]

    def beyond(self, powers: Callable[[str], frozenset[Power]]) -> dict[str, list[Hit]]:
        """Return who can become somebody that is not privileged and yet has a power that the holder lacks.

        Roles that may be assumed, users and roles whose access the holder may take over, and existing compute that
        it may change; by the holder's ARN.
        """
        self._index(set(self.by_arn))
        found: dict[str, list[Hit]] = {}
        shared: dict[tuple[object, ...], list[Hit]] = {}
        for holder in self.holders.values():
            principal = holder.principal
            if principal.arn in self.privileged or principal.kind == "iam-group":
                continue
            own = powers(principal.arn)
            hits = [
                Hit(path=assume_role(), target=role, truth=truth)
                for role, truth in itertools.islice(
                    self._assumable(holder, self.named, self.all["open"]), MOST_LOOKED_AT
                )
                if truth is not Truth.NO
            ]
            if holder.actions:
                taken = shared.get(holder.key)
                if taken is None:
                    taken = shared[holder.key] = list(self._taken(holder))
                hits += taken
            more = [
                hit
                for hit in hits
                if hit.target is not None and hit.target.arn != principal.arn and powers(hit.target.arn) - own
            ]
            if more:
                found[principal.arn] = _best(more)
        return found

    def _taken(self, holder: Holder) -> Iterator[Hit]:
        """Yield whose access the holder may take over, and what it becomes through compute that exists."""
        for path in self._walkable(holder):
            known = path.compute is not None and path.compute in self.compute
            if not known and (path.family not in TAKING or path.target not in {"user", "role"}):
                continue
            before = self._steps(holder, path, None, None, shared=True)
            if before is Truth.NO:
                continue
            if known:
                yield from self._through_known(holder, path, before)
                continue
            for target, trusted in itertools.islice(self._candidates(holder, path), MOST_LOOKED_AT):
                truth = min(before, trusted, self._steps(holder, path, target, None, shared=False))
                if truth is not Truth.NO:
                    yield Hit(path=path, target=target, truth=truth)

    def _index(self, fresh: set[str]) -> None:
        """Sort those who are newly privileged by how they can be reached."""
        ones = [self.by_arn[arn] for arn in sorted(fresh)]
        roles = [one for one in ones if one.kind == "iam-role" and not one.service_linked]
        self.fresh = {
            "user": Index(one for one in ones if one.kind == "iam-user"),
            "group": Index(one for one in ones if one.kind == "iam-group"),
            "role": Index(roles),
            "open": Index(role for role in roles if role.arn in self.all["open"].by_arn),
        }
        serving: dict[str, list[Principal]] = {}
        self.fresh_named = {}
        for role in roles:
            trust = self.trust.get(role.arn)
            for service in trust.services if trust else ():
                serving.setdefault(service, []).append(role)
            for arn in trust.named if trust else ():
                self.fresh_named.setdefault(arn, []).append(role)
        self.fresh |= {service: Index(serving[service]) for service in serving}

    def _walkable(self, holder: Holder) -> tuple[EscalationPath, ...]:
        """Return the paths of which the holder has every action somewhere."""
        found = self.walkable.get(holder.actions)
        if found is None:
            found = self.walkable[holder.actions] = tuple(
                path for path in paths() if all(holder.actions & step.mask for step in path.steps)
            )
        return found

    def _further(self, holder: Holder, shared: dict[tuple[object, ...], list[Hit]]) -> list[Hit]:
        """Walk the paths to somebody privileged; the answer is shared by holders with the same policies."""
        arn = holder.principal.arn
        hits: list[Hit] = []
        if holder.actions:
            found = shared.get(holder.key)
            if found is None:
                found = shared[holder.key] = [
                    hit
                    for path in self._walkable(holder)
                    if path.target not in OWN_PATHS and path.target != "assumed-role"
                    for hit in self._walk(holder, path)
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
        self, holder: Holder, named: dict[str, list[Principal]], trusting: Index
    ) -> Iterator[tuple[Principal, Truth]]:
        """Yield roles that name the holder, or that trust the account and that it may assume."""
        principal = holder.principal
        for role in named.get(principal.arn, ()):
            if role.arn != principal.arn and not holder.judge.denied("sts:AssumeRole", role.arn):
                yield role, self._trusted(holder, role, named=True)
        if holder.actions & assume_role().steps[0].mask:
            for role in self._reachable(holder, ("sts:AssumeRole",), (trusting,)):
                truth = self._trusted(holder, role, named=False)
                if truth is not Truth.NO:
                    yield role, min(truth, self._tagged(holder.judge, "sts:AssumeRole", role, {}))

    def _trusted(self, holder: Holder, role: Principal, *, named: bool) -> Truth:
        """Say how far a role trusts a holder, who may be able to give itself the tags that are asked for."""
        principal = holder.principal
        truth = trusts(self.trust[role.arn], principal, named=named)
        own = "iam:TagUser" if principal.kind == "iam-user" else "iam:TagRole"
        if truth is not Truth.NO or not any(row.actions & tagging() for row in holder.judge.allows):
            return truth
        if holder.judge.on(own, principal.arn, _about(principal)) is Truth.NO:
            return truth
        known = {
            key: values
            for key, values in principal.context.known.items()
            if not key.startswith("aws:principaltag/")
        }
        context = msgspec.structs.replace(principal.context, known=known, tags_final=False)
        tagged = msgspec.structs.replace(principal, context=context)
        return min(Truth.NARROW, trusts(self.trust[role.arn], tagged, named=named))

    def _reachable(
        self, holder: Holder, actions: tuple[str, ...], indexes: Iterable[Index]
    ) -> Iterator[Principal]:
        """Yield the principals of some indexes that an Allow for an action names."""
        mask = catalogue().of(actions)
        patterns = dict.fromkeys(
            pattern for row in holder.judge.allows if row.actions & mask for pattern in row.resources
        )
        seen = {holder.principal.arn}
        for index in indexes:
            for pattern in patterns:
                for one in index.named(pattern):
                    if one.arn not in seen:
                        seen.add(one.arn)
                        yield one

    def _walk(self, holder: Holder, path: EscalationPath) -> Iterator[Hit]:
        """Yield at most a few targets that the holder reaches on a path, all of whose actions it holds."""
        principal = holder.principal
        if path.holder is not None and principal.kind != f"iam-{path.holder}":
            return
        if path.requires is not None and path.requires not in holder.stronger:
            return
        if path.target == "self" and not holder.unlimited and "boundary" not in path.id:
            return
        before = self._steps(holder, path, principal if path.target == "self" else None, None, shared=True)
        if before is Truth.NO or (holder.on_condition and before is not Truth.YES):
            return
        if path.family == "identity-center" and self.facts.management is not True:
            # Only the management account, or the one that it delegates to, can do it.
            first = path.steps[0].mask
            if not any(
                row.actions & first and names_service(row.statement, first) for row in holder.judge.allows
            ):
                return
            before = Truth.UNKNOWN
        if path.target in {"self", "nothing"}:
            yield Hit(path=path, target=None, truth=before)
        elif path.target == "compute":
            yield from self._through_compute(holder, path, before)
        else:
            found = 0
            for target, trusted in self._candidates(holder, path):
                truth = min(before, trusted, self._steps(holder, path, target, None, shared=False))
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
        trusted = self.trust[role.arn].services
        return max(trusted.get(service, Truth.NO) for service in services)

    def _serving(self, services: tuple[str, ...]) -> Iterator[tuple[Principal, Truth]]:
        seen: set[str] = set()
        for service in services:
            for role in self.fresh.get(service, EMPTY).by_arn.values():
                if role.arn not in seen:
                    seen.add(role.arn)
                    yield role, self.trust[role.arn].services[service]

    def _federated(self, kind: str, *, gone: bool) -> Iterator[tuple[Principal, Truth]]:
        providers = {str(provider["arn"]) for provider in self.facts.oidc_providers}
        for role in self.fresh["role"].by_arn.values():
            trust = self.trust.get(role.arn)
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
            truth = min(before, trusted, self._steps(holder, path, target, None, shared=False))
            if truth is not Truth.NO:
                yield Hit(path=path, target=target, truth=truth, assumed=True)

    def _through_known(self, holder: Holder, path: EscalationPath, before: Truth) -> Iterator[Hit]:
        """Yield what the holder becomes through compute that is known to exist."""
        found = 0
        for one in self.compute.get(path.compute or "", ()):
            target = self.fresh["role"].by_arn.get(one.role_arn)
            if target is None or target.arn == holder.principal.arn:
                continue
            truth = min(before, self._steps(holder, path, target, one, shared=False))
            if truth is not Truth.NO:
                found += 1
                yield Hit(path=path, target=target, truth=truth, compute=one)
            if found >= MOST_TARGETS:
                return

    def _steps(
        self,
        holder: Holder,
        path: EscalationPath,
        target: Principal | None,
        compute: Compute | None,
        *,
        shared: bool,
    ) -> Truth:
        """Say how far the steps are allowed that are the same for every target, or those that are not."""
        truth = Truth.YES
        for step in path.steps:
            if (step.covers in SHARED_COVERS) is shared:
                one = max(
                    self._step(holder, path, step, action, target=target, compute=compute)
                    for action in step.actions
                )
                truth = min(truth, one)
                if truth is Truth.NO:
                    return truth
        return truth

    def _step(
        self,
        holder: Holder,
        path: EscalationPath,
        step: PathStep,
        action: str,
        *,
        target: Principal | None,
        compute: Compute | None,
    ) -> Truth:
        judge, principal = holder.judge, holder.principal
        match step.covers:
            case "anything":
                return judge.somewhere(action)
            case "self":
                return self._on(judge, action, principal)
            case "target":
                return Truth.NO if target is None else self._on_target(holder, path, action, target)
            case "own-group":
                return self._most(self._on(judge, action, self.by_arn[arn]) for arn in principal.groups)
            case "own-policy":
                return self._most(judge.on(action, arn) for arn in self._policies(principal, path))
            case "policy-of-target":
                return self._most(judge.on(action, arn) for arn in self._policies(target, path))
            case "other-user":
                return self._most(
                    self._on(judge, action, user) for user in self.users if user.arn != principal.arn
                )
            case "role" | "user":
                template = self._arn(f"arn:{{partition}}:iam::{{account}}:{step.covers}/*")
                attached = self.strong if action.startswith("iam:Attach") else ("",)
                return self._most(
                    judge.somewhere(action, template, Asking(known=_new(policy))) for policy in attached
                )
            case "compute":
                return self._on_compute(judge, path, action, compute)
            case "saml-provider" | "oidc-provider":
                trust = self.trust.get(target.arn) if target else None
                arns = [arn for arn in (trust.federated if trust else ()) if f":{step.covers}/" in arn]
                return self._most(judge.on(action, arn) for arn in arns)

    def _on_target(self, holder: Holder, path: EscalationPath, action: str, target: Principal) -> Truth:
        if action != "iam:PassRole":
            return self._on(holder.judge, action, target)
        trust = self.trust.get(target.arn)
        if trust is None or not any(name in trust.services for name in path.services):
            return Truth.NO
        # Which service a role is passed to is not always the one that it trusts: GameLift takes roles for EC2.
        return self._most(
            self._tagged(holder.judge, action, target, {"iam:passedtoservice": (service,)})
            for service in path.services
        )

    def _on(self, judge: Judge, action: str, target: Principal) -> Truth:
        """Judge an action of IAM on a principal of the account."""
        boundary: dict[str, tuple[str, ...] | None] = {
            "iam:permissionsboundary": (target.boundary_arn,) if target.boundary_arn else None
        }
        if not action.startswith("iam:Attach"):
            return self._tagged(judge, action, target, boundary)
        return self._most(
            self._tagged(judge, action, target, {**boundary, "iam:policyarn": (arn,)}) for arn in self.strong
        )

    @staticmethod
    def _tagged(
        judge: Judge, action: str, target: Principal, known: dict[str, tuple[str, ...] | None]
    ) -> Truth:
        """Judge by the tags that a principal has; by any tags, on a condition, for whoever may change them."""
        truth = judge.on(action, target.arn, _about(target, known))
        if truth is not Truth.NO or not any(row.actions & tagging() for row in judge.allows):
            return truth
        if all(judge.on(name, target.arn, _about(target)) is Truth.NO for name in TAGGING):
            return truth
        return min(Truth.NARROW, judge.on(action, target.arn, Asking(known=known)))

    def _on_compute(self, judge: Judge, path: EscalationPath, action: str, compute: Compute | None) -> Truth:
        assert path.arn is not None
        if compute is None:
            return self._on_unlisted(judge, path, action)
        if path.compute != "ecs-service":
            return judge.on(action, compute.arn)
        place, _, rest = compute.arn.partition(":service/")
        cluster = rest.partition("/")[0]
        return self._most(
            judge.on(action, arn)
            for arn in (f"{place}:task/{cluster}/any-task", f"{place}:cluster/{cluster}", compute.arn)
        )

    def _on_unlisted(self, judge: Judge, path: EscalationPath, action: str) -> Truth:
        """Judge an action on compute that was not listed: what a policy names is taken to exist.

        What it names and is known runs with a role that is known, and is judged by that.
        """
        template = self._arn(path.arn or "").replace("{name}", "*")
        mask = catalogue().of([action])
        known = [one.arn for one in self.compute.get(path.compute or "", ())]
        patterns = dict.fromkeys(
            pattern for row in judge.allows if row.actions & mask for pattern in row.resources
        )
        return self._most(
            judge.somewhere(action, template if glob(pattern, template) else pattern)
            for pattern in patterns
            if overlaps(pattern, template)
            and (_open_name(pattern) or not any(glob(pattern, one) for one in known))
        )

    def _policies(self, principal: Principal | None, path: EscalationPath) -> list[str]:
        """Return the customer managed policies that a principal holds, whose text the account can change."""
        if principal is None:
            return []
        arns = [one.arn for one in principal.attachments if one.arn and ":iam::aws:" not in one.arn]
        if path.requires == "stronger-version":
            return [
                arn for arn in arns if arn in self.directory.policies and self.directory.policies[arn].others
            ]
        return arns

    def _arn(self, template: str) -> str:
        return template.replace("{partition}", self.facts.partition).replace(
            "{account}", self.facts.account_id
        )

    @staticmethod
    def _most(truths: Iterable[Truth]) -> Truth:
        best = Truth.NO
        for truth in truths:
            best = max(best, truth)
            if best is Truth.YES:
                break
        return best


def _new(policy: str) -> dict[str, tuple[str, ...] | None]:
    """Return what is known of a request about a new identity, which has no boundary."""
    known: dict[str, tuple[str, ...] | None] = {"iam:permissionsboundary": None}
    if policy:
        known["iam:policyarn"] = (policy,)
    return known


def _open_name(pattern: str) -> bool:
    """Say whether an ARN pattern leaves open which resource of a region it is."""
    parts = pattern.split(":", 5)
    return len(parts) < 6 or "*" in parts[5] or "?" in parts[5]


def _about(target: Principal, known: dict[str, tuple[str, ...] | None] | None = None) -> Asking:
    return Asking(known=known or {}, resource_tags={key.lower(): value for key, value in target.tags.items()})


def _best(hits: list[Hit]) -> list[Hit]:
    """Keep the shortest path to each target: a longer one that needs the same actions and more tells nothing."""
    kept: list[Hit] = []
    order: Callable[[Hit], tuple[int, int, bool, str]] = lambda hit: (  # noqa: E731
        -int(hit.truth),
        len(hit.path.steps),
        hit.assumed,
        hit.path.id,
    )
    for hit in sorted(hits, key=order):
        target = hit.target.arn if hit.target else None
        if any(
            implied(hit.path, one.path) and (one.target.arn if one.target else None) == target for one in kept
        ):
            continue
        kept.append(hit)
    return kept
