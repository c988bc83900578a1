"""Webhooks of the organization and of repositories: receivers, and whether deliveries are signed and encrypted.

https://docs.github.com/en/rest/orgs/webhooks https://docs.github.com/en/rest/repos/webhooks
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from collectors.github.records import control
from scanner.collect.scope import utc_time
from scanner.records import Credential, Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.github.facts import RepositoryFacts
    from collectors.github.scope import OrganizationScope
    from scanner.records import Record

_FILLS = ("controls/webhook-signature", "controls/webhook-tls", "identities/github-webhook")


def webhooks(scope: OrganizationScope) -> Iterator[Record]:
    """Yield the organization's webhooks."""
    yield from scope.listing(
        "/orgs/{org}/hooks",
        partial(_webhook, scope.account_id),
        table="credentials",
        kind="webhook-secret",
        needs="organization_hooks: read",
        fills=_FILLS,
    )


def repository_webhooks(scope: OrganizationScope, repository: RepositoryFacts) -> Iterator[Record]:
    """Yield a repository's webhooks."""
    yield from scope.of(repository).listing(
        "/repos/{owner}/{repo}/hooks",
        partial(_webhook, repository.account_id),
        table="credentials",
        kind="webhook-secret",
        needs="repository_hooks: read",
        fills=_FILLS,
    )


def _webhook(account_id: str, item: dict[str, Any]) -> Iterator[Record]:
    """Yield a webhook's receiver, its secret if it has one, and whether its deliveries are authenticated. Only the host
    of the URL is kept, because path and query may contain tokens.
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
        created_at=utc_time(item.get("created_at")),
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
            created_at=utc_time(item.get("created_at")),
            never_expires=True,
            scopes=events,
            location=host,
        )
    encrypted = url.scheme == "https" and str(config.get("insecure_ssl") or "0") == "0"
    for kind, sound, detail in (
        ("webhook-signature", signed, "Deliveries are signed with a secret."),
        ("webhook-tls", encrypted, "Deliveries use TLS with certificate verification."),
    ):
        yield control(
            account_id,
            kind,
            number,
            stage="build",
            name=host,
            enforcement="enforced" if sound else "absent",
            target=receiver,
            detail=detail,
        )
