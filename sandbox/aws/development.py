"""The development account: previews, builds, the model team's pipeline, and servers in branch offices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.aws.account import GITHUB, GITLAB, AccountBuilder
from sandbox.aws.documents import allow, policy, service_trust, trust
from sandbox.aws.keys import key_id, key_secret, serial
from sandbox.estate import DEV, REGION
from sandbox.kit.issued import secret_value

if TYPE_CHECKING:
    from sandbox.aws.server import AwsSandbox


def build_development(sandbox: AwsSandbox) -> None:
    """Create lantern-dev."""
    account = AccountBuilder(sandbox, DEV)
    account.root(mfa=False)
    account.oidc_provider(GITHUB)
    account.oidc_provider(GITLAB, "https://gitlab.com")
    _roles(account)
    _models(account)
    _builds(account)
    _delivery_services(account)
    _stores(account)
    _analyzers(account)


def _roles(account: AccountBuilder) -> None:
    account.github_role(
        "preview-env",
        "repo:lanternpay/pr-preview:pull_request",
        inline={
            "preview": policy(
                allow(["s3:PutObject", "s3:DeleteObject"], "arn:aws:s3:::lantern-previews/*"),
                allow("cloudfront:CreateInvalidation", f"arn:aws:cloudfront::{DEV}:distribution/*"),
            )
        },
        owner="web",
    )
    account.github_role(
        "deploy-legacy",
        "repo:lanternpay/legacy-portal:ref:refs/heads/main",
        inline={"deploy": policy(allow("s3:PutObject", "arn:aws:s3:::lantern-legacy-portal/*"))},
        owner="web",
        used=30,
    )
    account.gitlab_role(
        "deploy-batch",
        "project_path:lantern/*:ref_type:branch:ref:main",
        "StringLike",
        inline={"deploy": policy(allow("batch:SubmitJob", account.arn("batch", "job-queue/nightly")))},
        owner="risk",
    )
    account.role(
        "public-dataset-reader",
        trust({"AWS": "*"}),
        inline={"read": policy(allow("s3:GetObject", "arn:aws:s3:::lantern-dev-datasets/*"))},
        owner="risk",
    )
    account.role(
        "key-minter",
        service_trust("lambda"),
        inline={"mint": policy(allow("iam:CreateAccessKey"))},
        owner="platform",
    )
    account.role(
        "dev-tagless", service_trust("lambda"), inline={"logs": policy(allow("logs:PutLogEvents"))}, created=3
    )
    account.user(
        "yuki.tanaka", managed=["ReadOnlyAccess"], password=5, mfa=True, owner="yuki.tanaka", created=150
    )


def _models(account: AccountBuilder) -> None:
    """The model team: a static key in CI variables, and another in two environments."""
    function = account.arn("lambda", "function:fraud-score")
    account.user(
        "ci-fraud",
        inline={"deploy": policy(allow(["lambda:UpdateFunctionCode", "lambda:GetFunction"], function))},
        owner="risk",
        created=400,
    )
    account.key("ci-fraud", created=220, service="lambda")
    account.user(
        "svc-feature-store",
        inline={"read": policy(allow("dynamodb:GetItem", account.arn("dynamodb", "table/features")))},
        owner="risk",
        created=75,
    )
    account.key("svc-feature-store", created=75, service="dynamodb")
    runtime = account.role(
        "fraud-score-runtime",
        service_trust("lambda"),
        inline={
            "score": policy(allow("sagemaker:InvokeEndpoint", account.arn("sagemaker", "endpoint/fraud")))
        },
        owner="risk",
    )
    account.function(
        "fraud-score",
        runtime,
        environment={
            "FEATURES_ACCESS_KEY_ID": key_id(DEV, "svc-feature-store"),
            "FEATURES_SECRET_ACCESS_KEY": key_secret(DEV, "svc-feature-store"),
            "MODEL_NAME": "fraud-2026-10",
        },
        owner="risk",
    )


def _builds(account: AccountBuilder) -> None:
    trusted = service_trust("codebuild")
    train = account.role(
        "codebuild-model-train",
        trusted,
        inline={
            "train": policy(allow(["s3:GetObject", "s3:PutObject"], "arn:aws:s3:::lantern-dev-models/*"))
        },
        owner="risk",
    )
    docs = account.role(
        "codebuild-docs",
        trusted,
        inline={"publish": policy(allow("s3:PutObject", "arn:aws:s3:::lantern-docs/*"))},
        owner="web",
    )
    infra = account.role(
        "codebuild-infra", trusted, managed=["AdministratorAccess"], owner="platform", created=1000
    )
    account.build_project(
        "model-train",
        train,
        environment=[
            ("AWS_ACCESS_KEY_ID", key_id(DEV, "svc-feature-store"), "PLAINTEXT"),
            ("AWS_SECRET_ACCESS_KEY", key_secret(DEV, "svc-feature-store"), "PLAINTEXT"),
            ("EPOCHS", "40", "PLAINTEXT"),
        ],
        owner="risk",
    )
    account.build_project(
        "docs-build",
        docs,
        environment=[
            ("ALGOLIA_API_KEY", "/dev/docs/algolia_key", "PARAMETER_STORE"),
            ("DEPLOY_TOKEN", "dev/docs:token", "SECRETS_MANAGER"),
            ("TOKEN_URL", "https://login.lanternpay.example/oauth/token", "PLAINTEXT"),
        ],
        owner="web",
        public=True,
        location="https://github.com/lanternpay/docs-site.git",
    )
    account.build_project(
        "infra-apply", infra, owner="platform", location="https://github.com/lanternpay/infra.git"
    )
    for server, kind in (("GITHUB", "PERSONAL_ACCESS_TOKEN"), ("GITLAB", "CODECONNECTIONS")):
        account.put(
            "source-credentials",
            arn=account.arn("codebuild", f"token/{server.lower()}"),
            serverType=server,
            authType=kind,
            **(
                {"resource": account.arn("codeconnections", f"connection/{serial('gitlab')}")}
                if kind == "CODECONNECTIONS"
                else {}
            ),
        )


def _delivery_services(account: AccountBuilder) -> None:
    role = account.role(
        "codepipeline-models",
        service_trust("codepipeline"),
        inline={
            "release": policy(
                allow(
                    ["codebuild:StartBuild", "codebuild:BatchGetBuilds"],
                    account.arn("codebuild", "project/model-train"),
                )
            )
        },
        owner="risk",
    )
    account.client("codepipeline").create_pipeline(
        pipeline={
            "name": "model-release",
            "roleArn": role,
            "artifactStore": {"type": "S3", "location": "lantern-dev-pipeline"},
            "stages": [
                {
                    "name": "Source",
                    "actions": [
                        {
                            "name": "Checkout",
                            "actionTypeId": {
                                "category": "Source",
                                "owner": "ThirdParty",
                                "provider": "GitHub",
                                "version": "1",
                            },
                            "configuration": {
                                "Owner": "lanternpay",
                                "Repo": "data-jobs",
                                "Branch": "main",
                                "OAuthToken": "****",
                            },
                            "outputArtifacts": [{"name": "source"}],
                        }
                    ],
                },
                {
                    "name": "Build",
                    "actions": [
                        {
                            "name": "Train",
                            "actionTypeId": {
                                "category": "Build",
                                "owner": "AWS",
                                "provider": "CodeBuild",
                                "version": "1",
                            },
                            "configuration": {"ProjectName": "model-train"},
                            "inputArtifacts": [{"name": "source"}],
                        }
                    ],
                },
            ],
            "version": 1,
        }
    )
    account.about("codepipeline", "name", "model-release", created=account.ago(500), updated=account.ago(90))
    account.put(
        "webhooks",
        definition={
            "name": "model-release-source",
            "targetPipeline": "model-release",
            "targetAction": "Checkout",
            "filters": [{"jsonPath": "$.ref", "matchEquals": "refs/heads/{Branch}"}],
            "authentication": "GITHUB_HMAC",
            "authenticationConfiguration": {"SecretToken": secret_value("webhook")},
        },
        url=f"https://{REGION}.webhooks.aws/trigger?t={serial('webhook')}&v=1",
        arn=account.arn("codepipeline", "webhook:model-release-source"),
        lastTriggered=account.ago(3),
        tags=[],
    )
    _on_premises(account)
    for name, provider, status in (
        ("github-lantern", "GitHub", "AVAILABLE"),
        ("gitlab-migration", "GitLab", "PENDING"),
    ):
        for service in ("codeconnections", "codestar-connections"):
            # Both services list the same connections; the former name only those created before the renaming.
            if service == "codeconnections" or name == "github-lantern":
                account.put(
                    "connections" if service == "codeconnections" else service,
                    ConnectionName=name,
                    ConnectionArn=account.arn(service, f"connection/{serial(name)}"),
                    ProviderType=provider,
                    OwnerAccountId=DEV,
                    ConnectionStatus=status,
                )


def _on_premises(account: AccountBuilder) -> None:
    role = account.role(
        "codedeploy-branches",
        service_trust("codedeploy"),
        managed=["service-role/AWSCodeDeployRole"],
        owner="core",
    )
    account.put("applications", applicationName="branch-servers")
    account.put(
        "deployment-groups",
        applicationName="branch-servers",
        deploymentGroupId=serial("branches"),
        deploymentGroupName="branches",
        deploymentConfigName="CodeDeployDefault.OneAtATime",
        serviceRoleArn=role,
        computePlatform="Server",
        onPremisesInstanceTagFilters=[{"Key": "site", "Value": "branch", "Type": "KEY_AND_VALUE"}],
    )
    account.user(
        "svc-branch-berlin",
        inline={"fetch": policy(allow("s3:GetObject", "arn:aws:s3:::lantern-branch-releases/*"))},
        owner="core",
        created=720,
    )
    account.key("svc-branch-berlin", created=720)
    session = f"arn:aws:sts::{DEV}:assumed-role/branch-server/lisbon-01"
    for name, proof in (
        ("berlin-01", {"iamUserArn": account.arn("iam", "user/svc-branch-berlin")}),
        ("lisbon-01", {"iamSessionArn": session}),
    ):
        account.put(
            "on-premises",
            instanceName=name,
            instanceArn=account.arn("codedeploy", f"instance:{name}_{name[:6].upper()}"),
            registerTime=account.ago(715),
            tags=[{"Key": "site", "Value": "branch"}],
            **proof,
        )
    account.put("github-tokens", name="lantern-release-bot")


def _stores(account: AccountBuilder) -> None:
    account.parameter("/dev/sendgrid/api_key", secret_value("sendgrid", 22), secure=False)
    account.parameter("/dev/docs/algolia_key", secret_value("algolia"), secure=True)
    account.parameter("/dev/features/password_min_length", "14", secure=False)
    account.secret("dev/docs", created=200, changed=40, read=0, owner="web")
    account.repository("model-train", immutable=False)
    account.repository("docs-build", immutable=True)
    account.client("ecr").set_repository_policy(
        repositoryName="docs-build",
        policyText=policy(
            {
                "Sid": "public",
                "Effect": "Allow",
                "Principal": "*",
                "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            }
        ),
    )


def _analyzers(account: AccountBuilder) -> None:
    """An existing unused-access analyzer, and its findings."""
    analyzer = f"arn:aws:access-analyzer:{REGION}:{DEV}:analyzer/unused-access"
    account.put(
        "analyzers",
        arn=analyzer,
        name="unused-access",
        type="ACCOUNT_UNUSED_ACCESS",
        createdAt=account.ago(180),
        status="ACTIVE",
        configuration={"unusedAccess": {"unusedAccessAge": 90}},
    )
    role = account.role_arn("codebuild-infra")
    account.put(
        "findings",
        analyzerArn=analyzer,
        id=serial("unused-infra"),
        analyzedAt=account.ago(1),
        createdAt=account.ago(80),
        updatedAt=account.ago(1),
        resource=role,
        resourceType="AWS::IAM::Role",
        resourceOwnerAccount=DEV,
        status="ACTIVE",
        findingType="UnusedPermission",
        findingDetails=[
            {
                "unusedPermissionDetails": {
                    "serviceNamespace": service,
                    "lastAccessed": account.ago(age),
                    "actions": [],
                }
            }
            for service, age in (("organizations", 300), ("kms", 240))
        ],
    )
    services = {"s3": 1, "ec2": 3, "iam": 260, "kms": 240, "organizations": 300}
    account.sandbox.state.known[DEV, "services", role] = {
        **{name: account.ago(age) for name, age in services.items()},
        "lambda": None,
        "rds": None,
        "dynamodb": None,
    }
