"""The SSH and GPG keys of users, which are public: one list per user.

https://docs.github.com/en/rest/users/keys#list-public-keys-for-a-user
https://docs.github.com/en/rest/users/gpg-keys#list-gpg-keys-for-a-user
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from scanner.collect.scope import utc_time
from scanner.records import Credential, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collectors.github.scope import OrganizationScope
    from scanner.records import Record


def public_keys(
    scope: OrganizationScope, logins: Mapping[str, str], authorized: frozenset[str]
) -> Iterator[Record]:
    """Yield the keys of users, given as login to `Identity.id`, except the SSH keys that are ``authorized`` for single sign-on:
    their authorizations say more.
    """

    def ssh_key(login: str, identity: str, item: dict[str, Any]) -> tuple[Credential, ...]:
        return () if str(item["id"]) in authorized else _ssh_key(scope, login, identity, item)

    def gpg_key(login: str, identity: str, item: dict[str, Any]) -> tuple[Credential, ...]:
        return _gpg_key(scope, login, identity, item)

    for login, identity in sorted(logins.items()):
        for call, convert, kind in (
            ("/users/{username}/keys", ssh_key, "ssh-key"),
            ("/users/{username}/gpg_keys", gpg_key, "gpg-key"),
        ):
            yield from scope.listing(
                call,
                partial(convert, login, identity),
                table="credentials",
                kind=kind,
                needs="none",
                item=login,
                salt=",".join(sorted(authorized)) if kind == "ssh-key" else "",
                username=login,
            )


def _ssh_key(
    scope: OrganizationScope, login: str, identity: str, item: dict[str, Any]
) -> tuple[Credential, ...]:
    return (
        Credential(
            id=record_id("github", "user-ssh-key", str(item["id"])),
            provider="github",
            account_id=scope.account_id,
            identity_id=identity,
            kind="ssh-key",
            native_id=str(item["id"]),
            name=f"SSH key {item['id']} of {login}",
            lifetime="static",
            enabled=True,
            created_at=utc_time(item.get("created_at")),
            last_used_at=utc_time(item.get("last_used")),
            never_expires=True,
            owner=login,
        ),
    )


def _gpg_key(
    scope: OrganizationScope, login: str, identity: str, item: dict[str, Any]
) -> tuple[Credential, ...]:
    expires = utc_time(item.get("expires_at"))
    return (
        Credential(
            id=record_id("github", "gpg-key", str(item["id"])),
            provider="github",
            account_id=scope.account_id,
            identity_id=identity,
            kind="gpg-key",
            native_id=str(item["id"]),
            name=f"GPG key {item.get('key_id')} of {login}",
            lifetime="expiring" if expires else "static",
            enabled=not item.get("revoked"),
            created_at=utc_time(item.get("created_at")),
            expires_at=expires,
            never_expires=expires is None,
            owner=login,
        ),
    )
