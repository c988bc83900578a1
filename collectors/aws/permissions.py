"""Every API operation that the collector calls, and the least-privilege policy derived from them.

The client rejects operations that are not listed here, so policy and code cannot diverge. Actions are those of https://docs.aws.amazon.com/service-authorization/latest/reference/.
"""

from __future__ import annotations

import json
from typing import Any

OPERATIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "IamCore": {
        "iam": (
            "GenerateCredentialReport",
            "GetAccessKeyLastUsed",
            "GetAccountAuthorizationDetails",
            "GetAccountSummary",
            "GetCredentialReport",
            "GetOpenIDConnectProvider",
            "ListAccessKeys",
            "ListAccountAliases",
            "ListOpenIDConnectProviders",
            "ListOrganizationsFeatures",
            "ListSAMLProviders",
            "ListSSHPublicKeys",
            "ListServerCertificates",
            "ListServiceSpecificCredentials",
        ),
        "sts": ("GetCallerIdentity",),
    },
    "UnusedAccess": {
        "iam": ("GenerateServiceLastAccessedDetails", "GetServiceLastAccessedDetails"),
        "accessanalyzer": ("GetFindingV2", "ListAnalyzers", "ListFindingsV2"),
    },
    "Organization": {
        "organizations": (
            "DescribeOrganization",
            "DescribePolicy",
            "ListAccounts",
            "ListAccountsForParent",
            "ListOrganizationalUnitsForParent",
            "ListPolicies",
            "ListRoots",
            "ListTargetsForPolicy",
        ),
        "sso-admin": (
            "ListAccountAssignments",
            "ListAccountsForProvisionedPermissionSet",
            "DescribePermissionSet",
            "ListInstances",
            "ListPermissionSets",
        ),
        "identitystore": ("ListGroups", "ListUsers"),
    },
    "Workloads": {
        "ec2": ("DescribeInstances", "DescribeKeyPairs", "DescribeRegions"),
        "lambda": ("GetPolicy", "ListFunctions"),
        "ecs": (
            "DescribeServices",
            "DescribeTaskDefinition",
            "ListClusters",
            "ListServices",
            "ListTaskDefinitionFamilies",
        ),
        "eks": (
            "DescribeAccessEntry",
            "DescribeCluster",
            "DescribePodIdentityAssociation",
            "ListAccessEntries",
            "ListAssociatedAccessPolicies",
            "ListClusters",
            "ListPodIdentityAssociations",
        ),
        "rolesanywhere": ("ListProfiles", "ListSubjects", "ListTrustAnchors"),
    },
    "Delivery": {
        "codebuild": ("BatchGetProjects", "ListProjects", "ListSourceCredentials"),
        "codepipeline": ("GetPipeline", "ListPipelines", "ListWebhooks"),
        "codedeploy": (
            "BatchGetDeploymentGroups",
            "BatchGetOnPremisesInstances",
            "ListApplications",
            "ListDeploymentGroups",
            "ListGitHubAccountTokenNames",
            "ListOnPremisesInstances",
        ),
        "codeconnections": ("ListConnections",),
        "codestar-connections": ("ListConnections",),
    },
    "Stores": {
        "secretsmanager": ("GetResourcePolicy", "ListSecrets"),
        "ssm": ("DescribeActivations", "DescribeParameters"),
        "ecr": (
            "DescribeImages",
            "DescribeRepositories",
            "GetRegistryPolicy",
            "GetRepositoryPolicy",
        ),
        "kms": ("GetKeyPolicy", "ListAliases", "ListKeys"),
        "s3": ("GetBucketPolicy", "ListBuckets"),
        "sqs": ("GetQueueAttributes", "ListQueues"),
        "sns": ("GetTopicAttributes", "ListTopics"),
    },
}
"""Statement of the policy -> boto3 service -> operations."""

OPTIONAL_OPERATIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "ec2": {"user_data": ("DescribeInstanceAttribute",)}
}
"""boto3 service -> option of config.yaml that needs more -> operations."""

SIGN_IN: dict[str, tuple[str, ...]] = {
    "sts": ("AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity"),
    "sso": ("GetRoleCredentials",),
    "sso-oidc": ("CreateToken",),
    "signin": ("CreateOAuth2Token",),
}
"""Operations that botocore's credential providers call to get and renew a session."""

_PREFIX = {"sso-admin": "sso", "accessanalyzer": "access-analyzer"}
_SERVICE = {prefix: service for service, prefix in _PREFIX.items()}
_ACTION = {
    ("s3", "ListBuckets"): "s3:ListAllMyBuckets",
    ("accessanalyzer", "ListFindingsV2"): "access-analyzer:ListFindings",
    ("accessanalyzer", "GetFindingV2"): "access-analyzer:GetFinding",
}

NEVER = (
    "secretsmanager:GetSecretValue",
    "secretsmanager:BatchGetSecretValue",
    "ssm:GetParameter*",
    "ssm:GetCommandInvocation",
    "kms:Decrypt",
    "s3:GetObject",
    "lambda:GetFunction",
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
    "ec2:GetPasswordData",
    "ec2:GetConsoleOutput",
    "codebuild:BatchGetBuilds",
    "logs:GetLogEvents",
    "dynamodb:GetItem",
    "dynamodb:Query",
    "dynamodb:Scan",
)
"""Operations that read values and data, denied explicitly so that a broader attached policy does not allow them."""


def action_of(service: str, operation: str) -> str:
    """Return the IAM action required by an operation of a boto3 service."""
    return _ACTION.get((service, operation), f"{_PREFIX.get(service, service)}:{operation}")


def service_of(call: str) -> str:
    """Return boto3's name of the service of a call: ``accessanalyzer`` of ``access-analyzer:ListAnalyzers``."""
    prefix = call.partition(":")[0]
    return _SERVICE.get(prefix, prefix)


def is_listed(service: str, operation: str) -> bool:
    """Return whether the collector may call this operation."""
    return (
        operation in SIGN_IN.get(service, ())
        or any(operation in services.get(service, ()) for services in OPERATIONS.values())
        or any(operation in operations for operations in OPTIONAL_OPERATIONS.get(service, {}).values())
    )


def policy() -> dict[str, Any]:
    """Return the least-privilege policy for the role assumed in every account."""
    statements: list[dict[str, Any]] = [
        {
            "Sid": sid,
            "Effect": "Allow",
            "Action": sorted(
                {action_of(service, operation) for service, names in services.items() for operation in names}
            ),
            "Resource": "*",
        }
        for sid, services in OPERATIONS.items()
    ]
    statements.append({"Sid": "NeverValues", "Effect": "Deny", "Action": sorted(NEVER), "Resource": "*"})
    return {"Version": "2012-10-17", "Statement": statements}


def permissions() -> str:
    """Return the policy as indented JSON."""
    return json.dumps(policy(), indent=2)
