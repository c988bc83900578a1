"""A repository's settings: what REST adds to GraphQL, tonight or carried forward from an earlier night."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.github.listings import actions, controls, credentials, environments, oidc, secrets
from collectors.github.listings.environments import Environment  # noqa: TC001
from collectors.github.listings.oidc import Template  # noqa: TC001
from scanner.collect.memory import Carried

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.github.listings.definitions import Definitions
    from collectors.github.listings.structure import Repository
    from collectors.github.scope import Scope
    from scanner.collect.memory import Memory, Reading
    from scanner.records import Record


class Facts(msgspec.Struct, kw_only=True):
    """What a repository's settings say about its workflows; carried forward with its records."""

    token: str | None = None
    """Default GITHUB_TOKEN permissions: ``read`` or ``write``."""
    template: Template | None = None
    environments: list[Environment] = []
    identifiers: dict[str, str] = {}
    """The repository's variables that name something: see `secrets.identifier`."""


_FACTS = msgspec.json.Decoder(Facts)
"""Made at import: msgspec crashes when two threads are the first to decode a type at the same time."""


class Organization(msgspec.Struct, kw_only=True):
    """What the organization's settings say about the workflows of all repositories."""

    token: str | None = None
    """Default GITHUB_TOKEN permissions: ``read`` or ``write``."""
    template: Template | None = None
    allowed: str | None = None
    """Which actions workflows may run: ``all``, ``local_only`` or ``selected``."""
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
    organization: Organization
    changed: set[str] | None
    """Full names of repositories that changed since the last night, by the audit log; None without one."""
    rotate: bool = False
    carried: Carried | Any = msgspec.field(default_factory=Carried)
    archived: int = 0
    there: int | None = None
    """How many repositories the organization says that it has."""
    shown: int = 0
    """How many GraphQL says that there are for us."""
    lock: Any = msgspec.field(default_factory=threading.Lock)


def settings(
    scope: Scope, night: Night, definitions: Definitions, repository: Repository, facts: Facts
) -> Iterator[Record]:
    """Yield what REST tells of a repository, tonight or from the last night that asked."""
    with night.lock:
        night.archived += repository.archived
    reading: Reading | None = night.memory.reading(repository.number)
    if reading is not None and not _due(scope, night, repository, reading):
        held = _FACTS.decode(reading.facts)
        for field in facts.__struct_fields__:
            setattr(facts, field, getattr(held, field))
        night.carried.note(reading.read_at)
        yield from reading.carried()
        return
    kept: list[Record] = []
    for record in _read(scope, night, definitions, repository, facts):
        kept.append(record)
        yield record
    night.memory.keep_reading(repository.number, repository.digest, msgspec.json.encode(facts), kept)


def _due(scope: Scope, night: Night, repository: Repository, reading: Reading) -> bool:
    """Tell whether REST is asked again tonight: when something changed, and in turn, a part each night."""
    if not night.rotate:
        return True
    days = scope.settings.rotation_days
    if night.changed is not None:
        if repository.full_name in night.changed:
            return True
        days *= 4
    return reading.stale(repository.number, repository.digest, as_of=scope.run.as_of, days=days)


def _read(
    scope: Scope, night: Night, definitions: Definitions, repository: Repository, facts: Facts
) -> Iterator[Record]:
    none = repository.keys == 0 and sure_of_zero(scope, repository)
    yield from credentials.deploy_keys(scope, repository, empty=none)
    yield from credentials.repository_webhooks(scope, repository)
    if repository.archived:
        return
    yield from secrets.of_repository(
        scope, repository, rare=rare_secrets(scope, night), identifiers=facts.identifiers
    )
    yield from environments.guards(scope, repository, facts.environments)
    for environment in facts.environments:
        if environment.custom_branches:
            yield from environments.branch_policies(scope, repository, environment)
        yield from secrets.of_environment(scope, repository, environment)
    if not repository.workflows:
        return
    yield from _workflow_settings(scope, night, repository, facts)
    if definitions.mints(repository):
        templates: list[Template] = []
        yield from oidc.repository_template(scope, repository, night.organization.template, templates)
        facts.template = templates[0] if templates else None


def rare_secrets(scope: Scope, night: Night) -> bool:
    """Tell whether repositories' Codespaces and agents secrets are read: servers have none, large ones take long."""
    asked = scope.settings.rare_secrets
    return not (night.rotate or scope.settings.server) if asked is None else asked


def sure_of_zero(scope: Scope, repository: Repository) -> bool:
    """Tell whether GraphQL's zero is a fact: only administrators, and Apps allowed to, see keys and protection rules."""
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
    choices: list[str] = []

    def allowed(body: dict[str, Any]) -> Iterator[Record]:
        choices.append(str(body.get("allowed_actions")))
        yield from controls.allowed_actions(repository.account_id, str(repository.number), body)

    yield from scope.object(
        "/repos/{org}/{repo}/actions/permissions",
        allowed,
        table="controls",
        kind="allowed-actions",
        needs="administration: read",
        account_id=repository.account_id,
        repo=repository.name,
    )
    if choices == ["selected"] and night.organization.allowed != "selected":
        # A choice of the repository's own; the organization's is read once.
        yield from scope.object(
            "/repos/{org}/{repo}/actions/permissions/selected-actions",
            lambda body: controls.selected_actions(repository.account_id, str(repository.number), body),
            table="controls",
            kind="selected-actions",
            needs="administration: read",
            account_id=repository.account_id,
            repo=repository.name,
        )
    if night.organization.repository_runners:
        yield from actions.repository_runners(scope, repository)
