"""The powers that one policy attachment effectively grants."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import msgspec

from collectors.aws.evaluator.actions import all_of, catalog, matching
from collectors.aws.evaluator.conditions import NEGATED, RequestContext, Truth, holds
from collectors.aws.evaluator.policy import glob
from collectors.aws.evaluator.powers import EXPLICIT, powers
from scanner.records import POWERS, Breadth, Power

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from collectors.aws.evaluator.effective import Piece
    from collectors.aws.evaluator.policy import Statement

SHOWN: dict[str, tuple[str, ...]] = {
    "admin": (
        "iam:AttachRolePolicy", "iam:PutUserPolicy", "iam:CreateAccessKey", "iam:CreatePolicyVersion",
        "iam:PassRole", "sts:AssumeRole", "organizations:LeaveOrganization", "kms:PutKeyPolicy",
        "secretsmanager:GetSecretValue", "s3:GetObject",
    ),
    "read-secrets": ("secretsmanager:GetSecretValue", "ssm:GetParameter", "ssm:GetParameters"),
    "change-delivery": ("ecr:PutImage", "codebuild:StartBuild", "codepipeline:UpdatePipeline", "codecommit:GitPush"),
    "deploy": ("lambda:UpdateFunctionCode", "cloudformation:CreateStack", "ecs:UpdateService", "ec2:RunInstances"),
    "change-data": ("s3:PutObject", "s3:DeleteObject", "dynamodb:PutItem", "kms:PutKeyPolicy", "s3:PutBucketPolicy"),
    "read-data": ("s3:GetObject", "dynamodb:GetItem", "sqs:ReceiveMessage", "kms:Decrypt", "ecr:BatchGetImage"),
    "read": ("ec2:DescribeInstances", "s3:ListBucket", "iam:ListRoles"),
}  # fmt: skip
"""Well-known actions, which are shown first."""


class HeldPower(msgspec.Struct, frozen=True, kw_only=True):
    """One power that an attachment grants."""

    power: Power
    truth: Truth
    """YES without condition, NARROW under a condition, UNKNOWN under a condition that could not be evaluated."""
    actions: int
    """The set of actions that grant it."""
    piece: Piece
    """The broadest piece that grants it."""
    resources: tuple[str, ...] = ("*",)
    """The resource patterns that it is granted on."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One attachment after all limits."""

    held: tuple[HeldPower, ...]
    """Strongest first."""
    actions: int
    """Every remaining action."""
    resource: str
    """The broadest remaining resource pattern."""
    breadth: Breadth
    wildcard: str | None
    unknown: tuple[str, ...]
    """Action patterns that match no action in AWS's reference."""
    admin: bool
    """Whether it alone grants administrator access."""
    assumes: tuple[str, ...]
    """ARN patterns of the roles that it allows assuming."""
    shown: list[str]
    """At most ten actions of the strongest powers, well-known ones first."""


class ReachableResources(msgspec.Struct, frozen=True, kw_only=True):
    """Existing resources that a resource pattern may match."""

    account: str
    partition: str
    as_of: datetime
    arns: dict[str, tuple[tuple[str, dict[str, str]], ...]]
    """``user``, ``group``, ``role``, ``policy`` -> ARNs with tags (lower-case keys), without those owned by AWS."""
    strong: tuple[str, ...]
    """ARNs of policies that grant administrator access."""


GRANTING_ON = {
    "iam:attachuserpolicy": "user", "iam:putuserpolicy": "user", "iam:attachgrouppolicy": "group",
    "iam:putgrouppolicy": "group", "iam:addusertogroup": "group", "iam:attachrolepolicy": "role",
    "iam:putrolepolicy": "role", "iam:updateassumerolepolicy": "role", "iam:createpolicyversion": "policy",
    "iam:setdefaultpolicyversion": "policy",
}  # fmt: skip
"""The kind of resource that each granting action changes."""


def is_admin(pieces: Iterable[Piece], reach: ReachableResources) -> Truth:
    """Return how certainly pieces alone grant administrator access. A principal that can attach or write policies on
    every role and create a role or change its trust, or the same for users and their keys, can do everything:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_job-functions.html
    """
    known = catalog()
    best = Truth.NO
    total: dict[Truth, int] = {Truth.UNKNOWN: 0, Truth.NARROW: 0, Truth.YES: 0}
    role = f"arn:{reach.partition}:iam::{reach.account}:role/any-role-of-this-account"
    user = f"arn:{reach.partition}:iam::{reach.account}:user/any-user-of-this-account"
    iam = _iam_sets()
    for piece in pieces:
        if not piece.actions & (iam[0] | iam[1]) or _tagged(piece.row.statement):
            continue
        covers = glob(piece.resource, role), glob(piece.resource, user)
        if any(glob(own, role) or glob(own, user) for own in piece.excluded):
            continue
        actions = (piece.actions & iam[0] if covers[0] else 0) | (piece.actions & iam[1] if covers[1] else 0)
        actions &= ~_harmless(piece.row.statement, reach)
        for truth in total:
            if piece.truth >= truth:
                total[truth] |= actions
    for truth, actions in total.items():
        on_roles = actions & known.of(["iam:AttachRolePolicy", "iam:PutRolePolicy"])
        to_roles = actions & known.of(["iam:CreateRole", "iam:UpdateAssumeRolePolicy"])
        on_users = actions & known.of(["iam:AttachUserPolicy", "iam:PutUserPolicy"])
        to_users = actions & known.of(["iam:CreateAccessKey", "iam:CreateLoginProfile"])
        if (on_roles and to_roles) or (on_users and to_users):
            best = max(best, truth)
    return best


def admin_combinations() -> int:
    """Return the actions that can be combined to administrator access."""
    on_roles, on_users = _iam_sets()
    return on_roles | on_users


@functools.cache
def _iam_sets() -> tuple[int, int]:
    known = catalog()
    return (
        known.of(
            ["iam:AttachRolePolicy", "iam:PutRolePolicy", "iam:CreateRole", "iam:UpdateAssumeRolePolicy"]
        ),
        known.of(
            ["iam:AttachUserPolicy", "iam:PutUserPolicy", "iam:CreateAccessKey", "iam:CreateLoginProfile"]
        ),
    )


def summarize(pieces: Sequence[Piece], unknown: tuple[str, ...], reach: ReachableResources) -> Summary:
    """Summarize what remains of one attachment."""
    sets = powers()
    held: dict[Power, HeldPower] = {}
    admin = is_admin(pieces, reach)
    if admin is not Truth.NO:
        iam = _iam_sets()
        widest = [piece for piece in pieces if piece.actions & (iam[0] | iam[1]) and piece.truth >= admin]
        held["admin"] = HeldPower(
            power="admin",
            truth=admin,
            actions=_union(widest),
            piece=max(widest, key=_width, default=pieces[0]),
        )
    granting = [
        (piece, found)
        for piece in pieces
        if (found := _granting(piece, reach)) and piece.truth is not Truth.NO
    ]
    _add(held, "grant-access", granting)
    assuming = catalog().of(["sts:AssumeRole"])
    _add(
        held,
        "become-other",
        [
            (piece, assuming)
            for piece in pieces
            if piece.actions & assuming and _assumes_elsewhere(piece, reach)
        ],
        at_most=Truth.UNKNOWN,
    )
    for power, actions in sets.by_power:
        given = [(piece, piece.actions & actions) for piece in pieces if piece.actions & actions]
        if power in EXPLICIT:
            given = [
                (piece, some)
                for piece, every in given
                if (some := given_by(power, piece.row.statement, every))
            ]
        if power == "read-secrets":
            given = [(piece, some) for piece, some in given if not _no_secret(piece)]
        elif power == "read":
            given += [(piece, piece.actions & sets.secrets) for piece in pieces if _no_secret(piece)]
        _add(held, power, given)
    left = _union(pieces)
    widest_piece = max(pieces, key=_width, default=None)
    resource = "" if widest_piece is None else widest_piece.resource
    ordered = tuple(held[power] for power in POWERS if power in held)
    return Summary(
        held=ordered,
        shown=_shown(ordered),
        actions=left,
        resource=resource,
        breadth=breadth_of(resource),
        wildcard=_wildcard(pieces),
        unknown=unknown,
        admin=admin is Truth.YES,
        assumes=tuple(dict.fromkeys(piece.resource for piece in pieces if piece.actions & assuming)),
    )


def _add(
    held: dict[Power, HeldPower],
    power: Power,
    found: Sequence[tuple[Piece, int]],
    *,
    at_most: Truth = Truth.YES,
) -> None:
    if not found:
        return
    actions = 0
    for _, some in found:
        actions |= some
    truth = max(piece.truth for piece, _ in found)
    best = max((piece for piece, _ in found if piece.truth is truth), key=_width)
    truth = min(truth, at_most)
    resources = tuple(dict.fromkeys(piece.resource for piece, _ in found))
    before = held.get(power)
    if before is not None:
        resources = tuple(dict.fromkeys((*before.resources, *resources)))
        truth, actions = max(truth, before.truth), actions | before.actions
        best = max(best, before.piece, key=_width)
    held[power] = HeldPower(power=power, truth=truth, actions=actions, piece=best, resources=resources)


def _union(pieces: Iterable[Piece]) -> int:
    actions = 0
    for piece in pieces:
        actions |= piece.actions
    return actions


def _granting(piece: Piece, reach: ReachableResources) -> int:
    """Return the granting actions of a piece that match identities by a wildcard. For a single named identity the
    escalation paths decide: it counts if the holder can become it.
    """
    statement = piece.row.statement
    some = piece.actions & powers().iam_granting & ~_harmless(statement, reach)
    if not some or not ("*" in piece.resource or "?" in piece.resource):
        return 0
    found = 0
    known = catalog()
    tagged = _tagged(statement)
    for action, kind in GRANTING_ON.items():
        bit = 1 << known.bits[action]
        if not some & bit:
            continue
        any_of_kind = f"arn:{reach.partition}:iam::{reach.account}:{kind}/any-{kind}-of-this-account"
        wide = (
            all_of(piece.resource)
            and kind != "group"
            and not tagged
            and not any(glob(own, any_of_kind) for own in piece.excluded)
        )
        if wide or any(
            glob(piece.resource, arn)
            and not any(glob(own, arn) for own in piece.excluded)
            and (not tagged or _tags_fit(statement, reach, tags))
            for arn, tags in reach.arns[kind]
        ):
            found |= bit
    return found


NO_SECRETS = (
    "arn:*:ssm:*:*:parameter/AmazonCloudWatch-*",
    "arn:*:ssm:*:*:parameter/aws/service/*",
)
"""Parameters that contain no secret: the CloudWatch agent's configuration, and parameters published by AWS.

https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-public-parameters.html
"""


def _no_secret(piece: Piece) -> bool:
    return any(glob(pattern, piece.resource) for pattern in NO_SECRETS)


def _tagged(statement: Statement) -> bool:
    """Return whether a statement applies only to resources with certain tags."""
    return any(condition.key.startswith(RESOURCE_TAGS) for condition in statement.conditions)


RESOURCE_TAGS = ("aws:resourcetag/", "iam:resourcetag/")


def _tags_fit(statement: Statement, reach: ReachableResources, tags: dict[str, str]) -> bool:
    context = RequestContext(as_of=reach.as_of, resource_tags=tags)
    asked = [condition for condition in statement.conditions if condition.key.startswith(RESOURCE_TAGS)]
    return holds(asked, context, allow=True) is not Truth.NO


def _harmless(statement: Statement, reach: ReachableResources) -> int:
    """Return the granting actions that a condition makes harmless: only with a given permissions boundary, or only for
    given policies, none of which grants administrator access.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
    """
    known = catalog()
    for condition in statement.conditions:
        if condition.if_exists or condition.qualifier == "all" or condition.operator in NEGATED:
            continue
        if condition.key == "iam:permissionsboundary" and condition.operator != "null":
            if not any(glob(value, arn) for value in condition.values for arn in reach.strong):
                return known.of(["iam:*"])
        elif condition.key == "iam:policyarn" and not any(
            glob(value, arn) for value in condition.values for arn in reach.strong
        ):
            return known.of(["iam:Attach*Policy"])
    return 0


def _assumes_elsewhere(piece: Piece, reach: ReachableResources) -> bool:
    """Return whether a piece assumes roles of other accounts, about which nothing is known here."""
    if not names_service(piece.row.statement, piece.actions & catalog().of(["sts:AssumeRole"])):
        return False
    if glob(piece.resource, f"arn:{reach.partition}:iam::000000000000:role/any-role"):
        return piece.truth is Truth.YES
    parts = piece.resource.split(":")
    return len(parts) > 5 and parts[4].isdigit() and parts[4] != reach.account


def names_service(statement: Statement, actions: int) -> bool:
    """Return whether a statement names the service of the actions explicitly, not only by a wildcard for all services.
    Actions that only the management account can perform count only if they are granted explicitly.
    """
    services = {name.partition(":")[0].lower() for name in catalog().list(actions)}
    return any(pattern.partition(":")[0] in services for pattern in statement.actions)


def given_by(power: Power, statement: Statement, actions: int) -> int:
    """Return which actions of a statement give a power of `EXPLICIT`: some only if it names them."""
    explicit = powers().explicit[power]
    some = actions & ~explicit
    if power == "grant-access" and not names_service(statement, some):
        some = 0
    hidden = actions & explicit
    if hidden:
        reads = hidden & catalog().level("RL")
        for pattern in statement.actions:
            if pattern.partition(":")[2] not in {"", "*"}:
                # Get* is for reading, although it also returns a token.
                some |= (hidden & ~reads if "*" in pattern else hidden) & matching(pattern)
    return some


def powers_given(statement: Statement, actions: int) -> list[Power]:
    """Return the powers that the actions of a statement give, strongest first."""
    return [
        power
        for power, some in powers().by_power
        if (given_by(power, statement, some & actions) if power in EXPLICIT else some & actions)
    ]


def breadth_of(resource: str) -> Breadth:
    """Return the breadth of a resource pattern."""
    if not resource:
        return "resource"
    if all_of(resource):
        return "account"
    return "group" if "*" in resource or "?" in resource else "resource"


def _width(piece: Piece) -> tuple[int, int, int, str]:
    """Sort key: the breadth of a piece's resource."""
    resource = piece.resource
    if all_of(resource):
        return (3 if not piece.excluded else 2, 0, int(piece.truth), resource)
    wild = "*" in resource or "?" in resource
    return (1 if wild else 0, -len(resource) if wild else 0, int(piece.truth), resource)


def _wildcard(pieces: Iterable[Piece]) -> str | None:
    """Return the broadest wildcard in the statements of the pieces."""
    found: list[tuple[int, str]] = []
    for piece in pieces:
        statement = piece.row.statement
        if statement.not_actions:
            found.append((1, "NotAction"))
        for pattern in statement.actions:
            if pattern in {"*", "*:*"}:
                found.append((0, "*"))
            elif pattern.endswith(":*"):
                found.append((2, pattern))
            elif "*" in pattern or "?" in pattern:
                found.append((3, pattern))
        if statement.not_resources:
            found.append((4, "NotResource"))
    return min(found)[1] if found else None


def _shown(held: Sequence[HeldPower], limit: int = 10) -> list[str]:
    known = catalog()
    names: list[str] = []
    for one in held[:3]:
        bits = [known.bits.get(name.lower()) for name in SHOWN.get(one.power, ())]
        first = [known.names[bit] for bit in bits if bit is not None and one.actions >> bit & 1]
        for name in [*first, *known.list(one.actions, limit)]:
            if name not in names:
                names.append(name)
            if len(names) >= limit:
                return names
        if len(names) >= 4:
            break
    return names
