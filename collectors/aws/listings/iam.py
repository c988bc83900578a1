"""Users, groups, roles and policies of an account, from GetAccountAuthorizationDetails."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.aws.client import items, pages
from collectors.aws.evaluator.authorization_details import membership_links
from collectors.aws.evaluator.policy_records import PolicyCollection
from collectors.aws.facts import ListedPrincipals
from collectors.aws.failures import MalformedError
from collectors.aws.scope import PROVIDER, tags_of
from collectors.aws.times import utc
from scanner.records import Identity, ServiceUse, record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from collectors.aws.credential_report import CredentialReport, ReportedUser
    from collectors.aws.facts import ServiceDates
    from collectors.aws.scope import AwsScope
    from scanner.records import Record, Surface

USAGE_WINDOW_DAYS = 400
"""The tracking period of RoleLastUsed in days: https://docs.aws.amazon.com/IAM/latest/APIReference/API_RoleLastUsed.html."""
_LISTS = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")


def principals(
    scope: AwsScope,
    report: CredentialReport | None,
    usage: Callable[[ListedPrincipals], Generator[Record, None, dict[str, ServiceDates]]],
) -> Generator[Record, None, ListedPrincipals]:
    """Yield users, groups and roles, group memberships, and policies. Returns the principals. ``usage`` is called when
    all are known and returns their last use of each service (ARN -> service -> last use).
    """
    listed = _read(scope, report)
    dates = yield from usage(listed)
    for identity in listed.identities:
        yield _with_usage(identity, dates.get(identity.address or ""))
    yield from listed.memberships
    yield from listed.policies
    return listed


def _read(scope: AwsScope, report: CredentialReport | None) -> ListedPrincipals:
    shelf = PolicyCollection(scope.ref, scope.account)
    identities: list[Identity] = []
    members: list[tuple[str, str]] = []
    groups: dict[str, str] = {}
    profiles: dict[str, str] = {}
    answered = pages(
        scope.client("iam"), "get_account_authorization_details", PaginationConfig={"PageSize": 1000}
    )
    for page in answered:
        for name in _LISTS:
            if name not in page:
                raise MalformedError(f"GetAccountAuthorizationDetails: a page without {name}")
        for group in page["GroupDetailList"]:
            identity = _group(scope, group)
            groups[identity.name] = identity.id
            identities.append(identity)
            shelf.add_principal(identity.id, group)
        for user in page["UserDetailList"]:
            identity = _user(scope, user, report)
            identities.append(identity)
            members += [(identity.id, name) for name in sorted(user["GroupList"])]
            shelf.add_principal(identity.id, user)
        for role in page["RoleDetailList"]:
            identity = _role(scope, role)
            identities.append(identity)
            profiles |= {profile["Arn"]: role["Arn"] for profile in role["InstanceProfileList"]}
            shelf.add_principal(identity.id, role)
        for policy in page["Policies"]:
            shelf.add_managed(policy)
    return ListedPrincipals(
        identities=identities,
        memberships=list(membership_links(scope.ref, members, groups)),
        policies=list(shelf.records()),
        profile_roles=profiles,
        ids={one.address: one.id for one in identities if one.address},
    )


def _with_usage(identity: Identity, dates: ServiceDates | None) -> Identity:
    if not dates:
        return identity
    uses = [ServiceUse(service=service, last_used_at=at) for service, at in sorted(dates.items())]
    # That a user without a row in the report shows no last use says nothing about the window.
    window = None if identity.kind == "iam-user" and identity.surface is None else USAGE_WINDOW_DAYS
    return msgspec.structs.replace(identity, service_use=uses, usage_window_days=window)


def _group(scope: AwsScope, group: dict[str, Any]) -> Identity:
    return Identity(
        id=record_id(PROVIDER, "iam-group", group["GroupId"]),
        provider=PROVIDER,
        account_id=scope.ref,
        surface="human",
        kind="iam-group",
        native_id=group["GroupId"],
        name=group["GroupName"],
        address=group["Arn"],
        created_at=utc(group.get("CreateDate")),
        environment=scope.environment(),
    )


def _user(scope: AwsScope, user: dict[str, Any], report: CredentialReport | None) -> Identity:
    row = report.rows.get(user["Arn"]) if report else None
    tags = tags_of(user.get("Tags"))
    owner, owner_source = scope.owner(tags)
    return Identity(
        id=record_id(PROVIDER, "iam-user", user["UserId"]),
        provider=PROVIDER,
        account_id=scope.ref,
        surface=_surface(row),
        kind="iam-user",
        native_id=user["UserId"],
        name=user["UserName"],
        address=user["Arn"],
        created_at=utc(user.get("CreateDate")),
        last_used_at=row.last_used_at if row else None,
        never_used=row.never_used if row else None,
        owner=owner,
        owner_source=owner_source,
        environment=scope.environment(tags),
        mfa=row.mfa if row else None,
        tags=tags,
    )


def _surface(row: ReportedUser | None) -> Surface | None:
    """A user with a password is a person; a user without one exists for its keys. Only the report tells."""
    if row is None or row.password_enabled is None:
        return None
    return "human" if row.password_enabled else "automation"


def _role(scope: AwsScope, role: dict[str, Any]) -> Identity:
    created = utc(role.get("CreateDate"))
    used = utc((role.get("RoleLastUsed") or {}).get("LastUsedDate"))
    # No last use means "not in the last 400 days", which is "never" only for younger roles.
    young = created is not None and created > scope.run.as_of - timedelta(days=USAGE_WINDOW_DAYS)
    name, path = role["RoleName"], str(role.get("Path", "/"))
    tags = tags_of(role.get("Tags"))
    owner, owner_source = scope.owner(tags)
    return Identity(
        id=record_id(PROVIDER, "iam-role", role["RoleId"]),
        provider=PROVIDER,
        account_id=scope.ref,
        surface="human" if name.startswith("AWSReservedSSO_") else "automation",
        kind="iam-role",
        native_id=role["RoleId"],
        name=name,
        address=role["Arn"],
        created_at=created,
        last_used_at=used,
        never_used=False if used else (young or None),
        usage_window_days=USAGE_WINDOW_DAYS,
        owner=owner,
        owner_source=owner_source,
        environment=scope.environment(tags),
        managed_by="provider" if path.startswith(("/aws-service-role/", "/aws-reserved/")) else None,
        tags=tags,
    )


def alias(scope: AwsScope) -> str | None:
    """Return the account's alias; an account has at most one."""
    return next(items(scope.client("iam"), "list_account_aliases", "AccountAliases"), None)
