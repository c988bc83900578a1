"""Converts a dump of GetAccountAuthorizationDetails to the records that the evaluator needs.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.aws.evaluator.conditions import parse_time
from collectors.aws.evaluator.policy_records import PolicyCollection
from scanner.records import Identity, Link, Policy, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

_LISTS = (("UserDetailList", "User", "iam-user"), ("GroupDetailList", "Group", "iam-group"), ("RoleDetailList", "Role", "iam-role"))  # fmt: skip


class PrincipalRecords(msgspec.Struct, frozen=True, kw_only=True):
    """The users, groups and roles of an account, and their policies."""

    identities: list[Identity]
    memberships: list[Link]
    """``member_of`` links from users to groups."""
    policies: list[Policy]


def principal_records(dump: dict[str, Any], account_ref: str, account: str) -> PrincipalRecords:
    """Read a dump: ``UserDetailList``, ``GroupDetailList``, ``RoleDetailList`` and ``Policies``.

    The dump may come from boto3 or the AWS CLI: documents may be objects or text, URL-encoded or not; times may be ISO
    8601 text.
    """
    shelf = PolicyCollection(account_ref, account)
    for entry in dump.get("Policies") or ():
        shelf.add_managed(entry)
    identities: list[Identity] = []
    groups: dict[str, str] = {}
    members: list[tuple[str, str]] = []
    for field, word, kind in _LISTS:
        for entry in dump.get(field) or ():
            identity = _identity(entry, word, kind, account_ref)
            identities.append(identity)
            shelf.add_principal(identity.id, entry)
            if kind == "iam-group":
                groups[identity.name] = identity.id
            members += [(identity.id, name) for name in entry.get("GroupList") or ()]
    return PrincipalRecords(
        identities=identities,
        memberships=list(membership_links(account_ref, members, groups)),
        policies=list(shelf.records()),
    )


def membership_links(
    account_ref: str, members: list[tuple[str, str]], groups: dict[str, str]
) -> Iterator[Link]:
    """Yield links from (user's id, name of a group) and name of a group -> its id."""
    for user_id, name in members:
        if name in groups:
            yield Link(
                id=record_id("aws", "link", f"{user_id}>member_of>{groups[name]}"),
                provider="aws",
                account_id=account_ref,
                source_id=user_id,
                relation="member_of",
                target_id=groups[name],
                evidence="iam:GetAccountAuthorizationDetails",
            )


def _identity(entry: dict[str, Any], word: str, kind: str, account_ref: str) -> Identity:
    arn = str(entry.get("Arn", ""))
    native_id = str(entry.get(f"{word}Id") or arn)
    return Identity(
        id=record_id("aws", kind, native_id),
        provider="aws",
        account_id=account_ref,
        surface="automation",
        kind=kind,
        native_id=native_id,
        name=str(entry.get(f"{word}Name", "")),
        address=arn,
        created_at=_time(entry.get("CreateDate")),
        tags={str(tag["Key"]): str(tag.get("Value", "")) for tag in entry.get("Tags") or () if "Key" in tag},
    )


def _time(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    return parse_time(value) if isinstance(value, str) else None
