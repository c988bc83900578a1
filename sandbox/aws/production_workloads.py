"""Workloads and stores of production: functions, services, the cluster, secrets, buckets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sandbox.aws.documents import allow, policy, service_trust
from sandbox.aws.keys import serial
from sandbox.estate import PROD, REGION, SECOND_REGION
from sandbox.kit.issued import secret_value

if TYPE_CHECKING:
    from sandbox.aws.account import AccountBuilder

CLUSTER_ISSUER = f"oidc.eks.{REGION}.amazonaws.com/id/9B7E0F2A64C14E0BB1D1C2D3E4F5A6B7"
"""Issuer of the running cluster ``lantern-core``."""
GONE_ISSUER = f"oidc.eks.{REGION}.amazonaws.com/id/1D00A1B2C3D4E5F60718293A4B5C6D7E"
"""Issuer of a cluster that was deleted two years ago."""
REGISTRY = f"{PROD}.dkr.ecr.{REGION}.amazonaws.com"


def build_workloads(account: AccountBuilder) -> None:
    """Create functions, services and the instance, each with its role."""
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
        environment={
            "BUCKET": "lantern-exports",
            "STRIPE_API_KEY": secret_value("stripe", 24, "sk_" + "live_"),
        },
        owner="data",
    )
    database = secret_value("ledger-database", 28)
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


def _services(account: AccountBuilder, database: str) -> None:
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


def build_cluster(account: AccountBuilder) -> None:
    """The EKS cluster, with Pod Identity in addition to the older IRSA roles."""
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


def build_stores(account: AccountBuilder, organization: str) -> None:
    """Create secrets, parameters, buckets and certificates."""
    _certificates(account)
    account.secret("prod/payments/stripe", created=600, changed=20, read=1, rotated=20, owner="payments")
    account.secret("prod/ledger/database", created=500, changed=15, read=0, rotated=15, owner="core")
    account.secret("prod/partner/acme-sftp", created=520, changed=500, read=1, owner="partners")
    account.secret("prod/old/twilio", created=900, changed=310, read=300, owner="platform")
    account.secret("prod/experiments/openai", created=150, changed=80, read=None, owner="risk")
    account.secret("prod/new/segment", created=12, changed=12, read=None, owner="data")
    account.secret(
        "rds!cluster-5f0e2a77", created=700, changed=3, read=0, rotated=3, owner="core", OwningService="rds"
    )
    account.parameter("/prod/ledger/db_password", secret_value("ledger-parameter"), secure=False)
    account.parameter("/prod/ledger/db_host", "ledger.db.lanternpay.example", secure=False)
    account.parameter("/prod/web/session_secret", secret_value("web-session"), secure=True)
    account.parameter("/prod/auth/token_url", "https://login.lanternpay.example/oauth/token", secure=False)
    account.parameter("/prod/partner/api_key", secret_value("partner-api"), secure=True, region=SECOND_REGION)
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


def _certificates(account: AccountBuilder) -> None:
    """Server certificates in IAM, older than AWS Certificate Manager."""
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
