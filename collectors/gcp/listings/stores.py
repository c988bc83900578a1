"""What holds credentials: secrets, API keys and HMAC keys. Never a value.

https://docs.cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets,
https://docs.cloud.google.com/docs/authentication/api-keys, https://docs.cloud.google.com/storage/docs/authentication/hmackeys
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gcp.calls import HMAC_KEYS
from collectors.gcp.names import last, own, resource_id, service_account_id
from collectors.gcp.per_project import each_project
from collectors.gcp.records import environment_of, owner_of, tags_of
from scanner.collect.scope import utc_time
from scanner.records import Credential, Secret, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from collectors.gcp.scope import GcpScope
    from scanner.records import Record

SECRET = "secretmanager.googleapis.com/Secret"  # noqa: S105  a type
VERSION = "secretmanager.googleapis.com/SecretVersion"
API_KEY = "apikeys.googleapis.com/Key"


def secrets(scope: GcpScope) -> Iterator[Record]:
    """Yield the secrets, each with the time of its newest enabled version."""
    newest: dict[str, datetime] = {}

    def version(asset: dict[str, Any], data: dict[str, Any], _: str) -> Iterator[Record]:
        made = utc_time(data.get("createTime"))
        name = str(asset["name"]).partition("/versions/")[0]
        if made is not None and data.get("state", "ENABLED") == "ENABLED":
            newest[name] = max(made, newest.get(name, made))
        yield from ()

    yield from scope.assets(VERSION, version, table="secrets", kind="gcp-secret-version")
    yield from scope.assets(
        SECRET,
        lambda asset, data, account: [_secret(str(asset["name"]), data, account, newest)],
        table="secrets",
        kind="gcp-secret-manager",
    )


def _secret(name: str, data: dict[str, Any], account: str, newest: dict[str, datetime]) -> Secret:
    tags = tags_of(data.get("labels"))
    return Secret(
        id=record_id("gcp", "secret", name.removeprefix("//")),
        **own(account),
        store="gcp-secret-manager",
        name=last(name),
        environment=environment_of(tags),
        readable=False,
        encrypted=True,
        rotation_enabled=bool((data.get("rotation") or {}).get("rotationPeriod")),
        created_at=utc_time(data.get("createTime")),
        updated_at=newest.get(name),
        expires_at=utc_time(data.get("expireTime")),
        owner=owner_of(tags)[0],
        location=name,
        tags=tags,
    )


def api_keys(scope: GcpScope) -> Iterator[Record]:
    """Yield the API keys: which APIs take them, and as which account they act."""
    yield from scope.assets(
        API_KEY,
        lambda asset, data, account: _api_key(scope, str(asset["name"]), data, account),
        table="credentials",
        kind="gcp-api-key",
    )


def _api_key(scope: GcpScope, name: str, data: dict[str, Any], account: str) -> Iterator[Record]:
    """Yield one key, which has no end. Without restrictions every API that takes keys accepts it.

    https://docs.cloud.google.com/api-keys/docs/reference/rest/v2/projects.locations.keys
    """
    email = str(data.get("serviceAccountEmail") or "")
    limits = data.get("restrictions") or {}
    apis = sorted(str(one.get("service") or "") for one in limits.get("apiTargets") or [])
    callers = [
        kind for kind in ("browserKeyRestrictions", "serverKeyRestrictions", "androidKeyRestrictions", "iosKeyRestrictions")
        if limits.get(kind)
    ]  # fmt: skip
    number = scope.emails.get(email)
    yield Credential(
        id=record_id("gcp", "api-key", name.removeprefix("//")),
        **own(account),
        identity_id=(service_account_id(number) if number else email) or resource_id(name),
        kind="gcp-api-key",
        native_id=str(data.get("uid") or last(name)),
        name=str(data.get("displayName") or last(name)),
        lifetime="static",
        enabled=not data.get("deleteTime"),
        created_at=utc_time(data.get("createTime")),
        never_expires=True,
        scopes=[*(f"api:{api}" for api in apis or ["*"]), *(f"callers:{one.removesuffix('KeyRestrictions')}" for one in callers)],
        location=name,
    )  # fmt: skip


def hmac_keys(scope: GcpScope) -> Iterator[Record]:
    """Yield the HMAC keys of service accounts. Users' own keys are not listed."""

    def key(project: str, item: dict[str, Any]) -> Iterator[Record]:
        account = record_id("gcp", "project", project)
        email = str(item["serviceAccountEmail"])
        number = scope.emails.get(email)
        yield Credential(
            id=record_id("gcp", "hmac-key", str(item["accessId"])),
            **own(account),
            identity_id=service_account_id(number) if number else email,
            kind="gcp-hmac-key",
            native_id=str(item["accessId"]),
            name=f"HMAC key of {email}",
            lifetime="static",
            enabled=item.get("state") == "ACTIVE",
            created_at=utc_time(item.get("timeCreated")),
            never_expires=True,
            location="storage.googleapis.com",
        )

    yield from each_project(
        scope, HMAC_KEYS, key, table="credentials", kind="gcp-hmac-key", needs="storage.hmacKeys.list",
        at="items", parameters={"maxResults": 250},
    )  # fmt: skip
