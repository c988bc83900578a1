"""Build pipelines: YAML pipelines, read through `collectors.definitions`, and classic ones from the designer.

https://learn.microsoft.com/rest/api/azure/devops/build/definitions/list,
https://learn.microsoft.com/rest/api/azure/devops/git/items/get
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.azure_devops.calls import VERSION
from collectors.azure_devops.designer import deploy_links, designer_steps
from collectors.azure_devops.facts import Runs
from collectors.azure_devops.kept_definitions import KeptDefinitions
from collectors.azure_devops.records import (
    connection_links,
    connections_of,
    linked_groups,
    names_in,
    stored_names,
    unknown_use,
    variable,
)
from collectors.azure_devops.scope import PROVIDER, pipeline
from collectors.azure_devops.task_groups import task_groups
from collectors.azure_devops.template_reader import ITEM, TemplateFiles, file_text
from collectors.definitions import (
    Context,
    Definition,
    DefinitionError,
    PipelineKind,
    azure_pipeline,
    definition_records,
)
from scanner.collect.failures import SourceError
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Identity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from collectors.azure_devops.facts import KnownResources
    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Record

CALL = "/{project}/_apis/build/definitions"
NEEDS = "View builds"
NEEDS_CODE = "Read of the repository"
YAML = 2


_PARAMETERS = {**VERSION, "includeAllProperties": "true", "includeLatestBuilds": "true"}
_RUN = ("queueTime", "startTime", "finishTime")
_LATEST = ("latestBuild", "latestCompletedBuild")


def listed_pipelines(scope: DevOpsScope) -> list[dict[str, Any]] | SourceError:
    """Return the project's pipelines as they are listed, or why they were not."""
    try:
        return list(scope.client.items(scope.path(CALL), _PARAMETERS))
    except SourceError as exc:
        return exc


def runs_of(listed: list[dict[str, Any]] | SourceError, *, released: bool) -> Runs:
    """Return what the list says of runs. ``released``: whether there are classic releases, which it does not name."""
    if isinstance(listed, SourceError):
        return Runs()
    shown = [item.get(latest) or {} for item in listed for latest in _LATEST]
    try:
        times = [utc_time(one.get(name)) for one in shown for name in _RUN]
    except SourceError:  # the list of pipelines reports it
        return Runs()
    return Runs(newest=max((when for when in times if when is not None), default=None), known=not released)


def pipelines(
    scope: DevOpsScope, known: KnownResources, listed: list[dict[str, Any]] | SourceError
) -> Iterator[Record]:
    """Yield every pipeline with what it signs in with, what it deploys and what its definition shows."""
    files = KeptDefinitions(scope, known, _last_run)
    classic = isinstance(listed, list) and any(not _is_yaml(item) for item in listed)
    if classic:
        yield from task_groups(scope, known.task_groups, used=True)

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        yield from _variables(scope, known, item)
        if _is_yaml(item) and scope.config.yaml:
            yield from files.kept(item, _yaml(scope, known, item, files))
        else:
            yield from _classic(scope, known, item)

    def read() -> Iterator[Record]:
        if isinstance(listed, SourceError):
            raise listed
        for item in listed:
            yield from convert(item)

    yield from with_coverage(
        read(),
        scope.request("identities", f"GET {CALL}", kind="ado-pipeline", needs=NEEDS),
        fills=("secrets/ado-pipeline-variable", "links/ado-pipeline"),
        loses=("weaknesses", "secrets/ci-file"),
    )


def _is_yaml(item: dict[str, Any]) -> bool:
    return (item.get("process") or {}).get("type") == YAML


def _yaml(
    scope: DevOpsScope, known: KnownResources, item: dict[str, Any], files: KeptDefinitions
) -> Iterator[Record]:
    """Yield one YAML pipeline. Where its file cannot be read, the pipeline itself is still known."""
    path = str((item.get("process") or {}).get("yamlFilename") or "").lstrip("/")
    repository: dict[str, Any] = item.get("repository") or {}
    parsed: list[Definition] = []

    def read() -> Iterator[Record]:
        if str(repository.get("type")) != "TfsGit":
            raise SourceError(
                "unsupported", f"the definition is in another system's repository ({repository.get('type')})"
            )
        number, branch = str(repository.get("id")), str(repository.get("defaultBranch") or "") or None
        files.note((known.project.id, number, branch))
        text = file_text(scope, known.project.id, number, path, branch)
        templates = TemplateFiles(scope, known.project.id, number, branch, files.note)
        try:
            parsed.append(azure_pipeline(path, text, scope.run.fingerprint, templates))
        except DefinitionError as exc:
            raise SourceError(exc.reason, f"{path}: {exc}") from None
        yield from _of_definition(scope, known, item, parsed[0])
        if templates.failures:
            first = templates.failures[0]
            raise SourceError(
                first.reason, f"{path}: {len(templates.failures)} templates were not read: {first}"
            )

    request = scope.request("weaknesses", f"GET {ITEM}", needs=NEEDS_CODE, item=f"pipeline {item['id']}")
    yield from with_coverage(read(), request, fills=("links/ado-pipeline", "secrets/ci-file"))
    if not parsed:
        yield from _unread(scope, known, item)


def _of_definition(
    scope: DevOpsScope, known: KnownResources, item: dict[str, Any], definition: Definition
) -> Iterator[Record]:
    context = Context(
        provider=PROVIDER,
        account_id=scope.account_id,
        pipelines={"azure-pipelines": PipelineKind(id_kind="pipeline", kind="ado-pipeline")},
        one_per_repository=True,
        repository=f"{scope.organization}/{known.project.name}/{item['name']}",
        repository_id=f"{known.project.id}/{item['id']}",
        default_branch=str((item.get("repository") or {}).get("defaultBranch") or "") or None,
        visibility="public" if known.project.public else "private",
    )
    me = pipeline(known.project.id, item["id"])
    groups = {ref.name.lower() for ref in definition.secrets if ref.store == "variable-group"}
    groups |= linked_groups(known, item)
    named = {
        ref.name: f"{definition.where(ref.line)}: {ref.name}"
        for ref in definition.secrets
        if ref.store == "service-connection"
    }
    used = connections_of(known, [], named, groups)
    own = {
        ref.name for ref in definition.secrets if ref.store not in {"variable-group", "service-connection"}
    }
    base = _identity(scope, known, item, used)
    for record in definition_records(definition, context=context):
        if isinstance(record, Identity) and record.id == me:
            yield msgspec.structs.replace(
                record,
                name=base.name,
                enabled=base.enabled,
                created_at=base.created_at,
                last_used_at=base.last_used_at,
                owner=base.owner,
                owner_source=base.owner_source,
                secrets=sorted({*own, *base.secrets, *names_in(known, groups)}),
                tags=base.tags,
            )
        else:
            yield record
    yield from connection_links(scope, known, me, used)
    if definition.unresolved:
        yield unknown_use(scope, me, f"{definition.unresolved[0].what} was not read")


def _unread(scope: DevOpsScope, known: KnownResources, item: dict[str, Any]) -> Iterator[Record]:
    """Yield a pipeline whose definition was not read: which connections it uses is unknown."""
    me = pipeline(known.project.id, item["id"])
    used = connections_of(known, [], {}, linked_groups(known, item))
    yield _identity(scope, known, item, used)
    yield from connection_links(scope, known, me, used)
    yield unknown_use(scope, me, "its definition was not read")


def _identity(
    scope: DevOpsScope, known: KnownResources, item: dict[str, Any], used: dict[str, str]
) -> Identity:
    author: dict[str, Any] = item.get("authoredBy") or {}
    owner = author.get("uniqueName") or author.get("displayName")
    yaml = (item.get("process") or {}).get("type") == YAML
    settable = sorted(
        name for name, shown in (item.get("variables") or {}).items() if (shown or {}).get("allowOverride")
    )
    return Identity(
        id=pipeline(known.project.id, item["id"]),
        **scope.own,
        surface="automation",
        kind="ado-pipeline",
        is_pipeline=True,
        native_id=f"{known.project.id}/{item['id']}",
        name=str(item["name"]),
        address=f"{scope.organization}/{known.project.name}/{item['name']}",
        enabled=False if item.get("queueStatus") == "disabled" else None,
        created_at=utc_time(item.get("createdDate")),
        last_used_at=_last_run(item),
        owner=owner,
        owner_source="creator" if owner else None,
        secrets=sorted(
            _names(item) | names_in(known, linked_groups(known, item)) | stored_names(known, used)
        ),
        tags={
            "definition": "yaml" if yaml else "classic",
            "job_scope": str(item.get("jobAuthorizationScope") or "unknown"),
            **({"settable_variables": ", ".join(settable)} if settable else {}),
        },
    )


def _last_run(item: dict[str, Any]) -> datetime | None:
    latest: dict[str, Any] = item.get("latestCompletedBuild") or item.get("latestBuild") or {}
    return utc_time(latest.get("finishTime") or latest.get("startTime") or latest.get("queueTime"))


def _names(item: dict[str, Any]) -> set[str]:
    return {name for name, shown in (item.get("variables") or {}).items() if (shown or {}).get("isSecret")}


def _variables(scope: DevOpsScope, known: KnownResources, item: dict[str, Any]) -> Iterator[Record]:
    """Yield the pipeline's own variables that are, or look like, secrets."""
    me = pipeline(known.project.id, item["id"])
    for name, shown in sorted((item.get("variables") or {}).items()):
        yield from variable(
            scope,
            f"{known.project.id}/{item['id']}/{name}",
            name,
            shown or {},
            holder=me,
            store="ado-pipeline-variable",
        )


def _classic(scope: DevOpsScope, known: KnownResources, item: dict[str, Any]) -> Iterator[Record]:
    """Yield a designer's pipeline, whose steps name connections by their IDs."""
    me = pipeline(known.project.id, item["id"])
    steps = designer_steps(
        [
            step
            for phase in (item.get("process") or {}).get("phases") or []
            for step in phase.get("steps") or []
        ],
        known.task_groups,
    )
    used = connections_of(known, steps.inputs, {}, linked_groups(known, item))
    yield _identity(scope, known, item, used)
    yield from connection_links(scope, known, me, used)
    yield from deploy_links(scope, known, me, steps)
    if steps.unknown:
        yield unknown_use(scope, me, f"{steps.unknown} was not read")
