"""CodePipeline: pipelines, the roles of pipelines and actions, and deployed workloads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.aws.client import items
from collectors.aws.scope import PROVIDER, PartialReads, tags_of
from collectors.aws.times import utc
from scanner.records import Control, Credential, Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.aws.scope import AwsScope
    from scanner.records import Record


def codepipeline_region(scope: AwsScope) -> Iterator[Record]:
    """Yield all CodePipeline records of the region."""
    pipelines = yield from scope.listing(
        _pipelines(scope),
        "codepipeline:GetPipeline",
        "identities/codepipeline",
        "links/runs_as",
        "links/uses",
        "links/deploys",
        "credentials/source-credential",
        needs="codepipeline:ListPipelines, codepipeline:GetPipeline",
    )
    yield from scope.listing(
        _webhooks(scope, pipelines or {}),
        "codepipeline:ListWebhooks",
        "credentials/webhook-secret",
        "controls/webhook-authentication",
    )


def _pipelines(scope: AwsScope) -> Generator[Record, None, dict[str, str]]:
    """Yield pipelines, and links to the projects they start and the workloads they deploy. Returns ARN -> id."""
    ids: dict[str, str] = {}
    client = scope.client("codepipeline")
    reads = PartialReads()
    for summary in items(client, "list_pipelines", "pipelines"):
        name = summary["name"]
        pipeline = reads.read(name, lambda: client.get_pipeline(name=name)["pipeline"])  # noqa: B023
        if pipeline:
            arn = scope.arn("codepipeline", pipeline["name"])
            ids[arn] = record_id(PROVIDER, "codepipeline", arn)
            yield from _pipeline(scope, pipeline, summary)
    reads.end()
    return ids


def _pipeline(scope: AwsScope, pipeline: dict[str, Any], summary: dict[str, Any]) -> Iterator[Record]:
    arn = scope.arn("codepipeline", pipeline["name"])
    pipeline_id, role = record_id(PROVIDER, "codepipeline", arn), pipeline.get("roleArn")
    yield Identity(
        id=pipeline_id,
        provider=PROVIDER,
        account_id=scope.ref,
        surface="automation",
        kind="codepipeline",
        is_pipeline=True,
        native_id=arn,
        name=pipeline["name"],
        address=arn,
        created_at=utc(summary.get("created")),
        environment=scope.environment(),
    )
    if role:
        yield scope.link(pipeline_id, "runs_as", scope.id_of(role), evidence="codepipeline:GetPipeline")
    links: dict[tuple[str, str], Record] = {}
    for stage in pipeline.get("stages") or []:
        for action in stage.get("actions") or []:
            where = f"stage {stage.get('name')}, action {action.get('name')}"
            kind, configuration = action.get("actionTypeId") or {}, action.get("configuration") or {}
            if action.get("roleArn"):
                target = scope.id_of(action["roleArn"])
                links["uses", target] = scope.link(pipeline_id, "uses", target, evidence=where)
            if configuration.get("RoleArn"):
                target = scope.id_of(configuration["RoleArn"])
                links["uses", target] = scope.link(pipeline_id, "uses", target, evidence=where)
            region = action.get("region") or scope.region
            started = _started(scope, kind, configuration, region)
            if started:
                links["uses", started] = scope.link(pipeline_id, "uses", started, evidence=where)
            deployed = _deployed(scope, kind, configuration, region)
            if deployed:
                links["deploys", deployed] = scope.link(pipeline_id, "deploys", deployed, evidence=where)
            if kind.get("owner") == "ThirdParty" and kind.get("provider") == "GitHub":
                # The version 1 source action: an OAuth token without expiry, stored in the pipeline and shown as ****.
                yield Credential(
                    id=record_id(
                        PROVIDER, "source-credential", f"{arn}/{stage.get('name')}/{action.get('name')}"
                    ),
                    provider=PROVIDER,
                    account_id=scope.ref,
                    identity_id=pipeline_id,
                    kind="source-credential",
                    native_id=f"{arn}/{stage.get('name')}/{action.get('name')}",
                    name=pipeline["name"],
                    lifetime="static",
                    enabled=True,
                    scopes=["OAUTH"],
                    location=f"{configuration.get('Owner')}/{configuration.get('Repo')}",
                )
    yield from links.values()


def _started(
    scope: AwsScope, kind: dict[str, Any], configuration: dict[str, Any], region: str | None
) -> str | None:
    """Return the ARN of the CodeBuild project that an action starts."""
    if kind.get("provider") == "CodeBuild" and configuration.get("ProjectName"):
        return (
            f"arn:{scope.partition}:codebuild:{region}:{scope.account}:project/{configuration['ProjectName']}"
        )
    return None


def _deployed(
    scope: AwsScope, kind: dict[str, Any], configuration: dict[str, Any], region: str | None
) -> str | None:
    """Return the ARN of the workload that a deploy action deploys, if its configuration names it.

    https://docs.aws.amazon.com/codepipeline/latest/userguide/structure-configuration-examples.html
    """
    start = f"arn:{scope.partition}"
    end = f"{region}:{scope.account}"
    match kind.get("provider"):
        case "ECS" if configuration.get("ServiceName"):
            cluster = configuration.get("ClusterName") or "default"
            return f"{start}:ecs:{end}:service/{cluster}/{configuration['ServiceName']}"
        case "CodeDeploy" | "CodeDeployToECS" if configuration.get("DeploymentGroupName"):
            group = f"{configuration.get('ApplicationName')}/{configuration['DeploymentGroupName']}"
            return f"{start}:codedeploy:{end}:deploymentgroup:{group}"
        case "Lambda" if kind.get("category") == "Deploy" and configuration.get("FunctionName"):
            return f"{start}:lambda:{end}:function:{configuration['FunctionName']}"
        case "EKS" if configuration.get("ClusterName"):
            return f"{start}:eks:{end}:cluster/{configuration['ClusterName']}"
        case _:
            return None


def _webhooks(scope: AwsScope, pipelines: dict[str, str]) -> Iterator[Record]:
    """Yield webhooks. The response contains their plaintext secret (``SecretToken``), which is not read."""
    for hook in items(scope.client("codepipeline"), "list_webhooks", "webhooks"):
        definition, arn = hook.get("definition") or {}, hook["arn"]
        how = str(definition.get("authentication"))
        address = scope.arn("codepipeline", str(definition.get("targetPipeline")))
        target = pipelines.get(address, address)
        tags = tags_of(hook.get("tags"), "key", "value")
        if how == "UNAUTHENTICATED":
            yield Control(
                id=record_id(PROVIDER, "webhook-authentication", arn),
                provider=PROVIDER,
                account_id=scope.ref,
                stage="source",
                kind="webhook-authentication",
                name=f"Webhook {definition.get('name')} authenticates its caller",
                enforcement="absent",
                target=target,
            )
            continue
        yield Credential(
            id=record_id(PROVIDER, "webhook-secret", arn),
            provider=PROVIDER,
            account_id=scope.ref,
            identity_id=target,
            kind="webhook-secret",
            native_id=arn,
            name=str(definition.get("name") or arn),
            lifetime="static",
            enabled=True,
            last_used_at=utc(hook.get("lastTriggered")),
            scopes=[how],
            owner=scope.owner(tags)[0],
        )
