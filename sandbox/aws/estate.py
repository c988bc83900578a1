"""Builds the company's AWS side against a sandbox, night by night."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.aws.account import AccountBuilder
from sandbox.aws.development import build_development
from sandbox.aws.keys import key_id
from sandbox.aws.organization import LEGACY, build_management, build_organization
from sandbox.aws.production import build_production
from sandbox.estate import DEV, PROD, SECOND_NIGHT

if TYPE_CHECKING:
    from sandbox.aws.server import AwsSandbox

FIRST_DENY = {
    PROD: ["kms:ListKeys"],
    DEV: ["codedeploy:ListGitHubAccountTokenNames", "rolesanywhere:ListSubjects"],
}
"""Permissions that the scanner lacks on the first night."""
SECOND_DENY = {**FIRST_DENY, DEV: [*FIRST_DENY[DEV], "lambda:ListFunctions"]}
"""Permissions that it lacks on the second night: a policy was tightened in between."""


def build(sandbox: AwsSandbox, night: int) -> None:
    """Bring the company to its state of a night, 1 or 2; the second is built on the first."""
    if sandbox.night < 1:
        _first(sandbox)
        sandbox.night = 1
    if night == 2 and sandbox.night < 2:
        _second(sandbox)
        sandbox.night = 2


def _first(sandbox: AwsSandbox) -> None:
    sandbox.state.refusing.add(LEGACY)
    sandbox.deny = {account: set(actions) for account, actions in FIRST_DENY.items()}
    organization = build_organization(sandbox)
    build_management(sandbox)
    build_production(sandbox, organization)
    build_development(sandbox)


def _second(sandbox: AwsSandbox) -> None:
    """A key and a secret were rotated, an admin role and a static key appeared, a permission was lost."""
    sandbox.as_of = SECOND_NIGHT
    sandbox.deny = {account: set(actions) for account, actions in SECOND_DENY.items()}
    production = AccountBuilder(sandbox, PROD)
    production.client("iam").delete_access_key(
        UserName="svc-reconciliation", AccessKeyId=key_id(PROD, "svc-reconciliation")
    )
    production.about(
        "secretsmanager",
        "Name",
        "prod/partner/acme-sftp",
        LastChangedDate=production.ago(-0.4),
    )
    production.github_role(
        "hotfix-runner",
        "repo:lanternpay/infra:*",
        "StringLike",
        managed=["AdministratorAccess"],
        created=-0.5,
        owner="platform",
    )
    production.key("svc-warehouse", created=-0.6, number=2)
