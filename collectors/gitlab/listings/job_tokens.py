"""Which projects' job tokens may access a project. https://docs.gitlab.com/ci/jobs/ci_job_token/"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gitlab import powers
from collectors.gitlab.facts import number_of
from collectors.gitlab.records import control
from scanner.collect.failures import unsupported_on
from scanner.collect.listings import with_coverage
from scanner.records import Grant, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.gitlab.facts import GitLabPlace, ProjectFacts, ProjectStructure
    from collectors.gitlab.scope import GitLabScope
    from scanner.records import Record


def job_token_scope(
    scope: GitLabScope, project: ProjectFacts, structure: ProjectStructure
) -> Iterator[Record]:
    """Yield whether the allowlist for job tokens is enforced, and a grant for each project and group on it.

    https://docs.gitlab.com/ci/jobs/ci_job_token/ https://docs.gitlab.com/api/project_job_token_scopes/
    https://docs.gitlab.com/api/graphql/reference/#cijobtokenscopetype
    """
    place = project.place

    def setting() -> Iterator[Record]:
        limited = structure.limited
        if limited is None:
            item = scope.client.one(scope.at(place).path("/projects/:id/job_token_scope"))
            limited = bool(item["inbound_enabled"])
        yield control(
            place,
            "job-token-scope",
            place.number,
            stage="build",
            name="job token allowlist",
            enforcement="enforced" if limited else "absent",
            target=place.account_id,
            detail="Only job tokens of projects on the allowlist are accepted."
            if limited
            else "Job tokens of every project are accepted, with the permissions of the user who started the job.",
        )

    def allowed(item: dict[str, Any]) -> Iterator[Record]:
        if str(item["id"]) == place.number:
            return
        yield _job_token(
            place, f"{item['id']}/{place.number}", record_id("gitlab", "pipeline", str(item["id"]))
        )

    def allowed_group(item: dict[str, Any]) -> Iterator[Record]:
        # The list has no path: https://gitlab.example.com/groups/acme/payments
        path = str(item.get("web_url") or "").partition("/groups/")[2] or str(item.get("name") or item["id"])
        yield control(
            place,
            "job-token-group",
            f"{place.number}/{item['id']}",
            stage="build",
            name=path,
            enforcement="enforced",
            target=place.account_id,
            detail=f"Job tokens of every project of {path} are accepted.",
        )

    needs = "Maintainer of the project"
    yield from with_coverage(
        setting(),
        scope.at(place).request(
            "controls", "GET /projects/:id/job_token_scope", kind="job-token-scope", needs=needs
        ),
    )
    yield from scope.at(place).listing(
        "/projects/:id/job_token_scope/allowlist",
        allowed,
        table="grants",
        kind="job-token",
        needs=needs,
        rows=_numbered(structure.projects_let_in),
    )
    yield from scope.at(place).listing(
        "/projects/:id/job_token_scope/groups_allowlist",
        allowed_group,
        table="controls",
        kind="job-token-group",
        needs=needs,
        classify=unsupported_on({404}, "Available since GitLab 17.0."),
        rows=_numbered(structure.groups_let_in),
    )


def _numbered(nodes: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """Return projects or groups with the field names of REST."""
    if nodes is None:
        return None
    return [{"id": number_of(node), "web_url": node.get("webUrl")} for node in nodes]


def _job_token(place: GitLabPlace, native_id: str, pipeline: str) -> Grant:
    """Return what a job token may do in another project:
    https://docs.gitlab.com/ci/jobs/ci_job_token/#job-token-access
    """
    can = powers.of_scopes(("read_repository", "write_package_registry"))
    return Grant(
        id=record_id("gitlab", "grant", f"job-token/{native_id}"),
        provider="gitlab",
        account_id=place.account_id,
        identity_id=pipeline,
        role="CI_JOB_TOKEN",
        resource=place.address,
        breadth="resource",
        powers=can,
        level=level_of(can),
        # A job token never exceeds the rights of the user who starts the job.
        conditional=True,
        via="job token allowlist",
    )
