"""The order in which one repository's listings are read, and what is carried forward from an earlier night."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time
from typing import TYPE_CHECKING

import msgspec

from collectors.github.facts import OrganizationFacts, RepositorySettings
from collectors.github.listings import (
    actions_settings,
    branch_rules,
    collaborators,
    definitions,
    deploy_keys,
    deployments,
    environments,
    oidc,
    runners,
    secrets,
    variables,
    webhooks,
)
from scanner.records import Account

if TYPE_CHECKING:
    from collections.abc import Generator

    from collectors.github.facts import EnvironmentFacts, RepositoryFacts
    from collectors.github.scope import OrganizationScope
    from collectors.github.texts import KnownFiles
    from scanner.collect.memory import KeptReading
    from scanner.records import Record


class ReadingPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Decides how much of each repository is read tonight."""

    organization: OrganizationFacts
    changed: frozenset[str] | None
    """Full names of the repositories that changed since the last night, by the audit log; None without one."""
    rotate: bool
    """Whether there are so many repositories that they are read in rotation."""
    rare_secrets: bool
    """Whether Codespaces and agents secrets are read."""


class RepositoryReading(msgspec.Struct, frozen=True, kw_only=True):
    """How a repository was read."""

    settings: RepositorySettings
    carried_from: datetime | None = None
    """When its settings were read, if that was on an earlier night."""


_SETTINGS = msgspec.json.Decoder(RepositorySettings)
"""Made at import: msgspec crashes when two threads are the first to decode a type at the same time."""


def repository_account(scope: OrganizationScope, repository: RepositoryFacts, owner: str | None) -> Account:
    """Return a repository as an account; ``owner`` is the CODEOWNERS entry for the whole repository."""
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


def read_repository(
    scope: OrganizationScope,
    plan: ReadingPlan,
    files: KnownFiles,
    repository: RepositoryFacts,
) -> Generator[Record, None, datetime | None]:
    """Yield all records of one repository except its account.

    Returns when its settings were read, if they were carried forward from an earlier night.
    """
    yield from branch_rules.protections(scope, repository)
    yield from branch_rules.rulesets(scope, repository)
    yield from collaborators.collaborators(scope, repository, plan.organization.roles)
    reading = yield from _settings(scope, plan, files, repository)
    pipelines = yield from definitions.definitions(
        scope, files, repository, reading.settings, plan.organization
    )
    if scope.config.deployments:
        yield from deployments.deployments(scope, repository, pipelines)
    return reading.carried_from


def _settings(
    scope: OrganizationScope,
    plan: ReadingPlan,
    files: KnownFiles,
    repository: RepositoryFacts,
) -> Generator[Record, None, RepositoryReading]:
    """Yield what REST returns about a repository, read tonight or carried forward."""
    earlier = scope.memory.reading(repository.number)
    if earlier is not None and not _due(scope, plan, repository, earlier):
        yield from earlier.carried()
        return RepositoryReading(settings=_SETTINGS.decode(earlier.facts), carried_from=earlier.read_at)
    reading = _read_settings(scope, plan, files, repository)
    settings = yield from scope.memory.kept(repository.number, repository.digest, reading)
    return RepositoryReading(settings=settings)


def _due(
    scope: OrganizationScope, plan: ReadingPlan, repository: RepositoryFacts, earlier: KeptReading
) -> bool:
    """Return whether REST is asked again tonight: because something changed, or because it is this repository's
    turn.
    """
    if not plan.rotate:
        return True
    days = scope.config.rotation_days
    if plan.changed is not None:
        if repository.full_name in plan.changed:
            return True
        days *= 4
    return earlier.stale(repository.number, repository.digest, as_of=scope.run.as_of, days=days)


def _read_settings(
    scope: OrganizationScope, plan: ReadingPlan, files: KnownFiles, repository: RepositoryFacts
) -> Generator[Record, None, RepositorySettings]:
    none = repository.keys == 0 and scope.zero_is_reliable(repository)
    yield from deploy_keys.deploy_keys(scope, repository, empty=none)
    yield from webhooks.repository_webhooks(scope, repository)
    if repository.archived:
        return RepositorySettings()
    yield from secrets.repository_secrets(scope, repository, rare=plan.rare_secrets)
    identifiers = yield from variables.repository_variables(scope, repository, rare=plan.rare_secrets)
    held = yield from _environments(scope, repository)
    if not repository.workflows:
        return RepositorySettings(environments=held, identifiers=identifiers)
    workflows = plan.organization.workflows
    token = yield from actions_settings.repository_actions(scope, repository, workflows)
    if workflows.repository_runners:
        yield from runners.repository_runners(scope, repository)
    template = None
    if files.mints(repository):
        template = yield from oidc.repository_template(scope, repository, plan.organization.template)
    return RepositorySettings(token=token, template=template, environments=held, identifiers=identifiers)


def _environments(
    scope: OrganizationScope, repository: RepositoryFacts
) -> Generator[Record, None, tuple[EnvironmentFacts, ...]]:
    found = []
    for environment in (yield from environments.environments(scope, repository)):
        if environment.custom_branches:
            yield from environments.branch_policies(scope, repository, environment)
        yield from secrets.environment_secrets(scope, repository, environment)
        named = yield from variables.environment_variables(scope, repository, environment)
        found.append(msgspec.structs.replace(environment, identifiers=named))
    return tuple(found)
