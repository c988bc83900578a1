"""A project's pipeline: what its ``.gitlab-ci.yml`` says, on the default branch."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from collectors.gitlab.failures import GitLabError
from scanner.records import Grant, Identity, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.ci_files import Context
    from collectors.gitlab.files import Files
    from collectors.gitlab.projects import Project
    from collectors.gitlab.scope import Place, Scope
    from scanner.memory import Memory
    from scanner.records import Power, Record


def pipeline(
    scope: Scope, memory: Memory, files: Files, project: Project, identifiers: dict[str, str]
) -> Iterator[Record]:
    """Yield the project's pipeline as an identity, with its logins, deployments and problems.

    A project without the file has no pipeline.
    """
    place = project.place
    yield from scope.told(
        _records(scope, memory, files, project, identifiers),
        scope.asked(
            "identities",
            "GET /projects/:id/repository/files/:file_path/raw",
            kind="gitlab-pipeline",
            needs="Developer of the project",
            place=place,
        ),
        fills=("grants/gitlab-pipeline", "links/gitlab-pipeline", "secrets/ci-file", "controls/definition"),
    )
    if project.auto_devops:
        yield scope.unseen(
            "identities",
            "auto-devops",
            "Auto DevOps",
            "Where the file is missing, pipelines of GitLab's own templates may run.",
            place=place,
        )


def _records(
    scope: Scope, memory: Memory, files: Files, project: Project, identifiers: dict[str, str]
) -> Iterator[Record]:
    """Yield what the definition says: remembered when neither it nor its surroundings changed."""
    if project.empty or not project.builds:
        return
    if project.elsewhere:
        raise GitLabError("unsupported", f"the definition stands elsewhere: {project.ci_path}")
    if files.absent(project):
        return
    context = _context(scope, project, identifiers)
    file = files.file(project)
    around = msgspec.json.encode((file, project.claims, project.pushes, context), order="deterministic")
    key = hashlib.sha256(around).hexdigest()
    known = memory.definition(key) if files.alone(project) else None
    if known is None:
        text = files.text(project)
        if text is None:
            return
        known = list(_parsed(scope, project, context, text))
        if files.alone(project):
            memory.keep_definition(key, known)
            files.remembered(project)
    yield from known


def _context(scope: Scope, project: Project, identifiers: dict[str, str]) -> Context:
    from collectors.ci_files import Context

    return Context(
        provider="gitlab",
        account_id=project.place.account_id,
        repository=project.place.address,
        repository_id=project.place.number,
        owner_id=project.namespace,
        default_branch=project.branch,
        visibility=project.visibility,
        issuer=scope.settings.issuer,
        claim_keys=project.claims or None,
        variables=identifiers,
        archived=project.archived,
        url=f"{project.url}/-/blob/{project.branch or 'HEAD'}/{project.ci_path}" if project.url else None,
    )


def _parsed(scope: Scope, project: Project, context: Context, text: str) -> Iterator[Record]:
    from collectors.ci_files import DefinitionError, definition_records, parse

    path = project.ci_path
    try:
        owner = project.place.address.split("/", 1)[0]
        # The project says what its definition is called: any name will do.
        definition = parse(path, text, scope.run.fingerprint, owner=owner, kind="gitlab-ci")
    except DefinitionError as exc:
        raise GitLabError(exc.reason, f"{path}: {exc}") from None
    for record in definition_records(definition, context=context):
        if isinstance(record, Identity) and record.kind == "gitlab-pipeline":
            # Every job gets every variable whose scope and protection fit, named in the file or not.
            yield msgspec.structs.replace(record, secrets=sorted({*record.secrets, "*"}))
            yield _job_token(project.place, record, pushes=project.pushes)
        else:
            yield record


def _job_token(place: Place, identity: Identity, *, pushes: bool) -> Grant:
    """Return what the pipeline's CI_JOB_TOKEN may do at home: publish packages and images, and read what it builds.

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
        via="job token, which may push to the repository" if pushes else "job token",
    )
