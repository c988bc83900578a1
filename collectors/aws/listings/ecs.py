"""ECS services and task definitions: their roles, secrets and images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.aws.client import answer_with, items
from collectors.aws.failures import MalformedError
from collectors.aws.scope import PROVIDER, PartialReads, tags_of
from collectors.aws.times import utc
from collectors.aws.workloads import reference, workload
from scanner.records import Rollout, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.aws.scope import AwsScope
    from scanner.records import Record


def ecs_region(scope: AwsScope) -> Iterator[Record]:
    """Yield all ECS records of the region."""
    yield from scope.listing(
        _ecs(scope),
        "ecs:DescribeServices",
        "identities/ecs-service",
        "identities/ecs-task-definition",
        "secrets/ecs-env",
        "links/runs_as",
        "rollouts",
        needs="ecs:ListClusters, ecs:ListServices, ecs:DescribeServices, ecs:ListTaskDefinitionFamilies, "
        "ecs:DescribeTaskDefinition",
    )


def _ecs(scope: AwsScope) -> Iterator[Record]:
    """Yield services with the task definition that each runs, then the newest of every other family."""
    client = scope.client("ecs")
    used: dict[str, dict[str, Any]] = {}
    families: set[str] = set()
    reads = PartialReads()
    for cluster in items(client, "list_clusters", "clusterArns"):
        arns = list(items(client, "list_services", "serviceArns", cluster=cluster))
        for start in range(0, len(arns), 10):
            answer = client.describe_services(
                cluster=cluster, services=arns[start : start + 10], include=["TAGS"]
            )
            for service in answer["services"]:
                definition = service.get("taskDefinition")
                if definition and definition not in used:
                    read = reads.read(
                        definition,
                        lambda: client.describe_task_definition(taskDefinition=definition)["taskDefinition"],  # noqa: B023
                    )
                    used[definition] = read or {}
                yield from _ecs_service(scope, service, used.get(definition or "", {}))
                families |= {found for found in (_family(definition),) if found}
            failures = answer.get("failures") or []
            for failure in failures:
                reads.failed(str(failure.get("arn")), MalformedError(str(failure.get("reason"))))
            if len(answer["services"]) + len(failures) < len(arns[start : start + 10]):
                raise MalformedError(f"DescribeServices: services of {cluster} are missing from the response")
    for family in items(client, "list_task_definition_families", "families", status="ACTIVE"):
        if family in families:
            continue
        read = reads.read(
            family,
            lambda: answer_with(
                client.describe_task_definition(taskDefinition=family, include=["TAGS"]),  # noqa: B023
                "taskDefinition",
            ),
        )
        if read:
            yield from _task_definition(
                scope, read["taskDefinition"], tags_of(read.get("tags"), "key", "value")
            )
    reads.end()


def _family(definition: str | None) -> str | None:
    return definition.rsplit("/", 1)[-1].rsplit(":", 1)[0] if definition else None


def _ecs_service(scope: AwsScope, service: dict[str, Any], definition: dict[str, Any]) -> Iterator[Record]:
    arn = service["serviceArn"]
    yield from workload(
        scope,
        "ecs-service",
        arn,
        name=service["serviceName"],
        role_arn=definition.get("taskRoleArn"),
        tags=tags_of(service.get("tags"), "key", "value"),
        evidence=service.get("taskDefinition") or "ecs:DescribeServices",
        created_at=utc(service.get("createdAt")),
        enabled=service.get("status") == "ACTIVE" if service.get("status") else None,
    )
    yield from _containers(scope, "ecs-service", arn, definition)


def _task_definition(scope: AwsScope, definition: dict[str, Any], tags: dict[str, str]) -> Iterator[Record]:
    arn = definition["taskDefinitionArn"]
    yield from workload(
        scope,
        "ecs-task-definition",
        arn,
        name=f"{definition.get('family')}:{definition.get('revision')}",
        role_arn=definition.get("taskRoleArn"),
        tags=tags,
        evidence="ecs:DescribeTaskDefinition",
        created_at=utc(definition.get("registeredAt")),
    )
    yield from _containers(scope, "ecs-task-definition", arn, definition)


def _containers(scope: AwsScope, kind: str, arn: str, definition: dict[str, Any]) -> Iterator[Record]:
    """Yield the plaintext secrets, secret references and images of a task definition's containers."""
    holder = record_id(PROVIDER, kind, arn)
    for container in definition.get("containerDefinitions") or []:
        name = str(container.get("name") or "container")
        values = tags_of(container.get("environment"), "name", "value")
        yield from scope.env_secrets("ecs-env", holder, f"{arn}/{name}", values, scope.environment())
        for entry in container.get("secrets") or []:
            yield reference(
                scope, "ecs-env", entry["name"], entry.get("valueFrom"), holder=holder, where=f"{arn}/{name}"
            )
        private = (container.get("repositoryCredentials") or {}).get("credentialsParameter")
        if private:
            yield reference(
                scope, "ecs-env", "repositoryCredentials", private, holder=holder, where=f"{arn}/{name}"
            )
        image = str(container.get("image") or "")
        if image:
            digest = image.partition("@")[2] or None
            yield Rollout(
                id=record_id(PROVIDER, "rollout", f"{arn}/{name}"),
                provider=PROVIDER,
                account_id=scope.ref,
                workload_id=holder,
                declared=image,
                declared_digest=digest,
                pinned=digest is not None,
            )
