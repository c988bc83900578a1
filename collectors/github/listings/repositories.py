"""One repository: what GraphQL told, what REST adds, and what is carried forward from an earlier night."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from collectors.github import powers
from collectors.github.failures import GitHubError
from collectors.github.listings import controls
from collectors.github.listings.bypass import Bypass
from collectors.github.listings.definitions import Definitions
from collectors.github.listings.organization import user_id
from collectors.github.listings.settings import Facts, settings, sure_of_zero
from collectors.github.listings.structure import Repository, more_protections, pages
from collectors.github.scope import Scope, time
from scanner.collect.listings import side_by_side
from scanner.records import Account, Deployment, Grant, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from collectors.github.listings.settings import Night
    from scanner.records import Record

_TABLES = (
    "identities",
    "credentials",
    "secrets",
    "grants",
    "links",
    "controls",
    "weaknesses",
    "deployments",
)
"""What is missing with a repository that is not shown."""


def everything(scope: Scope, night: Night) -> Iterator[Record]:
    """Yield all repositories of the organization."""
    yield from scope.told(
        _all(scope, night),
        scope.asked(
            "accounts",
            "POST /graphql organization.repositories",
            kind="github-repository",
            needs="metadata: read",
        ),
        loses=_TABLES,
    )


def _all(scope: Scope, night: Night) -> Generator[Record, None, None]:
    forbidden: list[str] = []
    bypass = Bypass(scope)
    first = True
    for page in pages(scope):
        if first:
            night.rotate = page.total > scope.settings.rotate_above
            night.shown = page.total
            first = False
        forbidden += page.forbidden
        chosen = [repository for repository in page.repositories if scope.wants(repository.name)]
        # One that the configuration leaves out exists all the same: a trust in it is no trust in nothing.
        yield from (_account(scope, one, None) for one in page.repositories if not scope.wants(one.name))
        definitions = Definitions(scope, night.memory)
        yield from definitions.prefetch(chosen)
        rules = {
            controls.branch_protection(repository, rule).id: str(rule["id"])
            for repository in chosen
            for rule in repository.protections or []
            if rule.get("id")
        }
        readings = side_by_side(
            [
                scope.told(
                    _repository(scope, night, definitions, repository),
                    scope.asked(
                        "accounts",
                        "repository",
                        kind="github-repository",
                        account_id=repository.account_id,
                    ),
                    loses=_TABLES,
                )
                for repository in chosen
            ],
            scope.settings.workers,
        )
        yield from bypass.through(readings, rules)
        night.memory.save()
    yield from bypass.rest()
    if forbidden:
        raise GitHubError("denied", f"{len(forbidden)} repositories are not shown: {forbidden[0]}")


def _repository(
    scope: Scope, night: Night, definitions: Definitions, repository: Repository
) -> Iterator[Record]:
    yield _account(scope, repository, definitions.owner(repository))
    yield from _structure(scope, repository)
    facts = Facts()
    yield from settings(scope, night, definitions, repository, facts)
    pipelines: dict[str, set[str]] = {}
    yield from definitions.records(repository, facts, night.organization, pipelines)
    if scope.settings.deployments:
        yield from _deployments(scope, repository, pipelines)


def _account(scope: Scope, repository: Repository, owner: str | None) -> Account:
    return Account(
        id=repository.account_id,
        provider="github",
        account_id=repository.account_id,
        kind="github-repository",
        native_id=str(repository.number),
        name=repository.name,
        address=repository.full_name,
        parent_id=scope.account_id,
        owner=owner,
        owner_source="CODEOWNERS" if owner else None,
        active=not repository.archived,
        created_at=repository.created_at,
        pushed_at=repository.pushed_at,
        visibility=repository.visibility,
        url=repository.url,
        tags={"default_branch": repository.branch or "", "fork": "true" if repository.fork else "false"},
    )


_CALL = "POST /graphql organization.repositories"


def _part(
    scope: Scope,
    repository: Repository,
    items: Sequence[Record] | None,
    *,
    table: str,
    kind: str | None,
    field: str,
    needs: str,
) -> Iterator[Record]:
    """Yield what one part of the GraphQL answer gave; None, what was refused, is a Gap."""

    def read() -> Iterator[Record]:
        if items is None:
            raise GitHubError("denied", f"{repository.full_name}: {field} is not shown")
        yield from items

    return scope.told(
        read(),
        scope.asked(table, f"{_CALL}.{field}", kind=kind, needs=needs, account_id=repository.account_id),
    )


def _structure(scope: Scope, repository: Repository) -> Iterator[Record]:
    """Yield what GraphQL told of a repository; what it refused is a Gap."""
    part = partial(_part, scope, repository)
    if repository.more_protections:
        yield from scope.told(
            (controls.branch_protection(repository, rule) for rule in more_protections(scope, repository)),
            scope.asked(
                "controls",
                "POST /graphql repository.branchProtectionRules",
                kind="branch-protection",
                needs="administration: read",
                account_id=repository.account_id,
            ),
        )
    else:
        # Whoever does not administer a repository is shown no rules, which is not the same as none.
        hidden = not repository.protections and not sure_of_zero(scope, repository)
        yield from part(
            None
            if repository.protections is None or hidden
            else [controls.branch_protection(repository, rule) for rule in repository.protections],
            table="controls",
            kind="branch-protection",
            field="branchProtectionRules",
            needs="administration: read",
        )
    rules = repository.rules
    if rules is None and repository.branch is not None and (repository.rulesets or repository.more_rulesets):
        found: dict[int, list[str]] = {}
        yield from _rules(scope, repository, repository.branch, found)
        rules = found or None
    if repository.more_rulesets:
        yield from scope.listing(
            "/repos/{org}/{repo}/rulesets",
            lambda rule: (controls.ruleset(repository.account_id, str(repository.number), rule, rules),),
            table="controls",
            kind="ruleset",
            needs="metadata: read",
            account_id=repository.account_id,
            parameters={"includes_parents": "true"},
            salt=str(sorted((rules or {}).items())),
            repo=repository.name,
        )
    else:
        yield from part(
            None
            if repository.rulesets is None
            else [
                controls.ruleset(repository.account_id, str(repository.number), rule, rules)
                for rule in repository.rulesets
            ],
            table="controls",
            kind="ruleset",
            field="rulesets",
            needs="metadata: read",
        )
    if repository.more_collaborators:
        yield from scope.listing(
            "/repos/{org}/{repo}/collaborators",
            lambda user: (_role(scope, repository, user["id"], str(user.get("role_name") or "unknown")),),
            table="grants",
            kind="github-repository-role",
            needs="metadata: read",
            account_id=repository.account_id,
            parameters={"affiliation": "direct"},
            repo=repository.name,
        )
    else:
        yield from part(
            None
            if repository.collaborators is None
            else [
                _role(scope, repository, edge["node"]["databaseId"], str(edge["permission"]).lower())
                for edge in repository.collaborators
                if edge.get("node")
            ],
            table="grants",
            kind="github-repository-role",
            field="collaborators",
            needs="metadata: read, and push access for users",
        )


def _rules(
    scope: Scope, repository: Repository, branch: str, found: dict[int, list[str]]
) -> Iterator[Record]:
    """Fill ``found`` with the rules in force on a branch, by ruleset. Yields no record but Coverage or Gap.

    https://docs.github.com/en/rest/repos/rules#get-rules-for-a-branch
    """

    def read() -> Iterator[Record]:
        path = f"/repos/{scope.login}/{repository.name}/rules/branches/{scope.quoted(branch)}"
        for item in scope.client.items(path):
            found.setdefault(int(item["ruleset_id"]), []).append(str(item["type"]))
        yield from ()

    yield from scope.told(
        read(),
        scope.asked(
            "controls",
            "GET /repos/{owner}/{repo}/rules/branches/{branch}",
            kind="ruleset",
            needs="metadata: read",
            account_id=repository.account_id,
        ),
    )


def _role(scope: Scope, repository: Repository, user: object, role: str) -> Grant:
    can = powers.of_role(scope.roles.get(role, role))
    return Grant(
        id=record_id("github", "grant", f"{repository.number}/{user_id(user)}/{role}"),
        provider="github",
        account_id=repository.account_id,
        identity_id=user_id(user),
        role=role,
        resource=repository.full_name,
        breadth="resource",
        powers=can,
        level=level_of(can),
        confidence="high" if can else "low",
        via="repository collaborator",
    )


def _deployments(scope: Scope, repository: Repository, pipelines: dict[str, set[str]]) -> Iterator[Record]:
    """Yield the last deployments; of a pipeline, where one alone names the environment."""

    def deployment(item: dict[str, Any]) -> Deployment:
        environment = item.get("environment")
        by = pipelines.get(str(environment), set())
        return Deployment(
            id=record_id("github", "deployment", str(item["databaseId"])),
            provider="github",
            account_id=repository.account_id,
            pipeline_id=next(iter(by)) if len(by) == 1 else None,
            environment=environment,
            ref=item.get("commitOid") or (item.get("ref") or {}).get("name"),
            deployed_by=(item.get("creator") or {}).get("login"),
            deployed_at=time(item.get("createdAt")),
            state=str(item["state"]).lower() if item.get("state") else None,
        )

    items = repository.deployments
    yield from _part(
        scope,
        repository,
        None if items is None else [deployment(item) for item in items],
        table="deployments",
        kind=None,
        field="deployments",
        needs="deployments: read",
    )
