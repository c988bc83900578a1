"""Evaluates the steps of an escalation path for a holder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.aws.evaluator.actions import catalog
from collectors.aws.evaluator.authorizer import Authorizer, RequestFacts
from collectors.aws.evaluator.conditions import Truth
from collectors.aws.evaluator.escalation_paths import (
    TAGGING,
    EscalationPath,
    EscalationStep,
    tagging,
)
from collectors.aws.evaluator.partitions import spellings
from collectors.aws.evaluator.policy import glob, overlaps
from collectors.aws.evaluator.resource_control import denies_on, documents
from collectors.aws.evaluator.role_trust import RoleTrust, role_trust, within

if TYPE_CHECKING:
    from collections.abc import Iterable

    from collectors.aws.evaluator.escalation_hits import Holder
    from collectors.aws.evaluator.facts import AwsFacts, Compute
    from collectors.aws.evaluator.principals import Directory, Principal


SHARED_COVERS = frozenset({"anything", "self", "own-policy", "own-group", "other-user", "role", "user"})
"""Values of ``covers`` that are the same for every target of a path."""


ON_PASSWORD = {"iam:CreateLoginProfile": False, "iam:UpdateLoginProfile": True}
"""Whether a user must have a password already: one is made only for a user without, and changed only for one with.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateLoginProfile.html,
https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateLoginProfile.html
"""


class StepAuthorizer:
    """Evaluates whether a holder is allowed the steps of a path, on one target or on any."""

    def __init__(self, facts: AwsFacts, found: Directory, strong: tuple[str, ...]) -> None:
        self.facts = facts
        self.strong = strong[:12]
        self.directory = found
        self.by_arn = {one.arn: one for one in found.principals}
        self.users = list(found.of_kind("iam-user"))
        guards = documents(facts)
        self.trust: dict[str, RoleTrust] = {
            role.arn: within(
                role_trust(role.trust, facts.account_id, facts.partition, role.context.as_of),
                denies_on(guards, "sts", role.arn),
                facts,
                role.context.as_of,
            )
            for role in found.of_kind("iam-role")
            if role.trust is not None and not role.service_linked
        }
        self.compute: dict[str, list[Compute]] = {}
        for one in facts.compute:
            self.compute.setdefault(one.kind, []).append(one)

    def allowed(
        self,
        holder: Holder,
        path: EscalationPath,
        target: Principal | None,
        compute: Compute | None,
        *,
        shared: bool,
    ) -> Truth:
        """Return how certainly a path's steps are allowed: those that are the same for every target, or the others."""
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

    @staticmethod
    def on_some_target(holder: Holder, path: EscalationPath) -> bool:
        """Return whether the steps on a target may be allowed on any, before each is checked."""
        return all(
            any(holder.authorizer.somewhere(action) is not Truth.NO for action in step.actions)
            for step in path.steps
            if step.covers in {"target", "policy-of-target"}
        )

    def _step(
        self,
        holder: Holder,
        path: EscalationPath,
        step: EscalationStep,
        action: str,
        *,
        target: Principal | None,
        compute: Compute | None,
    ) -> Truth:
        authorizer, principal = holder.authorizer, holder.principal
        match step.covers:
            case "anything":
                return authorizer.somewhere(action)
            case "self":
                return self._on(authorizer, action, principal)
            case "target":
                return Truth.NO if target is None else self._on_target(holder, path, action, target)
            case "own-group":
                return self._most(self._on(authorizer, action, self.by_arn[arn]) for arn in principal.groups)
            case "own-policy":
                return self._most(authorizer.on(action, arn) for arn in self.policies(principal, path))
            case "policy-of-target":
                return self._most(authorizer.on(action, arn) for arn in self.policies(target, path))
            case "other-user":
                return self._most(
                    self._on(authorizer, action, user) for user in self.users if user.arn != principal.arn
                )
            case "role" | "user":
                template = self._arn(f"arn:{{partition}}:iam::{{account}}:{step.covers}/*")
                attached = self.strong if action.startswith("iam:Attach") else ("",)
                return self._most(
                    authorizer.somewhere(action, template, RequestFacts(known=_new(policy)))
                    for policy in attached
                )
            case "compute":
                return self._on_compute(authorizer, path, action, compute)
            case "saml-provider" | "oidc-provider":
                trust = self.trust.get(target.arn) if target else None
                arns = [arn for arn in (trust.federated if trust else ()) if f":{step.covers}/" in arn]
                return self._most(authorizer.on(action, arn) for arn in arns)

    def _on_target(self, holder: Holder, path: EscalationPath, action: str, target: Principal) -> Truth:
        if action != "iam:PassRole":
            return self._on(holder.authorizer, action, target)
        trust = self.trust.get(target.arn)
        if trust is None or not any(name in trust.services for name in path.services):
            return Truth.NO
        # The service that a role is passed to is not always the one that it trusts: GameLift takes roles for EC2.
        return self._most(
            self.tagged(holder.authorizer, action, target, {"iam:passedtoservice": (name,)})
            for service in path.services
            for name in spellings(service, self.facts.partition)
        )

    def _on(self, authorizer: Authorizer, action: str, target: Principal) -> Truth:
        """Evaluate an IAM action on a principal of the account."""
        if self.facts.passwords is not None and action in ON_PASSWORD:
            has = target.id in self.facts.passwords
            removed = has and authorizer.on("iam:DeleteLoginProfile", target.arn) is not Truth.NO
            if has is not ON_PASSWORD[action] and not removed:
                return Truth.NO
        boundary: dict[str, tuple[str, ...] | None] = {
            "iam:permissionsboundary": (target.boundary_arn,) if target.boundary_arn else None
        }
        if not action.startswith("iam:Attach"):
            return self.tagged(authorizer, action, target, boundary)
        return self._most(
            self.tagged(authorizer, action, target, {**boundary, "iam:policyarn": (arn,)})
            for arn in self.strong
        )

    @staticmethod
    def tagged(
        authorizer: Authorizer, action: str, target: Principal, known: dict[str, tuple[str, ...] | None]
    ) -> Truth:
        """Evaluate with the tags of a principal, or with any tags, as a condition, if the holder may change them."""
        truth = authorizer.on(action, target.arn, about(target, known))
        if truth is not Truth.NO or not any(row.actions & tagging() for row in authorizer.allows):
            return truth
        if all(authorizer.on(name, target.arn, about(target)) is Truth.NO for name in TAGGING):
            return truth
        return min(Truth.NARROW, authorizer.on(action, target.arn, RequestFacts(known=known)))

    def _on_compute(
        self, authorizer: Authorizer, path: EscalationPath, action: str, compute: Compute | None
    ) -> Truth:
        assert path.arn is not None
        if compute is None:
            return self._on_unlisted(authorizer, path, action)
        if path.compute != "ecs-service":
            return authorizer.on(action, compute.arn)
        place, _, rest = compute.arn.partition(":service/")
        cluster = rest.partition("/")[0]
        return self._most(
            authorizer.on(action, arn)
            for arn in (f"{place}:task/{cluster}/any-task", f"{place}:cluster/{cluster}", compute.arn)
        )

    def _on_unlisted(self, authorizer: Authorizer, path: EscalationPath, action: str) -> Truth:
        """Evaluate an action on compute that was not listed: a resource named in a policy is assumed to exist. Known
        compute is evaluated with its known role instead.
        """
        template = self._arn(path.arn or "").replace("{name}", "*")
        mask = catalog().of([action])
        known = [one.arn for one in self.compute.get(path.compute or "", ())]
        patterns = dict.fromkeys(
            pattern for row in authorizer.rows if row.actions & mask for pattern in row.resources
        )
        return self._most(
            authorizer.somewhere(action, template if glob(pattern, template) else pattern)
            for pattern in patterns
            if overlaps(pattern, template)
            and (_open_name(pattern) or not any(glob(pattern, one) for one in known))
        )

    def policies(self, principal: Principal | None, path: EscalationPath) -> list[str]:
        """Return the customer managed policies of a principal, which the account can change."""
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
    """Return what is known about a request on a new identity, which has no boundary."""
    known: dict[str, tuple[str, ...] | None] = {"iam:permissionsboundary": None}
    if policy:
        known["iam:policyarn"] = (policy,)
    return known


def _open_name(pattern: str) -> bool:
    """Return whether the resource name in an ARN pattern is a wildcard."""
    parts = pattern.split(":", 5)
    return len(parts) < 6 or "*" in parts[5] or "?" in parts[5]


def about(target: Principal, known: dict[str, tuple[str, ...] | None] | None = None) -> RequestFacts:
    """Return what is known about a request on a principal of the account."""
    return RequestFacts(
        known=known or {}, resource_tags={key.lower(): value for key, value in target.tags.items()}
    )
