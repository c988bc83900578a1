"""Users, groups, roles and policies of an account, in one stream of GetAccountAuthorizationDetails."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.aws.client import pages
from collectors.aws.failures import MalformedError
from collectors.aws.place import PROVIDER, tags_of
from collectors.aws.times import utc
from scanner.records import Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Generator

    from collectors.aws.listings.credential_report import Report
    from collectors.aws.place import Place
    from scanner.records import Record

USAGE_WINDOW_DAYS = 400
"""How far back RoleLastUsed reaches: https://docs.aws.amazon.com/IAM/latest/APIReference/API_RoleLastUsed.html."""


class Details(msgspec.Struct, kw_only=True):
    """The four lists, as boto3 gives them."""

    users: list[dict[str, Any]] = []
    groups: list[dict[str, Any]] = []
    roles: list[dict[str, Any]] = []
    policies: list[dict[str, Any]] = []

    def user_ids(self) -> dict[str, str]:
        """Return user name -> record id."""
        return {user["UserName"]: record_id(PROVIDER, "iam-user", user["UserId"]) for user in self.users}


def principals(place: Place, report: Report | None) -> Generator[Record, None, Details]:
    """Yield users, groups and roles, and who is in which group. Returns the lists for the evaluator."""
    details = Details()
    answered = pages(
        place.client("iam"), "get_account_authorization_details", PaginationConfig={"PageSize": 1000}
    )
    members: dict[str, list[str]] = {}
    for page in answered:
        for name in ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies"):
            if name not in page:
                raise MalformedError(f"GetAccountAuthorizationDetails: a page without {name}")
        details.users += page["UserDetailList"]
        details.groups += page["GroupDetailList"]
        details.roles += page["RoleDetailList"]
        details.policies += page["Policies"]
        for group in page["GroupDetailList"]:
            yield _group(place, group)
        for user in page["UserDetailList"]:
            identity = _user(place, user, report)
            members[identity.id] = sorted(user.get("GroupList", []))
            yield identity
        for role in page["RoleDetailList"]:
            yield _role(place, role)
    groups = {
        group["GroupName"]: record_id(PROVIDER, "iam-group", group["GroupId"]) for group in details.groups
    }
    for user_id, names in members.items():
        for name in names:
            if name in groups:
                yield place.link(
                    user_id, "member_of", groups[name], evidence="iam:GetAccountAuthorizationDetails"
                )
    return details


def _group(place: Place, group: dict[str, Any]) -> Identity:
    group_id = record_id(PROVIDER, "iam-group", group["GroupId"])
    place.found.ids[group["Arn"]] = group_id
    return Identity(
        id=group_id,
        provider=PROVIDER,
        account_id=place.ref,
        surface="human",
        kind="iam-group",
        native_id=group["GroupId"],
        name=group["GroupName"],
        address=group["Arn"],
        created_at=utc(group.get("CreateDate")),
        environment=place.environment(),
    )


def _user(place: Place, user: dict[str, Any], report: Report | None) -> Identity:
    user_id = record_id(PROVIDER, "iam-user", user["UserId"])
    place.found.ids[user["Arn"]] = user_id
    row = report.rows.get(user["Arn"]) if report else None
    tags = tags_of(user.get("Tags"))
    owner, owner_source = place.owner(tags)
    return Identity(
        id=user_id,
        provider=PROVIDER,
        account_id=place.ref,
        # A password is for a person; a user without one exists for its keys.
        surface="human" if row and row.password_enabled else "automation",
        kind="iam-user",
        native_id=user["UserId"],
        name=user["UserName"],
        address=user["Arn"],
        created_at=utc(user.get("CreateDate")),
        last_used_at=row.last_used_at if row else None,
        never_used=row.never_used if row else None,
        owner=owner,
        owner_source=owner_source,
        environment=place.environment(tags),
        mfa=row.mfa if row else None,
        tags=tags,
    )


def _role(place: Place, role: dict[str, Any]) -> Identity:
    role_id, arn, name = record_id(PROVIDER, "iam-role", role["RoleId"]), role["Arn"], role["RoleName"]
    place.found.ids[arn] = role_id
    for profile in role.get("InstanceProfileList", []):
        place.found.profile_roles[profile["Arn"]] = arn
    created = utc(role.get("CreateDate"))
    used = utc((role.get("RoleLastUsed") or {}).get("LastUsedDate"))
    # No last use means "not in the last 400 days": only for a younger role is that "never".
    young = created is not None and created > place.run.as_of - timedelta(days=USAGE_WINDOW_DAYS)
    path = str(role.get("Path", "/"))
    tags = tags_of(role.get("Tags"))
    owner, owner_source = place.owner(tags)
    return Identity(
        id=role_id,
        provider=PROVIDER,
        account_id=place.ref,
        surface="human" if name.startswith("AWSReservedSSO_") else "automation",
        kind="iam-role",
        native_id=role["RoleId"],
        name=name,
        address=arn,
        created_at=created,
        last_used_at=used,
        never_used=False if used else (young or None),
        usage_window_days=USAGE_WINDOW_DAYS,
        owner=owner,
        owner_source=owner_source,
        environment=place.environment(tags),
        managed_by="provider" if path.startswith(("/aws-service-role/", "/aws-reserved/")) else None,
        tags=tags,
    )


def aliases(place: Place) -> Generator[Record, None, list[str]]:
    """Yield nothing; return the account's aliases."""
    yield from ()
    return [
        alias
        for page in pages(place.client("iam"), "list_account_aliases")
        for alias in page["AccountAliases"]
    ]
