"""The production account: pipelines' roles, static keys, workloads, secrets and images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.aws.account import GITHUB, GITLAB, AccountBuilder
from sandbox.aws.documents import allow, policy, service_trust, trust
from sandbox.aws.keys import serial
from sandbox.aws.production_workloads import (
    CLUSTER_ISSUER,
    GONE_ISSUER,
    build_cluster,
    build_stores,
    build_workloads,
)
from sandbox.estate import PROD, REGION

if TYPE_CHECKING:
    from sandbox.aws.server import AwsSandbox

LEFT_ISSUER = "oidc.circleci.com/org/6b1f4c2e-0a3d-4e5f-9c7b-8d2e1f0a3b4c"
"""Issuer of a build service that the company no longer uses; no role trusts it any more."""


def build_production(sandbox: AwsSandbox, organization: str) -> None:
    """Create lantern-prod."""
    account = AccountBuilder(sandbox, PROD)
    account.root(used=6)
    for issuer, audience in (
        (GITHUB, "sts.amazonaws.com"),
        (GITLAB, "https://gitlab.com"),
        (CLUSTER_ISSUER, "sts.amazonaws.com"),
        (GONE_ISSUER, "sts.amazonaws.com"),
        (LEFT_ISSUER, LEFT_ISSUER.rsplit("/", 1)[1]),
    ):
        account.oidc_provider(issuer, audience)
    _pipelines(account)
    _trust_ladder(account)
    _people_and_keys(account)
    _roles(account, organization)
    build_workloads(account)
    build_cluster(account)
    build_stores(account, organization)


def _deployment(account: AccountBuilder, cluster: str, service: str) -> str:
    """Return the policy of a pipeline that only deploys one ECS service."""
    roles = [account.role_arn(f"{service}-task"), account.role_arn("ecs-execution")]
    return policy(
        allow(
            ["ecs:UpdateService", "ecs:DescribeServices"], account.arn("ecs", f"service/{cluster}/{service}")
        ),
        allow(
            [
                "ecr:PutImage",
                "ecr:InitiateLayerUpload",
                "ecr:UploadLayerPart",
                "ecr:CompleteLayerUpload",
                "ecr:BatchCheckLayerAvailability",
            ],
            account.arn("ecr", f"repository/{service}"),
        ),
        allow(["ecr:GetAuthorizationToken", "ecs:RegisterTaskDefinition"]),
        allow("iam:PassRole", roles, StringEquals={"iam:PassedToService": "ecs-tasks.amazonaws.com"}),
    )


def _pipelines(account: AccountBuilder) -> None:
    repo = "repo:lanternpay/{}:{}".format
    account.github_role(
        "deploy-payments",
        repo("payments-api", "environment:production"),
        managed=["AdministratorAccess"],
        owner="payments",
        created=640,
    )
    account.github_role(
        "deploy-web",
        repo("web-frontend", "environment:production"),
        inline={"deploy": _deployment(account, "web", "web-frontend")},
        owner="web",
        created=420,
    )
    account.github_role(
        "deploy-data",
        "repo:lanternpay/*",
        "StringLike",
        inline={
            "deploy": policy(
                allow(
                    ["lambda:UpdateFunctionCode", "lambda:GetFunction"],
                    account.arn("lambda", "function:nightly-export"),
                ),
                allow(["s3:GetObject", "s3:PutObject"], "arn:aws:s3:::lantern-exports/*"),
            )
        },
        owner="data",
        created=380,
    )
    account.github_role(
        "terraform-admin",
        repo("infra", "environment:infra-production"),
        managed=["AdministratorAccess"],
        owner="platform",
        created=900,
    )
    account.github_role(
        "deploy-mobile",
        repo("mobile-app", "ref:refs/heads/main"),
        inline={"publish": policy(allow("s3:PutObject", "arn:aws:s3:::lantern-mobile-builds/*"))},
        owner="mobile",
        created=760,
        used=200,
    )
    account.github_role(
        "deploy-billing",
        repo("old-billing", "*"),
        "StringLike",
        inline={
            "deploy": policy(
                allow(["lambda:UpdateFunctionCode", "s3:PutObject", "dynamodb:PutItem"], "*"),
            )
        },
        owner="payments",
        created=1000,
        used=310,
    )
    account.gitlab_role(
        "deploy-risk",
        "project_path:lantern/risk-engine:ref_type:branch:ref:main",
        inline={"deploy": _deployment(account, "core", "risk-engine")},
        owner="risk",
        created=300,
    )


def _trust_ladder(account: AccountBuilder) -> None:
    """One role for each grade of OIDC trust, and roles with sound trusts."""
    write = {"assets": policy(allow(["s3:PutObject", "s3:DeleteObject"], "arn:aws:s3:::lantern-status/*"))}
    like = "StringLike"
    account.role(
        "deploy-partner-portal",
        account.federated(GITHUB, StringEquals={f"{GITHUB}:aud": "sts.amazonaws.com"}),
        inline=write,
        owner="partners",
        created=820,
    )
    account.github_role(
        "deploy-status-page", "repo:*/status-page:ref:refs/heads/main", like, inline=write, owner="platform"
    )
    account.github_role("deploy-feature-flags", "repo:lanternpay*", like, inline=write, owner="web")
    account.github_role(
        "deploy-search", "repo:lanternpay/search:*", inline=write, owner="web", created=40, used=None
    )
    account.role(
        "deploy-notifications",
        account.federated(
            GITHUB, StringEquals={f"{GITHUB}:sub": "repo:lanternpay/notifications:environment:production"}
        ),
        inline=write,
        owner="platform",
    )
    account.role(
        "deploy-docs-cdn",
        account.federated(
            GITHUB,
            **{
                "StringEquals": {f"{GITHUB}:aud": "sts.amazonaws.com"},
                "ForAllValues:StringLike": {f"{GITHUB}:repository": "lanternpay/docs-site"},
            },
        ),
        inline=write,
        owner="web",
    )
    account.role(
        "deploy-reporting",
        account.federated(
            GITHUB,
            StringEquals={
                f"{GITHUB}:aud": "sts.amazonaws.com",
                f"{GITHUB}:repository_owner_id": "7001001",
                f"{GITHUB}:repository_id": "5004",
                f"{GITHUB}:ref": "refs/heads/main",
            },
        ),
        inline=write,
        owner="data",
    )
    account.github_role(
        "deploy-checkout",
        "repo:lanternpay@7001001/checkout@5012:environment:production",
        inline=write,
        owner="payments",
        created=35,
    )


def _people_and_keys(account: AccountBuilder) -> None:
    account.user(
        "ci-ledger",
        inline={"deploy": _deployment(account, "core", "ledger")},
        created=900,
        owner="core",
    )
    account.key("ci-ledger", created=460, service="ecs")
    bucket = {
        "files": policy(allow(["s3:GetObject", "s3:PutObject"], "arn:aws:s3:::lantern-partner-files/*"))
    }
    account.user("svc-reconciliation", inline=bucket, owner="core", created=700)
    account.key("svc-reconciliation", created=400, used=120)
    account.key("svc-reconciliation", created=30, number=2)
    account.user("svc-sftp-import", inline=bucket, owner="partners", created=210)
    account.key("svc-sftp-import", created=200, used=None)
    account.user("svc-new-partner", inline=bucket, owner="partners", created=10)
    account.key("svc-new-partner", created=10, used=None)
    account.user("svc-archive", inline=bucket, owner="data", created=760)
    account.key("svc-archive", created=500, used=300, active=False)
    account.key("svc-archive", created=25, number=2)
    account.user("svc-mailer", inline={"mail": policy(allow("ses:SendEmail"))}, owner="platform", created=62)
    account.key("svc-mailer", created=60, service="ses")
    account.user("svc-warehouse", inline=bucket, owner="data", created=70)
    account.key("svc-warehouse", created=70)
    account.user("marta.silva", managed=["AdministratorAccess"], password=1, mfa=True, owner="marta.silva")
    account.user("olga.petrova", managed=["ReadOnlyAccess"], password=3, mfa=True, owner="olga.petrova")
    limit = account.client("iam").create_policy(
        PolicyName="tenant-boundary", PolicyDocument=policy(allow(["s3:GetObject", "s3:ListBucket"]))
    )["Policy"]["Arn"]
    account.user(
        "svc-tenant-provisioner",
        managed=["AdministratorAccess"],
        boundary=limit,
        owner="platform",
        created=80,
    )
    account.key("svc-tenant-provisioner", created=80)
    account.user(
        "ml-playground",
        inline={
            "models": policy(allow("bedrock:InvokeModel", f"arn:aws:bedrock:{REGION}::foundation-model/*"))
        },
        owner="risk",
        created=190,
    )
    for user, alias, age, ends in (("ml-playground", "forever", 180, None), ("svc-mailer", "trial", 10, -20)):
        account.put(
            "service-credentials",
            "global",
            UserName=user,
            Status="Active",
            ServiceCredentialAlias=f"{user}-{alias}",
            CreateDate=account.ago(age),
            **({"ExpirationDate": account.ago(ends)} if ends else {}),
            ServiceSpecificCredentialId="ACCA" + serial(user).replace("-", "").upper()[:17],
            ServiceName="bedrock.amazonaws.com",
        )


def _roles(account: AccountBuilder, organization: str) -> None:
    account.role(
        "legacy-etl",
        service_trust("glue"),
        inline={"etl": policy(allow("s3:GetObject", "arn:aws:s3:::lantern-exports/*"))},
        owner="data",
        created=1200,
        used=380,
    )
    account.role(
        "blue-green-switch",
        service_trust("codedeploy"),
        inline={"switch": policy(allow("ecs:UpdateService", account.arn("ecs", "service/web/*")))},
        owner="web",
        created=600,
        used=None,
    )
    account.role(
        "partner-webhooks",
        service_trust("apigateway"),
        inline={"send": policy(allow("sqs:SendMessage", account.arn("sqs", "partner-webhooks")))},
        owner="partners",
        created=20,
        used=None,
    )
    account.role(
        "ci-release",
        trust({"AWS": account.arn("iam", "user/ci-ledger")}),
        inline={
            "release": policy(
                allow("iam:PassRole"), allow(["lambda:CreateFunction", "lambda:InvokeFunction"])
            )
        },
        owner="core",
    )
    account.role(
        "data-platform",
        service_trust("glue"),
        inline={"everything": policy(allow("s3:*"))},
        owner="data",
    )
    account.role(
        "data-lake-writer",
        service_trust("glue"),
        inline={"lake": policy(allow("s3:*", ["arn:aws:s3:::lantern-lake", "arn:aws:s3:::lantern-lake/*"]))},
        owner="data",
    )
    boundary = account.client("iam").create_policy(
        PolicyName="read-only-boundary",
        PolicyDocument=policy(allow(["s3:Get*", "s3:List*", "logs:Get*", "logs:Describe*"])),
    )["Policy"]["Arn"]
    account.role(
        "team-sandbox",
        trust({"AWS": account.arn("iam", "root")}),
        managed=["AdministratorAccess"],
        boundary=boundary,
        owner="platform",
    )
    account.role(
        "etl-adhoc",
        service_trust("glue"),
        inline={"etl": policy(allow("s3:GetObject", "arn:aws:s3:::lantern-exports/*"))},
        created=260,
        used=8,
    )
    account.role(
        "former-contractor",
        trust({"AWS": "AIDAUB2Z6ZQ3NN4OKXJ7T"}),
        managed=["ReadOnlyAccess"],
        owner="platform",
        used=75,
    )
    account.role(
        "org-inventory",
        trust({"AWS": "*"}, StringEquals={"aws:PrincipalOrgID": organization}),
        managed=["SecurityAudit"],
        owner="security",
    )
    anchor = account.arn("rolesanywhere", f"trust-anchor/{serial('datacenter-ca')}")
    certificate = {"Service": "rolesanywhere.amazonaws.com"}
    actions = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
    backup = {"backup": policy(allow("s3:PutObject", "arn:aws:s3:::lantern-backups/*"))}
    account.role(
        "backup-agent",
        trust(
            certificate,
            actions,
            ArnEquals={"aws:SourceArn": anchor},
            StringEquals={"aws:PrincipalTag/x509Subject/CN": "backup-01.dc.lanternpay.example"},
        ),
        inline=backup,
        owner="core",
    )
    account.role("mainframe-bridge", trust(certificate, actions), inline=backup, owner="core")
    _roles_anywhere(account, anchor)


def _roles_anywhere(account: AccountBuilder, anchor: str) -> None:
    account.put(
        "trust-anchors",
        trustAnchorId=serial("datacenter-ca"),
        trustAnchorArn=anchor,
        name="datacenter-ca",
        source={
            "sourceType": "AWS_ACM_PCA",
            "sourceData": {"acmPcaArn": account.arn("acm-pca", f"certificate-authority/{serial('pca')}")},
        },
        enabled=True,
        createdAt=account.ago(420),
        updatedAt=account.ago(420),
    )
    for role in ("backup-agent", "mainframe-bridge"):
        account.put(
            "profiles",
            profileId=serial(role),
            profileArn=account.arn("rolesanywhere", f"profile/{serial(role)}"),
            name=f"{role}s",
            enabled=True,
            createdBy=account.role_arn("terraform-admin"),
            roleArns=[account.role_arn(role)],
            durationSeconds=3600,
            createdAt=account.ago(420),
            updatedAt=account.ago(100),
        )
    for name, seen in (("backup-01", 0), ("mainframe-lpar3", 1), ("backup-00", 260)):
        account.put(
            "subjects",
            subjectArn=account.arn("rolesanywhere", f"subject/{serial(name)}"),
            subjectId=serial(name),
            enabled=True,
            x509Subject=f"CN={name}.dc.lanternpay.example,O=Lantern Pay",
            lastSeenAt=account.when(seen),
            createdAt=account.ago(400),
            updatedAt=account.ago(100),
        )
