"""The GitHub Apps installed in an organization, and their permissions.

https://docs.github.com/en/rest/orgs/orgs#list-app-installations-for-an-organization
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.github import powers
from scanner.collect.scope import utc_time
from scanner.records import Credential, Grant, Identity, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.github.scope import OrganizationScope
    from scanner.records import Record


def installations(scope: OrganizationScope) -> Iterator[Record]:
    """Yield the Apps installed in the organization, and their grants."""

    def installation(item: dict[str, Any]) -> Iterator[Record]:
        number = str(item["id"])
        identity = record_id("github", "app-installation", number)
        permissions = {str(name): str(level) for name, level in (item.get("permissions") or {}).items()}
        scopes = sorted(f"{name}:{level}" for name, level in permissions.items())
        selection = str(item.get("repository_selection"))
        can = powers.of_permissions(permissions)
        enabled = item.get("suspended_at") is None
        name = str(item.get("app_slug") or item.get("app_id"))
        tags = {
            "app_id": str(item.get("app_id")),
            "repository_selection": selection,
            "events": ",".join(sorted(str(event) for event in item.get("events") or [])),
            "suspended_by": str((item.get("suspended_by") or {}).get("login") or ""),
        }
        yield Identity(
            id=identity,
            provider="github",
            account_id=scope.account_id,
            surface="automation",
            kind="github-app-installation",
            native_id=number,
            name=name,
            address=f"{scope.login}/apps/{name}",
            enabled=enabled,
            created_at=utc_time(item.get("created_at")),
            url=item.get("html_url"),
            tags={key: value for key, value in tags.items() if value},
        )
        yield Credential(
            id=identity,
            provider="github",
            account_id=scope.account_id,
            identity_id=identity,
            kind="app-installation",
            native_id=number,
            name=name,
            lifetime="short-lived",
            enabled=enabled,
            created_at=utc_time(item.get("created_at")),
            scopes=scopes,
        )
        yield Grant(
            id=record_id("github", "grant", f"app-installation/{number}"),
            provider="github",
            account_id=scope.account_id,
            identity_id=identity,
            role="App permissions",
            resource=f"{scope.login}/*" if selection == "all" else f"{scope.login}/(selected repositories)",
            breadth="organization" if selection == "all" else "group",
            powers=can,
            level=level_of(can),
            via="App installation",
            actions=powers.strongest(permissions),
            granted_at=utc_time(item.get("created_at")),
        )

    yield from scope.listing(
        "/orgs/{org}/installations",
        installation,
        table="identities",
        kind="github-app-installation",
        needs="organization_administration: read",
        at="installations",
        fills=("credentials/app-installation", "grants/github-app-installation"),
    )
