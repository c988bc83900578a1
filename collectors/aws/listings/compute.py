"""What runs in a region with a role: Lambda functions, ECS services and task definitions, EC2 instances."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from collectors.aws.client import items
from collectors.aws.evaluator.facts import Compute
from collectors.aws.failures import DeniedError, MalformedError, PartlyReadError
from collectors.aws.listings.resource_policies import policies_of
from collectors.aws.place import PROVIDER, Tally, tags_of
from collectors.aws.times import utc
from scanner.records import Control, Credential, Identity, Rollout, Secret, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.aws.place import Place
    from scanner.records import Record

_ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?([A-Za-z_]\w*)=(.+)$", re.MULTILINE)


def workload(
    place: Place,
    kind: str,
    arn: str,
    *,
    name: str,
    role_arn: str | None,
    tags: dict[str, str],
    evidence: str,
    **more: Any,
) -> Iterator[Record]:
    """Yield a workload, known by its ARN, and the link to the role that it runs as."""
    workload_id = record_id(PROVIDER, kind, arn)
    owner, owner_source = place.owner(tags)
    with place.found.lock:
        place.found.ids[arn] = workload_id
        if role_arn:
            place.found.compute.append(Compute(kind=kind, arn=arn, role_arn=role_arn, record_id=workload_id))
    yield Identity(
        id=workload_id,
        provider=PROVIDER,
        account_id=place.ref,
        surface="workload",
        kind=kind,
        native_id=arn,
        name=name,
        address=arn,
        owner=owner,
        owner_source=owner_source,
        environment=place.environment(tags),
        tags=tags,
        **more,
    )
    if role_arn:
        yield place.link(workload_id, "runs_as", place.id_of(role_arn), evidence=evidence)


def lambda_region(place: Place) -> Iterator[Record]:
    """Yield everything of Lambda in the region."""
    found = yield from place.ask(
        _lambda_functions(place),
        "lambda:ListFunctions",
        ("identities", "lambda-function"),
        ("secrets", "lambda-env"),
        ("links", "runs_as"),
        ("grants", "resource-policy"),
        ("trusts", "resource-policy"),
    )
    if found is None:
        return
    arns, hidden = found
    if hidden:
        yield from place.ask(_hidden(hidden, len(arns)), "lambda:ListFunctions", ("secrets", "lambda-env"))
    if "lambda" in place.config.resource_policies:
        read = policies_of(
            place,
            "lambda",
            lambda _: arns,
            lambda client, arn: client.get_policy(FunctionName=arn).get("Policy"),
        )
        yield from place.ask(
            read, "lambda:GetPolicy", ("grants", "resource-policy"), ("trusts", "resource-policy")
        )


def _lambda_functions(place: Place) -> Generator[Record, None, tuple[list[str], list[str]]]:
    """Yield functions, their roles and the secrets in their environment.

    Returns their ARNs, and those whose environment was not shown: under a customer-managed key Lambda shows
    variables only to callers who may decrypt with it.
    """
    arns: list[str] = []
    hidden: list[str] = []
    for function in items(place.client("lambda"), "list_functions", "Functions"):
        arn = function["FunctionArn"]
        arns.append(arn)
        yield from workload(
            place,
            "lambda-function",
            arn,
            name=function["FunctionName"],
            role_arn=function.get("Role"),
            tags={},
            evidence="lambda:ListFunctions",
        )
        environment = function.get("Environment") or {}
        if environment.get("Error"):
            hidden.append(arn)
        variables = environment.get("Variables") or {}
        yield from place.env_secrets("lambda-env", place.id_of(arn), arn, variables, place.environment())
    return arns, hidden


def _hidden(arns: list[str], total: int) -> Iterator[Record]:
    yield from ()
    refused = DeniedError("Lambda could not decrypt the environment", needs="kms:Decrypt on its key")
    raise PartlyReadError(arns, total, refused)


def ecs_region(place: Place) -> Iterator[Record]:
    """Yield everything of ECS in the region."""
    yield from place.ask(
        _ecs(place),
        "ecs:DescribeServices",
        ("identities", "ecs-service"),
        ("identities", "ecs-task-definition"),
        ("secrets", "ecs-env"),
        ("links", "runs_as"),
        ("rollouts", None),
        needs="ecs:ListClusters, ecs:ListServices, ecs:DescribeServices, ecs:ListTaskDefinitionFamilies, "
        "ecs:DescribeTaskDefinition",
    )


def _ecs(place: Place) -> Iterator[Record]:
    """Yield services with the task definition that each runs, then the newest of every other family."""
    client = place.client("ecs")
    used: dict[str, dict[str, Any]] = {}
    families: set[str] = set()
    tally = Tally()
    for cluster in items(client, "list_clusters", "clusterArns"):
        arns = list(items(client, "list_services", "serviceArns", cluster=cluster))
        for start in range(0, len(arns), 10):
            answer = client.describe_services(
                cluster=cluster, services=arns[start : start + 10], include=["TAGS"]
            )
            if "services" not in answer:
                raise MalformedError("DescribeServices: the response contains no services")
            for service in answer["services"]:
                definition = service.get("taskDefinition")
                if definition and definition not in used:
                    read = tally.read(
                        definition,
                        lambda: client.describe_task_definition(taskDefinition=definition),  # noqa: B023
                    )
                    used[definition] = (read or {}).get("taskDefinition") or {}
                yield from _ecs_service(place, service, used.get(definition or "", {}))
                families |= {found for found in (_family(definition),) if found}
            for failure in answer.get("failures") or []:
                tally.failed(str(failure.get("arn")), MalformedError(str(failure.get("reason"))))
    for family in items(client, "list_task_definition_families", "families", status="ACTIVE"):
        if family in families:
            continue
        read = tally.read(
            family,
            lambda: client.describe_task_definition(taskDefinition=family, include=["TAGS"]),  # noqa: B023
        )
        definition_facts = (read or {}).get("taskDefinition")
        if definition_facts:
            yield from _task_definition(
                place, definition_facts, tags_of((read or {}).get("tags"), "key", "value")
            )
    tally.end()


def _family(definition: str | None) -> str | None:
    return definition.rsplit("/", 1)[-1].rsplit(":", 1)[0] if definition else None


def _ecs_service(place: Place, service: dict[str, Any], definition: dict[str, Any]) -> Iterator[Record]:
    arn = service["serviceArn"]
    yield from workload(
        place,
        "ecs-service",
        arn,
        name=service["serviceName"],
        role_arn=definition.get("taskRoleArn"),
        tags=tags_of(service.get("tags"), "key", "value"),
        evidence=service.get("taskDefinition") or "ecs:DescribeServices",
        created_at=utc(service.get("createdAt")),
        enabled=service.get("status") == "ACTIVE" if service.get("status") else None,
    )
    yield from _containers(place, arn, definition)


def _task_definition(place: Place, definition: dict[str, Any], tags: dict[str, str]) -> Iterator[Record]:
    arn = definition["taskDefinitionArn"]
    yield from workload(
        place,
        "ecs-task-definition",
        arn,
        name=f"{definition.get('family')}:{definition.get('revision')}",
        role_arn=definition.get("taskRoleArn"),
        tags=tags,
        evidence="ecs:DescribeTaskDefinition",
        created_at=utc(definition.get("registeredAt")),
    )
    yield from _containers(place, arn, definition)


def _containers(place: Place, arn: str, definition: dict[str, Any]) -> Iterator[Record]:
    """Yield secrets in clear, references to stores, and images, of the containers of a task definition."""
    holder = place.id_of(arn)
    for container in definition.get("containerDefinitions") or []:
        name = str(container.get("name") or "container")
        values = tags_of(container.get("environment"), "name", "value")
        yield from place.env_secrets("ecs-env", holder, f"{arn}/{name}", values, place.environment())
        for entry in container.get("secrets") or []:
            yield reference(
                place, "ecs-env", entry["name"], entry.get("valueFrom"), holder=holder, where=f"{arn}/{name}"
            )
        private = (container.get("repositoryCredentials") or {}).get("credentialsParameter")
        if private:
            yield reference(
                place, "ecs-env", "repositoryCredentials", private, holder=holder, where=f"{arn}/{name}"
            )
        image = str(container.get("image") or "")
        if image:
            digest = image.partition("@")[2] or None
            yield Rollout(
                id=record_id(PROVIDER, "rollout", f"{arn}/{name}"),
                provider=PROVIDER,
                account_id=place.ref,
                workload_id=holder,
                declared=image,
                declared_digest=digest,
                pinned=digest is not None,
            )


def reference(
    place: Place,
    store: str,
    name: str,
    target: str | None,
    *,
    holder: str,
    where: str,
    environment: str | None = None,
) -> Secret:
    """Return a variable that only names a secret in a store: no copy, but it shows who gets which secret."""
    source = target or ""
    parameter = ":parameter/" in source or not source.startswith("arn:")
    return Secret(
        id=record_id(PROVIDER, store, f"{where}/{name}"),
        provider=PROVIDER,
        account_id=place.ref,
        store=store,
        name=name,
        holder_id=holder,
        environment=environment or place.environment(),
        readable=False,
        managed_by="ssm-parameter" if parameter else "secrets-manager",
        encrypted=True,
        location=source or where,
    )


def ec2_region(place: Place) -> Iterator[Record]:
    """Yield everything of EC2 in the region."""
    user_data = (("secrets", "ec2-user-data"),) if place.config.user_data else ()
    yield from place.ask(
        _instances(place),
        "ec2:DescribeInstances",
        ("identities", "ec2-instance"),
        ("links", "runs_as"),
        ("controls", "imdsv2"),
        *user_data,
        needs="ec2:DescribeInstances" + (", ec2:DescribeInstanceAttribute" if user_data else ""),
    )
    yield from place.ask(_key_pairs(place), "ec2:DescribeKeyPairs", ("credentials", "ec2-key-pair"))


def _instances(place: Place) -> Iterator[Record]:
    """Yield instances that exist, the role of each by its instance profile, and whether IMDSv2 is demanded."""
    client = place.client("ec2")
    tally = Tally()
    for reservation in items(client, "describe_instances", "Reservations"):
        for instance in reservation.get("Instances") or []:
            if (instance.get("State") or {}).get("Name") in {"terminated", "shutting-down"}:
                continue
            native = instance["InstanceId"]
            arn = place.arn("ec2", f"instance/{native}")
            tags = tags_of(instance.get("Tags"))
            profile = (instance.get("IamInstanceProfile") or {}).get("Arn")
            yield from workload(
                place,
                "ec2-instance",
                arn,
                name=tags.get("Name") or native,
                role_arn=place.found.profile_roles.get(profile, profile) if profile else None,
                tags=tags,
                evidence=f"instance profile {profile}" if profile else "ec2:DescribeInstances",
                created_at=utc(instance.get("LaunchTime")),
                enabled=(instance.get("State") or {}).get("Name") != "stopped",
            )
            tokens = (instance.get("MetadataOptions") or {}).get("HttpTokens")
            if tokens:
                yield Control(
                    id=record_id(PROVIDER, "imdsv2", arn),
                    provider=PROVIDER,
                    account_id=place.ref,
                    stage="runtime",
                    kind="imdsv2",
                    name="IMDSv2 required",
                    enforcement="enforced" if tokens == "required" else "absent",
                    target=place.id_of(arn),
                )
            if place.config.user_data:
                read = tally.read(
                    native,
                    lambda: client.describe_instance_attribute(InstanceId=native, Attribute="userData"),  # noqa: B023
                )
                yield from _user_data(place, arn, (read or {}).get("UserData") or {})
    tally.end()


def _user_data(place: Place, arn: str, attribute: dict[str, Any]) -> Iterator[Record]:
    """Yield what looks like a secret in an instance's start script: assignments by name, else the whole text."""
    text = base64.b64decode(attribute.get("Value") or "", validate=False).decode("utf-8", "replace")
    values = dict(_ASSIGNMENT.findall(text))
    found = list(place.env_secrets("ec2-user-data", place.id_of(arn), arn, values, place.environment()))
    if not found and text:
        whole = {"user-data": text}
        found = list(place.env_secrets("ec2-user-data", place.id_of(arn), arn, whole, place.environment()))
    yield from found


def _key_pairs(place: Place) -> Iterator[Record]:
    """Yield the SSH key pairs with which people sign in to instances; EC2 does not tell when one is used."""
    answer = place.client("ec2").describe_key_pairs()
    for pair in answer.get("KeyPairs") or []:
        tags = tags_of(pair.get("Tags"))
        yield Credential(
            id=record_id(PROVIDER, "ec2-key-pair", pair["KeyPairId"]),
            provider=PROVIDER,
            account_id=place.ref,
            identity_id=place.ref,
            kind="ec2-key-pair",
            native_id=pair["KeyPairId"],
            name=pair.get("KeyName") or pair["KeyPairId"],
            lifetime="static",
            created_at=utc(pair.get("CreateTime")),
            rotated_at=utc(pair.get("CreateTime")),
            never_expires=True,
            owner=place.owner(tags)[0],
            location=place.region,
        )
