"""The deploy keys of a repository.

https://docs.github.com/en/rest/deploy-keys/deploy-keys
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.github import powers
from scanner.collect.scope import utc_time
from scanner.records import Credential, Grant, Identity, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.github.facts import RepositoryFacts
    from collectors.github.scope import OrganizationScope
    from scanner.records import Record


def deploy_keys(scope: OrganizationScope, repository: RepositoryFacts, *, empty: bool) -> Iterator[Record]:
    """Yield a repository's deploy keys. No request is sent if there are known to be none."""

    def key(item: dict[str, Any]) -> Iterator[Record]:
        number = str(item["id"])
        holder = record_id("github", "deploy-key-holder", number)
        read_only = bool(item["read_only"])
        can = powers.of_permissions({"contents": "read" if read_only else "write"})
        enabled = item.get("enabled", True)
        title = str(item.get("title") or number)
        yield Identity(
            id=holder,
            provider="github",
            account_id=repository.account_id,
            surface="automation",
            kind="github-deploy-key",
            native_id=number,
            name=title,
            enabled=enabled,
            created_at=utc_time(item.get("created_at")),
            last_used_at=utc_time(item.get("last_used")),
            owner=item.get("added_by"),
            owner_source="creator" if item.get("added_by") else None,
        )
        yield Credential(
            id=record_id("github", "deploy-key", number),
            provider="github",
            account_id=repository.account_id,
            identity_id=holder,
            kind="deploy-key",
            native_id=number,
            name=title,
            lifetime="static",
            enabled=enabled,
            created_at=utc_time(item.get("created_at")),
            last_used_at=utc_time(item.get("last_used")),
            never_expires=True,
            read_only=read_only,
            owner=item.get("added_by"),
            location=repository.full_name,
        )
        yield Grant(
            id=record_id("github", "grant", f"deploy-key/{number}"),
            provider="github",
            account_id=repository.account_id,
            identity_id=holder,
            role="deploy key (read)" if read_only else "deploy key (read and write)",
            resource=repository.full_name,
            breadth="resource",
            powers=can,
            level=level_of(can),
            via="deploy key",
            actions=["contents:read" if read_only else "contents:write"],
            granted_at=utc_time(item.get("created_at")),
        )

    yield from scope.of(repository).listing(
        "/repos/{owner}/{repo}/keys",
        key,
        table="credentials",
        kind="deploy-key",
        needs="administration: read",
        fills=("identities/github-deploy-key", "grants/github-deploy-key"),
        # There are known to be none: no request is needed, and yesterday's keys are gone.
        rows=() if empty else None,
    )
