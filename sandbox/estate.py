"""The description of the simulated company, Lantern Pay, that all sandbox servers serve. Cloud and source control meet
only here: the repositories of `REPOSITORIES` and `PROJECTS` deploy the workloads that `sandbox.aws` builds, through the
roles and users named here.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

FIRST_NIGHT = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
"""The demo's first night."""
SECOND_NIGHT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
"""The demo's second night."""

GITHUB_ORG = "lanternpay"
GITHUB_ORG_ID = 7001001
GITLAB_GROUP = "lantern"
GITLAB_GROUP_ID = 8001
REGION = "eu-west-1"
SECOND_REGION = "us-east-1"
GOOGLE_ORGANIZATION = "700000000007"
"""The number of the Google Cloud organization."""
GOOGLE_DOMAIN = "lanternpay.example"

MANAGEMENT = "100000000001"
"""AWS account: the organization's management account."""
PROD = "200000000002"
"""AWS account: production workloads."""
DEV = "300000000003"
"""AWS account: development and the build tools."""
ACCOUNT_NAMES = {MANAGEMENT: "lantern-management", PROD: "lantern-prod", DEV: "lantern-dev"}


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """One repository (GitHub) or project (GitLab), and what its pipeline reaches in the cloud."""

    name: str
    id: int
    login: str
    """How its pipeline signs in: ``oidc``, ``static`` or ``none``."""
    account: str = PROD
    """An AWS account, or a Google Cloud project."""
    role: str | None = None
    """The IAM role that its pipeline asks for; on Google Cloud, the service account."""
    user: str | None = None
    """The IAM user, or service account, whose static keys it holds."""
    environment: str | None = None
    archived: bool = False
    workload: str | None = None
    """The workload that it deploys, as ``lambda:NAME``, ``ecs:CLUSTER/NAME`` or ``run:NAME``."""
    note: str = ""


REPOSITORIES = (
    Repository(
        name="payments-api",
        id=5001,
        login="oidc",
        role="deploy-payments",
        environment="production",
        workload="lambda:payments-api",
        note="The role is AdministratorAccess; the function reads one table: the great excess.",
    ),
    Repository(
        name="web-frontend",
        id=5002,
        login="oidc",
        role="deploy-web",
        environment="production",
        workload="ecs:web/web-frontend",
        note="Look-alike: scoped role, exact subject, protected environment.",
    ),
    Repository(
        name="ledger",
        id=5003,
        login="static",
        user="ci-ledger",
        environment="production",
        workload="ecs:core/ledger",
        note="Static keys in repository secrets although OIDC is set up in the account.",
    ),
    Repository(
        name="data-jobs",
        id=5004,
        login="oidc",
        role="deploy-data",
        workload="lambda:nightly-export",
        note="The role trusts the whole organization: repo:lanternpay/*.",
    ),
    Repository(
        name="infra",
        id=5005,
        login="oidc",
        role="terraform-admin",
        environment="infra-production",
        note="Exactly pinned trust, but standing admin.",
    ),
    Repository(
        name="mobile-app",
        id=5006,
        login="oidc",
        role="deploy-mobile",
        archived=True,
        note="Archived, and still trusted.",
    ),
    Repository(
        name="docs-site", id=5007, login="none", note="Look-alike: builds pages, has no cloud access at all."
    ),
    Repository(
        name="pr-preview",
        id=5008,
        login="oidc",
        account=DEV,
        role="preview-env",
        note="pull_request_target with checkout of the head, and an OIDC login.",
    ),
    Repository(
        name="wrong-role",
        id=5009,
        login="oidc",
        account=DEV,
        role="deploy-legacy",
        note="Asks for a role that does not trust it.",
    ),
    Repository(
        name="shared-actions", id=5010, login="none", note="Reusable workflows and a composite action."
    ),
    Repository(
        name="basket",
        id=5018,
        login="oidc",
        account="lantern-shop",
        role="deploy-basket",
        environment="production",
        workload="run:basket",
        note="Pinned exactly; its account may deploy anything as anyone, and the service reads one secret.",
    ),
    Repository(
        name="rates",
        id=5019,
        login="oidc",
        account="lantern-shop",
        role="deploy-rates",
        environment="production",
        workload="run:rates",
        note="Look-alike: its account may deploy this service as this account alone.",
    ),
    Repository(
        name="exports",
        id=5020,
        login="static",
        account="lantern-data",
        user="nightly-export",
        environment="production",
        workload="run:exports",
        note="A service account's key in a repository secret; the service runs as the default account, which is Editor.",
    ),
)

GONE_REPOSITORY = "old-billing"
"""Deleted on GitHub; the role ``deploy-billing`` in `PROD` still trusts ``repo:lanternpay/old-billing:*``."""

PROJECTS = (
    Repository(
        name="risk-engine",
        id=9001,
        login="oidc",
        role="deploy-risk",
        environment="production",
        workload="ecs:core/risk-engine",
        note="Look-alike: GitLab id_tokens, exact project and branch; it publishes to Google Cloud in the same way.",
    ),
    Repository(
        name="fraud-model",
        id=9002,
        login="static",
        user="ci-fraud",
        account=DEV,
        workload="lambda:fraud-score",
        note=(
            "The access key id and secret are plain CI variables, neither masked nor protected, and stand once more in a "
            "file that it includes. A template of ci-templates asks for a role that does not trust it."
        ),
    ),
    Repository(
        name="handbook",
        id=9003,
        login="none",
        note="Look-alike: no cloud access; all that it includes is pinned.",
    ),
    Repository(
        name="ci-templates",
        id=9004,
        login="none",
        note="What other pipelines include; one of its files includes an address in turn.",
    ),
)
