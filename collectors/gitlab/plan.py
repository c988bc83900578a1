"""The order in which one target's listings are read, and what is known to be invisible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from gitlab.utils import EncodedId

from collectors.gitlab import powers
from collectors.gitlab.facts import GitLabPlace, group_place
from collectors.gitlab.listings import credentials, groups, instance, projects, runners, secrets, webhooks
from collectors.gitlab.project_plan import project_records
from collectors.gitlab.scope import GitLabScope
from scanner.collect.failures import Failure, SourceError, classify_error
from scanner.collect.listings import ListingRequest, gap, preflight, with_coverage
from scanner.records import Account, Reason

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.gitlab.client import GitLabClient
    from collectors.gitlab.config import Config
    from scanner.collect.collector import Run, Target
    from scanner.collect.memory import Memory
    from scanner.records import Record


def group_night(
    client: GitLabClient, memory: Memory, target: Target, config: Config, run: Run
) -> Iterator[Record]:
    """Yield all records of one top-level group."""

    def itself() -> Generator[Record, None, dict[str, Any]]:
        if "problem" in target.params:
            raise SourceError(msgspec.convert(target.params["reason"], Reason), target.params["problem"])
        yield from ()
        return client.one(f"/groups/{EncodedId(target.params['group'])}", {"with_projects": "false"})

    top = yield from preflight(itself(), _first_call(target, "GET /groups/:id", "a member of the group"))
    if top is None:
        return
    place = group_place(top)
    me = _myself(client)
    scope = GitLabScope(
        client=client,
        run=run,
        target=target,
        config=config,
        memory=memory,
        account_id=place.account_id,
        names={"id": place.number},
        place=place,
        role=_own_role(client, place, me),
        # Where nobody knows, the instance is a target and tells why its users are not read.
        instance_lists_users=me.administers is not False and config.instance is not False,
    )
    if me.failure is not None and scope.instance_lists_users:
        for kind in ("gitlab-user", "gitlab-bot", "gitlab-service-account"):
            yield gap(scope.request("identities", "GET /user", kind=kind), me.failure)
    yield from with_coverage(
        groups.top_level(top),
        scope.request("accounts", "GET /groups/:id", kind="gitlab-group"),
        fills=("controls/two-factor-requirement",),
    )
    below = yield from groups.subgroups(scope, loses=projects.IN_DOUBT)
    identifiers: dict[str, dict[str, str]] = {}
    for group in (top, *below):
        # Parents come first: pipelines of subgroups use the parents' variables.
        inherited = identifiers.get(str(group.get("parent_id")), {})
        identifiers[str(group["id"])] = inherited | (yield from _group(scope, group))
    yield from credentials.ssh_certificates(scope)
    yield from runners.runners(scope)
    wanted = yield from projects.projects_of_group(scope)
    yield from project_records(scope, wanted, identifiers)
    yield from _visibility_gaps(scope)


def instance_night(
    client: GitLabClient, memory: Memory, target: Target, config: Config, run: Run
) -> Iterator[Record]:
    """Yield the instance's people, their tokens, its own variables, hooks and applications, and personal projects.

    https://docs.gitlab.com/api/rest/
    """
    host = target.params["instance"]
    place = GitLabPlace(kind="instance", number=host, address=host, account_id=target.account_id)
    scope = GitLabScope(
        client=client,
        run=run,
        target=target,
        config=config,
        memory=memory,
        account_id=place.account_id,
        place=place,
        role=powers.ADMIN,
    )

    def itself() -> Generator[Record, None, bool]:
        me = client.one("/user")
        _ = me["id"]
        if not me.get("is_admin"):
            raise SourceError("denied", "the token is not an administrator's")
        yield from ()
        return True

    if not (yield from preflight(itself(), _first_call(target, "GET /user", instance.ADMINISTRATOR))):
        return
    account = Account(
        id=place.account_id,
        provider="gitlab",
        account_id=place.account_id,
        kind="gitlab-instance",
        native_id=host,
        name=host,
        address=config.base_url,
        url=config.base_url,
    )
    yield from with_coverage([account], scope.request("accounts", "GET /user", kind="gitlab-instance"))
    machines = yield from credentials.service_accounts(scope, place)
    people = yield from instance.users(scope, machines)
    if people is not None:
        yield from instance.personal_tokens(scope, people)
        if config.impersonation_tokens:
            yield from instance.impersonation_tokens(scope, people)
    yield from secrets.variables(scope, place)
    yield from webhooks.webhooks(scope, place)
    yield from instance.applications(scope)
    wanted = yield from projects.personal_projects(scope, instance.ADMINISTRATOR)
    yield from project_records(scope, wanted, {})
    yield scope.unseen("credentials", "ssh-key", "GET /users/:id/keys", "Users' SSH keys were not read.")


def _first_call(target: Target, call: str, needs: str) -> ListingRequest:
    """Describe the first call. If it fails, nothing of the target can be read."""
    return ListingRequest(
        provider="gitlab",
        account_id=target.account_id,
        collector="gitlab",
        target=target.name,
        table="*",
        call=call,
        needs=needs,
    )


class _Myself(msgspec.Struct, frozen=True, kw_only=True):
    """Whose token it is."""

    number: int | None = None
    """The user's id; None if unknown."""
    administers: bool | None = None
    """Whether the token has an administrator's rights; None if unknown."""
    failure: Failure | None = None
    """Why that is unknown."""


def _myself(client: GitLabClient) -> _Myself:
    """Return whose token it is. With Admin Mode, an administrator's token without the ``admin_mode`` scope has ordinary
    rights. Only tokens with administrator rights get ``is_admin`` in the list of users.
    https://docs.gitlab.com/administration/settings/sign_in_restrictions/#admin-mode
    """
    number = None
    try:
        me = client.one("/user")
        number = int(me["id"])
        administers = bool(me.get("is_admin")) and any(
            "is_admin" in shown for shown in client.items("/users", {"per_page": 1}, limit=1)
        )
    except SourceError as exc:
        return _Myself(number=number, failure=classify_error(exc))
    return _Myself(number=number, administers=administers)


def _own_role(client: GitLabClient, place: GitLabPlace, me: _Myself) -> int | None:
    """Return the token's own role in the group; `powers.ADMIN` for an administrator, None if unknown."""
    if me.administers:
        return powers.ADMIN
    if me.number is None or me.failure is not None:
        return None
    try:
        return int(client.one(f"/groups/{place.number}/members/all/{me.number}")["access_level"])
    except SourceError:
        return None


def _group(scope: GitLabScope, group: dict[str, Any]) -> Generator[Record, None, dict[str, str]]:
    """Yield the records of one group, and return the identifiers in its variables."""
    place = group_place(group)
    # First of all: a service account can have any user name, and a list of members does not mark it.
    yield from credentials.service_accounts(scope, place)
    yield from groups.membership(scope, group)
    yield from groups.members(scope, place)
    identifiers = yield from secrets.variables(scope, place)
    yield from credentials.deploy_tokens(scope, place)
    yield from credentials.access_tokens(scope, place)
    yield from webhooks.webhooks(scope, place)
    return identifiers


def _visibility_gaps(scope: GitLabScope) -> Iterator[Record]:
    """Yield a Gap for everything that this token, or no token, can read."""
    if scope.role != powers.ADMIN:
        yield scope.unseen(
            "identities",
            "project-service-account",
            "GET /projects/:id/service_accounts",
            "Service accounts of projects were not listed; those that are members are among the members.",
            needs="an administrator's token (self-managed)",
        )
        # https://docs.gitlab.com/api/projects/ https://docs.gitlab.com/api/groups/ : shared_with_groups leaves out the
        # groups that the caller may not see.
        yield scope.unseen(
            "grants",
            "invited-group",
            "GET /groups/:id/projects (shared_with_groups)",
            "Of the groups invited to groups and projects, those that are private and that this token is no member of are "
            "not shown.",
            needs="an administrator's token (self-managed)",
        )
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
