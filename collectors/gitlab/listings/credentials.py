"""Credentials that GitLab issued: deploy tokens and keys, access tokens of projects, groups and service accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gitlab import powers
from collectors.gitlab.records import access_token, token_grant, user
from scanner.collect.failures import SourceError, unsupported_on
from scanner.collect.scope import utc_time
from scanner.records import Credential, Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from collectors.gitlab.facts import GitLabPlace, ProjectFacts
    from collectors.gitlab.scope import GitLabScope
    from scanner.records import Record

_MAINTAINER = {"group": "Maintainer of the group", "project": "Maintainer of the project"}


def deploy_tokens(scope: GitLabScope, place: GitLabPlace) -> Iterator[Record]:
    """Yield deploy tokens. https://docs.gitlab.com/api/deploy_tokens/ : neither creation nor last use is shown."""

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        number, scopes = str(item["id"]), [str(scope) for scope in item.get("scopes") or []]
        identity = record_id("gitlab", "deploy-token-user", number)
        enabled = not item.get("revoked") and not item.get("expired")
        expires = item.get("expires_at")
        yield Identity(
            id=identity,
            provider="gitlab",
            account_id=place.account_id,
            surface="automation",
            kind="gitlab-deploy-token",
            native_id=number,
            name=str(item["name"]),
            address=f"{place.address} deploy token {item.get('username') or number}",
            enabled=enabled,
        )
        yield Credential(
            id=record_id("gitlab", "deploy-token", number),
            provider="gitlab",
            account_id=place.account_id,
            identity_id=identity,
            kind="deploy-token",
            native_id=number,
            name=str(item["name"]),
            lifetime="expiring" if expires else "static",
            enabled=enabled,
            expires_at=utc_time(expires),
            never_expires="expires_at" in item and expires is None,
            read_only=not any(scope.startswith("write") for scope in scopes),
            scopes=sorted(scopes),
            location=place.address,
        )
        can = powers.of_scopes(scopes)
        yield token_grant(
            place, f"deploy-token/{number}", identity, "deploy token", can, scopes=scopes, expires=expires
        )

    yield from scope.at(place).listing(
        f"/{place.kind}s/:id/deploy_tokens",
        convert,
        table="credentials",
        kind="deploy-token",
        needs=_MAINTAINER[place.kind],
        fills=("identities/gitlab-deploy-token", "grants/deploy-token"),
    )


_KEY = ("id", "title", "created_at", "expires_at", "last_used_at", "usage_type")
_READS, _WRITES = "projects_with_readonly_access", "projects_with_write_access"


def keys_of_instance(scope: GitLabScope) -> dict[str, list[dict[str, Any]]] | None:
    """Return the deploy keys of all projects of the instance, by project number, in the format of a project's own list.

    https://docs.gitlab.com/api/deploy_keys/#list-all-deploy-keys : None without an administrator's token, or if this
    GitLab does not name the projects with read-only access; then each project must be asked.
    """
    held: dict[str, list[dict[str, Any]]] = {}
    try:
        for key in scope.client.items("/deploy_keys"):
            if _READS not in key or _WRITES not in key:
                return None
            own: dict[str, Any] = {name: key.get(name) for name in _KEY if name in key}
            for name in (_READS, _WRITES):
                for project in key[name]:
                    held.setdefault(str(project["id"]), []).append({**own, "can_push": name == _WRITES})
    except SourceError:
        return None
    return held


def deploy_keys(
    scope: GitLabScope, project: ProjectFacts, rows: Iterable[dict[str, Any]] | None = None
) -> Iterator[Record]:
    """Yield a project's deploy keys. https://docs.gitlab.com/api/deploy_keys/ : older versions do not show the last
    use. A key can serve several projects; its id here includes the project, because it may push to one and only read
    another. With the usage type ``signing`` a key only signs commits: it opens no repository.
    """
    place = project.place

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        number = f"{place.number}/{item['id']}"
        identity = record_id("gitlab", "deploy-key-user", str(item["id"]))
        expires = item.get("expires_at")
        usage = item.get("usage_type")
        writes = bool(item["can_push"]) and usage != "signing"
        yield Identity(
            id=identity,
            provider="gitlab",
            account_id=place.account_id,
            surface="automation",
            kind="gitlab-deploy-key",
            native_id=str(item["id"]),
            name=str(item["title"]),
            created_at=utc_time(item.get("created_at")),
        )
        yield Credential(
            id=record_id("gitlab", "deploy-key", number),
            provider="gitlab",
            account_id=place.account_id,
            identity_id=identity,
            kind="deploy-key",
            native_id=str(item["id"]),
            name=str(item["title"]),
            lifetime="expiring" if expires else "static",
            created_at=utc_time(item.get("created_at")),
            last_used_at=utc_time(item.get("last_used_at")),
            never_used=item.get("last_used_at") is None if "last_used_at" in item else None,
            expires_at=utc_time(expires),
            never_expires="expires_at" in item and expires is None,
            read_only=not writes,
            scopes=[str(usage)] if usage else [],
            location=place.address,
        )
        if usage == "signing":
            return
        scopes = ["write_repository"] if writes else ["read_repository"]
        yield token_grant(
            place,
            f"deploy-key/{number}",
            identity,
            "deploy key",
            powers.of_scopes(scopes),
            scopes=scopes,
            expires=expires,
        )

    yield from scope.at(place).listing(
        "/projects/:id/deploy_keys",
        convert,
        table="credentials",
        kind="deploy-key",
        needs="Maintainer of the project",
        fills=("identities/gitlab-deploy-key", "grants/deploy-key"),
        rows=rows,
    )


def access_tokens(
    scope: GitLabScope, place: GitLabPlace, rows: Iterable[dict[str, Any]] | None = None
) -> Iterator[Record]:
    """Yield the access tokens of a group or project, and the bot user of each.

    https://docs.gitlab.com/api/project_access_tokens/ https://docs.gitlab.com/api/group_access_tokens/ : a token whose
    role is not shown may do what its scopes allow to a Maintainer.
    """
    kind = f"{place.kind}-access-token"

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        token = access_token(place, item, kind)
        shown = {"id": item["user_id"], "username": str(item["name"])}
        if not scope.instance_lists_users:
            yield user(scope, shown, "gitlab-bot")
        yield token
        level = item.get("access_level")
        can = powers.of_scopes(token.scopes, None if level is None else int(level))
        role = "unknown role" if level is None else powers.ROLES.get(int(level), str(level))
        yield token_grant(
            place,
            f"{kind}/{item['id']}",
            token.identity_id,
            role,
            can if token.enabled else [],
            scopes=token.scopes,
            expires=item.get("expires_at"),
            certain=level is not None,
        )

    yield from scope.at(place).listing(
        f"/{place.kind}s/:id/access_tokens",
        convert,
        table="credentials",
        kind=kind,
        needs="Owner of the group" if place.kind == "group" else "Maintainer of the project",
        parameters={"state": "active"},
        fills=("identities/gitlab-bot", f"grants/{kind}"),
        rows=rows,
    )


def service_accounts(scope: GitLabScope, place: GitLabPlace) -> Generator[Record, None, frozenset[str]]:
    """Yield the service accounts of a group, or of the instance, and their tokens, which may never expire. Return the
    numbers of the accounts.

    https://docs.gitlab.com/api/service_accounts/
    """
    base = "/service_accounts" if place.kind == "instance" else "/groups/:id/service_accounts"
    needs = "Owner of the group" if place.kind == "group" else "an administrator's token"
    found: list[dict[str, Any]] = []

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        found.append(item)
        if not scope.instance_lists_users:
            yield user(scope, item, "gitlab-service-account")

    yield from scope.at(place).listing(
        base,
        convert,
        table="identities",
        kind="gitlab-service-account",
        needs=needs,
        # Without the list of accounts, their tokens cannot be requested.
        classify=unsupported_on({404}, "Not available in this version or tier of GitLab, or for subgroups."),
        fills=("credentials/personal-access-token",) if place.kind == "group" else (),
    )
    numbers = frozenset(str(account["id"]) for account in found)
    if place.kind == "instance":
        return numbers  # The instance target lists their tokens.
    for number in sorted(numbers, key=int):
        yield from scope.at(place).listing(
            "/groups/:id/service_accounts/:user_id/personal_access_tokens",
            lambda item: (access_token(place, item, "personal-access-token"),),
            table="credentials",
            kind="personal-access-token",
            needs=needs,
            parameters={"state": "active"},
            item=number,
            user_id=number,
        )
    return numbers


def ssh_certificates(scope: GitLabScope) -> Iterator[Record]:
    """Yield the certificate authorities whose SSH certificates the group accepts.

    https://docs.gitlab.com/api/group_ssh_certificates/
    """
    place = scope.place

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        number = str(item["id"])
        yield Credential(
            id=record_id("gitlab", "ssh-certificate", number),
            provider="gitlab",
            account_id=place.account_id,
            identity_id=record_id("gitlab", "group-members", place.number),
            kind="ssh-certificate",
            native_id=number,
            name=str(item["title"]),
            lifetime="static",
            created_at=utc_time(item.get("created_at")),
            location=place.address,
        )

    yield from scope.at(place).listing(
        "/groups/:id/ssh_certificates",
        convert,
        table="credentials",
        kind="ssh-certificate",
        needs="Owner of the top-level group (GitLab.com Premium)",
        classify=unsupported_on({404}, "Available on GitLab.com in Premium and Ultimate."),
    )
