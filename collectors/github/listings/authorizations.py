"""Classic tokens, SSH keys and OAuth tokens that users authorized for SAML single sign-on.

https://docs.github.com/en/rest/orgs/orgs#list-saml-sso-authorizations-for-an-organization
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.github import powers
from scanner.collect.failures import unsupported_on
from scanner.collect.scope import utc_time
from scanner.records import Credential, Grant, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from collectors.github.scope import OrganizationScope
    from scanner.records import Record


_AUTHORIZED = {
    "personal access token": "classic-pat",
    "ssh key": "ssh-key",
    "oauth app token": "oauth-token",
    "github app token": "app-token",
}


def authorizations(
    scope: OrganizationScope, logins: Mapping[str, str]
) -> Generator[Record, None, frozenset[str]]:
    """Yield classic tokens, SSH keys and OAuth tokens that users authorized for single sign-on. Return the numbers of the SSH
    keys: the public keys of users have the same.

    An organization without SAML single sign-on has no such list, and nobody can list its classic tokens: that is a Gap,
    not a zero. ``logins`` are the users that were listed: login to `Identity.id`.
    """
    keys: set[str] = set()

    def credential(item: dict[str, Any]) -> Iterator[Record]:
        kind = _AUTHORIZED.get(str(item.get("credential_type")).lower(), "oauth-token")
        # `credential_id` is the authorization's own, and another one after each authorization.
        number = str(item.get("authorized_credential_id") or item["credential_id"])
        if kind == "ssh-key":
            keys.add(number)
        expires = utc_time(item.get("authorized_credential_expires_at"))
        scopes = [str(scope_name) for scope_name in item.get("scopes") or []]
        title = item.get("authorized_credential_title") or item.get("authorized_credential_note")
        identity = logins.get(item["login"], item["login"])
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
            created_at=utc_time(item.get("credential_authorized_at")),
            last_used_at=utc_time(item.get("credential_accessed_at")),
            never_used="credential_accessed_at" in item and item.get("credential_accessed_at") is None,
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
                why="A classic token's scopes apply to everything its owner can access.",
                actions=scopes[:10],
                granted_at=utc_time(item.get("credential_authorized_at")),
                expires_at=expires,
            )

    yield from scope.listing(
        "/orgs/{org}/credential-authorizations",
        credential,
        table="credentials",
        kind="classic-pat",
        needs="an organization owner's token with read:org, and SAML single sign-on (GitHub Enterprise Cloud)",
        fills=(
            "credentials/ssh-key",
            "credentials/oauth-token",
            "credentials/app-token",
            "grants/classic-pat",
        ),
        classify=unsupported_on(
            {404},
            "Classic tokens, SSH keys and OAuth tokens are listed only for organizations with SAML single sign-on.",
        ),
    )
    return frozenset(keys)
