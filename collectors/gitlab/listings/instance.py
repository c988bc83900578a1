"""An instance's night: what only an administrator sees. https://docs.gitlab.com/api/rest/"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gitlab import powers
from collectors.gitlab.failures import GitLabError, explain
from collectors.gitlab.listings import controls, credentials, groups, projects, secrets
from collectors.gitlab.scope import Place, Scope
from scanner.collect.listings import ListingRequest, preflight
from scanner.records import Account, Grant, Identity, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.gitlab import Config
    from collectors.gitlab.client import Client
    from scanner.collect.collector import Run, Target
    from scanner.collect.memory import Memory
    from scanner.records import Record

_ADMIN = "an administrator's token"


def night(client: Client, memory: Memory, target: Target, config: Config, run: Run) -> Iterator[Record]:
    """Yield the instance's people, their tokens, its own variables, hooks and applications, and personal projects."""
    host = target.params["instance"]
    place = Place(kind="instance", number=host, address=host, account_id=target.account_id)
    scope = Scope(client=client, run=run, target=target, config=config, place=place, role=powers.ADMIN)

    def itself() -> Generator[Record, None, bool]:
        me = client.one("/user")
        if not me.get("is_admin"):
            raise GitLabError("denied", "the token is not an administrator's")
        yield Account(
            id=place.account_id,
            provider="gitlab",
            account_id=place.account_id,
            kind="gitlab-instance",
            native_id=host,
            name=host,
            address=config.base_url,
            url=config.base_url,
        )
        return True

    asked = ListingRequest(
        provider="gitlab",
        account_id=place.account_id,
        collector="gitlab",
        target=target.name,
        table="*",
        call="GET /user",
        needs=_ADMIN,
    )
    if not (yield from preflight(itself(), asked, explain)):
        return
    people: dict[str, Identity] = {}
    yield from _users(scope, people)
    yield from credentials.service_accounts(scope)
    yield from _tokens(scope, people)
    if config.impersonation_tokens:
        yield from _impersonation(scope, people)
    yield from secrets.variables(scope, place, {})
    yield from controls.webhooks(scope, place)
    yield from _applications(scope)
    wanted: list[projects.Project] = []
    yield from _personal_projects(scope, wanted)
    yield from projects.everything(scope, memory, wanted, {})
    yield scope.unseen("credentials", "ssh-key", "GET /users/:id/keys", "Users' SSH keys were not read.")


def _users(scope: Scope, people: dict[str, Identity]) -> Iterator[Record]:
    """Yield every user. https://docs.gitlab.com/api/users/"""

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        if "is_admin" not in item:
            raise GitLabError(
                "denied",
                "only public user details are visible: with Admin Mode, the scope admin_mode is needed",
            )
        identity = groups.user(scope, item)
        people[identity.native_id] = identity
        yield identity
        if item.get("is_admin"):
            can = powers.of_role(powers.ADMIN)
            yield Grant(
                id=record_id("gitlab", "grant", f"admin/{item['id']}"),
                provider="gitlab",
                account_id=scope.place.account_id,
                identity_id=identity.id,
                role="Administrator",
                resource="*",
                breadth="organization",
                powers=can,
                level=level_of(can),
                via="administrator of the instance",
            )
        if item.get("is_auditor"):
            # Reads every group and project, but neither their settings nor their variables.
            yield Grant(
                id=record_id("gitlab", "grant", f"auditor/{item['id']}"),
                provider="gitlab",
                account_id=scope.place.account_id,
                identity_id=identity.id,
                role="Auditor",
                resource="*",
                breadth="organization",
                powers=["read-data"],
                level=level_of(["read-data"]),
                via="auditor of the instance",
            )

    yield from scope.listing(
        "/users",
        convert,
        table="identities",
        kind="gitlab-user",
        needs=_ADMIN,
        place=scope.place,
        parameters={"pagination": "keyset", "order_by": "id", "sort": "asc"},
        fills=("grants/administrator", "identities/gitlab-bot"),
    )


def _tokens(scope: Scope, people: dict[str, Identity]) -> Iterator[Record]:
    """Yield everybody's personal access tokens. https://docs.gitlab.com/api/personal_access_tokens/

    Tokens of the bots of projects and groups are told where the project or group is read. A service account is a bot to
    GitLab, too, and may have any name: its tokens are told here.
    """

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        owner = people.get(str(item["user_id"]))
        if owner is None or not groups.TOKEN_BOT.fullmatch(owner.name):
            yield credentials.access_token(scope.place, item, "personal-access-token")

    yield from scope.listing(
        "/personal_access_tokens",
        convert,
        table="credentials",
        kind="personal-access-token",
        needs=_ADMIN,
        place=scope.place,
        parameters={"state": "active"},
    )


def _impersonation(scope: Scope, people: dict[str, Identity]) -> Iterator[Record]:
    """Yield tokens that administrators made to act as somebody else.

    https://docs.gitlab.com/api/user_tokens/#list-all-impersonation-tokens-for-a-user
    """

    def read() -> Iterator[Record]:
        for number, person in sorted(people.items()):
            if person.kind != "gitlab-user" or person.enabled is False:
                continue
            for item in scope.client.items(f"/users/{int(number)}/impersonation_tokens", {"state": "active"}):
                given = {**item, "user_id": item.get("user_id") or number}
                yield credentials.access_token(scope.place, given, "impersonation-token")

    yield from scope.told(
        read(),
        scope.asked(
            "credentials",
            "GET /users/:user_id/impersonation_tokens",
            kind="impersonation-token",
            needs=_ADMIN,
        ),
    )


def _applications(scope: Scope) -> Iterator[Record]:
    """Yield the instance's OAuth applications. https://docs.gitlab.com/api/applications/"""

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        scopes = [str(one) for one in item.get("scopes") or []]
        identity = record_id("gitlab", "application", str(item["id"]))
        yield Identity(
            id=identity,
            provider="gitlab",
            account_id=scope.place.account_id,
            surface="automation",
            kind="gitlab-application",
            native_id=str(item["id"]),
            name=str(item["application_name"]),
            permissions=sorted(scopes),
            tags={"confidential": str(bool(item.get("confidential"))).lower()},
        )

    yield from scope.listing(
        "/applications",
        convert,
        table="identities",
        kind="gitlab-application",
        needs=_ADMIN,
        place=scope.place,
    )


def _personal_projects(scope: Scope, wanted: list[projects.Project]) -> Iterator[Record]:
    """Yield the projects in people's own namespaces; those of groups are read with their group."""

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        if (item.get("namespace") or {}).get("kind") == "user" and scope.wants(
            str(item["path_with_namespace"])
        ):
            yield projects.account(item)
            wanted.append(projects.read_project(item))

    yield from scope.listing(
        "/projects",
        convert,
        table="accounts",
        kind="gitlab-project",
        needs=_ADMIN,
        place=scope.place,
        parameters={"pagination": "keyset", "order_by": "id", "sort": "asc"},
    )
