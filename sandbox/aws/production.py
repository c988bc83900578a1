"""The production account: pipelines' roles, static keys, workloads, secrets and images."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sandbox.aws.account import GITHUB, GITLAB, Account, allow, policy, service_trust, trust
from sandbox.aws.keys import serial, token
from sandbox.estate import PROD, REGION, SECOND_REGION

if TYPE_CHECKING:
    from sandbox.aws.server import AwsSandbox

CLUSTER_ISSUER = f"oidc.eks.{REGION}.amazonaws.com/id/9B7E0F2A64C14E0BB1D1C2D3E4F5A6B7"
"""Issuer of the cluster ``lantern-core``, which runs."""
GONE_ISSUER = f"oidc.eks.{REGION}.amazonaws.com/id/1D00A1B2C3D4E5F60718293A4B5C6D7E"
"""Issuer of a cluster that was deleted two years ago."""
REGISTRY = f"{PROD}.dkr.ecr.{REGION}.amazonaws.com"


def build_production(sandbox: AwsSandbox, organization: str) -> None:
    """Create lantern-prod."""
    account = Account(sandbox, PROD)
    account.root(used=6)
    for issuer, audience in (
        (GITHUB, "sts.amazonaws.com"),
        (GITLAB, "https://gitlab.com"),
        (CLUSTER_ISSUER, "sts.amazonaws.com"),
        (GONE_ISSUER, "sts.amazonaws.com"),
    ):
        account.oidc_provider(issuer, audience)
    _pipelines(account)
    _trust_ladder(account)
    _people_and_keys(account)
    _roles(account, organization)
    _workloads(account)
    _cluster(account)
    _stores(account, organization)
    _certificates(account)


def _deployment(account: Account, cluster: str, service: str) -> str:
    """Return the policy of a pipeline that deploys one ECS service, and no more."""
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


def _pipelines(account: Account) -> None:
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


def _trust_ladder(account: Account) -> None:
    """One role a rung of the ladder of OIDC trust, and roles beside it that are sound."""
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
    account.github_role(
        "deploy-docs-cdn",
        "repo:lanternpay/docs-site:ref:refs/heads/main",
        "ForAllValues:StringLike",
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


def _people_and_keys(account: Account) -> None:
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


def _roles(account: Account, organization: str) -> None:
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
    anchor = account.arn("rolesanywhere", f"trust-anchor/{serial('datacentre-ca')}")
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


def _roles_anywhere(account: Account, anchor: str) -> None:
    account.put(
        "trust-anchors",
        trustAnchorId=serial("datacentre-ca"),
        trustAnchorArn=anchor,
        name="datacentre-ca",
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


def _workloads(account: Account) -> None:
    table = account.arn("dynamodb", "table/payments")
    runtime = account.role(
        "payments-api-runtime",
        service_trust("lambda"),
        inline={"table": policy(allow(["dynamodb:GetItem", "dynamodb:Query"], table))},
        owner="payments",
        created=640,
    )
    account.function(
        "payments-api",
        runtime,
        environment={
            "TABLE_NAME": "payments",
            "STRIPE_SECRET_ARN": account.arn("secretsmanager", "secret:prod/payments/stripe"),
            "LOG_LEVEL": "info",
        },
        owner="payments",
    )
    exports = account.role(
        "nightly-export-runtime",
        service_trust("lambda"),
        inline={
            "export": policy(
                allow("dynamodb:Scan", table), allow("s3:PutObject", "arn:aws:s3:::lantern-exports/*")
            )
        },
        owner="data",
        created=380,
    )
    account.function(
        "nightly-export",
        exports,
        environment={"BUCKET": "lantern-exports", "STRIPE_API_KEY": token("stripe", 24, "sk_" + "live_")},
        owner="data",
    )
    database = token("ledger-database", 28)
    report = account.role(
        "ledger-report-runtime",
        service_trust("lambda"),
        inline={"report": policy(allow("s3:PutObject", "arn:aws:s3:::lantern-reports/*"))},
        owner="core",
    )
    account.function(
        "ledger-report",
        report,
        environment={"LEDGER_DB_PASSWORD": database, "LEDGER_DB_HOST": "ledger.db.lanternpay.example"},
        region=SECOND_REGION,
        owner="core",
    )
    thumbnails = account.role(
        "legacy-thumbnailer-runtime",
        service_trust("lambda"),
        managed=["AdministratorAccess"],
        owner="web",
        created=1300,
    )
    account.function("legacy-thumbnailer", thumbnails, environment={"WIDTH": "320"}, changed=700, owner="web")
    intake = account.role(
        "webhook-intake-runtime",
        service_trust("lambda"),
        inline={"queue": policy(allow("sqs:SendMessage", account.arn("sqs", "webhooks")))},
        owner="partners",
    )
    url = account.function("webhook-intake", intake, environment={}, owner="partners")
    account.client("lambda").add_permission(
        FunctionName="webhook-intake",
        StatementId="public-url",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
    )
    account.put(
        "function-urls",
        FunctionName="webhook-intake",
        FunctionUrl=f"https://{serial('intake')[:8]}.lambda-url.{REGION}.on.aws/",
        FunctionArn=url,
        CreationTime=account.ago(150).isoformat(),
        LastModifiedTime=account.ago(150).isoformat(),
        AuthType="NONE",
        InvokeMode="BUFFERED",
    )
    _services(account, database)


def _services(account: Account, database: str) -> None:
    execution = account.role(
        "ecs-execution",
        service_trust("ecs-tasks"),
        managed=["arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"],
        owner="platform",
        created=900,
    )
    tasks = {
        "web-frontend": policy(allow(["s3:GetObject"], "arn:aws:s3:::lantern-web-assets/*")),
        "ledger": policy(
            allow(["dynamodb:GetItem", "dynamodb:PutItem"], account.arn("dynamodb", "table/ledger"))
        ),
        "risk-engine": policy(allow("sagemaker:InvokeEndpoint", account.arn("sagemaker", "endpoint/risk"))),
    }
    owners = {"web-frontend": "web", "ledger": "core", "risk-engine": "risk"}
    roles = {
        name: account.role(
            f"{name}-task",
            service_trust("ecs-tasks"),
            inline={"runtime": document},
            owner=owners[name],
            created=420,
        )
        for name, document in tasks.items()
    }
    for name, immutable in (
        ("web-frontend", True),
        ("ledger", False),
        ("risk-engine", True),
        ("payments-api", True),
    ):
        account.repository(name, immutable=immutable)
    account.repository("billing-worker", immutable=True, pulled=290)
    account.service(
        "web",
        "web-frontend",
        task_role=roles["web-frontend"],
        execution_role=execution,
        image=f"{REGISTRY}/web-frontend:release-41",
        environment={"API_URL": "https://api.lanternpay.example", "FEATURE_TOKEN_TTL": "900"},
        secrets={"SESSION_SECRET": account.arn("ssm", "parameter/prod/web/session_secret")},
        owner="web",
    )
    account.service(
        "core",
        "ledger",
        task_role=roles["ledger"],
        execution_role=execution,
        image=f"{REGISTRY}/ledger:latest",
        environment={"DB_HOST": "ledger.db.lanternpay.example", "DB_PASSWORD": database},
        owner="core",
    )
    account.service(
        "core",
        "risk-engine",
        task_role=roles["risk-engine"],
        execution_role=execution,
        image=f"{REGISTRY}/risk-engine:release-41",
        environment={"MODEL": "risk-2026-10"},
        owner="risk",
    )
    profile = account.role(
        "bastion",
        service_trust("ec2"),
        managed=["AmazonSSMManagedInstanceCore"],
        owner="platform",
        created=800,
    )
    iam = account.client("iam")
    iam.create_instance_profile(InstanceProfileName="bastion")
    iam.add_role_to_instance_profile(InstanceProfileName="bastion", RoleName=profile.rsplit("/", 1)[1])
    account.about("iam", "InstanceProfileName", "bastion", CreateDate=account.ago(800))
    account.client("ec2").run_instances(
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        InstanceType="t4g.micro",
        IamInstanceProfile={"Name": "bastion"},
        MetadataOptions={"HttpTokens": "required"},
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [{"Key": "Name", "Value": "bastion"}, {"Key": "owner", "Value": "platform"}],
            }
        ],
    )


def _cluster(account: Account) -> None:
    """The EKS cluster, with pod identity beside the older roles for service accounts."""
    role = account.role(
        "lantern-core-cluster", service_trust("eks"), managed=["AmazonEKSClusterPolicy"], owner="platform"
    )
    account.client("eks").create_cluster(
        name="lantern-core",
        roleArn=role,
        resourcesVpcConfig={"subnetIds": [], "endpointPublicAccess": False},
        tags={"owner": "platform"},
    )
    account.about(
        "eks",
        "name",
        "lantern-core",
        createdAt=account.ago(500),
        identity={"oidc": {"issuer": f"https://{CLUSTER_ISSUER}"}},
    )
    account.put("clusters", name="lantern-core")
    bucket = {"work": policy(allow("s3:GetObject", "arn:aws:s3:::lantern-settlement/*"))}
    subject, audience = f"{CLUSTER_ISSUER}:sub", {f"{CLUSTER_ISSUER}:aud": "sts.amazonaws.com"}
    account.role(
        "irsa-settlement",
        account.federated(
            CLUSTER_ISSUER,
            StringEquals={**audience, subject: "system:serviceaccount:settlement:worker"},
        ),
        inline=bucket,
        owner="core",
    )
    account.role(
        "irsa-shared",
        account.federated(
            CLUSTER_ISSUER, StringEquals=audience, StringLike={subject: "system:serviceaccount:*:*"}
        ),
        inline=bucket,
        owner="platform",
    )
    account.role(
        "irsa-fraud-stream",
        account.federated(
            GONE_ISSUER,
            StringEquals={
                f"{GONE_ISSUER}:aud": "sts.amazonaws.com",
                f"{GONE_ISSUER}:sub": "system:serviceaccount:fraud:stream",
            },
        ),
        inline=bucket,
        owner="risk",
        created=1100,
        used=None,
    )
    for name, owner in (("pod-payments-worker", "payments"), ("pod-orphan", "platform")):
        account.role(
            name, service_trust("pods.eks"), inline=bucket, owner=owner, used=0 if owner == "payments" else 60
        )
    association = "a-" + serial("payments-worker").replace("-", "")[:17]
    account.put(
        "pod-identity",
        clusterName="lantern-core",
        namespace="payments",
        serviceAccount="worker",
        roleArn=account.role_arn("pod-payments-worker"),
        associationArn=account.arn("eks", f"podidentityassociation/lantern-core/{association}"),
        associationId=association,
        tags={},
        createdAt=account.ago(110),
        modifiedAt=account.ago(110),
        disableSessionTags=False,
    )
    for name, rights, scope in (
        ("terraform-admin", "AmazonEKSClusterAdminPolicy", {"type": "cluster", "namespaces": []}),
        ("deploy-web", "AmazonEKSEditPolicy", {"type": "namespace", "namespaces": ["web"]}),
    ):
        principal = account.role_arn(name)
        account.put(
            "access-entries",
            clusterName="lantern-core",
            principalArn=principal,
            kubernetesGroups=[],
            accessEntryArn=account.arn("eks", f"access-entry/lantern-core/role/{PROD}/{name}/{serial(name)}"),
            createdAt=account.ago(200),
            modifiedAt=account.ago(200),
            tags={},
            username=f"arn:aws:sts::{PROD}:assumed-role/{name}/{{{{SessionName}}}}",
            type="STANDARD",
        )
        account.put(
            "access-policies",
            clusterName="lantern-core",
            principalArn=principal,
            policyArn=f"arn:aws:eks::aws:cluster-access-policy/{rights}",
            accessScope=scope,
            associatedAt=account.ago(200),
            modifiedAt=account.ago(200),
        )


def _stores(account: Account, organization: str) -> None:
    account.secret("prod/payments/stripe", created=600, changed=20, read=1, rotated=20, owner="payments")
    account.secret("prod/ledger/database", created=500, changed=15, read=0, rotated=15, owner="core")
    account.secret("prod/partner/acme-sftp", created=520, changed=500, read=1, owner="partners")
    account.secret("prod/old/twilio", created=900, changed=310, read=300, owner="platform")
    account.secret("prod/experiments/openai", created=150, changed=80, read=None, owner="risk")
    account.secret("prod/new/segment", created=12, changed=12, read=None, owner="data")
    account.secret(
        "rds!cluster-5f0e2a77", created=700, changed=3, read=0, rotated=3, owner="core", OwningService="rds"
    )
    account.parameter("/prod/ledger/db_password", token("ledger-parameter"), secure=False)
    account.parameter("/prod/ledger/db_host", "ledger.db.lanternpay.example", secure=False)
    account.parameter("/prod/web/session_secret", token("web-session"), secure=True)
    account.parameter("/prod/auth/token_url", "https://login.lanternpay.example/oauth/token", secure=False)
    account.parameter("/prod/partner/api_key", token("partner-api"), secure=True, region=SECOND_REGION)
    account.put(
        "activations",
        ActivationId=serial("branch-office"),
        Description="branch office servers",
        DefaultInstanceName="branch",
        IamRole="service-role/AmazonEC2RunCommandRoleForManagedInstances",
        RegistrationLimit=50,
        RegistrationsCount=12,
        ExpirationDate=account.ago(-9),
        Expired=False,
        CreatedDate=account.ago(20),
        Tags=[],
    )
    s3 = account.client("s3")
    place = {"LocationConstraint": REGION}
    for name, condition in (
        ("lantern-public-dumps", None),
        ("lantern-shared-artifacts", {"StringEquals": {"aws:PrincipalOrgID": organization}}),
    ):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration=place)
        statement = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{name}/*",
        }
        s3.put_bucket_policy(
            Bucket=name,
            Policy=json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [statement | ({"Condition": condition} if condition else {})],
                }
            ),
        )
        account.about("s3", "Name", name, CreationDate=account.ago(900))


def _certificates(account: Account) -> None:
    """Server certificates in IAM, from before there was a certificate manager."""
    for name, ends in (("api-lantern-2023", 40), ("api-lantern-2026", -300)):
        account.client("iam").upload_server_certificate(
            ServerCertificateName=name, CertificateBody="certificate", PrivateKey="none"
        )
        account.about(
            "iam",
            "ServerCertificateName",
            name,
            UploadDate=account.ago(ends + 365),
            Expiration=account.ago(ends),
        )
