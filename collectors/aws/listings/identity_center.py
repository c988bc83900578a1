"""IAM Identity Center: users, groups, and their permission set assignments in accounts.

The permissions of a permission set are those of the role ``AWSReservedSSO_<set>_<hash>`` in each account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from collectors.aws.client import items
from collectors.aws.scope import PROVIDER
from scanner.records import Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.aws.client import Access
    from collectors.aws.organization import OrganizationReader
    from collectors.aws.scope import AwsScope
    from scanner.records import Record


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """An assignment of a permission set to a user or group in an account."""

    account: str
    permission_set: str
    """Its name."""
    principal: str
    """Record id of the user or group."""


def users_and_groups(scope: AwsScope, region: str) -> Iterator[Record]:
    """Yield users and groups of the identity store."""
    for store in _instances(scope.access, region).values():
        client = scope.access.client("identitystore", region)
        for user in items(client, "list_users", "Users", IdentityStoreId=store):
            state = user.get("UserStatus")
            yield Identity(
                id=record_id(PROVIDER, "identity-center-user", user["UserId"]),
                provider=PROVIDER,
                account_id=scope.ref,
                surface="human",
                kind="identity-center-user",
                native_id=user["UserId"],
                name=user.get("UserName") or user["UserId"],
                address=f"{store}/{user['UserId']}",
                enabled=state == "ENABLED" if state else None,
            )
        for group in items(client, "list_groups", "Groups", IdentityStoreId=store):
            yield Identity(
                id=record_id(PROVIDER, "identity-center-group", group["GroupId"]),
                provider=PROVIDER,
                account_id=scope.ref,
                surface="human",
                kind="identity-center-group",
                native_id=group["GroupId"],
                name=group.get("DisplayName") or group["GroupId"],
                address=f"{store}/{group['GroupId']}",
            )


def assignments(scope: AwsScope, org: OrganizationReader, region: str) -> Iterator[Record]:
    """Yield links from users and groups to the roles of their permission sets in this account."""
    listed = scope.principals.identities if scope.principals else []
    roles = {one.name: one.id for one in listed if one.kind == "iam-role"}
    for assignment in org.once("identity-center", lambda: _assignments(org.access, region)):
        if assignment.account != scope.account:
            continue
        start = f"AWSReservedSSO_{assignment.permission_set}_"
        for name, role_id in roles.items():
            if name.startswith(start) and "_" not in name[len(start) :]:
                yield scope.link(
                    assignment.principal,
                    "uses",
                    role_id,
                    evidence="sso:ListAccountAssignments",
                    why=f"permission set {assignment.permission_set}",
                )


def _instances(access: Access, region: str) -> dict[str, str]:
    """Return ARN -> identity store id."""
    found = items(access.client("sso-admin", region), "list_instances", "Instances")
    return {entry["InstanceArn"]: entry["IdentityStoreId"] for entry in found}


def _assignments(access: Access, region: str) -> list[Assignment]:
    client = access.client("sso-admin", region)
    found: dict[tuple[str, str, str], Assignment] = {}
    for instance in _instances(access, region):
        for permission_set in items(client, "list_permission_sets", "PermissionSets", InstanceArn=instance):
            of_set = {"InstanceArn": instance, "PermissionSetArn": permission_set}
            name = client.describe_permission_set(**of_set)["PermissionSet"]["Name"]
            accounts = items(client, "list_accounts_for_provisioned_permission_set", "AccountIds", **of_set)
            for account in accounts:
                for entry in items(
                    client, "list_account_assignments", "AccountAssignments", AccountId=account, **of_set
                ):
                    kind = "user" if entry.get("PrincipalType") == "USER" else "group"
                    principal = record_id(PROVIDER, f"identity-center-{kind}", entry["PrincipalId"])
                    found[account, name, principal] = Assignment(
                        account=account, permission_set=name, principal=principal
                    )
    return list(found.values())
