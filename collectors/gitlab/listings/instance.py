"""What only an instance administrator can read: users, their tokens, and OAuth applications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gitlab import powers
from collectors.gitlab.records import TOKEN_BOT, access_token, user
from scanner.collect.failures import SourceError
from scanner.collect.listings import with_coverage
from scanner.records import Gap, Grant, Identity, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.gitlab.scope import GitLabScope
    from scanner.records import Record

ADMINISTRATOR = "an administrator's token"


def users(
    scope: GitLabScope, machines: frozenset[str]
) -> Generator[Record, None, dict[str, Identity] | None]:
    """Yield every user, and return them by number; ``machines`` are the numbers of service accounts, which can have any name.

    https://docs.gitlab.com/api/users/
    """
    people: dict[str, Identity] = {}

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        if "is_admin" not in item:
            raise SourceError(
                "denied",
                "only public user details are visible: with Admin Mode, the scope admin_mode is needed",
            )
        identity = user(scope, item, "gitlab-service-account" if str(item["id"]) in machines else None)
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
            # An auditor reads every group and project, but neither settings nor variables.
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

    listed = True
    for record in scope.listing(
        "/users",
        convert,
        table="identities",
        kind="gitlab-user",
        needs=ADMINISTRATOR,
        parameters={"pagination": "keyset", "order_by": "id", "sort": "asc"},
        fills=("grants/administrator", "identities/gitlab-bot", "identities/gitlab-service-account"),
        # Whose tokens are whose, and which are read elsewhere, is known by the users.
        loses=("credentials/personal-access-token", "credentials/impersonation-token"),
    ):
        listed = listed and not isinstance(record, Gap)
        yield record
    return people if listed else None


def personal_tokens(scope: GitLabScope, people: dict[str, Identity]) -> Iterator[Record]:
    """Yield all users' personal access tokens. https://docs.gitlab.com/api/personal_access_tokens/

    Tokens of project and group bots are read with the project or group. GitLab marks service accounts as bots too, and
    they may have any name: their tokens are read here.
    """

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        owner = people.get(str(item["user_id"]))
        if owner is None or not TOKEN_BOT.fullmatch(owner.name):
            yield access_token(scope.place, item, "personal-access-token")

    yield from scope.listing(
        "/personal_access_tokens",
        convert,
        table="credentials",
        kind="personal-access-token",
        needs=ADMINISTRATOR,
        parameters={"state": "active"},
    )


def impersonation_tokens(scope: GitLabScope, people: dict[str, Identity]) -> Iterator[Record]:
    """Yield tokens that administrators created to act as another user.

    https://docs.gitlab.com/api/user_tokens/#list-all-impersonation-tokens-for-a-user
    """

    def read() -> Iterator[Record]:
        for number, person in sorted(people.items()):
            if person.kind != "gitlab-user" or person.enabled is False:
                continue
            for item in scope.client.items(f"/users/{int(number)}/impersonation_tokens", {"state": "active"}):
                given = {**item, "user_id": item.get("user_id") or number}
                yield access_token(scope.place, given, "impersonation-token")

    yield from with_coverage(
        read(),
        scope.request(
            "credentials",
            "GET /users/:user_id/impersonation_tokens",
            kind="impersonation-token",
            needs=ADMINISTRATOR,
        ),
    )


def applications(scope: GitLabScope) -> Iterator[Record]:
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
        needs=ADMINISTRATOR,
    )
