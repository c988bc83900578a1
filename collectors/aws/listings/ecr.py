"""ECR: repositories, tag mutability, newest images, and repository policies."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from collectors.aws.client import items
from collectors.aws.resource_policies import incomplete_tables, resource_policies
from collectors.aws.scope import PROVIDER, PartialReads
from collectors.aws.times import utc
from scanner.records import Artifact, Control, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.aws.scope import AwsScope
    from scanner.records import Record

_OLDEST = datetime(1970, 1, 1, tzinfo=UTC)


def _pushed(image: dict[str, Any]) -> tuple[datetime, str]:
    return utc(image.get("imagePushedAt")) or _OLDEST, image["imageDigest"]


def ecr_region(scope: AwsScope) -> Iterator[Record]:
    """Yield all ECR records of the region."""
    repositories = yield from scope.listing(
        _repositories(scope),
        "ecr:DescribeRepositories",
        "controls/tag-immutability",
        "controls/image-scanning",
        loses=("artifacts/image", *incomplete_tables(scope, "ecr")),
    )
    if repositories is None:
        return
    if scope.config.images_per_repository:
        yield from scope.listing(_images(scope, repositories), "ecr:DescribeImages", "artifacts/image")
    yield from resource_policies(
        scope,
        "ecr",
        "ecr:GetRepositoryPolicy",
        lambda _: [*repositories, scope.arn("ecr", "*")],
        lambda client, arn: (
            client.get_registry_policy()
            if arn.endswith(":*")
            else client.get_repository_policy(repositoryName=repositories[arn]["repositoryName"])
        )["policyText"],
        needs="ecr:GetRepositoryPolicy, ecr:GetRegistryPolicy",
    )


def _repositories(scope: AwsScope) -> Generator[Record, None, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, Any]] = {}
    for repository in items(scope.client("ecr"), "describe_repositories", "repositories"):
        arn, name = repository["repositoryArn"], repository["repositoryName"]
        found[arn] = repository
        mutability = str(repository.get("imageTagMutability") or "")
        yield Control(
            id=record_id(PROVIDER, "tag-immutability", arn),
            provider=PROVIDER,
            account_id=scope.ref,
            stage="artifact",
            kind="tag-immutability",
            name=name,
            enforcement="enforced" if mutability.startswith("IMMUTABLE") else "absent",
            target=arn,
            detail=mutability or None,
        )
        scanned = (repository.get("imageScanningConfiguration") or {}).get("scanOnPush")
        yield Control(
            id=record_id(PROVIDER, "image-scanning", arn),
            provider=PROVIDER,
            account_id=scope.ref,
            stage="artifact",
            kind="image-scanning",
            name=name,
            enforcement="enforced" if scanned else "absent",
            target=arn,
        )
    return found


def _images(scope: AwsScope, repositories: dict[str, dict[str, Any]]) -> Iterator[Record]:
    """Yield the newest images of each repository; ECR lists all of them, in no order."""
    client = scope.client("ecr")
    reads = PartialReads()
    for repository in repositories.values():
        name = repository["repositoryName"]
        newest = reads.read(
            name,
            lambda: heapq.nlargest(
                scope.config.images_per_repository,
                items(client, "describe_images", "imageDetails", repositoryName=name),  # noqa: B023
                key=_pushed,
            ),
            absent=("RepositoryNotFoundException",),
        )
        mutable = not str(repository.get("imageTagMutability") or "").startswith("IMMUTABLE")
        for image in newest or []:
            digest, tags = image["imageDigest"], sorted(image.get("imageTags") or [])
            pulled = utc(image.get("lastRecordedPullTime"))
            yield Artifact(
                id=record_id(PROVIDER, "image", f"{repository['repositoryArn']}@{digest}"),
                provider=PROVIDER,
                account_id=scope.ref,
                kind="image",
                name=f"{repository.get('repositoryUri') or name}:{tags[0]}" if tags else f"{name}@{digest}",
                digest=digest,
                mutable_tag=mutable and bool(tags),
                created_at=utc(image.get("imagePushedAt")),
                last_used_at=pulled,
            )
    reads.end()
