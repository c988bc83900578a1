"""Users, groups and roles of one account, with the documents that apply to each, built from records."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from collectors.aws.evaluator import policy_records as records
from collectors.aws.evaluator.conditions import RequestContext
from collectors.aws.evaluator.policy import PolicyDocument, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.aws.evaluator.facts import AwsFacts
    from scanner.records import Identity, Policy

WELL_KNOWN: dict[str, dict[str, Any]] = {
    "AdministratorAccess": {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    },
    "IAMFullAccess": {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": ["iam:*", "organizations:Describe*"], "Resource": "*"}],
    },
    "PowerUserAccess": {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"}
        ],
    },
}
"""AWS managed policies that a dump may omit although they are attached. Full list:
https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html"""


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """One policy of a principal."""

    name: str
    arn: str | None
    """None for an inline policy."""
    document: PolicyDocument | None
    """None if the document is missing."""
    via: str
    """``managed``, ``inline``, ``group Developers``, ``group Developers, inline``."""


class ManagedPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A managed policy and its versions."""

    arn: str
    name: str
    document: PolicyDocument | None
    """The default version's."""
    others: tuple[tuple[str, PolicyDocument], ...]
    """``(version id, document)`` of the non-default versions."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """A user, a group or a role."""

    id: str
    """Id of its identity record."""
    arn: str
    name: str
    kind: Literal["iam-user", "iam-group", "iam-role"]
    native_id: str
    attachments: tuple[Attachment, ...]
    """Its own attachments and those of its groups."""
    boundary: PolicyDocument | None = None
    boundary_arn: str | None = None
    """ARN of the permissions boundary; None if there is none."""
    groups: tuple[str, ...] = ()
    """ARNs of a user's groups."""
    members: int = 0
    """Number of users in a group."""
    trust: PolicyDocument | None = None
    """A role's trust policy."""
    tags: dict[str, str] = {}
    service_linked: bool = False
    """Whether AWS owns the role: SCPs do not apply to it, and customers cannot change it."""
    created_at: datetime | None = None
    """Aware UTC."""
    service_use: dict[str, datetime | None] | None = None
    """Service namespace -> last use, None for never in the window; None if it was not read."""
    context: RequestContext
    """What is known about its requests."""


class Directory(msgspec.Struct, frozen=True, kw_only=True):
    """All principals of an account."""

    principals: tuple[Principal, ...]
    """Users, then groups, then roles, each by ARN."""
    policies: dict[str, ManagedPolicy]
    """Managed policies by ARN."""

    def of_kind(self, kind: str) -> Iterator[Principal]:
        """Yield the principals of one kind."""
        return (one for one in self.principals if one.kind == kind)


def directory(facts: AwsFacts, as_of: datetime) -> Directory:
    """Return the principals of an account."""
    return _DirectoryReader(facts, as_of).read()


_ORDER = {"iam-user": 0, "iam-group": 1, "iam-role": 2}


class _DirectoryReader:
    """Combines identities and policies, sharing what several identities have in common."""

    def __init__(self, facts: AwsFacts, as_of: datetime) -> None:
        self.facts = facts
        self.as_of = as_of
        self.groups: dict[str, list[str]] = {}
        self.members: dict[str, int] = {}
        for link in facts.memberships:
            self.groups.setdefault(link.source_id, []).append(link.target_id)
            self.members[link.target_id] = self.members.get(link.target_id, 0) + 1
        self.policies: dict[str, ManagedPolicy] = {}
        self.held: dict[str, list[Attachment]] = {}
        self.held_by_group: dict[str, list[Attachment]] = {}
        self.boundaries: dict[str, tuple[str, PolicyDocument | None]] = {}
        self.trusts: dict[str, PolicyDocument] = {}
        self._sort_policies()

    def _sort_policies(self) -> None:
        others: dict[str, list[tuple[str, PolicyDocument]]] = {}
        for policy in sorted(self.facts.policies, key=lambda policy: (policy.address or "", policy.id)):
            arn, document = policy.address or "", _document(policy)
            match policy.kind:
                case records.VERSION:
                    if document is not None:
                        others.setdefault(arn, []).append((policy.native_id, document))
                case records.BOUNDARY:
                    self.boundaries |= dict.fromkeys(policy.attached_to, (arn, document))
                case records.TRUST:
                    if document is not None:
                        self.trusts |= dict.fromkeys(policy.attached_to, document)
                case _:
                    managed = policy.kind == records.MANAGED
                    if managed:
                        self.policies[arn] = ManagedPolicy(
                            arn=arn, name=policy.name, document=document, others=()
                        )
                    attachment = Attachment(
                        name=policy.name,
                        arn=arn if managed else None,
                        document=document,
                        via="managed" if managed else "inline",
                    )
                    for identity_id in policy.attached_to:
                        self.held.setdefault(identity_id, []).append(attachment)
        for arn, versions in others.items():
            if arn in self.policies:
                self.policies[arn] = msgspec.structs.replace(self.policies[arn], others=tuple(versions))

    def read(self) -> Directory:
        ordered = sorted(
            self.facts.identities, key=lambda one: (_ORDER.get(one.kind, 3), one.address or "", one.id)
        )
        groups = {one.id: one for one in ordered if one.kind == "iam-group"}
        found: list[Principal] = []
        for identity in ordered:
            match identity.kind:
                case "iam-user":
                    found.append(self._user(identity, groups))
                case "iam-group":
                    found.append(self._group(identity))
                case "iam-role":
                    found.append(self._role(identity))
                case _:
                    pass
        return Directory(principals=tuple(found), policies=self.policies)

    def _user(self, user: Identity, groups: dict[str, Identity]) -> Principal:
        attachments = list(self.held.get(user.id, ()))
        own = sorted(
            (groups[group_id] for group_id in self.groups.get(user.id, ()) if group_id in groups),
            key=lambda group: (group.name, group.id),
        )
        for group in own:
            attachments += self._by_group(group)
        known = self._known(user.address or "", "User", user.tags)
        known["aws:username"] = (user.name,)
        known["aws:userid"] = (user.native_id,)
        boundary_arn, boundary = self.boundaries.get(user.id, (None, None))
        return Principal(
            id=user.id,
            arn=user.address or "",
            name=user.name,
            kind="iam-user",
            native_id=user.native_id,
            attachments=tuple(attachments),
            boundary=boundary,
            boundary_arn=boundary_arn,
            groups=tuple(group.address or "" for group in own),
            tags=user.tags,
            created_at=user.created_at,
            service_use=_service_use(user),
            context=RequestContext(as_of=self.as_of, known=known, tags_final=True),
        )

    def _by_group(self, group: Identity) -> list[Attachment]:
        """Return the attachments that a group's members get from it, the same objects for all members."""
        found = self.held_by_group.get(group.id)
        if found is None:
            found = self.held_by_group[group.id] = [
                msgspec.structs.replace(
                    one, via=f"group {group.name}" if one.arn else f"group {group.name}, inline"
                )
                for one in self.held.get(group.id, ())
            ]
        return found

    def _group(self, group: Identity) -> Principal:
        known = self._known(group.address or "", "User", {})
        del known["aws:principalarn"]
        return Principal(
            id=group.id,
            arn=group.address or "",
            name=group.name,
            kind="iam-group",
            native_id=group.native_id,
            attachments=tuple(self.held.get(group.id, ())),
            members=self.members.get(group.id, 0),
            created_at=group.created_at,
            context=RequestContext(as_of=self.as_of, known=known),
        )

    def _role(self, role: Identity) -> Principal:
        arn = role.address or ""
        trust = self.trusts.get(role.id)
        known = self._known(arn, "AssumedRole", role.tags)
        known["aws:username"] = None
        boundary_arn, boundary = self.boundaries.get(role.id, (None, None))
        return Principal(
            id=role.id,
            arn=arn,
            name=role.name,
            kind="iam-role",
            native_id=role.native_id,
            attachments=tuple(self.held.get(role.id, ())),
            boundary=boundary,
            boundary_arn=boundary_arn,
            trust=trust,
            tags=role.tags,
            service_linked=":role/aws-service-role/" in arn,
            created_at=role.created_at,
            service_use=_service_use(role),
            context=RequestContext(
                as_of=self.as_of,
                known=known,
                mfa=trust is None or _may_have_mfa(trust),
                tags_final=trust is not None and not _allows(trust, "sts:tagsession"),
            ),
        )

    def _known(self, arn: str, kind: str, tags: dict[str, str]) -> dict[str, tuple[str, ...] | None]:
        known: dict[str, tuple[str, ...] | None] = {
            "aws:principalarn": (arn,),
            "aws:principalaccount": (self.facts.account_id,),
            "aws:resourceaccount": (self.facts.account_id,),
            "aws:principaltype": (kind,),
            "aws:partition": (self.facts.partition,),
        }
        if self.facts.organization_id:
            known["aws:principalorgid"] = (self.facts.organization_id,)
            known["aws:resourceorgid"] = (self.facts.organization_id,)
        for key, value in tags.items():
            known[f"aws:principaltag/{key}".lower()] = (value,)
        return known


def _document(policy: Policy) -> PolicyDocument | None:
    """Return a policy's parsed document; None if it is missing and not one of `WELL_KNOWN`."""
    if policy.document is not None:
        return parse(policy.document)
    arn = policy.address or ""
    if ":iam::aws:policy/" in arn:
        known = WELL_KNOWN.get(arn.rpartition("/")[2])
        return parse(known) if known else None
    return None


def _service_use(identity: Identity) -> dict[str, datetime | None] | None:
    if not identity.service_use:
        return None
    return {use.service: use.last_used_at for use in identity.service_use}


def _may_have_mfa(trust: PolicyDocument) -> bool:
    """Return whether a session of a role may have MFA: if an IAM principal or a SAML user may assume it."""
    return any(
        kind in {"AWS", "*"} or (kind == "Federated" and ":saml-provider/" in value)
        for statement in trust.statements
        if statement.allow
        for kind, value in statement.principals
    )


def _allows(trust: PolicyDocument, action: str) -> bool:
    return any(statement.allow and statement.covers_action(action) for statement in trust.statements)
