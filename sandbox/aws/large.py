"""A large account for benchmarks, written directly into moto without requests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sandbox.aws import backend
from sandbox.aws.account import GITHUB, AccountBuilder
from sandbox.aws.documents import allow, policy, service_trust
from sandbox.aws.keys import key_id, key_secret
from sandbox.estate import MANAGEMENT

if TYPE_CHECKING:
    from sandbox.aws.server import AwsSandbox

OWNERS = ("payments", "web", "core", "data", "risk", "platform", None)


def build_large(sandbox: AwsSandbox, roles: int = 1000, users: int = 500, account: str = MANAGEMENT) -> None:
    """Fill one account (the management account, in which `AwsSandbox.environment` signs in).

    Every third role is a pipeline's with an OIDC trust, every tenth user a person; four of five users have a key.
    One role in a hundred is an administrator, one in fifty can pass any role, and a tenth is unused.
    """
    backend.reseed(roles)
    iam = backend.iam(account)
    here = AccountBuilder(sandbox, account)
    here.root()
    here.oidc_provider(GITHUB)
    for name in ("AdministratorAccess", "ReadOnlyAccess", "SecurityAudit", "PowerUserAccess"):
        backend.ensure_managed(account, f"arn:aws:iam::aws:policy/{name}")
    shared = [_shared(iam, index) for index in range(max(1, roles // 20))]
    for index in range(roles):
        name = f"svc-{index:05d}"
        role = iam.create_role(
            role_name=name,
            assume_role_policy_document=_trusted(here, index),
            path="/",
            permissions_boundary=None,
            description="",
            tags=_tags(index),
            max_session_duration="3600",
        )
        iam.attach_role_policy(shared[index % len(shared)], name)
        if index % 2 == 0:
            iam.put_role_policy(name, "inline", _inline(here, index))
        if index % 100 == 50:
            iam.attach_role_policy("arn:aws:iam::aws:policy/AdministratorAccess", role.name)
        used = None if index % 10 == 9 else here.ago(index % 120)
        here.about(
            "iam",
            "RoleName",
            name,
            CreateDate=here.ago(30 + index % 1400),
            RoleLastUsed={"LastUsedDate": used, "Region": "eu-west-1"} if used else {},
        )
    for index in range(users):
        _user(here, index, shared)
    backend.name_principals(account)
    sandbox.state.version += 1


def _shared(iam: Any, index: int) -> str:
    """Create a customer-managed policy; returns its ARN."""
    document = policy(
        allow(["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::lantern-data-{index}/*"),
        allow(["dynamodb:GetItem", "dynamodb:Query"], f"arn:aws:dynamodb:eu-west-1:*:table/t{index}"),
        allow(["logs:CreateLogStream", "logs:PutLogEvents"]),
    )
    made = iam.create_policy("", "/", document, f"shared-{index:04d}", [])
    return str(made.arn)


def _trusted(account: AccountBuilder, index: int) -> str:
    if index % 3:
        return service_trust("lambda" if index % 2 else "ecs-tasks")
    subject = f"repo:lanternpay/service-{index}:ref:refs/heads/main" if index % 30 else "repo:lanternpay/*"
    return account.federated(
        GITHUB,
        StringEquals={f"{GITHUB}:aud": "sts.amazonaws.com"},
        StringLike={f"{GITHUB}:sub": subject},
    )


def _inline(account: AccountBuilder, index: int) -> str:
    if index % 50 == 0:
        return policy(allow("iam:PassRole"), allow(["lambda:CreateFunction", "lambda:InvokeFunction"]))
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                allow("sqs:SendMessage", account.arn("sqs", f"queue-{index}")),
                allow(
                    ["secretsmanager:GetSecretValue"], account.arn("secretsmanager", f"secret:svc/{index}-*")
                ),
            ],
        }
    )


def _tags(index: int) -> list[dict[str, str]]:
    owner = OWNERS[index % len(OWNERS)]
    return [{"Key": "owner", "Value": owner}] if owner else []


def _user(account: AccountBuilder, index: int, shared: list[str]) -> None:
    iam = backend.iam(account.number)
    name = f"user-{index:05d}"
    iam.create_user("us-east-1", name, "/", _tags(index))
    iam.attach_user_policy(shared[index % len(shared)], name)
    facts: dict[str, Any] = {"CreateDate": account.ago(20 + index % 1000)}
    if index % 10 == 0:
        iam.create_login_profile(name, key_secret(account.number, name))
        facts["PasswordLastUsed"] = account.ago(index % 200)
    account.about("iam", "UserName", name, **facts)
    if index % 5 == 4:
        return
    iam.create_access_key(name)
    key = key_id(account.number, name)
    backend.name_key(account.number, name, 1, key, key_secret(account.number, name))
    used = {"LastUsedDate": account.ago(index % 90), "ServiceName": "s3", "Region": "eu-west-1"}
    account.about(
        "iam",
        "AccessKeyId",
        key,
        CreateDate=account.ago(15 + index % 900),
        **({"LastUsed": used} if index % 7 else {}),
    )
