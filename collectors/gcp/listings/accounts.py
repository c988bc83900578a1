"""Service accounts and the keys that users made for them.

https://docs.cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts.keys
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from collectors.gcp.names import default_of, last, own, part, service_account_id
from scanner.collect.failures import SourceError
from scanner.collect.scope import utc_time
from scanner.records import Credential, Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collectors.gcp.iam_library import IamLibrary
    from collectors.gcp.scope import GcpScope
    from scanner.records import Record

ACCOUNT = "iam.googleapis.com/ServiceAccount"
KEY = "iam.googleapis.com/ServiceAccountKey"
_FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
_LOSES = ("links/can_become", "links/member_of", "trusts/oidc", "trusts/account")


def service_accounts(scope: GcpScope, library: IamLibrary) -> Iterator[Record]:
    """Yield the service accounts, each with when it last signed in."""
    yield from scope.assets(
        ACCOUNT,
        lambda _, data, account: [_account(scope, data, account)],
        table="identities",
        kind="gcp-service-account",
        loses=_LOSES,
        instead=lambda account: _accounts_of(scope, library, account),
    )


def _accounts_of(scope: GcpScope, library: IamLibrary, account: str) -> Iterable[Record] | None:
    """Read the accounts of one project through google-cloud-iam; None for a folder."""
    project = account.removeprefix("gcp:project:")
    if project not in scope.held.projects:
        return None
    return (_account(scope, row, account) for row in library.accounts(project))


def _account(scope: GcpScope, data: dict[str, Any], account: str) -> Identity:
    number, email = str(data["uniqueId"]), str(data["email"])
    use, default = scope.account_use, default_of(email)
    seen = [use.times[key] for key in (number, email) if key in use.times]
    days = next((use.days[key] for key in (number, email) if key in use.days), None)
    scope.emails[email] = number
    return Identity(
        id=service_account_id(number),
        **own(account),
        surface="automation",
        kind="gcp-service-account",
        native_id=number,
        name=str(data.get("displayName") or email.partition("@")[0]),
        address=email,
        enabled=not data.get("disabled"),
        last_used_at=max(seen, default=None),
        usage_window_days=days if days is not None else use.period.get(str(data.get("projectId") or "")),
        managed_by=None,
        tags={"default": default} if default else {},
    )


def keys(scope: GcpScope, library: IamLibrary, rows: list[dict[str, Any]] | SourceError) -> Iterator[Record]:
    """Yield the keys that users made. ``rows`` are what `key_rows` returned."""

    def read() -> Iterator[dict[str, Any]]:
        if isinstance(rows, SourceError):
            raise rows
        yield from rows

    yield from scope.assets(
        KEY,
        lambda _, data, account: _key(scope, data, account),
        table="credentials",
        kind="gcp-service-account-key",
        rows=read(),
        instead=lambda account: _keys_of(scope, library, account),
    )


def key_rows(scope: GcpScope) -> list[dict[str, Any]] | SourceError:
    """Return the keys as the inventory lists them, or why it does not: their sign-ins are asked for in between."""
    try:
        return [
            asset
            for asset in scope.asset_rows(KEY)
            if asset["resource"]["data"].get("keyType") != "SYSTEM_MANAGED"
        ]
    except SourceError as exc:
        return exc


def projects_of(rows: list[dict[str, Any]] | SourceError, scope: GcpScope) -> set[str]:
    """Return the projects that have keys; every one where the inventory does not list keys."""
    if isinstance(rows, SourceError):
        return set(scope.held.projects)
    named = {part(str(asset["name"]), "projects") or "" for asset in rows}
    return {scope.held.names.get(name, name) for name in named} & set(scope.held.projects)


def _keys_of(scope: GcpScope, library: IamLibrary, account: str) -> Iterable[Record] | None:
    project = account.removeprefix("gcp:project:")
    if project not in scope.held.projects:
        return None
    return (
        record
        for account_row in library.accounts(project)
        for row in library.keys(str(account_row["name"]))
        for record in _key(scope, row, account)
    )


def _key(scope: GcpScope, data: dict[str, Any], account: str) -> Iterator[Record]:
    """Yield one key. ``disableReason`` says that Google found it in public or saw it used by an attacker.

    https://docs.cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts.keys#ServiceAccountKey
    """
    if data.get("keyType") == "SYSTEM_MANAGED":
        return
    name = str(data["name"])
    key, email = last(name), str(part(name, "serviceAccounts"))
    number = scope.emails.get(email, email)
    made, seen = utc_time(data.get("validAfterTime")), scope.key_use.times.get(key)
    until = utc_time(data.get("validBeforeTime"))
    never = until is not None and until >= _FOREVER
    uploaded = data.get("keyOrigin") == "USER_PROVIDED"
    reason = str(data.get("disableReason") or "").removeprefix("SERVICE_ACCOUNT_KEY_DISABLE_REASON_")
    yield Credential(
        id=record_id("gcp", "service-account-key", key),
        **own(account),
        identity_id=service_account_id(number) if number.isdigit() else email,
        kind="gcp-service-account-key",
        native_id=key,
        name=f"{'uploaded ' if uploaded else ''}key {key[:8]} of {email}",
        lifetime="static" if never or until is None else "expiring",
        enabled=not data.get("disabled"),
        created_at=made,
        last_used_at=seen,
        never_used=True if seen is None and _within_period(scope, name, made) else None,
        expires_at=None if never else until,
        never_expires=never if until is not None else None,
        scopes=[f"origin:{'uploaded' if uploaded else 'google'}", *([f"disabled:{reason.lower()}"] if reason and reason != "UNSPECIFIED" else [])],
    )  # fmt: skip


def _within_period(scope: GcpScope, name: str, made: datetime | None) -> bool:
    """Return whether the observation period of a project covers the whole life of a key: then no row means never."""
    project = part(name, "projects") or ""
    days = scope.key_use.period.get(scope.held.names.get(project, project))
    return made is not None and days is not None and made > scope.run.as_of - timedelta(days=days)
