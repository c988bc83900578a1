"""One top-level group's night: in which order its listings are read, and what is known to be invisible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from collectors.gitlab import powers
from collectors.gitlab.failures import GitLabError, explain, readable
from collectors.gitlab.listings import controls, credentials, groups, projects, runners, secrets
from collectors.gitlab.scope import Place, Scope, path_of
from scanner.collect.listings import ListingRequest, preflight
from scanner.records import TABLES, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from collectors.gitlab import Config
    from collectors.gitlab.client import Client
    from collectors.gitlab.listings.projects import Project
    from scanner.collect.collector import Run, Target
    from scanner.collect.memory import Memory
    from scanner.records import Account, Record

_BELOW = [
    name for name in TABLES if name not in {"accounts", "gaps", "coverage", "trusts", "artifacts", "rollouts"}
]
"""Tables that are in doubt when projects or subgroups could not be listed."""


def night(client: Client, memory: Memory, target: Target, config: Config, run: Run) -> Iterator[Record]:
    """Yield everything of one top-level group."""

    def itself() -> Generator[Record, None, dict[str, Any]]:
        if "problem" in target.params:
            raise GitLabError(msgspec.convert(target.params["reason"], Reason), target.params["problem"])
        group = client.one(f"/groups/{quote(target.params['group'], safe='')}", {"with_projects": "false"})
        yield groups.account(group)
        return group

    asked = ListingRequest(
        provider="gitlab",
        account_id=target.account_id,
        collector="gitlab",
        target=target.name,
        table="*",
        call="GET /groups/:id",
        needs="a member of the group",
    )
    top = yield from preflight(itself(), asked, explain)
    if top is None:
        return
    place = groups.group_place(top)
    role = _own_role(client, place)
    scope = Scope(
        client=client,
        run=run,
        target=target,
        config=config,
        place=place,
        role=role,
        people_elsewhere=role == powers.ADMIN and config.instance is not False,
    )
    yield from scope.told(
        groups.settings(top), scope.asked("controls", "GET /groups/:id", kind="two-factor-requirement")
    )
    below: list[dict[str, Any]] = []
    yield from _listed(scope, "/groups/:id/descendant_groups", "gitlab-group", groups.account, below.append)
    # Parents first: what their variables name, their children's pipelines use.
    below.sort(key=lambda group: (str(group["full_path"]).count("/"), str(group["full_path"])))
    identifiers: dict[str, dict[str, str]] = {}
    for group in (top, *below):
        yield from _group(scope, group, identifiers)
    yield from credentials.service_accounts(scope)
    yield from credentials.ssh_certificates(scope)
    yield from runners.runners(scope)
    wanted: list[Project] = []
    yield from _listed(
        scope,
        "/groups/:id/projects",
        "gitlab-project",
        projects.account,
        lambda row: wanted.append(projects.read_project(row)),
    )
    yield from projects.everything(scope, memory, wanted, identifiers)
    yield from _unseen(scope)


def _own_role(client: Client, place: Place) -> int | None:
    """Return the token's own role in the group; `powers.ADMIN` for an administrator, None where it is not told.

    With Admin Mode, an administrator's token without its scope is an ordinary one: only to the others does the list of
    users show who is administrator. https://docs.gitlab.com/administration/settings/sign_in_restrictions/#admin-mode
    """
    with readable():
        me = client.one("/user")
        if me.get("is_admin"):
            for shown in client.items("/users", {"per_page": 1}, limit=1):
                if "is_admin" in shown:
                    return powers.ADMIN
        member = client.one(path_of("/groups/:id/members/all/:user", place, user=str(me["id"])))
        return int(member["access_level"])
    return None


def _listed(
    scope: Scope,
    call: str,
    kind: str,
    account: Callable[[dict[str, Any]], Account],
    keep: Callable[[dict[str, Any]], None],
) -> Iterator[Record]:
    """Yield groups or projects as accounts, and keep each; when they cannot all be listed, every table is in doubt."""
    parameters: dict[str, str | int] = (
        {"include_subgroups": "true", "with_shared": "false", "order_by": "id", "sort": "asc"}
        if kind == "gitlab-project"
        else {}
    )

    def read() -> Iterator[Record]:
        for row in scope.client.items(path_of(call, scope.place), parameters):
            if kind == "gitlab-project" and not scope.wants(str(row["path_with_namespace"])):
                continue
            yield account(row)
            keep(row)

    asked = scope.asked("accounts", f"GET {call}", kind=kind, needs="a member of the group")
    yield from scope.told(read(), asked, loses=_BELOW)


def _group(scope: Scope, group: dict[str, Any], identifiers: dict[str, dict[str, str]]) -> Iterator[Record]:
    """Yield what hangs on one group; fills ``identifiers`` with what its variables and its parents' name."""
    place = groups.group_place(group)
    named = dict(identifiers.get(str(group.get("parent_id")), {}))
    own: dict[str, str] = {}
    yield from groups.membership(scope, group)
    yield from groups.members(scope, place)
    yield from secrets.variables(scope, place, own)
    identifiers[place.number] = named | own
    yield from credentials.deploy_tokens(scope, place)
    yield from credentials.access_tokens(scope, place)
    yield from controls.webhooks(scope, place)


def _unseen(scope: Scope) -> Iterator[Record]:
    """Yield what nobody, or not this token, can see."""
    if scope.role != powers.ADMIN:
        yield scope.unseen(
            "credentials",
            "personal-access-token",
            "GET /personal_access_tokens",
            "Personal access tokens of other users are visible to instance administrators only.",
            needs="an administrator's token (self-managed)",
        )
        yield scope.unseen(
            "credentials",
            "ssh-key",
            "GET /users/:id/keys",
            "Users' SSH keys were not read.",
        )
