"""One repository: what GraphQL told, what REST adds, and what is carried forward from an earlier night."""

from __future__ import annotations

import threading
from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.github import actions, controls, credentials, oidc, powers, secrets
from collectors.github.bypass import Bypass
from collectors.github.controls import Environment  # noqa: TC001  msgspec reads the annotations at run time
from collectors.github.definitions import Definitions
from collectors.github.failures import GitHubError
from collectors.github.oidc import Template  # noqa: TC001
from collectors.github.organization import user_id
from collectors.github.scope import Scope, time
from collectors.github.structure import Repository, more_protections, pages
from scanner.collect import side_by_side
from scanner.records import Account, Coverage, Deployment, Gap, Grant, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from collectors.github.memory import Memory
    from scanner.records import Record

_TABLES = ("identities", "credentials", "secrets", "grants", "links", "controls", "deployments")
"""What is missing with a repository that is not shown."""


class Facts(msgspec.Struct, kw_only=True):
    """What a repository's settings say about its workflows; carried forward with its records."""

    token: str | None = None
    """Default GITHUB_TOKEN permissions: ``read`` or ``write``."""
    template: Template | None = None
    environments: list[Environment] = []
    identifiers: dict[str, str] = {}
    """The repository's variables that name something: see `secrets.identifier`."""


class Organisation(msgspec.Struct, kw_only=True):
    """What the organisation's settings say about the workflows of all repositories."""

    token: str | None = None
    """Default GITHUB_TOKEN permissions: ``read`` or ``write``."""
    template: Template | None = None
    repository_runners: bool = True
    """Whether repositories may register runners."""
    variables: list[secrets.Identifier] = []

    def identifiers(self, repository: Repository) -> dict[str, str]:
        """Return the variables that this repository gets."""
        return {
            variable.name: variable.value
            for variable in self.variables
            if variable.visibility == "all"
            or (variable.visibility == "private" and repository.visibility != "public")
            or repository.name in variable.repositories
        }


class Night(msgspec.Struct, kw_only=True):
    """What one night's reading of the repositories shares."""

    memory: Memory | Any
    organisation: Organisation
    changed: set[str] | None
    """Full names of repositories that changed since the last night, by the audit log; None without one."""
    rotate: bool = False
    carried: int = 0
    oldest: datetime | None = None
    archived: int = 0
    there: int | None = None
    """How many repositories the organisation says that it has."""
    shown: int = 0
    """How many GraphQL says that there are for us."""
    lock: Any = msgspec.field(default_factory=threading.Lock)


def everything(scope: Scope, night: Night) -> Iterator[Record]:
    """Yield all repositories of the organisation."""
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
    owner = definitions.owner(repository)
    yield Account(
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
    yield from _structure(scope, repository)
    facts = Facts()
    yield from _settings(scope, night, definitions, repository, facts)
    pipelines: dict[str, set[str]] = {}
    yield from definitions.records(repository, facts, night.organisation, pipelines)
    if scope.settings.deployments:
        yield from _deployments(scope, repository, pipelines)


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
        yield from part(
            None
            if repository.protections is None
            else [controls.branch_protection(repository, rule) for rule in repository.protections],
            table="controls",
            kind="branch-protection",
            field="branchProtectionRules",
            needs="administration: read",
        )
    if repository.more_rulesets:
        yield from scope.listing(
            "/repos/{org}/{repo}/rulesets",
            lambda rule: (controls.ruleset(repository.account_id, str(repository.number), rule),),
            table="controls",
            kind="ruleset",
            needs="metadata: read",
            account_id=repository.account_id,
            parameters={"includes_parents": "true"},
            repo=repository.name,
        )
    else:
        yield from part(
            None
            if repository.rulesets is None
            else [
                controls.ruleset(repository.account_id, str(repository.number), rule)
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


def _settings(
    scope: Scope, night: Night, definitions: Definitions, repository: Repository, facts: Facts
) -> Iterator[Record]:
    """Yield what REST tells of a repository, tonight or from the last night that asked."""
    reading = night.memory.reading(repository.number)
    if reading is not None and not _due(scope, night, repository, reading.read_at, reading.digest):
        held = msgspec.json.decode(reading.facts, type=Facts)
        for field in facts.__struct_fields__:
            setattr(facts, field, getattr(held, field))
        with night.lock:
            night.carried += 1
            night.oldest = min(night.oldest or reading.read_at, reading.read_at)
            night.archived += repository.archived
        for record in reading.records:
            if isinstance(record, Coverage):
                yield msgspec.structs.replace(
                    record, call=f"{record.call} [carried forward from {reading.read_at:%Y-%m-%d}]"
                )
            else:
                yield record
        return
    with night.lock:
        night.archived += repository.archived
    kept: list[Record] = []
    whole = True
    for record in _read(scope, night, definitions, repository, facts):
        kept.append(record)
        whole = whole and not (isinstance(record, Gap) and record.reason != "unsupported")
        yield record
    if whole:
        night.memory.keep_reading(repository.number, repository.digest, msgspec.json.encode(facts), kept)
    else:
        night.memory.forget_reading(repository.number)


def _due(scope: Scope, night: Night, repository: Repository, read_at: datetime, digest: str) -> bool:
    """Tell whether REST is asked again tonight: when something changed, and in turn, a part each night."""
    if not night.rotate or digest != repository.digest:
        return True
    days = scope.settings.rotation_days
    if night.changed is not None:
        if repository.full_name in night.changed:
            return True
        days *= 4
    age = (scope.run.as_of.date() - read_at.date()).days
    turn = repository.number % days == scope.run.as_of.toordinal() % days
    return age >= days or (age > 0 and turn)


def _read(
    scope: Scope, night: Night, definitions: Definitions, repository: Repository, facts: Facts
) -> Iterator[Record]:
    if repository.keys == 0 and _sure_of_zero(scope, repository):
        yield from scope.told(
            (),
            scope.asked(
                "credentials",
                "POST /graphql repository.deployKeys",
                kind="deploy-key",
                account_id=repository.account_id,
            ),
        )
    else:
        yield from credentials.deploy_keys(scope, repository)
    yield from credentials.repository_webhooks(scope, repository)
    if repository.archived:
        return
    yield from secrets.of_repository(
        scope, repository, rare=rare_secrets(scope, night), identifiers=facts.identifiers
    )
    if repository.environments != 0:
        yield from controls.environments(scope, repository, facts.environments)
        for environment in facts.environments:
            if environment.custom_branches:
                yield from controls.branch_policies(scope, repository, environment)
            yield from secrets.of_environment(scope, repository, environment)
    else:
        yield from scope.told(
            (),
            scope.asked(
                "controls",
                "POST /graphql repository.environments",
                kind="environment-approval",
                account_id=repository.account_id,
            ),
        )
    if not repository.workflows:
        return
    yield from _workflow_settings(scope, night, repository, facts)
    if definitions.mints(repository):
        templates: list[Template] = []
        yield from oidc.repository_template(scope, repository, night.organisation.template, templates)
        facts.template = templates[0] if templates else None


def rare_secrets(scope: Scope, night: Night) -> bool:
    """Tell whether repositories' Codespaces and agents secrets are read: servers have none, large ones take long."""
    asked = scope.settings.rare_secrets
    return not (night.rotate or scope.settings.server) if asked is None else asked


def _sure_of_zero(scope: Scope, repository: Repository) -> bool:
    """Tell whether GraphQL's zero deploy keys is a fact: only administrators, and Apps allowed to, see keys."""
    permissions = scope.client.permissions
    if permissions:
        return permissions.get("administration") in {"read", "write"}
    return repository.administered


def _workflow_settings(scope: Scope, night: Night, repository: Repository, facts: Facts) -> Iterator[Record]:
    def default(body: dict[str, Any]) -> Iterator[Record]:
        facts.token = str(body["default_workflow_permissions"])
        yield from controls.workflow_defaults(repository.account_id, str(repository.number), body)

    yield from scope.object(
        "/repos/{org}/{repo}/actions/permissions/workflow",
        default,
        table="controls",
        kind="workflow-token-default",
        needs="administration: read",
        account_id=repository.account_id,
        repo=repository.name,
    )
    yield from scope.object(
        "/repos/{org}/{repo}/actions/permissions",
        lambda body: controls.allowed_actions(repository.account_id, str(repository.number), body),
        table="controls",
        kind="allowed-actions",
        needs="administration: read",
        account_id=repository.account_id,
        repo=repository.name,
    )
    if night.organisation.repository_runners:
        yield from actions.repository_runners(scope, repository)
