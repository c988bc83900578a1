"""The regions of an account and the listings of each region."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING

from collectors.aws.failures import MalformedError
from collectors.aws.listings.codebuild import codebuild_region
from collectors.aws.listings.codedeploy import codedeploy_region
from collectors.aws.listings.codepipeline import codepipeline_region
from collectors.aws.listings.connections import connections_region
from collectors.aws.listings.ec2 import ec2_region
from collectors.aws.listings.ecr import ecr_region
from collectors.aws.listings.ecs import ecs_region
from collectors.aws.listings.eks import eks_region
from collectors.aws.listings.lambda_functions import lambda_region
from collectors.aws.listings.resource_policies import buckets, keys, queues, topics
from collectors.aws.listings.roles_anywhere import roles_anywhere_region
from collectors.aws.listings.stores import secrets_manager_region, ssm_region
from scanner.collect.failures import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.aws.scope import AwsScope
    from scanner.records import Record

log = logging.getLogger(__name__)

REGIONAL = (
    "rollouts",
    "accounts/eks-cluster",
    "artifacts/image",
    "controls/access-analyzer",
    "controls/build-visibility",
    "controls/image-scanning",
    "controls/imdsv2",
    "controls/tag-immutability",
    "controls/trust-anchor",
    "controls/webhook-authentication",
    "credentials/certificate",
    "credentials/connection",
    "credentials/ec2-key-pair",
    "credentials/source-credential",
    "credentials/ssm-activation",
    "credentials/webhook-secret",
    "grants/eks-access-entry",
    "grants/resource-policy",
    "grants/unused-access",
    "identities/codebuild-project",
    "identities/codedeploy-group",
    "identities/codedeploy-on-premises-instance",
    "identities/codepipeline",
    "identities/ec2-instance",
    "identities/ecs-service",
    "identities/ecs-task-definition",
    "identities/eks-service-account",
    "identities/lambda-function",
    "identities/roles-anywhere-profile",
    "identities/roles-anywhere-subject",
    "links/deploys",
    "links/runs_as",
    "links/uses",
    "policies/resource-policy",
    "secrets/codebuild-env",
    "secrets/ec2-user-data",
    "secrets/ecs-env",
    "secrets/lambda-env",
    "secrets/secrets-manager",
    "secrets/ssm-parameter",
    "trusts/certificate",
    "trusts/pod-identity",
    "trusts/resource-policy",
)
"""The tables that are incomplete if an account's regions cannot be listed."""


def enabled_regions(scope: AwsScope) -> list[str]:
    """Return the regions to read: all that the account has enabled, or of these the ones that the configuration names.

    Those of the configuration are believed where the account's cannot be listed.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    wanted = scope.config.regions
    try:
        answer = scope.client("ec2").describe_regions()
        enabled = sorted(region["RegionName"] for region in answer["Regions"])
        if not enabled:
            raise MalformedError("DescribeRegions: the response names no region")
    except (BotoCoreError, ClientError, SourceError):
        if not wanted or scope.run.stopping.is_set():
            raise
        return wanted
    if not wanted:
        return enabled
    left_out = tuple(name for name in wanted if name not in enabled)
    if left_out:
        _warn_of_regions(left_out)
    if len(left_out) == len(wanted):
        raise MalformedError(f"none of the regions in the configuration is enabled: {', '.join(wanted)}")
    return [name for name in wanted if name in enabled]


@cache
def _warn_of_regions(names: tuple[str, ...]) -> None:
    """Warn once, not for every account, that regions of the configuration are not enabled."""
    log.warning(
        "collectors.aws.regions names regions that are not enabled; they are not read",
        extra={"regions": ", ".join(names)},
    )


def regional_listings(scope: AwsScope) -> list[Iterator[Record]]:
    """Return the listings of one region, each independent of the others."""
    listings = [
        lambda_region(scope),
        ecs_region(scope),
        ec2_region(scope),
        eks_region(scope),
        codebuild_region(scope),
        codepipeline_region(scope),
        codedeploy_region(scope),
        connections_region(scope),
        secrets_manager_region(scope),
        ssm_region(scope),
        ecr_region(scope),
        roles_anywhere_region(scope),
    ]
    by_service = {"kms": keys, "sqs": queues, "sns": topics}
    listings += [read(scope) for name, read in by_service.items() if name in scope.config.resource_policies]
    return listings


def account_listings(scope: AwsScope) -> list[Iterator[Record]]:
    """Return the slow listings that need no region."""
    return [buckets(scope)] if "s3" in scope.config.resource_policies else []
