"""A project's pipeline: what its ``.gitlab-ci.yml`` says, on the default branch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from collectors.gitlab.failures import GitLabError
from collectors.gitlab.scope import path_of
from scanner.records import Grant, Identity, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.gitlab.projects import Project
    from collectors.gitlab.scope import Place, Scope
    from scanner.records import Power, Record

_LARGEST = 10_000_000


def pipeline(scope: Scope, project: Project, identifiers: dict[str, str]) -> Iterator[Record]:
    """Yield the project's pipeline as an identity, with its logins, deployments and problems.

    A project without the file has no pipeline; GitLab's answer says that it is the file which is not there.
    https://docs.gitlab.com/api/repository_files/#get-raw-file-from-repository
    """
    place = project.place
    yield from scope.told(
        _records(scope, project, identifiers),
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


def _records(scope: Scope, project: Project, identifiers: dict[str, str]) -> Iterator[Record]:
    from collectors.ci_files import Context, DefinitionError, definition_records, parse

    if project.empty or not project.builds:
        return
    path = project.ci_path
    if "@" in path or path.startswith(("http://", "https://")):
        raise GitLabError("unsupported", f"the definition stands elsewhere: {path}")
    try:
        text = scope.client.text(
            path_of("/projects/:id/repository/files/:path/raw", project.place, path=path),
            {"ref": "HEAD"},
            largest=_LARGEST,
        )
    except GitLabError as exc:
        if exc.status == 404 and "File Not Found" in str(exc):
            return
        raise
    try:
        definition = parse(path, text, scope.run.fingerprint, owner=project.place.address.split("/", 1)[0])
    except DefinitionError as exc:
        raise GitLabError(exc.reason, f"{path}: {exc}") from None
    context = Context(
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
        url=f"{project.url}/-/blob/{project.branch or 'HEAD'}/{path}" if project.url else None,
    )
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
