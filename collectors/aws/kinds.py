"""The kinds of records of the AWS collector, and the parts of tables in its coverage and gaps."""

from __future__ import annotations

KINDS: dict[str, frozenset[str]] = {
    "accounts": frozenset(("aws-account", "aws-organization", "aws-organizational-unit", "eks-cluster")),
    "identities": frozenset(
        (
            "codebuild-project",
            "codedeploy-group",
            "codedeploy-on-premises-instance",
            "codepipeline",
            "ec2-instance",
            "ecs-service",
            "ecs-task-definition",
            "eks-service-account",
            "iam-group",
            "iam-role",
            "iam-user",
            "identity-center-group",
            "identity-center-user",
            "lambda-function",
            "oidc-provider",
            "roles-anywhere-profile",
            "roles-anywhere-subject",
            "root",
            "saml-provider",
        )
    ),
    "credentials": frozenset(
        (
            "access-key",
            "certificate",
            "connection",
            "ec2-key-pair",
            "password",
            "root-access-key",
            "server-certificate",
            "service-credential",
            "signing-certificate",
            "source-credential",
            "ssh-key",
            "ssm-activation",
            "webhook-secret",
        )
    ),
    "secrets": frozenset(
        ("codebuild-env", "ec2-user-data", "ecs-env", "lambda-env", "secrets-manager", "ssm-parameter")
    ),
    "trusts": frozenset(("account", "anyone", "certificate", "oidc", "pod-identity", "saml", "service")),
    "policies": frozenset(
        (
            "inline-policy",
            "managed-policy",
            "managed-policy-version",
            "permissions-boundary",
            "rcp",
            "resource-policy",
            "role-trust",
            "scp",
        )
    ),
    "controls": frozenset(
        (
            "access-analyzer",
            "build-visibility",
            "central-root-management",
            "image-scanning",
            "imdsv2",
            "rcp",
            "scp",
            "tag-immutability",
            "trust-anchor",
            "webhook-authentication",
        )
    ),
    "artifacts": frozenset(("image",)),
}

PARTS: dict[str, frozenset[str]] = {
    "accounts": frozenset(("account-alias",)),
    "grants": frozenset(("eks-access-entry", "last-accessed", "resource-policy", "unused-access")),
    "links": frozenset(("can_become", "deploys", "member_of", "runs_as", "uses")),
    "trusts": frozenset(("resource-policy",)),
}
"""``resource-policy``: policies on resources; ``last-accessed`` and ``unused-access``: use of granted services."""

HIDES_NO_ACCESS: dict[str, frozenset[str]] = {"grants": frozenset(("last-accessed", "unused-access"))}
"""When grants were used."""
