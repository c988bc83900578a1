"""What is read in each region of an account, and in which regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.aws.failures import MalformedError
from collectors.aws.listings.access_analyzer import access_analyzer_region
from collectors.aws.listings.codebuild import codebuild_region
from collectors.aws.listings.codedeploy import codedeploy_region
from collectors.aws.listings.codepipeline import codepipeline_region
from collectors.aws.listings.compute import ec2_region, ecs_region, lambda_region
from collectors.aws.listings.connections import connections_region
from collectors.aws.listings.ecr import ecr_region
from collectors.aws.listings.eks import eks_region
from collectors.aws.listings.resource_policies import buckets, keys, queues, topics
from collectors.aws.listings.roles_anywhere import roles_anywhere_region
from collectors.aws.listings.stores import secrets_manager_region, ssm_region

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.aws.place import Place
    from scanner.records import Record

REGIONAL: tuple[tuple[str, str | None], ...] = (
    ("identities", "lambda-function"),
    ("identities", "ecs-service"),
    ("identities", "ecs-task-definition"),
    ("identities", "ec2-instance"),
    ("identities", "eks-service-account"),
    ("identities", "codebuild-project"),
    ("identities", "codepipeline"),
    ("identities", "codedeploy-group"),
    ("identities", "roles-anywhere-profile"),
    ("secrets", "lambda-env"),
    ("secrets", "ecs-env"),
    ("secrets", "codebuild-env"),
    ("secrets", "secrets-manager"),
    ("secrets", "ssm-parameter"),
    ("credentials", "source-credential"),
    ("credentials", "connection"),
    ("controls", "tag-immutability"),
    ("artifacts", "image"),
    ("links", "runs_as"),
    ("grants", "resource-policy"),
    ("trusts", "resource-policy"),
)
"""What is missing of an account whose regions could not be listed."""


def enabled_regions(place: Place) -> Generator[Record, None, list[str]]:
    """Yield nothing; return the regions to read: those of the configuration, or all that are enabled."""
    yield from ()
    if place.config.regions:
        return place.config.regions
    answer = place.client("ec2").describe_regions()
    regions = sorted(region["RegionName"] for region in answer.get("Regions") or [])
    if not regions:
        raise MalformedError("DescribeRegions: the response names no region")
    return regions


def regional_listings(place: Place) -> list[Iterator[Record]]:
    """Return the listings of one region, each independent of the others."""
    listings = [
        lambda_region(place),
        ecs_region(place),
        ec2_region(place),
        eks_region(place),
        codebuild_region(place),
        codepipeline_region(place),
        codedeploy_region(place),
        connections_region(place),
        secrets_manager_region(place),
        ssm_region(place),
        ecr_region(place),
        roles_anywhere_region(place),
    ]
    by_service = {"kms": keys, "sqs": queues, "sns": topics}
    listings += [read(place) for name, read in by_service.items() if name in place.config.resource_policies]
    if place.config.unused_access:
        listings.append(access_analyzer_region(place))
    return listings


def account_listings(place: Place) -> list[Iterator[Record]]:
    """Return the listings that need no region, and take long."""
    return [buckets(place)] if "s3" in place.config.resource_policies else []
