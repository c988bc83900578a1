"""Maps AWS actions to the provider-neutral powers. The basis is the access level in AWS's reference. ``data/powers.txt``
says what single actions give beyond it: access for others, credentials, another identity. The sets below refine the rest: reads that return data or secrets, writes that change permissions, change what is delivered, or deploy.
Source of the refinements: https://docs.aws.amazon.com/service-authorization/latest/reference/ (each action checked).
"""

from __future__ import annotations

import functools
from pathlib import Path

import msgspec

from collectors.aws.evaluator.actions import catalog, mask_of
from collectors.aws.evaluator.escalation_paths import interesting
from scanner.records import POWERS, Power

IAM_GRANTING = (
    "iam:AttachGroupPolicy", "iam:AttachRolePolicy", "iam:AttachUserPolicy", "iam:PutGroupPolicy",
    "iam:PutRolePolicy", "iam:PutUserPolicy", "iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion",
    "iam:AddUserToGroup", "iam:UpdateAssumeRolePolicy",
)  # fmt: skip
"""Actions that change the permissions of an IAM identity or who may become it. What they grant depends on the resources
they apply to."""

BECOMING = (
    "iam:PassRole", "iam:CreateAccessKey", "iam:CreateLoginProfile", "iam:UpdateLoginProfile",
    "iam:UpdateAssumeRolePolicy", "sts:AssumeRole",
)  # fmt: skip
"""Actions by which the caller, or a resource that it runs, becomes another identity. What they grant depends on the
identities they apply to."""

READ_SECRETS = (
    "secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue", "ssm:GetParameter",
    "ssm:GetParameters", "ssm:GetParametersByPath", "ssm:GetParameterHistory", "ec2:GetPasswordData",
    "lightsail:DownloadDefaultKeyPair", "lightsail:GetInstanceAccessDetails",
    "lightsail:GetRelationalDatabaseMasterUserPassword", "redshift:GetClusterCredentials",
    "redshift:GetClusterCredentialsWithIAM", "redshift-serverless:GetCredentials", "acm:ExportCertificate",
    "codeartifact:GetAuthorizationToken", "appflow:UseConnectorProfile",
    "connect:GetFederationToken", "gamelift:RequestUploadCredentials",
    "gamelift:GetInstanceAccess", "bedrock-agentcore:GetResourceApiKey", "bedrock-agentcore:GetResourceOauth2Token",
    "cloud9:CreateEnvironmentToken", "iot:CreateKeysAndCertificate", "snowball:GetJobUnlockCode",
    "wafv2:GetDecryptedAPIKey", "mediapackage:RotateChannelCredentials",
    "elasticmapreduce:GetClusterSessionCredentials", "emr-containers:GetManagedEndpointSessionCredentials",
    "bedrock-agentcore:GetWorkloadAccessToken*",
)  # fmt: skip
"""Reads that return credentials or secret values."""
READ_DATA = (
    "s3:GetObject*", "s3-object-lambda:GetObject*", "s3express:CreateSession",
    "s3tables:GetTableData", "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan",
    "dynamodb:PartiQLSelect", "dynamodb:GetRecords", "dynamodb:ExportTableToPointInTime", "dax:GetItem",
    "dax:BatchGetItem", "dax:Query", "dax:Scan", "sqs:ReceiveMessage", "kinesis:GetRecords",
    "kinesis:SubscribeToShard", "rds-data:ExecuteStatement", "rds-data:BatchExecuteStatement",
    "rds-data:ExecuteSql", "rds-db:connect", "rds:StartExportTask", "rds:DownloadDBLogFilePortion",
    "rds:DownloadCompleteDBLogFile", "redshift-data:ExecuteStatement", "redshift-data:BatchExecuteStatement",
    "redshift-data:GetStatementResult*", "athena:GetQueryResults*", "athena:StartQueryExecution",
    "logs:GetLogEvents", "logs:FilterLogEvents", "logs:GetLogRecord", "logs:StartQuery", "logs:GetQueryResults",
    "logs:StartLiveTail", "logs:Unmask", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "codecommit:GitPull",
    "codecommit:GetFile", "codecommit:GetBlob", "codecommit:GetFolder", "codecommit:GetDifferences",
    "codeartifact:ReadFromRepository", "codeartifact:GetPackageVersionAsset", "lambda:GetFunction",
    "lambda:GetLayerVersion", "ebs:GetSnapshotBlock", "ebs:ListSnapshotBlocks", "ec2:GetConsoleOutput",
    "ec2:GetConsoleScreenshot", "ec2:ExportImage", "ec2:CreateStoreImageTask", "elasticfilesystem:ClientMount",
    "es:ESHttpGet", "es:ESHttpHead", "aoss:APIAccessAll", "glacier:GetJobOutput", "mediastore:GetObject",
    "kms:Decrypt", "kms:ReEncryptFrom", "cassandra:Select", "timestream:Select", "qldb:PartiQLSelect",
    "neptune-db:ReadDataViaQuery", "neptune-db:connect", "healthlake:ReadResource", "healthlake:Search*",
    "cognito-idp:ListUsers", "cognito-idp:AdminGetUser", "cognito-sync:ListRecords",
    "cloudtrail:GetQueryResults", "cloudtrail:LookupEvents", "glue:GetConnection*", "glue:GetTable*",
    "macie2:GetSensitiveDataOccurrences", "comprehend:Detect*", "s3-outposts:GetObject*", "sdb:Select",
    "sdb:GetAttributes", "kafka-cluster:ReadData", "docdb-elastic:*Restore*", "appconfig:GetLatestConfiguration",
    "appconfig:GetConfiguration", "apigateway:GET", "lakeformation:GetDataAccess", "backup:StartRestoreJob",
    "transcribe:GetTranscriptionJob", "execute-api:Invoke", "geo:GetDevicePosition*", "polly:GetSpeechSynthesisTask",
)  # fmt: skip
"""Reads that return stored data, not only metadata."""

CHANGE_DELIVERY = (
    "codecommit:GitPush", "codecommit:Merge*", "codecommit:PutFile", "codecommit:CreateCommit",
    "codecommit:CreateBranch", "codecommit:DeleteBranch", "codecommit:UpdateDefaultBranch",
    "codecommit:UpdatePullRequestApproval*", "codecommit:OverridePullRequestApprovalRules",
    "codecommit:*ApprovalRule*", "codebuild:CreateProject", "codebuild:UpdateProject", "codebuild:StartBuild*",
    "codebuild:CreateWebhook", "codebuild:UpdateWebhook", "codebuild:ImportSourceCredentials",
    "codebuild:RetryBuild*", "codebuild:InvalidateProjectCache", "codepipeline:CreatePipeline",
    "codepipeline:UpdatePipeline", "codepipeline:StartPipelineExecution", "codepipeline:PutApprovalResult",
    "codepipeline:PutJobSuccessResult", "codepipeline:PutThirdPartyJobSuccessResult", "codepipeline:PutWebhook",
    "codepipeline:CreateCustomActionType", "codepipeline:RetryStageExecution", "codepipeline:OverrideStageCondition",
    "codepipeline:EnableStageTransition", "ecr:PutImage", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload",
    "ecr:InitiateLayerUpload", "ecr:PutImageTagMutability", "ecr:PutReplicationConfiguration",
    "ecr:CreatePullThroughCacheRule", "ecr:BatchDeleteImage", "ecr-public:PutImage",
    "ecr-public:UploadLayerPart", "ecr-public:CompleteLayerUpload", "ecr-public:InitiateLayerUpload",
    "codeartifact:PublishPackageVersion", "codeartifact:CopyPackageVersions", "codeartifact:PutPackageMetadata",
    "codeartifact:UpdatePackageVersionsStatus", "codeartifact:AssociateExternalConnection",
    "codeartifact:UpdateRepository", "codeartifact:PutPackageOriginConfiguration", "imagebuilder:Create*",
    "imagebuilder:Update*", "imagebuilder:StartImagePipelineExecution", "signer:StartSigningJob", "signer:SignPayload",
    "lambda:PublishLayerVersion", "lambda:UpdateCodeSigningConfig", "lambda:DeleteFunctionCodeSigningConfig",
    "codestar-connections:CreateConnection", "codestar-connections:UseConnection",
    "codeconnections:CreateConnection", "codeconnections:UseConnection",
    "servicecatalog:CreateProduct", "servicecatalog:CreateProvisioningArtifact", "amplify:StartJob",
)  # fmt: skip
"""Writes to source, builds, images and packages."""

DEPLOY_SERVICES = (
    "apprunner", "appstream", "autoscaling", "autoscaling-plans", "batch", "beanstalk", "bedrock-agentcore",
    "cloudformation", "cloudfront", "codedeploy", "ecs", "eks", "elasticbeanstalk", "elasticloadbalancing",
    "elasticmapreduce", "emr-containers", "emr-serverless", "lambda", "lightsail", "opsworks", "outposts", "proton",
    "sagemaker", "serverlessrepo", "states", "imagebuilder", "amplify", "airflow", "glue", "appmesh", "datapipeline",
)  # fmt: skip
"""Services whose writes deploy something."""
DEPLOY = (
    "ec2:RunInstances", "ec2:StartInstances", "ec2:StopInstances", "ec2:RebootInstances", "ec2:TerminateInstances",
    "iam:PassRole", "ec2:ModifyInstance*", "ec2:CreateLaunchTemplate*", "ec2:ModifyLaunchTemplate", "ec2:CreateFleet",
    "ec2:ModifyFleet", "ec2:RequestSpot*", "ec2:AssociateIamInstanceProfile", "ec2:ReplaceIamInstanceProfile*",
    "ec2:CreateImage", "ec2:RegisterImage", "ssm:SendCommand", "ssm:StartSession", "ssm:StartAutomationExecution",
    "ssm:CreateAssociation", "ssm:UpdateAssociation", "ssm:CreateDocument", "ssm:UpdateDocument",
    "ssm:UpdateDocumentDefaultVersion", "ec2-instance-connect:*", "scheduler:CreateSchedule",
    "scheduler:UpdateSchedule", "events:PutTargets", "pipes:CreatePipe", "pipes:UpdatePipe",
)  # fmt: skip
"""Other writes that deploy something or run commands in it."""
DEPLOY_NOT = ("glue:*Table*", "glue:*Partition*", "glue:*Database*", "glue:*Schema*", "glue:*Catalog*")

TELEMETRY = (
    "logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:PutRetentionPolicy",
    "cloudwatch:PutMetricData", "xray:Put*", "xray:GetSampling*", "ssmmessages:*", "ec2messages:*",
    "ssm:UpdateInstanceInformation", "ssm:PutInventory", "ssm:PutComplianceItems", "ssm:UpdateInstanceAssociationStatus",
    "ssm:PutConfigurePackageResult", "ssm:UpdateAssociationStatus",
    "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses", "aps:RemoteWrite", "sts:*", "autoscaling:CompleteLifecycleAction",
    "kms:GenerateDataKey*", "kms:Encrypt", "kms:ReEncryptTo", "iam:ChangePassword", "iam:*MFADevice", "iam:GetUser",
    "iam:CreateServiceLinkedRole", "codebuild:CreateReportGroup", "codebuild:CreateReport",
    "codebuild:UpdateReport", "codebuild:BatchPutTestCases", "codebuild:BatchPutCodeCoverages",
    "cloudwatch:CreateOneTimeDeepLinkCode", "*:CallWithBearerToken", "kms:GenerateRandom", "kms:GenerateMac",
    "datapipeline:Report*", "datapipeline:PollForTask",
)  # fmt: skip
"""Writes for telemetry, network interfaces and encryption, which change no data."""


class ClassifiedAction(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``data/powers.txt``."""

    power: str
    """A `Power`, or ``level``: only what the access level says."""
    when: str
    """``always``, ``named`` or ``target``."""
    actions: tuple[str, ...]
    """Names or, for ``level``, patterns."""


@functools.cache
def classified() -> tuple[ClassifiedAction, ...]:
    """Read ``data/powers.txt``."""
    text = (Path(__file__).parent / "data" / "powers.txt").read_text(encoding="utf-8")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return tuple(
        ClassifiedAction(power=power, when=when, actions=tuple(names)) for power, when, *names in lines
    )


def _of_file(power: str, when: str) -> int:
    bits = catalog().bits
    return mask_of(
        bits[name.lower()]
        for line in classified()
        if line.power == power and line.when == when
        for name in line.actions
        if name.lower() in bits
    )


class Powers(msgspec.Struct, frozen=True, kw_only=True):
    """Action sets."""

    by_power: tuple[tuple[Power, int], ...]
    """Strongest first, without ``admin``. For ``grant-access`` and ``become-other``, only the actions that always grant
    them."""
    explicit: dict[Power, int]
    """Actions that give the powers of `EXPLICIT` only where a statement names them."""
    iam_granting: int
    """`IAM_GRANTING`."""
    becoming: int
    """`BECOMING`."""
    secrets: int
    """`READ_SECRETS`."""
    harmful: int
    """All actions other than reading metadata."""


EXPLICIT: frozenset[Power] = frozenset({"grant-access", "become-other", "read-secrets"})


@functools.cache
def powers() -> Powers:
    """Return the action sets of the powers."""
    known = catalog()
    iam_granting = known.of(IAM_GRANTING)
    becoming = known.of(BECOMING)
    # A step of an escalation path counts with the rest of the path, on the identities that it leads to.
    named: dict[Power, int] = {power: _of_file(power, "named") & ~interesting() for power in EXPLICIT}
    granting = _of_file("grant-access", "always") | named["grant-access"]
    # What gives a secret wherever it is allowed counts as one, however it is named.
    secrets = known.of(READ_SECRETS) | _of_file("read-secrets", "always")
    data = known.of(READ_DATA) | _of_file("read-data", "named")
    telemetry = known.of(TELEMETRY)
    misfiled = known.level("WTP") & known.of(["*:Get*", "*:List*", "*:Describe*"])
    writes = known.level("WTP") & ~telemetry & ~misfiled
    delivery = known.of(CHANGE_DELIVERY) & writes
    deploys = (
        known.of([f"{service}:*" for service in DEPLOY_SERVICES]) & known.level("WP") & ~known.of(DEPLOY_NOT)
    )
    deploys = (
        (deploys | known.of(DEPLOY))
        & writes
        & ~delivery
        & ~data
        & ~known.of(
            [f"{service}:{verb}*" for service in DEPLOY_SERVICES for verb in ("Tag", "Untag", "Invoke")]
        )
    )
    changes = writes & ~delivery & ~deploys & ~secrets & ~data
    reads = (known.level("RL") | misfiled) & ~secrets & ~data
    by_power: dict[Power, int] = {
        "grant-access": granting,
        "become-other": named["become-other"],
        "read-secrets": secrets | named["read-secrets"],
        "change-delivery": delivery,
        "deploy": deploys,
        "change-data": changes,
        "read-data": data,
        "read": reads | telemetry,
    }
    return Powers(
        by_power=tuple((power, by_power[power]) for power in POWERS if power in by_power),
        explicit={**named, "read-secrets": named["read-secrets"] & ~secrets},
        iam_granting=iam_granting,
        becoming=becoming,
        secrets=secrets,
        harmful=known.everything & ~reads & ~telemetry,
    )
