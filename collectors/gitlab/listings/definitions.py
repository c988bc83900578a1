"""A project's pipeline, from ``.gitlab-ci.yml`` on the default branch and the files that it includes."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import msgspec

from collectors.definitions import (
    Context,
    DefinitionError,
    IncludeSource,
    PipelineKind,
    definition_records,
    without_secrets,
)
from collectors.gitlab.includes import FILLS, definition_of
from scanner.collect.failures import SourceError
from scanner.collect.listings import with_coverage
from scanner.records import Gap, Grant, Identity, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions import Definition
    from collectors.gitlab.facts import GitLabPlace, ProjectFacts
    from collectors.gitlab.files import DefinitionFiles
    from collectors.gitlab.scope import GitLabScope
    from scanner.records import Power, Record

_ELSEWHERE = re.compile(r"(?P<path>.+?ya?ml)@(?P<project>[^:]+)(?::(?P<ref>.+))?")


def pipeline(
    scope: GitLabScope,
    files: DefinitionFiles,
    project: ProjectFacts,
    identifiers: dict[str, str],
    *,
    carried: bool,
) -> Iterator[Record]:
    """Yield the project's pipeline as an identity, with its logins, deployments and weaknesses. A project without the
    file has no pipeline. ``carried``: whether the project is not read again tonight; then its includes from other
    projects are carried forward too.
    """
    place = project.place
    yield from with_coverage(
        _records(scope, files, project, identifiers, carried=carried),
        scope.at(place).request(
            "identities",
            "GET /projects/:id/repository/files/:file_path/raw",
            kind="gitlab-pipeline",
            needs="Developer of the project",
        ),
        fills=FILLS,
    )
    if project.auto_devops:
        yield scope.at(place).unseen(
            "identities",
            "auto-devops",
            "Auto DevOps",
            "Without the file, pipelines from GitLab's own templates may run.",
        )


def _records(
    scope: GitLabScope,
    files: DefinitionFiles,
    project: ProjectFacts,
    identifiers: dict[str, str],
    *,
    carried: bool,
) -> Iterator[Record]:
    """Yield the records of the definition, from memory if neither it nor its context changed."""
    if project.empty or not project.ci_enabled or files.absent(project):
        return
    path, repository = _source(project.ci_path)
    context = _context(scope, project, path, repository, identifiers)
    alone = files.self_contained(project)
    around = (files.file(project), project.ci_path, project.claims, project.pushes, context)
    key = hashlib.sha256(msgspec.json.encode(around, order="deterministic")).hexdigest()
    known = scope.memory.definition(key) if alone or carried else None
    if known is not None:
        yield from known
        return
    if repository.project:
        text: str | None = scope.texts.read(scope.client, repository.project, path, repository.ref)
    else:
        text = files.text(project)
    if text is None:
        return
    kept: list[Record] = []
    for record in _read(scope, project, context, path, text=text, repository=repository):
        kept.append(record)
        yield record
    if not any(isinstance(record, Gap) for record in kept):
        scope.memory.keep_definition(key, kept)
        if alone:
            files.remembered(project)


def _context(
    scope: GitLabScope,
    project: ProjectFacts,
    path: str,
    repository: IncludeSource,
    identifiers: dict[str, str],
) -> Context:
    return Context(
        provider="gitlab",
        account_id=project.place.account_id,
        pipelines={"gitlab-ci": PipelineKind(id_kind="pipeline", kind="gitlab-pipeline")},
        one_per_repository=True,
        repository=project.place.address,
        repository_id=project.place.number,
        owner_id=project.namespace,
        default_branch=project.branch,
        visibility=project.visibility,
        issuer=scope.config.issuer,
        claim_keys=project.claims or None,
        variables=identifiers,
        archived=project.archived,
        url=_url(project, path, repository),
    )


def _read(
    scope: GitLabScope,
    project: ProjectFacts,
    context: Context,
    path: str,
    *,
    text: str,
    repository: IncludeSource,
) -> Iterator[Record]:
    try:
        definition: Definition = yield from definition_of(scope, project, path, text, repository)
    except DefinitionError as exc:
        raise SourceError(exc.reason, f"{path}: {exc}") from None
    for record in definition_records(definition, context=context):
        if isinstance(record, Identity) and record.kind == "gitlab-pipeline":
            # Every job gets every variable whose scope and protection match, whether the file names it or not.
            yield msgspec.structs.replace(record, secrets=sorted({*record.secrets, "*"}))
            yield _job_token(project.place, record, pushes=project.pushes)
        else:
            yield record


def _source(path: str) -> tuple[str, IncludeSource]:
    """Return a definition's path and, if it is not in its own project, where it is: ``ci.yml@group/project:ref``.

    https://docs.gitlab.com/ci/pipelines/settings/#specify-a-custom-cicd-configuration-file
    """
    if path.startswith(("http://", "https://")):
        raise SourceError("unsupported", f"the definition is stored elsewhere: {without_secrets(path)}")
    found = _ELSEWHERE.fullmatch(path)
    if found is None:
        return path, IncludeSource()
    return found["path"], IncludeSource(project=found["project"].lower(), ref=found["ref"] or "HEAD")


def _url(project: ProjectFacts, path: str, repository: IncludeSource) -> str | None:
    if project.url is None:
        return None
    web, here = project.url.removesuffix(project.place.address), project.place.address
    return f"{web}{repository.project or here}/-/blob/{repository.ref or project.branch or 'HEAD'}/{path}"


def _job_token(place: GitLabPlace, identity: Identity, *, pushes: bool) -> Grant:
    """Return what the pipeline's CI_JOB_TOKEN may do in its own project: publish packages and images, and read its
    sources.

    https://docs.gitlab.com/ci/jobs/ci_job_token/
    """
    can: list[Power] = ["change-delivery", "read"]
    return Grant(
        id=record_id("gitlab", "grant", f"job-token/{place.number}"),
        provider="gitlab",
        account_id=place.account_id,
        identity_id=identity.id,
        role="CI_JOB_TOKEN",
        resource=place.address,
        breadth="resource",
        powers=can,
        level=level_of(can),
        via="job token with push access to the repository" if pushes else "job token",
    )
