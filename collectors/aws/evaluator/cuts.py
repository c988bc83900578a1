"""What ends a holder's ways to more permissions, tried before it is proposed.

Each change is applied to the holder as a Deny and the search is repeated, until no way is left. The first change ends the
way that it is proposed for; the others end those that would remain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from collectors.aws.evaluator.actions import catalog
from collectors.aws.evaluator.authorizer import Authorizer
from collectors.aws.evaluator.conditions import Truth
from collectors.aws.evaluator.escalation_paths import assume_role
from collectors.aws.evaluator.policy import parse
from collectors.aws.evaluator.resolved import PolicyLimits, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from collectors.aws.evaluator.escalation_hits import Hit, Holder

MOST_TRIED = 2_000
"""Maximum number of changes tried in one account."""
MOST_CUTS = 6
"""Maximum number of changes proposed for one holder."""


class PermissionRemoval(msgspec.Struct, frozen=True, kw_only=True):
    """One change: actions that a holder must lose on a resource."""

    actions: tuple[str, ...]
    """Empty if only a trust policy lets it in."""
    resource: str
    """An ARN; ``*`` for every resource."""
    role: str | None = None
    """The name of the role that may name the holder in its trust policy, for sts:AssumeRole."""
    given_to: str | None = None
    """The holder's ARN, if only the policy of the resource allows the actions."""

    def __str__(self) -> str:
        """Return the change in words, to follow "Remove"."""
        if not self.actions:
            return f"this identity from the trust policy of {self.role}"
        if self.given_to is not None:
            place = "resources" if self.resource == "*" else self.resource
            return f"{self.given_to} from the policy of {place}"
        text = " and ".join(self.actions)
        if self.resource != "*":
            text += f" on {self.resource}"
        return (
            text if self.role is None else f"{text}, and this identity from its trust policy if that names it"
        )


class TriedRemovals(msgspec.Struct, frozen=True, kw_only=True):
    """The changes that end a way and all others of its holder."""

    first: PermissionRemoval
    """Ends the way itself."""
    others: tuple[PermissionRemoval, ...]
    """Each ends another way, which would remain."""
    complete: bool | None
    """Whether no way is left after all of them; false if there are too many, None if it was not tried."""

    def __str__(self) -> str:
        """Return the fix in one or two sentences."""
        text = f"Remove {self.first}."
        if self.others:
            ways = "another way" if len(self.others) == 1 else f"{len(self.others)} other ways"
            text += f" That leaves {ways}: remove also {'; '.join(map(str, self.others))}."
        if self.complete is None:
            text += " Other ways may remain: they were not tried in an account of this size."
        elif not self.complete:
            text += (
                " More ways remain: limit the identity with a permissions boundary, or replace its policies."
            )
        return text


def cut_of(hit: Hit, holder: Holder) -> PermissionRemoval:
    """Return the change that ends one way: the step that names the target, or the first one."""
    steps = hit.path.steps
    target = hit.target.arn if hit.target is not None else None
    if hit.path is assume_role() and hit.target is not None:
        allowed = holder.authorizer.on("sts:AssumeRole", hit.target.arn) is not Truth.NO
        return PermissionRemoval(
            actions=("sts:AssumeRole",) if allowed else (), resource=hit.target.arn, role=hit.target.name
        )
    step = next((one for one in steps if one.covers == "target" and target is not None), steps[0])
    held = [action for action in step.actions if holder.authorizer.somewhere(action) is not Truth.NO]
    match step.covers:
        case "target" if target is not None:
            resource = target
        case "self":
            resource = holder.principal.arn
        case "compute" if hit.compute is not None and hit.path.compute != "ecs-service":
            # A task has an ARN of its own, which the service's is not.
            resource = hit.compute.arn
        case _:
            # These steps name no identity: what they change exists, or does not yet.
            resource = "*"
    return PermissionRemoval(
        actions=tuple(held) or step.actions[:1],
        resource=resource,
        given_to=holder.principal.arn if _only_given(holder, held, resource) else None,
    )


def _only_given(holder: Holder, actions: list[str], resource: str) -> bool:
    """Return whether a holder may use actions only because the policy of the resource says so."""
    if holder.authorizer.given is None or resource == "*":
        return False
    own = msgspec.structs.replace(holder.authorizer, given=None)
    return all(own.on(action, resource) is Truth.NO for action in actions)


def without(holder: Holder, cuts: Iterable[PermissionRemoval]) -> Holder:
    """Return the holder as it would be after changes."""
    given = list(cuts)
    before = holder.authorizer
    gone = catalog().of([action for cut in given if cut.resource == "*" for action in cut.actions])
    statements = [
        {"Effect": "Deny", "Action": list(cut.actions or ("sts:AssumeRole",)), "Resource": cut.resource}
        for cut in given
        if cut.resource != "*"
    ]
    denies = resolve(parse({"Version": "2012-10-17", "Statement": statements}), before.context).denies

    def less(authorizer: Authorizer) -> Authorizer:
        return Authorizer(
            allows=tuple(
                msgspec.structs.replace(row, actions=row.actions & ~gone) if row.actions & gone else row
                for row in authorizer.allows
            ),
            limits=PolicyLimits(layers=authorizer.limits.layers, denies=(*authorizer.limits.denies, *denies)),
            context=authorizer.context,
            given=None if authorizer.given is None else less(authorizer.given),
        )

    return msgspec.structs.replace(
        holder,
        authorizer=less(before),
        actions=holder.actions & ~gone,
        key=(holder.key, tuple(given)),
    )


def tried(hit: Hit, holder: Holder, way: Callable[[Holder], Hit | None]) -> TriedRemovals:
    """Return the changes that end a way and what remains; ``way`` searches again, for a changed holder."""
    cuts = [cut_of(hit, holder)]
    left = way(without(holder, cuts))
    while left is not None and len(cuts) <= MOST_CUTS:
        more = cut_of(left, holder)
        same = [one for one in cuts if one.actions == more.actions and one.role is None and more.role is None]
        if more in cuts or any(one.resource == "*" for one in same):
            # The change does not end it: the identity has a way that a Deny does not stop.
            break
        if same:
            # The policy allows the action on several targets.
            whole = PermissionRemoval(actions=more.actions, resource="*")
            cuts = list(dict.fromkeys(whole if one in same else one for one in cuts))
        else:
            cuts.append(more)
        left = way(without(holder, cuts))
    return TriedRemovals(first=cuts[0], others=tuple(cuts[1:]), complete=left is None)
