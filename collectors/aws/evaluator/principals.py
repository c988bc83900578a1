"""Users, groups and roles of one account, with the documents that apply to each.

Reads the four lists of GetAccountAuthorizationDetails.
https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from collectors.aws.evaluator.conditions import RequestContext, moment
from collectors.aws.evaluator.policy import PolicyDocument, parse
from scanner.records import record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.aws.evaluator.facts import AwsFacts

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
"""AWS's own policies that a dump may leave out though they are attached. In full at
https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html"""


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """One policy that a principal holds."""

    name: str
    arn: str | None
    """None for an inline policy."""
    document: PolicyDocument | None
    """None when the document was not given."""
    via: str
    """``managed``, ``inline``, ``group Developers``, ``group Developers, inline``."""


class ManagedPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A managed policy and its versions."""

    arn: str
    name: str
    document: PolicyDocument | None
    """The default version's."""
    others: tuple[tuple[str, PolicyDocument], ...]
    """``(version id, document)`` of the versions that are not the default."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """A user, a group or a role."""

    id: str
    """Id of its identity record."""
    arn: str
    name: str
    kind: Literal["iam-user", "iam-group", "iam-role"]
    native_id: str
    attachments: tuple[Attachment, ...]
    """Its own, and those of its groups."""
    boundary: PolicyDocument | None = None
    boundary_arn: str | None = None
    """ARN of the permissions boundary; None when there is none."""
    groups: tuple[str, ...] = ()
    """ARNs of a user's groups."""
    members: int = 0
    """How many users a group has."""
    trust: PolicyDocument | None = None
    """A role's trust policy."""
    tags: dict[str, str] = {}
    service_linked: bool = False
    """Whether AWS owns the role, which no SCP binds and nobody else can change."""
    created_at: datetime | None = None
    """Aware UTC."""
    context: RequestContext
    """What is known of its requests."""


class Directory(msgspec.Struct, frozen=True, kw_only=True):
    """All principals of an account."""

    principals: tuple[Principal, ...]
    """Users, then groups, then roles, each in the order of the API."""
    policies: dict[str, ManagedPolicy]
    """Managed policies by ARN."""

    def of_kind(self, kind: str) -> Iterator[Principal]:
        """Yield the principals of one kind."""
        return (one for one in self.principals if one.kind == kind)


def directory(facts: AwsFacts, as_of: datetime) -> Directory:
    """Read the principals of an account."""
    return _DetailsReader(facts, as_of).read()


class _DetailsReader:
    """Reads the lists of GetAccountAuthorizationDetails, keeping what several entries share."""

    def __init__(self, facts: AwsFacts, as_of: datetime) -> None:
        self.facts = facts
        self.as_of = as_of
        self.policies = {policy.arn: policy for policy in map(_managed, facts.policies)}

    def read(self) -> Directory:
        groups = {str(group.get("GroupName", "")): group for group in self.facts.groups}
        members: dict[str, int] = {}
        for user in self.facts.users:
            for name in user.get("GroupList") or ():
                members[name] = members.get(name, 0) + 1
        found = [self._user(user, groups) for user in self.facts.users]
        found += [self._group(group, members) for group in self.facts.groups]
        found += [self._role(role) for role in self.facts.roles]
        return Directory(principals=tuple(found), policies=self.policies)

    def _user(self, user: dict[str, Any], groups: dict[str, dict[str, Any]]) -> Principal:
        name, arn = str(user.get("UserName", "")), str(user.get("Arn", ""))
        attachments = list(self._attached(user, "UserPolicyList", ""))
        arns = []
        for group_name in user.get("GroupList") or ():
            group = groups.get(group_name)
            if group is not None:
                arns.append(str(group.get("Arn", "")))
                attachments += self._attached(group, "GroupPolicyList", f"group {group_name}")
        native_id = str(user.get("UserId") or arn)
        tags = _tags(user)
        known = self._known(arn, "User", tags)
        known["aws:username"] = (name,)
        known["aws:userid"] = (native_id,)
        boundary_arn = _boundary_arn(user)
        return Principal(
            id=self._id("iam-user", native_id, arn),
            arn=arn,
            name=name,
            kind="iam-user",
            native_id=native_id,
            attachments=tuple(attachments),
            boundary=self._document(boundary_arn),
            boundary_arn=boundary_arn,
            groups=tuple(arns),
            tags=tags,
            created_at=_time(user.get("CreateDate")),
            context=RequestContext(as_of=self.as_of, known=known, tags_final=True),
        )

    def _group(self, group: dict[str, Any], members: dict[str, int]) -> Principal:
        name, arn = str(group.get("GroupName", "")), str(group.get("Arn", ""))
        native_id = str(group.get("GroupId") or arn)
        known = self._known(arn, "User", {})
        del known["aws:principalarn"]
        return Principal(
            id=self._id("iam-group", native_id, arn),
            arn=arn,
            name=name,
            kind="iam-group",
            native_id=native_id,
            attachments=tuple(self._attached(group, "GroupPolicyList", "")),
            members=members.get(name, 0),
            created_at=_time(group.get("CreateDate")),
            context=RequestContext(as_of=self.as_of, known=known),
        )

    def _role(self, role: dict[str, Any]) -> Principal:
        name, arn = str(role.get("RoleName", "")), str(role.get("Arn", ""))
        native_id = str(role.get("RoleId") or arn)
        raw = role.get("AssumeRolePolicyDocument")
        trust = parse(raw) if raw else None
        tags = _tags(role)
        known = self._known(arn, "AssumedRole", tags)
        known["aws:username"] = None
        boundary_arn = _boundary_arn(role)
        return Principal(
            id=self._id("iam-role", native_id, arn),
            arn=arn,
            name=name,
            kind="iam-role",
            native_id=native_id,
            attachments=tuple(self._attached(role, "RolePolicyList", "")),
            boundary=self._document(boundary_arn),
            boundary_arn=boundary_arn,
            trust=trust,
            tags=tags,
            service_linked=str(role.get("Path", "")).startswith("/aws-service-role/")
            or ":role/aws-service-role/" in arn,
            created_at=_time(role.get("CreateDate")),
            context=RequestContext(
                as_of=self.as_of,
                known=known,
                mfa=trust is None or _humans_may(trust),
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

    def _id(self, kind: str, native_id: str, arn: str) -> str:
        return self.facts.ids.get(arn) or record_id("aws", kind, native_id)

    def _attached(self, entity: dict[str, Any], inline: str, group: str) -> Iterator[Attachment]:
        for policy in entity.get("AttachedManagedPolicies") or ():
            arn = str(policy.get("PolicyArn", ""))
            yield Attachment(
                name=str(policy.get("PolicyName") or arn.rpartition("/")[2]),
                arn=arn,
                document=self._document(arn),
                via=group or "managed",
            )
        for policy in entity.get(inline) or ():
            yield Attachment(
                name=str(policy.get("PolicyName", "")),
                arn=None,
                document=parse(policy.get("PolicyDocument") or ""),
                via=f"{group}, inline" if group else "inline",
            )

    def _document(self, arn: str | None) -> PolicyDocument | None:
        if arn is None:
            return None
        policy = self.policies.get(arn)
        if policy is not None and policy.document is not None:
            return policy.document
        if ":iam::aws:policy/" in arn:
            known = WELL_KNOWN.get(arn.rpartition("/")[2])
            return parse(known) if known else None
        return None


def _managed(policy: dict[str, Any]) -> ManagedPolicy:
    arn = str(policy.get("Arn", ""))
    default: PolicyDocument | None = None
    others: list[tuple[str, PolicyDocument]] = []
    for version in policy.get("PolicyVersionList") or ():
        if not version.get("Document"):
            continue
        document = parse(version["Document"])
        version_id = str(version.get("VersionId", ""))
        if version.get("IsDefaultVersion") or (
            "IsDefaultVersion" not in version and version_id == policy.get("DefaultVersionId")
        ):
            default = document
        else:
            others.append((version_id, document))
    return ManagedPolicy(
        arn=arn,
        name=str(policy.get("PolicyName") or arn.rpartition("/")[2]),
        document=default,
        others=tuple(others),
    )


def _boundary_arn(entity: dict[str, Any]) -> str | None:
    boundary = entity.get("PermissionsBoundary")
    if isinstance(boundary, dict):
        arn = boundary.get("PermissionsBoundaryArn")
        return str(arn) if arn else None
    return None


def _tags(entity: dict[str, Any]) -> dict[str, str]:
    return {str(tag["Key"]): str(tag.get("Value", "")) for tag in entity.get("Tags") or () if "Key" in tag}


def _time(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    return moment(value) if isinstance(value, str) else None


def _humans_may(trust: PolicyDocument) -> bool:
    """Say whether somebody with a second factor may be behind a session: an IAM principal or a SAML user."""
    return any(
        kind in {"AWS", "*"} or (kind == "Federated" and ":saml-provider/" in value)
        for statement in trust.statements
        if statement.allow
        for kind, value in statement.principals
    )


def _allows(trust: PolicyDocument, action: str) -> bool:
    return any(statement.allow and statement.covers_action(action) for statement in trust.statements)
