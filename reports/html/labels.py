"""Display names of kinds, powers and levels, in the terms of the field."""

from __future__ import annotations

POWER_NAMES = {
    "read": "Read config",
    "read-data": "Read data",
    "change-data": "Write data",
    "deploy": "Deploy",
    "change-delivery": "Change pipeline",
    "read-secrets": "Read secrets",
    "become-other": "Assume others",
    "grant-access": "Manage IAM",
    "admin": "Admin",
}
"""By power, weakest first: the columns of the comparison."""

ASPECT_NAMES = {"identity": "Identity", "scope": "Scope", "evidence": "Evidence", "revocation": "Revocation"}

PROVIDER_NAMES = {
    "aws": "AWS",
    "azure": "Azure",
    "azure-devops": "Azure DevOps",
    "definitions": "Pipeline definitions",
    "entra": "Microsoft Entra ID",
    "gcp": "Google Cloud",
    "github": "GitHub",
    "gitlab": "GitLab",
    "kubernetes": "Kubernetes",
}

_PARTS = {
    "ado": "Azure DevOps", "aks": "AKS", "aws": "AWS", "azure": "Azure", "codebuild": "CodeBuild", "codepipeline": "CodePipeline",
    "ec2": "EC2", "ecs": "ECS", "eks": "EKS", "entra": "Entra", "gcp": "Google Cloud", "github": "GitHub", "gitlab": "GitLab",
    "iam": "IAM", "lambda": "Lambda", "oidc": "OIDC", "vm": "VM", "webapp": "web app",
}  # fmt: skip
"""Words of a kind that are written in a way of their own."""


def kind_label(kind: str) -> str:
    """Return the display name of a kind: ``iam-role`` is "IAM role", ``azure-web-app`` "Azure web app"."""
    words = [_PARTS.get(word, word) for word in kind.split("-")]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


def provider_label(provider: str) -> str:
    """Return the display name of a provider."""
    return PROVIDER_NAMES.get(provider, provider)
