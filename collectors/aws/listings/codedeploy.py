"""CodeDeploy: deployment groups and their roles, on-premises servers with static IAM keys, GitHub tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.aws.client import items
from collectors.aws.failures import MalformedError
from collectors.aws.scope import PROVIDER, tags_of
from collectors.aws.times import utc
from scanner.records import Credential, Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.aws.scope import AwsScope
    from scanner.records import Record


def codedeploy_region(scope: AwsScope) -> Iterator[Record]:
    """Yield all CodeDeploy records of the region."""
    yield from scope.listing(
        _groups(scope),
        "codedeploy:BatchGetDeploymentGroups",
        "identities/codedeploy-group",
        "links/runs_as",
        needs="codedeploy:ListApplications, codedeploy:ListDeploymentGroups, codedeploy:BatchGetDeploymentGroups",
    )
    yield from scope.listing(
        _on_premises(scope),
        "codedeploy:BatchGetOnPremisesInstances",
        "identities/codedeploy-on-premises-instance",
        "links/runs_as",
        needs="codedeploy:ListOnPremisesInstances, codedeploy:BatchGetOnPremisesInstances",
    )
    yield from scope.listing(
        _github_tokens(scope), "codedeploy:ListGitHubAccountTokenNames", "credentials/source-credential"
    )


def _groups(scope: AwsScope) -> Iterator[Record]:
    client = scope.client("codedeploy")
    for application in items(client, "list_applications", "applications"):
        names = list(items(client, "list_deployment_groups", "deploymentGroups", applicationName=application))
        for start in range(0, len(names), 100):
            chunk = names[start : start + 100]
            answer = client.batch_get_deployment_groups(
                applicationName=application, deploymentGroupNames=chunk
            )
            groups = answer["deploymentGroupsInfo"]
            for group in groups:
                yield from _group(scope, application, group)
            if len(groups) < len(chunk):
                raise MalformedError(
                    f"BatchGetDeploymentGroups: {len(groups)} of {len(chunk)} groups of {application} were returned: "
                    f"{answer.get('errorMessage') or 'no reason given'}"
                )


def _group(scope: AwsScope, application: str, group: dict[str, Any]) -> Iterator[Record]:
    name, native = group["deploymentGroupName"], group["deploymentGroupId"]
    arn = scope.arn("codedeploy", f"deploymentgroup:{application}/{name}")
    group_id, role = record_id(PROVIDER, "codedeploy-group", native), group.get("serviceRoleArn")
    yield Identity(
        id=group_id,
        provider=PROVIDER,
        account_id=scope.ref,
        surface="automation",
        kind="codedeploy-group",
        native_id=native,
        name=f"{application}/{name}",
        address=arn,
        last_used_at=utc((group.get("lastAttemptedDeployment") or {}).get("createTime")),
        environment=scope.environment(),
    )
    if role:
        yield scope.link(
            group_id, "runs_as", scope.id_of(role), evidence="codedeploy:BatchGetDeploymentGroups"
        )
    for service in group.get("ecsServices") or []:
        target = scope.arn("ecs", f"service/{service.get('clusterName')}/{service.get('serviceName')}")
        yield scope.link(group_id, "deploys", target, evidence="codedeploy:BatchGetDeploymentGroups")


def _on_premises(scope: AwsScope) -> Iterator[Record]:
    """Yield on-premises servers. A server registered with an IAM user has that user's access key in a file."""
    client = scope.client("codedeploy")
    names = list(
        items(client, "list_on_premises_instances", "instanceNames", registrationStatus="Registered")
    )
    for start in range(0, len(names), 25):
        chunk = names[start : start + 25]
        answer = client.batch_get_on_premises_instances(instanceNames=chunk)
        instances = answer["instanceInfos"]
        for instance in instances:
            arn = instance.get("instanceArn") or scope.arn(
                "codedeploy", f"instance/{instance['instanceName']}"
            )
            instance_id = record_id(PROVIDER, "codedeploy-on-premises-instance", arn)
            tags = tags_of(instance.get("tags"))
            owner, owner_source = scope.owner(tags)
            yield Identity(
                id=instance_id,
                provider=PROVIDER,
                account_id=scope.ref,
                surface="workload",
                kind="codedeploy-on-premises-instance",
                native_id=arn,
                name=instance["instanceName"],
                address=arn,
                enabled=instance.get("deregisterTime") is None,
                created_at=utc(instance.get("registerTime")),
                owner=owner,
                owner_source=owner_source,
                environment=scope.environment(tags),
                tags=tags,
            )
            user, session = instance.get("iamUserArn"), instance.get("iamSessionArn")
            call = "codedeploy:BatchGetOnPremisesInstances"
            if user:
                yield scope.link(
                    instance_id, "runs_as", scope.id_of(user), evidence=call, why="static keys on its disk"
                )
            elif session:
                yield scope.link(instance_id, "runs_as", scope.id_of(session), evidence=call)
        if len(instances) < len(chunk):
            raise MalformedError(
                f"BatchGetOnPremisesInstances: {len(instances)} of {len(chunk)} were returned"
            )


def _github_tokens(scope: AwsScope) -> Iterator[Record]:
    for name in items(scope.client("codedeploy"), "list_git_hub_account_token_names", "tokenNameList"):
        native = f"{scope.account}/{scope.region}/codedeploy/{name}"
        yield Credential(
            id=record_id(PROVIDER, "source-credential", native),
            provider=PROVIDER,
            account_id=scope.ref,
            identity_id=scope.ref,
            kind="source-credential",
            native_id=native,
            name=f"GitHub token {name} of CodeDeploy",
            lifetime="static",
            enabled=True,
            scopes=["OAUTH"],
            location=scope.region,
        )
