"""ECR: repositories, whether their tags can be moved, their newest images, and who else may push or pull."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from collectors.aws.client import items
from collectors.aws.listings.resource_policies import policies_of
from collectors.aws.place import PROVIDER, Tally
from collectors.aws.times import utc
from scanner.records import Artifact, Control, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.aws.place import Place
    from scanner.records import Record

_OLDEST = datetime(1970, 1, 1, tzinfo=UTC)


def _pushed(image: dict[str, Any]) -> tuple[datetime, str]:
    return utc(image.get("imagePushedAt")) or _OLDEST, image["imageDigest"]


def ecr_region(place: Place) -> Iterator[Record]:
    """Yield everything of ECR in the region."""
    repositories = yield from place.ask(
        _repositories(place),
        "ecr:DescribeRepositories",
        ("controls", "tag-immutability"),
        ("controls", "image-scanning"),
        ("artifacts", "image"),
        ("grants", "resource-policy"),
        ("trusts", "resource-policy"),
    )
    if repositories and place.config.images_per_repository:
        yield from place.ask(_images(place, repositories), "ecr:DescribeImages", ("artifacts", "image"))
    if repositories is not None and "ecr" in place.config.resource_policies:
        yield from place.ask(
            policies_of(
                place,
                "ecr",
                lambda _: [*repositories, place.arn("ecr", "*")],
                lambda client, arn: (
                    client.get_registry_policy()
                    if arn.endswith(":*")
                    else client.get_repository_policy(repositoryName=repositories[arn]["repositoryName"])
                ).get("policyText"),
            ),
            "ecr:GetRepositoryPolicy",
            ("grants", "resource-policy"),
            ("trusts", "resource-policy"),
            needs="ecr:GetRepositoryPolicy, ecr:GetRegistryPolicy",
        )


def _repositories(place: Place) -> Generator[Record, None, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, Any]] = {}
    for repository in items(place.client("ecr"), "describe_repositories", "repositories"):
        arn, name = repository["repositoryArn"], repository["repositoryName"]
        found[arn] = repository
        mutability = str(repository.get("imageTagMutability") or "")
        yield Control(
            id=record_id(PROVIDER, "tag-immutability", arn),
            provider=PROVIDER,
            account_id=place.ref,
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
            account_id=place.ref,
            stage="artifact",
            kind="image-scanning",
            name=name,
            enforcement="enforced" if scanned else "absent",
            target=arn,
        )
    return found


def _images(place: Place, repositories: dict[str, dict[str, Any]]) -> Iterator[Record]:
    """Yield the newest images of each repository; ECR lists all of them, in no order."""
    client = place.client("ecr")
    tally = Tally()
    for repository in repositories.values():
        name = repository["repositoryName"]
        newest = tally.read(
            name,
            lambda: heapq.nlargest(
                place.config.images_per_repository,
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
                account_id=place.ref,
                kind="image",
                name=f"{repository.get('repositoryUri') or name}:{tags[0]}" if tags else f"{name}@{digest}",
                digest=digest,
                mutable_tag=mutable and bool(tags),
                created_at=utc(image.get("imagePushedAt")),
                last_used_at=pulled,
            )
    tally.end()
