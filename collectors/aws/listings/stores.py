"""Stored secrets: metadata of Secrets Manager secrets and SSM parameters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from collectors.aws.client import answer_with, items
from collectors.aws.resource_policies import incomplete_tables, resource_policies
from collectors.aws.scope import PROVIDER, tags_of
from collectors.aws.times import utc
from scanner.records import Credential, Secret, record_id
from scanner.secrets.detectors import secret_name

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from datetime import datetime

    from collectors.aws.scope import AwsScope
    from scanner.records import Record


def secrets_manager_region(scope: AwsScope) -> Iterator[Record]:
    """Yield the secrets of Secrets Manager, then read their resource policies."""
    arns = yield from scope.listing(
        _secrets(scope),
        "secretsmanager:ListSecrets",
        "secrets/secrets-manager",
        loses=incomplete_tables(scope, "secretsmanager"),
    )
    if arns is not None:
        yield from resource_policies(
            scope,
            "secretsmanager",
            "secretsmanager:GetResourcePolicy",
            lambda _: arns,
            # Without a policy, the response lacks the field.
            lambda client, arn: answer_with(client.get_resource_policy(SecretId=arn), "ARN").get(
                "ResourcePolicy"
            ),
            ids={arn: record_id(PROVIDER, "secrets-manager", arn) for arn in arns},
        )


def _secrets(scope: AwsScope) -> Generator[Record, None, list[str]]:
    arns: list[str] = []
    for item in items(scope.client("secretsmanager"), "list_secrets", "SecretList"):
        arn = item["ARN"]
        arns.append(arn)
        tags = tags_of(item.get("Tags"))
        owner, _ = scope.owner(tags)
        secret_id = record_id(PROVIDER, "secrets-manager", arn)
        read_at = utc(item.get("LastAccessedDate"))
        yield Secret(
            id=secret_id,
            provider=PROVIDER,
            account_id=scope.ref,
            store="secrets-manager",
            name=item["Name"],
            environment=scope.environment(tags),
            readable=False,
            looks_like=secret_name(item["Name"]),
            recognized_by="name" if secret_name(item["Name"]) else None,
            managed_by=item.get("OwningService"),
            encrypted=True,
            rotation_enabled=bool(item.get("RotationEnabled")),
            created_at=utc(item.get("CreatedDate")),
            updated_at=utc(item.get("LastChangedDate")),
            rotated_at=utc(item.get("LastRotatedDate")),
            # The field is missing if the secret was never read in the region:
            # https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_SecretListEntry.html
            last_used_at=read_at,
            never_used=read_at is None,
            expires_at=utc(item.get("DeletedDate")),
            owner=owner,
            location=arn,
            tags=tags,
        )
    return arns


def ssm_region(scope: AwsScope) -> Iterator[Record]:
    """Yield SSM parameters that contain secrets, and hybrid activations."""
    yield from scope.listing(_parameters(scope), "ssm:DescribeParameters", "secrets/ssm-parameter")
    yield from scope.listing(_activations(scope), "ssm:DescribeActivations", "credentials/ssm-activation")


def _parameters(scope: AwsScope) -> Iterator[Record]:
    """Yield encrypted parameters, and plaintext ones whose name suggests a secret."""
    pages = items(scope.client("ssm"), "describe_parameters", "Parameters", PaginationConfig={"PageSize": 50})
    for item in pages:
        name, encrypted = item["Name"], item.get("Type") == "SecureString"
        looks_like = secret_name(name)
        if not encrypted and looks_like is None:
            continue
        arn = item.get("ARN") or scope.arn("ssm", f"parameter/{name.lstrip('/')}")
        yield Secret(
            id=record_id(PROVIDER, "ssm-parameter", arn),
            provider=PROVIDER,
            account_id=scope.ref,
            store="ssm-parameter",
            name=name,
            environment=scope.environment(),
            readable=False,
            looks_like=looks_like,
            recognized_by="name" if looks_like else None,
            encrypted=encrypted,
            rotation_enabled=False,
            updated_at=utc(item.get("LastModifiedDate")),
            expires_at=_expiration(item.get("Policies") or []),
            location=arn,
        )


def _expiration(policies: list[dict[str, Any]]) -> datetime | None:
    """Return the expiration time of a parameter.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-policies.html
    """
    from datetime import datetime

    for policy in policies:
        if policy.get("PolicyType") == "Expiration":
            try:
                text = json.loads(policy.get("PolicyText") or "{}")["Attributes"]["Timestamp"]
                return utc(datetime.fromisoformat(text))
            except (ValueError, KeyError, TypeError):
                return None
    return None


def _activations(scope: AwsScope) -> Iterator[Record]:
    for item in items(scope.client("ssm"), "describe_activations", "ActivationList"):
        native, role = item["ActivationId"], str(item.get("IamRole") or "")
        role_arn = (
            role if role.startswith("arn:") else f"arn:{scope.partition}:iam::{scope.account}:role/{role}"
        )
        tags = tags_of(item.get("Tags"))
        limit, count = item.get("RegistrationLimit"), item.get("RegistrationsCount")
        yield Credential(
            id=record_id(PROVIDER, "ssm-activation", native),
            provider=PROVIDER,
            account_id=scope.ref,
            identity_id=scope.id_of(role_arn),
            kind="ssm-activation",
            native_id=native,
            name=item.get("Description") or item.get("DefaultInstanceName") or native,
            lifetime="expiring",
            enabled=not item.get("Expired") and (limit is None or count is None or count < limit),
            created_at=utc(item.get("CreatedDate")),
            rotated_at=utc(item.get("CreatedDate")),
            expires_at=utc(item.get("ExpirationDate")),
            owner=scope.owner(tags)[0],
            location=scope.region,
        )
