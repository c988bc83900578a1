"""The identities that jobs run as: the build service of the project, or that of the whole organization.

https://learn.microsoft.com/azure/devops/pipelines/process/access-tokens#job-authorization-scope : jobs of a public project are
always limited to it. Elsewhere the organization's and the project's settings limit all jobs, and otherwise each definition says
its scope. Jobs of classic releases have a setting of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.azure_devops.directory import build_service
from collectors.azure_devops.scope import PROVIDER
from scanner.records import Identity, Link, record_id

if TYPE_CHECKING:
    from collections.abc import Container, Generator, Iterable, Iterator, Mapping

    from collectors.azure_devops.facts import Jobs
    from collectors.azure_devops.scope import DevOpsProjectFacts
    from scanner.records import Record

_BY_NAME = record_id(PROVIDER, "connection-by-name", "")


def noted(records: Iterable[Record], jobs: Jobs) -> Generator[Record, None, None]:
    """Pass records on, and note the pipelines and releases among them."""
    for record in records:
        if isinstance(record, Link) and record.target_id.startswith(_BY_NAME):
            name = record.target_id.rpartition("/")[2]
            if not set("${[") & set(name):  # a variable or parameter names another one
                jobs.unlisted[name] = "a definition"
        if isinstance(record, Link) and record.relation == "uses":
            jobs.uses.add((record.source_id, record.target_id))
        if isinstance(record, Identity):
            number = record.native_id.rpartition("/")[2]
            if record.kind == "ado-pipeline":
                jobs.builds[record.id] = record.tags.get("job_scope", "unknown")
                jobs.names["pipeline", number] = record.name
            elif record.kind == "ado-release":
                jobs.releases.append(record.id)
                jobs.names["release", number] = record.name
        yield record


def unnamed(
    projects: Iterable[DevOpsProjectFacts], account_id: str, organization: str, known: Container[str]
) -> Iterator[Record]:
    """Yield the build services that no access control list names: each project has one, and the organization (its ID)."""
    services = [
        (build_service(one.id), one.account_id, f"{one.name} Build Service", "project") for one in projects
    ]
    services.append(
        (build_service(organization), account_id, "Project Collection Build Service", "collection")
    )
    for me, account, name, scope in services:
        if me not in known:
            yield Identity(
                id=me,
                provider=PROVIDER,
                account_id=account,
                surface="automation",
                kind="ado-build-service",
                native_id=me.rpartition(":")[2],
                name=name,
                managed_by="provider",
                tags={"scope": scope},
            )


def runs_as(
    project: DevOpsProjectFacts, jobs: Jobs, settings: Mapping[str, bool], collection: str
) -> Iterator[Record]:
    """Yield as which build service each pipeline runs. ``collection`` is the number of the organization's.

    A pipeline whose scope is not known is not linked: an unknown setting may limit it.
    """
    own, wide = build_service(project.id), build_service(collection)
    for pipeline, scope in sorted(jobs.builds.items()):
        limited = project.public or settings.get("enforceJobAuthScope")
        if limited or scope == "project":
            yield _link(project, pipeline, own, "job authorization scope: project")
        elif limited is not None and scope == "projectCollection":
            yield _link(project, pipeline, wide, "job authorization scope: collection")
    for release in sorted(jobs.releases):
        limited = project.public or settings.get("enforceJobAuthScopeForReleases")
        if limited is not None:
            why = "job authorization scope for releases"
            yield _link(project, release, own if limited else wide, why)


def _link(project: DevOpsProjectFacts, pipeline: str, service: str, evidence: str) -> Link:
    return Link(
        id=record_id(PROVIDER, "runs-as", pipeline.partition(":")[2]),
        provider=PROVIDER,
        account_id=project.account_id,
        source_id=pipeline,
        relation="runs_as",
        target_id=service,
        evidence=evidence,
        why="its jobs get a token of this build service",
    )
