"""CodeBuild projects, the secrets in their environment, and the credentials with which they fetch sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.aws.client import items
from collectors.aws.evaluator.facts import Compute
from collectors.aws.failures import MalformedError
from collectors.aws.listings.compute import reference
from collectors.aws.place import PROVIDER, tags_of
from collectors.aws.times import utc
from scanner.records import Control, Credential, Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.aws.place import Place
    from scanner.records import Record

_STATIC = frozenset({"PERSONAL_ACCESS_TOKEN", "OAUTH", "BASIC_AUTH"})


def codebuild_region(place: Place) -> Iterator[Record]:
    """Yield everything of CodeBuild in the region."""
    yield from place.ask(
        _projects(place),
        "codebuild:BatchGetProjects",
        ("identities", "codebuild-project"),
        ("secrets", "codebuild-env"),
        ("links", "runs_as"),
        ("controls", "build-visibility"),
        needs="codebuild:ListProjects, codebuild:BatchGetProjects",
    )
    yield from place.ask(
        _source_credentials(place), "codebuild:ListSourceCredentials", ("credentials", "source-credential")
    )


def _projects(place: Place) -> Iterator[Record]:
    client = place.client("codebuild")
    names = list(items(client, "list_projects", "projects"))
    for start in range(0, len(names), 100):
        chunk = names[start : start + 100]
        answer = client.batch_get_projects(names=chunk)
        projects = answer.get("projects") or []
        for project in projects:
            yield from _project(place, project)
        if len(projects) + len(answer.get("projectsNotFound") or []) < len(chunk):
            raise MalformedError(f"BatchGetProjects: {len(projects)} of {len(chunk)} projects were returned")


def _project(place: Place, project: dict[str, Any]) -> Iterator[Record]:
    arn, role = project["arn"], project.get("serviceRole")
    project_id = record_id(PROVIDER, "codebuild-project", arn)
    tags = tags_of(project.get("tags"), "key", "value")
    owner, owner_source = place.owner(tags)
    environment = place.environment(tags)
    with place.found.lock:
        place.found.ids[arn] = project_id
        if role:
            found = Compute(kind="codebuild-project", arn=arn, role_arn=role, record_id=project_id)
            place.found.compute.append(found)
    yield Identity(
        id=project_id,
        provider=PROVIDER,
        account_id=place.ref,
        surface="automation",
        kind="codebuild-project",
        native_id=arn,
        name=project["name"],
        address=arn,
        created_at=utc(project.get("created")),
        owner=owner,
        owner_source=owner_source,
        environment=environment,
        dangerous_triggers=_dangerous_triggers(project.get("webhook") or {}),
        tags=tags,
    )
    if role:
        # A service role may be written without its ARN.
        role_arn = (
            role if role.startswith("arn:") else f"arn:{place.partition}:iam::{place.account}:role/{role}"
        )
        yield place.link(project_id, "runs_as", place.id_of(role_arn), evidence="codebuild:BatchGetProjects")
    values: dict[str, str] = {}
    for variable in (project.get("environment") or {}).get("environmentVariables") or []:
        if variable.get("type", "PLAINTEXT") == "PLAINTEXT":
            values[variable["name"]] = str(variable.get("value") or "")
        else:
            source = str(variable.get("value") or "")
            yield reference(
                place,
                "codebuild-env",
                variable["name"],
                source,
                holder=project_id,
                where=arn,
                environment=environment,
            )
    yield from place.env_secrets("codebuild-env", project_id, arn, values, environment)
    if project.get("projectVisibility"):
        public = project["projectVisibility"] == "PUBLIC_READ"
        yield Control(
            id=record_id(PROVIDER, "build-visibility", arn),
            provider=PROVIDER,
            account_id=place.ref,
            stage="build",
            kind="build-visibility",
            name="builds and their logs are not public",
            enforcement="absent" if public else "enforced",
            target=project_id,
        )


def _dangerous_triggers(webhook: dict[str, Any]) -> list[str]:
    """Return ``pull_request`` when strangers' pull requests start builds without approval.

    A group of filters starts a build when all of it match; a group with a pull request event and no filter on the
    actor lets anyone in: https://docs.aws.amazon.com/codebuild/latest/userguide/github-webhook.html.
    """
    approval = (webhook.get("pullRequestBuildPolicy") or {}).get("requiresCommentApproval")
    if not webhook or approval in {"ALL_PULL_REQUESTS", "FORK_PULL_REQUESTS"}:
        return []
    groups = webhook.get("filterGroups") or []
    for group in groups:
        kinds = {entry.get("type"): entry for entry in group}
        event = str((kinds.get("EVENT") or {}).get("pattern", ""))
        actor = kinds.get("ACTOR_ACCOUNT_ID")
        if "PULL_REQUEST" in event and (actor is None or actor.get("excludeMatchedPattern")):
            return ["pull_request"]
    return [] if groups else ["pull_request"]


def _source_credentials(place: Place) -> Iterator[Record]:
    answer = place.client("codebuild").list_source_credentials()
    if "sourceCredentialsInfos" not in answer:
        raise MalformedError("ListSourceCredentials: the response contains no list")
    for item in answer["sourceCredentialsInfos"]:
        how, arn = str(item.get("authType")), item["arn"]
        static = how in _STATIC
        yield Credential(
            id=record_id(PROVIDER, "source-credential", arn),
            provider=PROVIDER,
            account_id=place.ref,
            identity_id=place.ref,
            kind="source-credential",
            native_id=arn,
            name=str(item.get("serverType") or arn),
            lifetime="static" if static else "short-lived",
            enabled=True,
            never_expires=None,
            scopes=[how],
            location=item.get("resource") or place.region,
        )
