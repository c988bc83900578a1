"""Credentials that GitHub issued: deploy keys, App installations, personal access tokens, webhook secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from collectors.github import powers
from collectors.github.failures import explain_unsupported
from collectors.github.listings.organization import user_id
from collectors.github.scope import Scope, time
from scanner.records import Control, Credential, Grant, Identity, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.github.listings.structure import Repository
    from scanner.records import Record

_AUTHORIZED = {
    "personal access token": "classic-pat",
    "SSH key": "ssh-key",
    "OAuth app token": "oauth-token",
    "GitHub app token": "app-token",
}


def installations(scope: Scope) -> Iterator[Record]:
    """Yield the Apps that are installed in the organization, and what each may do."""

    def installation(item: dict[str, Any]) -> Iterator[Record]:
        number = str(item["id"])
        identity = record_id("github", "app-installation", number)
        permissions = {str(name): str(level) for name, level in (item.get("permissions") or {}).items()}
        scopes = sorted(f"{name}:{level}" for name, level in permissions.items())
        selection = str(item.get("repository_selection"))
        can = powers.of_permissions(permissions)
        enabled = item.get("suspended_at") is None
        name = str(item.get("app_slug") or item.get("app_id"))
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
            created_at=time(item.get("created_at")),
            url=item.get("html_url"),
            tags={"app_id": str(item.get("app_id")), "repository_selection": selection},
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
            created_at=time(item.get("created_at")),
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
            actions=_strongest(permissions),
            granted_at=time(item.get("created_at")),
        )

    yield from scope.listing(
        "/orgs/{org}/installations",
        installation,
        table="identities",
        kind="github-app-installation",
        needs="organization_administration: read",
        inside="installations",
        fills=("credentials/app-installation", "grants/github-app-installation"),
    )


def _strongest(permissions: dict[str, str]) -> list[str]:
    """Return at most ten permissions, those that change something first."""
    ranked = sorted(permissions.items(), key=lambda item: (item[1] not in {"admin", "write"}, item[0]))
    return [f"{name}:{level}" for name, level in ranked[:10]]


def fine_grained(scope: Scope) -> Iterator[Record]:
    """Yield the fine-grained personal access tokens that reach the organization. Only an App may list them."""

    def pat(item: dict[str, Any]) -> Iterator[Record]:
        number = str(item["token_id"])
        parts = {
            str(name): str(level)
            for part in ("organization", "repository", "other")
            for name, level in ((item.get("permissions") or {}).get(part) or {}).items()
        }
        can = powers.of_permissions(parts)
        expires = time(item.get("token_expires_at"))
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
            created_at=time(item.get("access_granted_at")),
            last_used_at=time(item.get("token_last_used_at")),
            # GitHub has recorded the use of these tokens for as long as there are any: null is its word for never.
            never_used="token_last_used_at" in item and item["token_last_used_at"] is None,
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
            actions=_strongest(parts),
            granted_at=time(item.get("access_granted_at")),
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
            created_at=time(item.get("created_at")),
            expires_at=time(item.get("token_expires_at")),
            owner=item["owner"].get("login"),
        )

    only_apps = explain_unsupported("Only a GitHub App may list fine-grained tokens.")
    yield from scope.listing(
        "/orgs/{org}/personal-access-tokens",
        pat,
        table="credentials",
        kind="fine-grained-pat",
        needs="organization_personal_access_tokens: read, as a GitHub App",
        fills=("grants/fine-grained-pat",),
        explained=only_apps,
    )
    yield from scope.listing(
        "/orgs/{org}/personal-access-token-requests",
        request,
        table="credentials",
        kind="fine-grained-pat-request",
        needs="organization_personal_access_token_requests: read, as a GitHub App",
        explained=only_apps,
    )


def authorizations(scope: Scope) -> Iterator[Record]:
    """Yield classic tokens, SSH keys and OAuth tokens that people authorized for single sign-on.

    An organization without SAML single sign-on has no such list, and its classic tokens cannot be seen by anyone:
    that is a Gap, not a zero.
    """

    def credential(item: dict[str, Any]) -> Iterator[Record]:
        kind = _AUTHORIZED.get(str(item.get("credential_type")), "oauth-token")
        number = str(item["credential_id"])
        expires = time(item.get("authorized_credential_expires_at"))
        scopes = [str(scope_name) for scope_name in item.get("scopes") or []]
        title = item.get("authorized_credential_title") or item.get("authorized_credential_note")
        identity = scope.logins.get(item["login"], item["login"])
        yield Credential(
            id=record_id("github", kind, number),
            provider="github",
            account_id=scope.account_id,
            identity_id=identity,
            kind=kind,
            native_id=number,
            name=str(title or f"{kind} {number}"),
            lifetime="expiring" if expires else "static",
            enabled=True,
            created_at=time(item.get("credential_authorized_at")),
            last_used_at=time(item.get("credential_accessed_at")),
            expires_at=expires,
            never_expires=True if expires is None and kind in {"classic-pat", "ssh-key"} else None,
            scopes=scopes,
            owner=item["login"],
        )
        if scopes:
            can = powers.of_scopes(scopes)
            yield Grant(
                id=record_id("github", "grant", f"{kind}/{number}"),
                provider="github",
                account_id=scope.account_id,
                identity_id=identity,
                role="token scopes",
                resource=f"{scope.login}/*",
                breadth="organization",
                powers=can,
                level=level_of(can),
                confidence="low",
                via=f"{kind} {title or number}",
                why="A classic token's scopes reach whatever its owner reaches.",
                actions=scopes[:10],
                granted_at=time(item.get("credential_authorized_at")),
                expires_at=expires,
            )

    yield from scope.listing(
        "/orgs/{org}/credential-authorizations",
        credential,
        table="credentials",
        kind="classic-pat",
        needs="an organization owner's token with read:org, and SAML single sign-on (GitHub Enterprise Cloud)",
        fills=("credentials/oauth-token", "credentials/app-token", "grants/classic-pat"),
        explained=explain_unsupported(
            "Classic tokens, SSH keys and OAuth tokens are listed only for organizations with SAML single sign-on."
        ),
    )


def webhooks(scope: Scope) -> Iterator[Record]:
    """Yield the organization's webhooks."""

    def hook(item: dict[str, Any]) -> Iterator[Record]:
        return webhook(item, scope.account_id)

    yield from scope.listing(
        "/orgs/{org}/hooks",
        hook,
        table="credentials",
        kind="webhook-secret",
        needs="organization_hooks: read",
        fills=("controls/webhook-signature", "controls/webhook-tls", "identities/github-webhook"),
    )


def webhook(item: dict[str, Any], account_id: str) -> Iterator[Record]:
    """Yield a webhook's receiver, its secret where it has one, and whether its deliveries can be trusted.

    Of the URL only the host is kept: people put tokens into the path and the query.
    """
    number = str(item["id"])
    config = item.get("config") or {}
    url = urlsplit(str(config.get("url") or ""))
    host = url.hostname or "unknown"
    receiver = record_id("github", "webhook", number)
    active = bool(item.get("active"))
    events = [str(event) for event in item.get("events") or []]
    yield Identity(
        id=receiver,
        provider="github",
        account_id=account_id,
        surface="automation",
        kind="github-webhook",
        native_id=number,
        name=host,
        enabled=active,
        created_at=time(item.get("created_at")),
        tags={"host": host},
    )
    signed = bool(config.get("secret"))
    if signed:
        yield Credential(
            id=record_id("github", "webhook-secret", number),
            provider="github",
            account_id=account_id,
            identity_id=receiver,
            kind="webhook-secret",
            native_id=number,
            name=host,
            lifetime="static",
            enabled=active,
            created_at=time(item.get("created_at")),
            never_expires=True,
            scopes=events,
            location=host,
        )
    encrypted = url.scheme == "https" and str(config.get("insecure_ssl") or "0") == "0"
    for kind, sound, detail in (
        ("webhook-signature", signed, "Deliveries are signed with a secret."),
        ("webhook-tls", encrypted, "Deliveries go over TLS with a verified certificate."),
    ):
        yield Control(
            id=record_id("github", kind, number),
            provider="github",
            account_id=account_id,
            stage="build",
            kind=kind,
            name=host,
            enforcement="enforced" if sound else "absent",
            target=receiver,
            detail=detail,
        )


def deploy_keys(scope: Scope, repository: Repository, *, empty: bool) -> Iterator[Record]:
    """Yield a repository's deploy keys; nothing is asked when it is known that there are none."""

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
            created_at=time(item.get("created_at")),
            last_used_at=time(item.get("last_used")),
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
            created_at=time(item.get("created_at")),
            last_used_at=time(item.get("last_used")),
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
            granted_at=time(item.get("created_at")),
        )

    yield from scope.listing(
        "/repos/{org}/{repo}/keys",
        key,
        table="credentials",
        kind="deploy-key",
        needs="administration: read",
        account_id=repository.account_id,
        fills=("identities/github-deploy-key", "grants/github-deploy-key"),
        empty=empty,
        repo=repository.name,
    )


def repository_webhooks(scope: Scope, repository: Repository) -> Iterator[Record]:
    """Yield a repository's webhooks."""

    def hook(item: dict[str, Any]) -> Iterator[Record]:
        return webhook(item, repository.account_id)

    yield from scope.listing(
        "/repos/{org}/{repo}/hooks",
        hook,
        table="credentials",
        kind="webhook-secret",
        needs="repository_hooks: read",
        account_id=repository.account_id,
        fills=("controls/webhook-signature", "controls/webhook-tls", "identities/github-webhook"),
        repo=repository.name,
    )
