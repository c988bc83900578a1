"""The reason for a grant and the smallest change that removes it, in one sentence each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.aws.evaluator.actions import catalog
from collectors.aws.evaluator.conditions import Truth

if TYPE_CHECKING:
    from collectors.aws.evaluator.cuts import TriedRemovals
    from collectors.aws.evaluator.escalation_hits import Hit
    from collectors.aws.evaluator.grants import HeldPower, Summary
    from collectors.aws.evaluator.principals import Attachment, Principal
    from collectors.aws.evaluator.usage import Usage

MEANS = {
    "admin": "gives administrator access",
    "grant-access": "allows changing permissions",
    "become-other": "allows acting as another identity",
    "read-secrets": "allows reading secrets",
    "change-delivery": "allows changing what is built and delivered",
    "deploy": "allows deploying",
    "change-data": "allows changing data or settings",
    "read-data": "allows reading data",
    "read": "allows reading configuration",
}


def why_of(summary: Summary, attachment: Attachment) -> str:
    """Return which statement of which policy grants the strongest power."""
    if not summary.held:
        named = ", ".join(summary.unknown[:3])
        return f"Policy {attachment.name} names no known AWS action ({named})."
    held = summary.held[0]
    statement = held.piece.row.statement
    text = f"{_sentence(statement.label)} of policy {attachment.name} allows {_named(held)} on {held.piece.resource}"
    text += f", which {MEANS[held.power]}"
    if held.truth is not Truth.YES:
        keys = ", ".join(dict.fromkeys(condition.key for condition in statement.conditions))
        if keys:
            text += f", under a condition on {keys}"
        elif held.power == "become-other":
            text += " if a role of another account trusts it"
        else:
            text += ", unless a conditional Deny stops it"
    return text + "."


def _sentence(label: str) -> str:
    return label[0].upper() + label[1:]


def _named(held: HeldPower) -> str:
    statement = held.piece.row.statement
    if statement.not_actions:
        return f"everything except {', '.join(statement.not_actions[:3])}"
    if any(pattern in {"*", "*:*"} for pattern in statement.actions):
        return "every action"
    names = catalog().list(held.actions & held.piece.actions, 3)
    return ", ".join(names) if names else "actions"


def _managed_by_aws(attachment: Attachment) -> bool:
    """Return whether a policy is managed by AWS and cannot be edited.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-vs-inline.html
    """
    return attachment.arn is not None and ":iam::aws:policy/" in attachment.arn


def fix_of(summary: Summary, attachment: Attachment, usage: Usage) -> str | None:
    """Return the smallest change that removes the strongest power."""
    if not summary.held:
        return None
    held = summary.held[0]
    statement = held.piece.row.statement
    managed = _managed_by_aws(attachment)
    place = (
        f"the AWS managed policy {attachment.name}"
        if managed
        else f"{statement.label} of policy {attachment.name}"
    )
    if held.power == "admin":
        if usage.services:
            return f"Replace {place} with a policy for the services that were used: {', '.join(usage.services[:10])}."
        return f"Replace {place} with a policy that names the actions and resources the identity needs."
    names = ", ".join(catalog().list(held.actions, 3))
    if managed:
        return f"Replace {place} with a customer managed policy that omits {names} or limits its Resource."
    if held.piece.resource == "*":
        return f"In {place}, replace Resource * with the ARNs that need {names}, or remove the action."
    return f"Remove {names} from {place} if it is not needed."


def hit_actions(hit: Hit) -> str:
    """Return one sufficient set of the actions of an escalation path: ``iam:PassRole + lambda:CreateFunction``."""
    return " + ".join(step.actions[0] for step in hit.path.steps)


def hit_why(hit: Hit, principal: Principal) -> str:
    """Return how a holder uses an escalation path."""
    steps = " and ".join(" or ".join(step.actions[:2]) for step in hit.path.steps)
    end = (
        "an administrator"
        if hit.target is None
        else f"{hit.target.kind.removeprefix('iam-')} {hit.target.name}"
    )
    text = f"{principal.name} can use {steps}"
    if hit.compute is not None:
        text += f" on {hit.compute.arn}"
    if hit.target is None:
        text += f" and so become {end}"
    elif hit.path.target in {"any-user", "any-role", "assumable-role"}:
        text += f" and so make {end} an administrator and act as it"
    elif hit.path.target == "group":
        text += f" and so gain the permissions of {end}"
    else:
        text += f" and so act as {end}, which has more permissions"
    if hit.truth is not Truth.YES:
        text += ", under a condition"
    if hit.assumed:
        text += ", if a resource of that kind runs with that role"
    if hit.path.prerequisite:
        text += f" (needs {hit.path.prerequisite})"
    return text + "."


def cuts_fix(cuts: TriedRemovals, attachment: Attachment) -> str:
    """Return the changes that end an escalation path, for the policy that allows it."""
    if _managed_by_aws(attachment):
        return (
            f"Replace the AWS managed policy {attachment.name} with a customer managed policy. In it: {cuts}"
        )
    return str(cuts)
