"""Repositories with build attestations.

https://docs.github.com/en/rest/orgs/attestations
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.github.records import control, repository_id
from scanner.collect.failures import unsupported_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.github.scope import OrganizationScope
    from scanner.records import Record


def attestations(scope: OrganizationScope) -> Iterator[Record]:
    """Yield a control for each repository that attests its builds."""

    def repository(item: dict[str, Any]) -> Iterator[Record]:
        if not scope.includes(str(item["name"])):
            return
        account_id = repository_id(item["id"])
        yield control(
            account_id,
            "build-attestation",
            str(item["id"]),
            stage="artifact",
            name="build attestations",
            enforcement="documented",
            target=account_id,
            detail="The repository attests its builds, but nothing on GitHub enforces their verification.",
        )

    yield from scope.listing(
        "/orgs/{org}/attestations/repositories",
        repository,
        table="controls",
        kind="build-attestation",
        needs="attestations: read",
        classify=unsupported_on({404}, "Attestations are not available on GitHub Enterprise Server."),
    )
