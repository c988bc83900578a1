"""EC2 instances with the role of their instance profile, and the SSH key pairs of a region."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from collectors.aws.client import items
from collectors.aws.scope import PROVIDER, PartialReads, tags_of
from collectors.aws.times import utc
from collectors.aws.workloads import workload
from scanner.records import Control, Credential, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.aws.scope import AwsScope
    from scanner.records import Record

_ASSIGNMENT = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)=(.+)$", re.MULTILINE)


def ec2_region(scope: AwsScope) -> Iterator[Record]:
    """Yield all EC2 records of the region."""
    user_data = ("secrets/ec2-user-data",) if scope.config.user_data else ()
    yield from scope.listing(
        _instances(scope),
        "ec2:DescribeInstances",
        "identities/ec2-instance",
        "links/runs_as",
        "controls/imdsv2",
        *user_data,
        needs="ec2:DescribeInstances" + (", ec2:DescribeInstanceAttribute" if user_data else ""),
    )
    yield from scope.listing(_key_pairs(scope), "ec2:DescribeKeyPairs", "credentials/ec2-key-pair")


def _instances(scope: AwsScope) -> Iterator[Record]:
    """Yield existing instances, their roles by instance profile, and whether IMDSv2 is required."""
    client = scope.client("ec2")
    reads = PartialReads()
    for reservation in items(client, "describe_instances", "Reservations"):
        for instance in reservation["Instances"]:
            if (instance.get("State") or {}).get("Name") in {"terminated", "shutting-down"}:
                continue
            native = instance["InstanceId"]
            arn = scope.arn("ec2", f"instance/{native}")
            tags = tags_of(instance.get("Tags"))
            profile = (instance.get("IamInstanceProfile") or {}).get("Arn")
            yield from workload(
                scope,
                "ec2-instance",
                arn,
                name=tags.get("Name") or native,
                role_arn=_role_of(scope, profile) if profile else None,
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
                    account_id=scope.ref,
                    stage="runtime",
                    kind="imdsv2",
                    name="IMDSv2 required",
                    enforcement="enforced" if tokens == "required" else "absent",
                    target=record_id(PROVIDER, "ec2-instance", arn),
                )
            if scope.config.user_data:
                read = reads.read(
                    native,
                    lambda: client.describe_instance_attribute(InstanceId=native, Attribute="userData")[  # noqa: B023
                        "UserData"
                    ],
                )
                yield from _user_data(scope, arn, read or {})
    reads.end()


def _role_of(scope: AwsScope, profile: str) -> str:
    """Return the ARN of the role in an instance profile; the profile's own ARN if IAM does not show it."""
    return scope.principals.profile_roles.get(profile, profile) if scope.principals else profile


def _user_data(scope: AwsScope, arn: str, attribute: dict[str, Any]) -> Iterator[Record]:
    """Yield the secrets in an instance's user data: assignments by name, or else the whole text."""
    text = base64.b64decode(attribute.get("Value") or "", validate=False).decode("utf-8", "replace")
    values = dict(_ASSIGNMENT.findall(text))
    holder = record_id(PROVIDER, "ec2-instance", arn)
    found = list(scope.env_secrets("ec2-user-data", holder, arn, values, scope.environment()))
    if not found and text:
        whole = {"user-data": text}
        found = list(scope.env_secrets("ec2-user-data", holder, arn, whole, scope.environment()))
    yield from found


def _key_pairs(scope: AwsScope) -> Iterator[Record]:
    """Yield the SSH key pairs of instances. EC2 does not report their use."""
    for pair in items(scope.client("ec2"), "describe_key_pairs", "KeyPairs"):
        tags = tags_of(pair.get("Tags"))
        yield Credential(
            id=record_id(PROVIDER, "ec2-key-pair", pair["KeyPairId"]),
            provider=PROVIDER,
            account_id=scope.ref,
            identity_id=scope.ref,
            kind="ec2-key-pair",
            native_id=pair["KeyPairId"],
            name=pair.get("KeyName") or pair["KeyPairId"],
            lifetime="static",
            created_at=utc(pair.get("CreateTime")),
            rotated_at=utc(pair.get("CreateTime")),
            never_expires=True,
            owner=scope.owner(tags)[0],
            location=scope.region,
        )
