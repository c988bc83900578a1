"""Small AWS accounts, written as GetAccountAuthorizationDetails gives them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from collectors.aws.evaluator.account import AccountEvaluation
from collectors.aws.evaluator.authorization_details import principal_records
from collectors.aws.evaluator.evaluation import evaluate_account
from collectors.aws.evaluator.facts import AwsFacts, Compute
from scanner.records import Gap, Grant, Link, Record, ServiceUse, Trust

AS_OF = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
ACCOUNT = "123456789012"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
ROOT = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}


def arn(kind: str, name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:{kind}/{name}"


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: str | list[str], resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: str | list[str], resource: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def trusting(principal: Any, action: str = "sts:AssumeRole", **more: Any) -> dict[str, Any]:
    return document({"Effect": "Allow", "Principal": principal, "Action": action, **more})


def _attached(arns: tuple[str, ...]) -> list[dict[str, str]]:
    return [{"PolicyName": one.rpartition("/")[2], "PolicyArn": one} for one in arns]


def _boundary(boundary: str | None) -> dict[str, Any]:
    if boundary is None:
        return {}
    return {"PermissionsBoundary": {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": boundary}}


def role(
    name: str,
    *statements: dict[str, Any],
    trust: dict[str, Any] | str | None = None,
    managed: tuple[str, ...] = (),
    boundary: str | None = None,
    tags: dict[str, str] | None = None,
    path: str = "/",
) -> dict[str, Any]:
    inline = [{"PolicyName": "own", "PolicyDocument": document(*statements)}] if statements else []
    return {
        "Path": path,
        "RoleName": name,
        "RoleId": f"AROA{name.upper()}",
        "Arn": f"arn:aws:iam::{ACCOUNT}:role{path}{name}",
        "CreateDate": datetime(2020, 1, 1, tzinfo=UTC),
        "AssumeRolePolicyDocument": trust or trusting({"AWS": "arn:aws:iam::999999999999:root"}),
        "InstanceProfileList": [],
        "RolePolicyList": inline,
        "AttachedManagedPolicies": _attached(managed),
        "Tags": [{"Key": key, "Value": value} for key, value in (tags or {}).items()],
        **_boundary(boundary),
    }


def user(
    name: str,
    *statements: dict[str, Any],
    managed: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
    boundary: str | None = None,
    tags: dict[str, str] | None = None,
) -> dict[str, Any]:
    inline = [{"PolicyName": "own", "PolicyDocument": document(*statements)}] if statements else []
    return {
        "Path": "/",
        "UserName": name,
        "UserId": f"AIDA{name.upper()}",
        "Arn": arn("user", name),
        "CreateDate": datetime(2020, 1, 1, tzinfo=UTC),
        "UserPolicyList": inline,
        "GroupList": list(groups),
        "AttachedManagedPolicies": _attached(managed),
        "Tags": [{"Key": key, "Value": value} for key, value in (tags or {}).items()],
        **_boundary(boundary),
    }


def group(name: str, *statements: dict[str, Any], managed: tuple[str, ...] = ()) -> dict[str, Any]:
    inline = [{"PolicyName": "own", "PolicyDocument": document(*statements)}] if statements else []
    return {
        "Path": "/",
        "GroupName": name,
        "GroupId": f"AGPA{name.upper()}",
        "Arn": arn("group", name),
        "CreateDate": datetime(2020, 1, 1, tzinfo=UTC),
        "GroupPolicyList": inline,
        "AttachedManagedPolicies": _attached(managed),
    }


def policy(name: str, *statements: dict[str, Any], others: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    versions = [{"VersionId": "v1", "IsDefaultVersion": True, "Document": document(*statements)}]
    versions += [
        {"VersionId": f"v{number}", "IsDefaultVersion": False, "Document": document(other)}
        for number, other in enumerate(others, start=2)
    ]
    return {
        "PolicyName": name,
        "Arn": arn("policy", name),
        "DefaultVersionId": "v1",
        "PolicyVersionList": versions,
    }


def facts(
    *,
    users: list[dict[str, Any]] | None = None,
    groups: list[dict[str, Any]] | None = None,
    roles: list[dict[str, Any]] | None = None,
    policies: list[dict[str, Any]] | None = None,
    last_accessed: dict[str, dict[str, datetime | None]] | None = None,
    **more: Any,
) -> AwsFacts:
    """Read lists as GetAccountAuthorizationDetails gives them; ``last_accessed`` is ARN -> service -> last use."""
    dump = {
        "UserDetailList": users,
        "GroupDetailList": groups,
        "RoleDetailList": roles,
        "Policies": policies,
    }
    principals = principal_records(dump, f"aws:account:{ACCOUNT}", ACCOUNT)
    identities = [
        msgspec.structs.replace(
            one,
            service_use=[
                ServiceUse(service=service, last_used_at=at)
                for service, at in (last_accessed or {}).get(one.address or "", {}).items()
            ],
        )
        for one in principals.identities
    ]
    return AwsFacts(
        account_id=ACCOUNT,
        account_ref=f"aws:account:{ACCOUNT}",
        identities=identities,
        memberships=principals.memberships,
        policies=principals.policies,
        **{"scps": [], "rcps": [], **more},
    )


def compute(kind: str, address: str, role_name: str) -> Compute:
    return Compute(kind=kind, arn=address, role_arn=arn("role", role_name), record_id=address)


def account(of: AwsFacts) -> AccountEvaluation:
    return AccountEvaluation(of, AS_OF)


def records(of: AwsFacts) -> list[Record]:
    return [*of.memberships, *evaluate_account(of, AS_OF)]


def grants(of: AwsFacts, name: str) -> list[Grant]:
    """Return the grants of the user, group or role ``name``."""
    end = name.upper()
    return [one for one in records(of) if isinstance(one, Grant) and one.identity_id.endswith(end)]


def escalates(of: AwsFacts, name: str) -> bool:
    """Return whether the identity comes out as an administrator or as one who can become more."""
    return any(one.level in {"admin", "escalation"} for one in grants(of, name))


def trusts(of: AwsFacts) -> list[Trust]:
    return [one for one in records(of) if isinstance(one, Trust)]


def links(of: AwsFacts, relation: str = "can_become") -> list[Link]:
    return [one for one in records(of) if isinstance(one, Link) and one.relation == relation]


def gaps(of: AwsFacts) -> list[Gap]:
    return [one for one in records(of) if isinstance(one, Gap)]
