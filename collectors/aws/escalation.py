"""Finds the escalation paths of ``escalation.yaml`` in one account.

Backwards from administrators: what reaches one is privileged itself, and so on until nothing is added. Each distinct
set of policies is asked once a round, and only about paths whose actions it holds.
"""

from __future__ import annotations

import functools
from pathlib import Path as File
from typing import TYPE_CHECKING, Literal

import msgspec
import yaml

from collectors.aws.actions import catalogue, matching
from collectors.aws.conditions import Truth
from collectors.aws.effective import Asking, Judge
from collectors.aws.policy import glob
from collectors.aws.role_trust import RoleTrust, role_trust, trusts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from collectors.aws.facts import AwsFacts, Compute
    from collectors.aws.principals import Directory, Principal

Coverage = Literal[
    "self", "own-policy", "own-group", "target", "policy-of-target", "other-user", "compute", "saml-provider",
    "oidc-provider", "role", "user", "anything",
]  # fmt: skip
Target = Literal[
    "self", "nothing", "role", "user", "group", "assumed-role", "assumable-role", "any-role", "any-user",
    "federated-role", "dangling-federated-role", "compute",
]  # fmt: skip

MOST_TARGETS = 3
"""How many targets of one path are kept."""
MOST_ROUNDS = 12


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One permission of a path."""

    actions: tuple[str, ...]
    """Alternatives."""
    covers: Coverage
    """What it must be allowed on."""
    mask: int
    """The set of the alternatives."""


class Path(msgspec.Struct, frozen=True, kw_only=True):
    """One way to more permissions."""

    id: str
    family: str
    target: Target
    steps: tuple[Step, ...]
    reference: str
    services: tuple[str, ...] = ()
    """The principals of which the target's role must trust one."""
    compute: str | None = None
    """The kind of compute that exists."""
    arn: str | None = None
    """Its ARN, with ``{partition}``, ``{account}`` and ``{name}``."""
    holder: str | None = None
    """``user`` or ``role``."""
    requires: str | None = None
    prerequisite: str | None = None


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A path that somebody can walk."""

    path: Path
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
    unlimited: bool
    """Whether its boundary and the SCPs leave room for an administrator."""
    stronger: frozenset[str] = frozenset()
    """What of ``requires`` holds for it."""


@functools.cache
def paths() -> tuple[Path, ...]:
    """Read the paths, shortest first."""
    raw = yaml.safe_load((File(__file__).parent / "escalation.yaml").read_text(encoding="utf-8"))
    kinds = raw["compute"]
    found = []
    for item in raw["paths"]:
        kind = item.get("compute")
        services = item.get("service") or (kinds[kind]["service"] if kind else "")
        found.append(
            Path(
                id=item["id"],
                family=item["family"],
                target=item["target"],
                steps=tuple(_step(names, covers) for names, covers in item["actions"].items()),
                reference=item["reference"],
                services=tuple(filter(None, services.split("|"))),
                compute=kind,
                arn=kinds[kind]["arn"] if kind else None,
                holder=item.get("holder"),
                requires=item.get("requires"),
                prerequisite=item.get("prerequisite"),
            )
        )
    return tuple(sorted(found, key=lambda path: len(path.steps)))


def _step(names: str, covers: Coverage) -> Step:
    actions = tuple(names.split("|"))
    return Step(actions=actions, covers=covers, mask=catalogue().of(actions))


@functools.cache
def interesting() -> int:
    """Return the set of actions that any path needs."""
    found = 0
    for path in paths():
        for step in path.steps:
            found |= step.mask
    return found


class Search:
    """One search over one account."""

    def __init__(self, facts: AwsFacts, found: Directory, holders: dict[str, Holder]) -> None:
        self.facts = facts
        self.directory = found
        self.holders = holders
        self.privileged = {arn for arn, holder in holders.items() if holder.admin}
        self.roles = [one for one in found.of_kind("iam-role") if not one.service_linked]
        self.users = list(found.of_kind("iam-user"))
        self.groups = list(found.of_kind("iam-group"))
        self.by_arn = {one.arn: one for one in found.principals}
        as_of = self.roles[0].context.as_of if self.roles else None
        self.trust: dict[str, RoleTrust] = {}
        for role in self.roles:
            if role.trust is not None and as_of is not None:
                self.trust[role.arn] = role_trust(role.trust, facts.account_id, facts.partition, as_of)
        self.open_roles = [
            role for role in self.roles if role.arn in self.trust and self.trust[role.arn].account
        ]
        self.named: dict[str, list[Principal]] = {}
        for role in self.roles:
            if role.arn in self.trust:
                for arn in self.trust[role.arn].named:
                    self.named.setdefault(arn, []).append(role)
        self.compute: dict[str, list[Compute]] = {}
        for one in facts.compute:
            self.compute.setdefault(one.kind, []).append(one)
        self.shared: dict[tuple[object, ...], list[Hit]] = {}
        self.targets: dict[str, list[Principal]] = {}

    def run(self) -> dict[str, list[Hit]]:
        """Return the hits of every holder that is no administrator already, by its ARN."""
        hits: dict[str, list[Hit]] = {}
        own = [
            path
            for path in paths()
            if path.target in {"self", "nothing", "any-user", "any-role", "assumable-role"}
        ]
        further = [path for path in paths() if path not in own]
        candidates = [holder for holder in self.holders.values() if not holder.admin]
        for holder in candidates:
            walked = [hit for path in own if _holds(holder, path) for hit in self._walk(holder, path)]
            if walked:
                hits[holder.principal.arn] = walked
        self.privileged |= {arn for arn in hits if self.by_arn[arn].kind != "iam-group"}
        for _ in range(MOST_ROUNDS):
            self._index()
            added: set[str] = set()
            self.shared.clear()
            latest: dict[str, list[Hit]] = {}
            for holder in candidates:
                walked = self._further(holder, further)
                if walked:
                    arn = holder.principal.arn
                    latest[arn] = walked
                    if arn not in self.privileged:
                        added.add(arn)
            if not added:
                break
            self.privileged |= added
        for arn, walked in latest.items():
            hits.setdefault(arn, []).extend(walked)
        return {arn: _best(walked) for arn, walked in hits.items()}

    def _index(self) -> None:
        """Sort the privileged by how they can be reached."""
        self.targets = {
            "user": [user for user in self.users if user.arn in self.privileged],
            "group": [group for group in self.groups if group.arn in self.privileged],
            "role": [role for role in self.roles if role.arn in self.privileged],
        }
        self.targets["open"] = [role for role in self.open_roles if role.arn in self.privileged]
        for role in self.targets["role"]:
            if role.arn in self.trust:
                for service in self.trust[role.arn].services:
                    self.targets.setdefault(service, []).append(role)

    def _further(self, holder: Holder, further: list[Path]) -> list[Hit]:
        """Walk the paths to somebody privileged; the answer is shared by holders with the same policies."""
        arn = holder.principal.arn
        hits: list[Hit] = []
        if holder.actions & interesting():
            found = self.shared.get(holder.key)
            if found is None:
                found = self.shared[holder.key] = [
                    hit
                    for path in further
                    if path.target != "assumed-role" and _holds(holder, path)
                    for hit in self._walk(holder, path)
                ]
            hits += [hit for hit in found if (hit.target is None or hit.target.arn != arn)]
        assume = next(path for path in further if path.target == "assumed-role")
        return hits + list(self._assume(holder, assume))

    def _assume(self, holder: Holder, path: Path) -> Iterator[Hit]:
        """Yield the privileged roles that trust the holder and that it may assume."""
        principal = holder.principal
        if principal.kind == "iam-group":
            return
        found = 0
        for role in self.named.get(principal.arn, ()):
            if role.arn in self.privileged and role.arn != principal.arn:
                truth = trusts(self.trust[role.arn], principal, named=True)
                if truth is not Truth.NO and not holder.judge.denied("sts:AssumeRole", role.arn):
                    found += 1
                    yield Hit(path=path, target=role, truth=truth)
            if found >= MOST_TARGETS:
                return
        if not _holds(holder, path):
            return
        for role in self._passing(holder, "sts:AssumeRole", self.targets["open"]):
            if role.arn == principal.arn:
                continue
            truth = min(
                holder.judge.on("sts:AssumeRole", role.arn, _about(role)),
                trusts(self.trust[role.arn], principal, named=False),
            )
            if truth is not Truth.NO:
                found += 1
                yield Hit(path=path, target=role, truth=truth)
            if found >= MOST_TARGETS:
                return

    def _passing(self, holder: Holder, action: str, candidates: list[Principal]) -> Iterable[Principal]:
        """Narrow candidates down to those that an Allow names, quickly."""
        bit = matching(action.lower())
        patterns = [pattern for row in holder.judge.allows if row.actions & bit for pattern in row.resources]
        if all("*" not in pattern and "?" not in pattern for pattern in patterns):
            wanted = set(patterns)
            return (one for one in candidates if one.arn in wanted)
        return (one for one in candidates if any(glob(pattern, one.arn) for pattern in patterns))

    def _walk(self, holder: Holder, path: Path) -> Iterator[Hit]:
        """Yield at most a few targets that the holder reaches on a path, all of whose actions it holds."""
        principal = holder.principal
        if path.holder is not None and principal.kind != f"iam-{path.holder}":
            return
        if path.requires is not None and path.requires not in holder.stronger:
            return
        match path.target:
            case "self":
                if not holder.unlimited and "boundary" not in path.id:
                    return
                truth = self._steps(holder, path, principal, None)
                if truth is not Truth.NO:
                    yield Hit(path=path, target=None, truth=truth)
            case "nothing":
                truth = self._steps(holder, path, None, None)
                if truth is not Truth.NO:
                    yield Hit(path=path, target=None, truth=truth)
            case "compute":
                yield from self._through_compute(holder, path)
            case _:
                found = 0
                for target, trusted in self._candidates(holder, path):
                    truth = min(trusted, self._steps(holder, path, target, None))
                    if truth is not Truth.NO:
                        found += 1
                        yield Hit(path=path, target=target, truth=truth)
                    if found >= MOST_TARGETS:
                        return

    def _candidates(self, holder: Holder, path: Path) -> Iterable[tuple[Principal, Truth]]:
        principal = holder.principal
        match path.target:
            case "role":
                if not path.services:
                    return ((role, Truth.YES) for role in self.targets["role"])
                return self._serving(path.services)
            case "user" | "group":
                return ((one, Truth.YES) for one in self.targets[path.target])
            case "any-user":
                return ((user, Truth.YES) for user in self.users if user.arn != principal.arn)
            case "any-role":
                return ((role, Truth.YES) for role in self.roles if role.arn != principal.arn)
            case "assumable-role":
                return self._assumable(holder)
            case "federated-role":
                return self._federated(":saml-provider/", gone=False)
            case "dangling-federated-role":
                return self._federated(":oidc-provider/", gone=True)
            case _:
                return ()

    def _serving(self, services: tuple[str, ...]) -> Iterator[tuple[Principal, Truth]]:
        seen: set[str] = set()
        for service in services:
            for role in self.targets.get(service, ()):
                if role.arn not in seen:
                    seen.add(role.arn)
                    yield role, self.trust[role.arn].services[service]

    def _assumable(self, holder: Holder) -> Iterator[tuple[Principal, Truth]]:
        """Yield roles that the holder can become whatever they may do."""
        principal = holder.principal
        for role in self.named.get(principal.arn, ()):
            if role.arn != principal.arn and not holder.judge.denied("sts:AssumeRole", role.arn):
                yield role, trusts(self.trust[role.arn], principal, named=True)
        if holder.actions & matching("sts:assumerole"):
            for role in self._passing(holder, "sts:AssumeRole", self.open_roles):
                if role.arn != principal.arn:
                    truth = trusts(self.trust[role.arn], principal, named=False)
                    yield role, min(truth, holder.judge.on("sts:AssumeRole", role.arn, _about(role)))

    def _federated(self, kind: str, *, gone: bool) -> Iterator[tuple[Principal, Truth]]:
        providers = {str(provider["arn"]) for provider in self.facts.oidc_providers}
        for role in self.targets["role"]:
            trust = self.trust.get(role.arn)
            for arn in trust.federated if trust else ():
                if kind in arn and (not gone or (providers and arn not in providers)):
                    yield role, Truth.YES
                    break

    def _through_compute(self, holder: Holder, path: Path) -> Iterator[Hit]:
        assert path.compute is not None
        found = 0
        for one in self.compute.get(path.compute, ()):
            if one.role_arn not in self.privileged:
                continue
            target = self.by_arn.get(one.role_arn)
            truth = self._steps(holder, path, target, one)
            if target is not None and truth is not Truth.NO:
                found += 1
                yield Hit(path=path, target=target, truth=truth, compute=one)
            if found >= MOST_TARGETS:
                return
        if found or path.compute in self.facts.compute_listed:
            return
        for target, trusted in self._serving(path.services):
            truth = min(trusted, self._steps(holder, path, target, None))
            if truth is not Truth.NO:
                yield Hit(path=path, target=target, truth=truth, assumed=True)
                return

    def _steps(self, holder: Holder, path: Path, target: Principal | None, compute: Compute | None) -> Truth:
        """Say how far all steps of a path are allowed."""
        truth = Truth.YES
        for step in path.steps:
            one = max(self._step(holder, path, step, action, target, compute) for action in step.actions)
            truth = min(truth, one)
            if truth is Truth.NO:
                return truth
        return truth

    def _step(
        self,
        holder: Holder,
        path: Path,
        step: Step,
        action: str,
        target: Principal | None,
        compute: Compute | None,
    ) -> Truth:
        judge, principal = holder.judge, holder.principal
        if not holder.actions & matching(action.lower()):
            return Truth.NO
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
                return judge.somewhere(action, template, Asking(known={"iam:permissionsboundary": None}))
            case "compute":
                return self._on_compute(judge, path, action, compute)
            case "saml-provider" | "oidc-provider":
                trust = self.trust.get(target.arn) if target else None
                arns = [arn for arn in (trust.federated if trust else ()) if f":{step.covers}/" in arn]
                return self._most(judge.on(action, arn) for arn in arns)

    def _on_target(self, holder: Holder, path: Path, action: str, target: Principal) -> Truth:
        if action != "iam:PassRole":
            return self._on(holder.judge, action, target)
        trust = self.trust.get(target.arn)
        services = [name for name in path.services if trust is not None and name in trust.services]
        return self._most(
            holder.judge.on(action, target.arn, _about(target, {"iam:passedtoservice": (service,)}))
            for service in services
        )

    def _on(self, judge: Judge, action: str, target: Principal) -> Truth:
        """Judge an action of IAM on a principal of the account."""
        boundary = {"iam:permissionsboundary": (target.boundary_arn,) if target.boundary_arn else None}
        if not action.startswith("iam:Attach"):
            return judge.on(action, target.arn, _about(target, boundary))
        return self._most(
            judge.on(action, target.arn, _about(target, {**boundary, "iam:policyarn": (arn,)}))
            for arn in self._strong_policies()
        )

    @functools.cached_property
    def _strong(self) -> tuple[str, ...]:
        admins = [self._arn("arn:{partition}:iam::aws:policy/AdministratorAccess")]
        admins.append(self._arn("arn:{partition}:iam::aws:policy/IAMFullAccess"))
        for holder in self.holders.values():
            if holder.admin:
                admins += [
                    one.arn for one in holder.principal.attachments if one.arn and one.arn not in admins
                ]
            if len(admins) > 8:
                break
        return tuple(admins[:8])

    def _strong_policies(self) -> tuple[str, ...]:
        """Return policies that make an administrator, of which an attacker attaches the one that it may."""
        return self._strong

    def _on_compute(self, judge: Judge, path: Path, action: str, compute: Compute | None) -> Truth:
        assert path.arn is not None
        if compute is None:
            # Nobody knows its name: only a pattern that leaves the name open reaches it.
            return judge.somewhere(action, self._arn(path.arn).replace("{name}", "name-that-nobody-knows"))
        if path.compute != "ecs-service":
            return judge.on(action, compute.arn)
        place, _, rest = compute.arn.partition(":service/")
        cluster = rest.partition("/")[0]
        return self._most(
            judge.on(action, arn)
            for arn in (f"{place}:task/{cluster}/any-task", f"{place}:cluster/{cluster}", compute.arn)
        )

    def _policies(self, principal: Principal | None, path: Path) -> list[str]:
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


def _holds(holder: Holder, path: Path) -> bool:
    return all(holder.actions & step.mask for step in path.steps)


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
            _implied(hit.path, one.path) and (one.target.arn if one.target else None) == target
            for one in kept
        ):
            continue
        kept.append(hit)
    return kept


def _implied(longer: Path, shorter: Path) -> bool:
    return all(any(step.mask & other.mask for other in longer.steps) for step in shorter.steps)
