"""CodeBuild projects, the secrets in their environments, and their source credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.aws.client import items
from collectors.aws.failures import MalformedError
from collectors.aws.scope import PROVIDER, tags_of
from collectors.aws.times import utc
from collectors.aws.workloads import reference
from scanner.records import Control, Credential, Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.aws.scope import AwsScope
    from scanner.records import Record

_STATIC = frozenset({"PERSONAL_ACCESS_TOKEN", "OAUTH", "BASIC_AUTH"})


def codebuild_region(scope: AwsScope) -> Iterator[Record]:
    """Yield all CodeBuild records of the region."""
    yield from scope.listing(
        _projects(scope),
        "codebuild:BatchGetProjects",
        "identities/codebuild-project",
        "secrets/codebuild-env",
        "links/runs_as",
        "controls/build-visibility",
        needs="codebuild:ListProjects, codebuild:BatchGetProjects",
    )
    yield from scope.listing(
        _source_credentials(scope), "codebuild:ListSourceCredentials", "credentials/source-credential"
    )


def _projects(scope: AwsScope) -> Iterator[Record]:
    client = scope.client("codebuild")
    names = list(items(client, "list_projects", "projects"))
    for start in range(0, len(names), 100):
        chunk = names[start : start + 100]
        answer = client.batch_get_projects(names=chunk)
        projects = answer["projects"]
        for project in projects:
            yield from _project(scope, project)
        if len(projects) + len(answer.get("projectsNotFound") or []) < len(chunk):
            raise MalformedError(f"BatchGetProjects: {len(projects)} of {len(chunk)} projects were returned")


def _project(scope: AwsScope, project: dict[str, Any]) -> Iterator[Record]:
    arn, role = project["arn"], project.get("serviceRole")
    project_id = record_id(PROVIDER, "codebuild-project", arn)
    tags = tags_of(project.get("tags"), "key", "value")
    owner, owner_source = scope.owner(tags)
    environment = scope.environment(tags)
    yield Identity(
        id=project_id,
        provider=PROVIDER,
        account_id=scope.ref,
        surface="automation",
        kind="codebuild-project",
        is_pipeline=True,
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
        # A service role can be given by name instead of ARN.
        role_arn = (
            role if role.startswith("arn:") else f"arn:{scope.partition}:iam::{scope.account}:role/{role}"
        )
        yield scope.link(project_id, "runs_as", scope.id_of(role_arn), evidence="codebuild:BatchGetProjects")
    values: dict[str, str] = {}
    for variable in (project.get("environment") or {}).get("environmentVariables") or []:
        if variable.get("type", "PLAINTEXT") == "PLAINTEXT":
            values[variable["name"]] = str(variable.get("value") or "")
        else:
            source = str(variable.get("value") or "")
            yield reference(
                scope,
                "codebuild-env",
                variable["name"],
                source,
                holder=project_id,
                where=arn,
                environment=environment,
            )
    yield from scope.env_secrets("codebuild-env", project_id, arn, values, environment)
    if project.get("projectVisibility"):
        public = project["projectVisibility"] == "PUBLIC_READ"
        yield Control(
            id=record_id(PROVIDER, "build-visibility", arn),
            provider=PROVIDER,
            account_id=scope.ref,
            stage="build",
            kind="build-visibility",
            name="builds and their logs are not public",
            enforcement="absent" if public else "enforced",
            target=project_id,
        )


def _dangerous_triggers(webhook: dict[str, Any]) -> list[str]:
    """Return ``pull_request`` if pull requests from outsiders start builds without approval.

    A filter group starts a build if all its filters match. A group with a pull request event and no actor filter admits
    anyone: https://docs.aws.amazon.com/codebuild/latest/userguide/github-webhook.html.
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


def _source_credentials(scope: AwsScope) -> Iterator[Record]:
    answer = scope.client("codebuild").list_source_credentials()
    for item in answer["sourceCredentialsInfos"]:
        how, arn = str(item.get("authType")), item["arn"]
        static = how in _STATIC
        yield Credential(
            id=record_id(PROVIDER, "source-credential", arn),
            provider=PROVIDER,
            account_id=scope.ref,
            identity_id=scope.ref,
            kind="source-credential",
            native_id=arn,
            name=str(item.get("serverType") or arn),
            lifetime="static" if static else "short-lived",
            enabled=True,
            never_expires=None,
            scopes=[how],
            location=item.get("resource") or scope.region,
        )
