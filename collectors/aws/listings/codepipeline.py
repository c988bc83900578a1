"""CodePipeline: pipelines, the roles that they and their actions take, and what they deploy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.aws.client import items
from collectors.aws.evaluator.facts import Compute
from collectors.aws.place import PROVIDER, Tally, tags_of
from collectors.aws.times import utc
from scanner.records import Control, Credential, Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.aws.place import Place
    from scanner.records import Record


def codepipeline_region(place: Place) -> Iterator[Record]:
    """Yield everything of CodePipeline in the region."""
    yield from place.ask(
        _pipelines(place),
        "codepipeline:GetPipeline",
        ("identities", "codepipeline"),
        ("links", "runs_as"),
        ("credentials", "source-credential"),
        needs="codepipeline:ListPipelines, codepipeline:GetPipeline",
    )
    yield from place.ask(_webhooks(place), "codepipeline:ListWebhooks", ("credentials", "webhook-secret"))


def _pipelines(place: Place) -> Iterator[Record]:
    client = place.client("codepipeline")
    tally = Tally()
    for summary in items(client, "list_pipelines", "pipelines"):
        name = summary["name"]
        read = tally.read(name, lambda: client.get_pipeline(name=name))  # noqa: B023
        pipeline = (read or {}).get("pipeline")
        if pipeline:
            yield from _pipeline(place, pipeline, summary)
    tally.end()


def _pipeline(place: Place, pipeline: dict[str, Any], summary: dict[str, Any]) -> Iterator[Record]:
    arn = place.arn("codepipeline", pipeline["name"])
    pipeline_id, role = record_id(PROVIDER, "codepipeline", arn), pipeline.get("roleArn")
    with place.found.lock:
        place.found.ids[arn] = pipeline_id
        if role:
            found = Compute(kind="codepipeline", arn=arn, role_arn=role, record_id=pipeline_id)
            place.found.compute.append(found)
    yield Identity(
        id=pipeline_id,
        provider=PROVIDER,
        account_id=place.ref,
        surface="automation",
        kind="codepipeline",
        native_id=arn,
        name=pipeline["name"],
        address=arn,
        created_at=utc(summary.get("created")),
        environment=place.environment(),
    )
    if role:
        yield place.link(pipeline_id, "runs_as", place.id_of(role), evidence="codepipeline:GetPipeline")
    links: dict[tuple[str, str], Record] = {}
    for stage in pipeline.get("stages") or []:
        for action in stage.get("actions") or []:
            where = f"stage {stage.get('name')}, action {action.get('name')}"
            kind, configuration = action.get("actionTypeId") or {}, action.get("configuration") or {}
            if action.get("roleArn"):
                target = place.id_of(action["roleArn"])
                links["uses", target] = place.link(pipeline_id, "uses", target, evidence=where)
            if configuration.get("RoleArn"):
                target = place.id_of(configuration["RoleArn"])
                links["uses", target] = place.link(pipeline_id, "uses", target, evidence=where)
            region = action.get("region") or place.region
            started = _started(place, kind, configuration, region)
            if started:
                links["uses", started] = place.link(pipeline_id, "uses", started, evidence=where)
            deployed = _deployed(place, kind, configuration, region)
            if deployed:
                links["deploys", deployed] = place.link(pipeline_id, "deploys", deployed, evidence=where)
            if kind.get("owner") == "ThirdParty" and kind.get("provider") == "GitHub":
                # The version 1 source: an OAuth token without end, kept in the pipeline; it is shown as ****.
                yield Credential(
                    id=record_id(
                        PROVIDER, "source-credential", f"{arn}/{stage.get('name')}/{action.get('name')}"
                    ),
                    provider=PROVIDER,
                    account_id=place.ref,
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
    place: Place, kind: dict[str, Any], configuration: dict[str, Any], region: str | None
) -> str | None:
    """Return the address of what an action starts in its own name: a CodeBuild project."""
    if kind.get("provider") == "CodeBuild" and configuration.get("ProjectName"):
        return (
            f"arn:{place.partition}:codebuild:{region}:{place.account}:project/{configuration['ProjectName']}"
        )
    return None


def _deployed(
    place: Place, kind: dict[str, Any], configuration: dict[str, Any], region: str | None
) -> str | None:
    """Return the address of what a deploy action deploys, where its configuration names it.

    https://docs.aws.amazon.com/codepipeline/latest/userguide/structure-configuration-examples.html
    """
    start = f"arn:{place.partition}"
    end = f"{region}:{place.account}"
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


def _webhooks(place: Place) -> Iterator[Record]:
    """Yield webhooks. The answer holds their secret in clear (``SecretToken``), of which nothing is looked at."""
    for hook in items(place.client("codepipeline"), "list_webhooks", "webhooks"):
        definition, arn = hook.get("definition") or {}, hook["arn"]
        how = str(definition.get("authentication"))
        target = place.arn("codepipeline", str(definition.get("targetPipeline")))
        tags = tags_of(hook.get("tags"), "key", "value")
        if how == "UNAUTHENTICATED":
            yield Control(
                id=record_id(PROVIDER, "webhook-authentication", arn),
                provider=PROVIDER,
                account_id=place.ref,
                stage="source",
                kind="webhook-authentication",
                name=f"Webhook {definition.get('name')} authenticates its caller",
                enforcement="absent",
                target=place.id_of(target),
            )
            continue
        yield Credential(
            id=record_id(PROVIDER, "webhook-secret", arn),
            provider=PROVIDER,
            account_id=place.ref,
            identity_id=place.id_of(target),
            kind="webhook-secret",
            native_id=arn,
            name=str(definition.get("name") or arn),
            lifetime="static",
            enabled=True,
            last_used_at=utc(hook.get("lastTriggered")),
            scopes=[how],
            owner=place.owner(tags)[0],
        )
