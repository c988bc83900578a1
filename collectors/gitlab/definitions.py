"""A project's pipeline: what its ``.gitlab-ci.yml`` says, on the default branch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from collectors.ci_files import Context, DefinitionError, definition_records
from collectors.ci_files.gitlab_include import without_secrets
from collectors.ci_files.gitlab_tree import Repository
from collectors.gitlab.failures import GitLabError
from collectors.gitlab.includes import FILLS, definition_of
from collectors.gitlab.texts import text_of
from scanner.records import Grant, Identity, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.gitlab.projects import Project
    from collectors.gitlab.scope import Place, Scope
    from scanner.records import Power, Record

_ELSEWHERE = re.compile(r"(?P<path>.+?ya?ml)@(?P<project>[^:]+)(?::(?P<ref>.+))?")
_CLAIMS = ["project_path", "ref_type", "ref"]


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
        fills=FILLS,
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
    if project.empty or not project.builds:
        return
    path, repository = _source(project.ci_path)
    elsewhere = bool(repository.project)
    try:
        if elsewhere:
            text = scope.texts.read(scope.client, repository.project, path, repository.ref)
        else:
            text = text_of(scope.client, project.place.number, path, "HEAD")
    except GitLabError as exc:
        if exc.status == 404 and "File Not Found" in str(exc) and not elsewhere:
            return
        raise
    try:
        definition = yield from definition_of(scope, project, path, text, repository)
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
        variables=identifiers,
        archived=project.archived,
        url=_url(project, path, repository),
    )
    for record in definition_records(definition, context=context):
        if isinstance(record, Identity) and record.kind == "gitlab-pipeline":
            # Every job gets every variable whose scope and protection fit, named in the file or not.
            subjects = [_subject(subject, record.claims, project.claims) for subject in record.subjects]
            yield msgspec.structs.replace(
                record, secrets=sorted({*record.secrets, "*"}), subjects=sorted(set(subjects))
            )
            yield _job_token(project.place, record, pushes=project.pushes)
        else:
            yield record


def _source(path: str) -> tuple[str, Repository]:
    """Return a definition's path, and where it stands, if not in its project: ``ci.yml@group/project:ref``.

    https://docs.gitlab.com/ci/pipelines/settings/#specify-a-custom-cicd-configuration-file
    """
    if path.startswith(("http://", "https://")):
        raise GitLabError("unsupported", f"the definition stands elsewhere: {without_secrets(path)}")
    found = _ELSEWHERE.fullmatch(path)
    if found is None:
        return path, Repository()
    return found["path"], Repository(project=found["project"].lower(), ref=found["ref"] or "HEAD")


def _url(project: Project, path: str, repository: Repository) -> str | None:
    if project.url is None:
        return None
    web, here = project.url.removesuffix(project.place.address), project.place.address
    return f"{web}{repository.project or here}/-/blob/{repository.ref or project.branch or 'HEAD'}/{path}"


def _subject(default: str, claims: dict[str, str], components: list[str]) -> str:
    """Return the subject of a project that composes its own: ``project_path:acme/app:ref_type:branch``.

    https://docs.gitlab.com/ci/secrets/id_token_authentication/#id-token-authentication-with-other-third-party-services
    """
    if components in ([], _CLAIMS):
        return default
    path, _, rest = default.removeprefix("project_path:").partition(":ref_type:")
    kind, _, ref = rest.partition(":ref:")
    known = {**claims, "project_path": path, "ref_type": kind, "ref": ref}
    return ":".join(f"{name}:{known.get(name, '*')}" for name in components)


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
