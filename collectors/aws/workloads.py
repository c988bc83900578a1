"""Workloads with their role and the secrets they receive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.aws.scope import PROVIDER
from scanner.records import Identity, Secret, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.aws.scope import AwsScope
    from scanner.records import Record


def workload(
    scope: AwsScope,
    kind: str,
    arn: str,
    *,
    name: str,
    role_arn: str | None,
    tags: dict[str, str],
    evidence: str,
    **more: Any,
) -> Iterator[Record]:
    """Yield a workload, identified by its ARN, and the link to its role."""
    workload_id = record_id(PROVIDER, kind, arn)
    owner, owner_source = scope.owner(tags)
    yield Identity(
        id=workload_id,
        provider=PROVIDER,
        account_id=scope.ref,
        surface="workload",
        kind=kind,
        native_id=arn,
        name=name,
        address=arn,
        owner=owner,
        owner_source=owner_source,
        environment=scope.environment(tags),
        tags=tags,
        **more,
    )
    if role_arn:
        yield scope.link(workload_id, "runs_as", scope.id_of(role_arn), evidence=evidence)


def reference(
    scope: AwsScope,
    store: str,
    name: str,
    target: str | None,
    *,
    holder: str,
    where: str,
    environment: str | None = None,
) -> Secret:
    """Return a variable that references a secret in a store. It is not a copy, but shows which workload receives which
    secret.
    """
    source = target or ""
    parameter = ":parameter/" in source or not source.startswith("arn:")
    return Secret(
        id=record_id(PROVIDER, store, f"{where}/{name}"),
        provider=PROVIDER,
        account_id=scope.ref,
        store=store,
        name=name,
        holder_id=holder,
        environment=environment or scope.environment(),
        readable=False,
        managed_by="ssm-parameter" if parameter else "secrets-manager",
        encrypted=True,
        location=source or where,
    )
