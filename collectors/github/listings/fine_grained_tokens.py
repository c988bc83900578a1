"""Fine-grained personal access tokens, approved and requested. Only a GitHub App may list them.

https://docs.github.com/en/rest/orgs/personal-access-tokens
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.github import powers
from collectors.github.records import user_id
from scanner.collect.failures import unsupported_on
from scanner.collect.scope import utc_time
from scanner.records import Credential, Grant, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.github.scope import OrganizationScope
    from scanner.records import Record


def fine_grained_tokens(scope: OrganizationScope) -> Iterator[Record]:
    """Yield the fine-grained personal access tokens with access to the organization. Only an App may list them."""

    def pat(item: dict[str, Any]) -> Iterator[Record]:
        number = str(item["token_id"])
        parts = {
            str(name): str(level)
            for part in ("organization", "repository", "other")
            for name, level in ((item.get("permissions") or {}).get(part) or {}).items()
        }
        can = powers.of_permissions(parts)
        expires = utc_time(item.get("token_expires_at"))
        selection = str(item.get("repository_selection"))
        yield Credential(
            id=record_id("github", "fine-grained-pat", number),
            provider="github",
            account_id=scope.account_id,
            identity_id=user_id(item["owner"]["id"]),
            kind="fine-grained-pat",
            native_id=number,
            name=str(item.get("token_name") or number),
            lifetime="expiring" if expires else "static",
            enabled=not item.get("token_expired"),
            created_at=utc_time(item.get("access_granted_at")),
            last_used_at=utc_time(item.get("token_last_used_at")),
            # GitHub has recorded the use of these tokens since they exist: null means never used.
            never_used="token_last_used_at" in item and item.get("token_last_used_at") is None,
            expires_at=expires,
            never_expires=expires is None,
            scopes=sorted(f"{name}:{level}" for name, level in parts.items()),
            owner=item["owner"].get("login"),
        )
        yield Grant(
            id=record_id("github", "grant", f"fine-grained-pat/{number}"),
            provider="github",
            account_id=scope.account_id,
            identity_id=user_id(item["owner"]["id"]),
            role="fine-grained token",
            resource=f"{scope.login}/*" if selection == "all" else reached(item),
            breadth="organization" if selection == "all" else "group",
            powers=can,
            level=level_of(can),
            via=f"fine-grained token {item.get('token_name') or number}",
            actions=powers.strongest(parts),
            granted_at=utc_time(item.get("access_granted_at")),
            expires_at=expires,
        )

    def reached(item: dict[str, Any]) -> str:
        if item.get("repository_selection") != "subset":
            return scope.login
        path = f"/orgs/{scope.login}/personal-access-tokens/{item['id']}/repositories"
        names = sorted(str(repository["full_name"]) for repository in scope.client.items(path))
        return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")

    def request(item: dict[str, Any]) -> Iterator[Record]:
        yield Credential(
            id=record_id("github", "fine-grained-pat-request", str(item["id"])),
            provider="github",
            account_id=scope.account_id,
            identity_id=user_id(item["owner"]["id"]),
            kind="fine-grained-pat-request",
            native_id=str(item["id"]),
            name=str(item.get("token_name") or item["id"]),
            lifetime="expiring" if item.get("token_expires_at") else "static",
            enabled=False,
            created_at=utc_time(item.get("created_at")),
            expires_at=utc_time(item.get("token_expires_at")),
            owner=item["owner"].get("login"),
        )

    only_apps = unsupported_on({404}, "Only a GitHub App can list fine-grained tokens.")
    yield from scope.listing(
        "/orgs/{org}/personal-access-tokens",
        pat,
        table="credentials",
        kind="fine-grained-pat",
        needs="organization_personal_access_tokens: read, as a GitHub App",
        fills=("grants/fine-grained-pat",),
        classify=only_apps,
    )
    yield from scope.listing(
        "/orgs/{org}/personal-access-token-requests",
        request,
        table="credentials",
        kind="fine-grained-pat-request",
        needs="organization_personal_access_token_requests: read, as a GitHub App",
        classify=only_apps,
    )
