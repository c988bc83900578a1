"""The CI definition files of repositories, as the definitions parser reads them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from collectors.definitions import (
    CalledDefinitions,
    Context,
    DefinitionError,
    PipelineKind,
    definition_records,
    parse,
    unread_system,
)
from collectors.github import powers
from collectors.github.facts import DEFAULT_CLAIMS, SubjectTemplate
from scanner.collect.failures import Failure, SourceError
from scanner.collect.listings import gap, with_coverage
from scanner.records import Coverage, Grant, Identity, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from collectors.definitions import CalledRepository
    from collectors.github.facts import (
        DefinitionFile,
        OrganizationFacts,
        RepositoryFacts,
        RepositorySettings,
    )
    from collectors.github.scope import OrganizationScope
    from collectors.github.texts import KnownFiles
    from scanner.records import Gap, Record

_PIPELINES = {
    "github-workflow": PipelineKind(id_kind="workflow", kind="github-workflow"),
    "github-action": PipelineKind(id_kind="action", kind="github-action"),
}
_FILLS = (
    "identities/github-action",
    "identities/ci-pipeline",
    "grants/github-workflow",
    "links/github-workflow",
    "secrets/ci-file",
    "weaknesses",
)
"""Tables that a definition fills, other than its identity."""
_UNREAD_LOSES = ("links/github-workflow", "secrets/ci-file", "weaknesses")


def definitions(
    scope: OrganizationScope,
    files: KnownFiles,
    repository: RepositoryFacts,
    settings: RepositorySettings,
    organization: OrganizationFacts,
) -> Generator[Record, None, dict[str, frozenset[str]]]:
    """Yield the records of a repository's definition files. Returns, by environment, the `Identity.id` of the pipelines
    that name it.
    """
    context = _DefinitionContext(
        scope=scope,
        files=files,
        repository=repository,
        settings=settings,
        organization=organization,
        called=CalledDefinitions(_RepositoryFiles(scope, files, repository)),
    )
    found = yield from with_coverage(
        _of_repository(context),
        scope.of(repository).request(
            "identities",
            "POST /graphql repository.object",
            kind="github-workflow",
            needs="contents: read",
        ),
        fills=_FILLS,
    )
    if not repository.archived:
        yield from _unread(scope.of(repository), repository.unread)
    return found or {}


def _unread(scope: OrganizationScope, paths: Sequence[str]) -> Iterator[Gap]:
    """Yield the Gaps of definitions whose system is not read."""
    for path in paths:
        request = scope.request(
            "identities", "POST /graphql repository.object", item=path, kind="ci-pipeline"
        )
        system = unread_system(path)
        failure = Failure(
            reason="unread", detail=f"{path} belongs to {system}, whose definitions are not read"
        )
        for one in (request, *(request.but(name) for name in _UNREAD_LOSES)):
            yield gap(one, failure)


class _RepositoryFiles:
    """Reads the files that a repository's definitions call, as the default branch has them."""

    def __init__(self, scope: OrganizationScope, files: KnownFiles, repository: RepositoryFacts) -> None:
        self._scope = scope
        self._files = files
        self._repository = repository

    def read(self, repository: CalledRepository, path: str) -> str:
        """Return a file's text. Raises `DefinitionError`."""
        if repository.name:
            raise DefinitionError("unsupported", "it is in another repository")
        file = next((one for one in self._repository.files or () if one.path == path), None)
        if file is None:
            raise DefinitionError("unsupported", "it does not exist on the default branch")
        try:
            return self._files.text(self._scope, self._repository, file)
        except SourceError as exc:
            raise DefinitionError(exc.reason, str(exc)) from None


class _DefinitionContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the records of a definition depend on, other than its text."""

    scope: OrganizationScope
    files: KnownFiles
    repository: RepositoryFacts
    settings: RepositorySettings
    organization: OrganizationFacts
    called: CalledDefinitions
    """The files that definitions call."""

    @property
    def token(self) -> str | None:
        """Default GITHUB_TOKEN permissions: the repository's, or else the organization's."""
        return self.settings.token or self.organization.workflows.token

    def for_file(self, file: DefinitionFile) -> Context:
        """Return the facts about the file's repository for the parser."""
        template = self.settings.template or SubjectTemplate()
        default = DEFAULT_CLAIMS
        maybe = (
            self.organization.template.claims
            if self.settings.template is None and self.organization.template
            else default
        )
        return Context(
            provider="github",
            account_id=self.repository.account_id,
            pipelines=_PIPELINES,
            repository=self.repository.full_name,
            repository_id=str(self.repository.number),
            owner_id=str(self.scope.number),
            default_branch=self.repository.branch,
            visibility=self.repository.visibility,
            issuer=self.scope.config.token_issuer,
            # GitHub Enterprise Server has no ids in subjects.
            immutable_subject=False if self.scope.config.server else template.immutable,
            claim_keys=None if template.claims == default else list(template.claims),
            maybe_keys=None if maybe == default else list(maybe),
            variables=self.organization.identifiers(self.repository) | self.settings.identifiers,
            environment_variables={
                environment.name: environment.identifiers for environment in self.settings.environments
            },
            archived=self.repository.archived,
            url=f"{self.repository.url}/blob/{self.repository.branch}/{file.path}"
            if self.repository.url
            else None,
        )


def _of_repository(context: _DefinitionContext) -> Generator[Record, None, dict[str, frozenset[str]]]:
    """Yield the records of every file, and a Gap for one that cannot be read.

    Coverage is counted by repository, not by file, so that a deleted file is not a lost listing.
    """
    repository = context.repository
    if repository.files is None:
        raise SourceError("denied", f"{repository.full_name}: its files are not visible")
    pipelines: dict[str, set[str]] = {}
    for file in repository.files:
        for record in with_coverage(
            _of_file(context, file),
            context.scope.of(repository).request(
                "identities",
                f"POST /graphql repository.object ({file.path})",
                kind="github-workflow",
            ),
            fills=_FILLS,
        ):
            if isinstance(record, Coverage):
                continue
            if isinstance(record, Identity):
                for environment in record.environments:
                    pipelines.setdefault(environment, set()).add(record.id)
            yield record
    return {name: frozenset(ids) for name, ids in pipelines.items()}


def _of_file(context: _DefinitionContext, file: DefinitionFile) -> Generator[Record, None, None]:
    """Yield a file's records, from memory if neither its content nor its context changed."""
    memory = context.scope.memory
    called = [(one.path, one.oid) for one in context.files.called_by(file, context.repository.files or ())]
    depends = (file.path, file.oid, context.token, context.for_file(file), called)
    key = hashlib.sha256(msgspec.json.encode(depends, order="deterministic")).hexdigest()
    known = memory.definition(key)
    if known is None:
        text = context.files.text(context.scope, context.repository, file)
        known = list(_parsed(context, file, text))
        memory.keep_definition(key, known)
    yield from known


def _parsed(context: _DefinitionContext, file: DefinitionFile, text: str) -> Iterator[Record]:
    try:
        definition = parse(
            file.path,
            text,
            context.scope.run.fingerprint,
            owner=context.scope.login,
            called=context.called,
        )
    except DefinitionError as exc:
        raise SourceError(exc.reason, f"{file.path}: {exc}") from None
    for record in definition_records(definition, context=context.for_file(file)):
        yield record
        if isinstance(record, Identity) and record.kind == "github-workflow":
            yield _token_grant(context.repository, record, context.token)


_DEFAULTS = {
    "read": {"contents": "read", "packages": "read"},
    "write": dict.fromkeys(
        (
            "actions",
            "attestations",
            "checks",
            "contents",
            "deployments",
            "discussions",
            "issues",
            "packages",
            "pages",
            "pull_requests",
            "repository_projects",
            "security_events",
            "statuses",
        ),
        "write",
    ),
}
"""What GITHUB_TOKEN may do by default.
https://docs.github.com/en/actions/tutorials/authenticate-with-github_token#permissions-for-the-github_token
"""


def _token_grant(repository: RepositoryFacts, workflow: Identity, default: str | None) -> Grant:
    """Return what the workflow's GITHUB_TOKEN may do in its repository.

    ``id-token`` adds no powers: what an OIDC token gives access to depends on the trusts that accept it.
    """
    given = dict(entry.rpartition(":")[::2] for entry in workflow.permissions if ":" in entry)
    scopes = {name: level for name, level in given.items() if name not in {"*", "id-token"}}
    whole = given.get("*")
    if whole in _DEFAULTS:
        scopes = _DEFAULTS[whole] | scopes
    falls_back = "default" in workflow.permissions
    if falls_back:
        for name, level in _DEFAULTS.get(default or "", {}).items():
            scopes[name] = "write" if "write" in {level, scopes.get(name)} else level
    known = not falls_back or default is not None
    can = powers.of_permissions(scopes) if known else []
    ranked = sorted(scopes.items(), key=lambda item: (item[1] != "write", item[0]))
    return Grant(
        id=record_id("github", "grant", f"token/{workflow.native_id}"),
        provider="github",
        account_id=repository.account_id,
        identity_id=workflow.id,
        role="GITHUB_TOKEN",
        resource=repository.full_name,
        breadth="resource",
        powers=can,
        level=level_of(can) if can or not known else "read",
        confidence="high" if known else "low",
        via=f"default permissions ({default or 'unknown'})" if falls_back else "permissions of the workflow",
        actions=[f"{name}:{level}" for name, level in ranked[:10]],
    )
