"""The evaluator's input for one AWS account: records and facts derived from them, nothing of the API."""

from __future__ import annotations

from typing import Any

import msgspec

from scanner.records import Identity, Link, Policy  # noqa: TC001  msgspec reads the annotations at run time


class ResourcePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy attached to a resource: a bucket, a key, a secret, a repository, a queue, a topic, a function."""

    service: str
    """The service's namespace in IAM: ``s3``, ``kms``, ``secretsmanager``, ``ecr``, ``sqs``, ``sns``, ``lambda``."""
    arn: str
    """ARN of the resource."""
    record_id: str
    """Id of the resource's record, or its ARN if there is none."""
    document: dict[str, Any] | str
    """The document, parsed or as JSON text (URL-encoded or not)."""


class Compute(msgspec.Struct, frozen=True, kw_only=True):
    """A compute resource that runs with a role."""

    kind: str
    """The kind of the identity record: ``lambda-function``, ``ecs-service``, ``ec2-instance``, ``codebuild-project``."""
    arn: str
    """ARN of the compute resource."""
    role_arn: str
    """ARN of the role that it runs with."""
    record_id: str
    """Id of its record, or its ARN if there is none."""


LISTABLE = frozenset({"lambda-function", "ec2-instance", "ecs-service", "codebuild-project"})
"""Kinds of compute whose listing is exhaustive."""


class AwsFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One account. None always means unknown; an empty collection means that there is none."""

    account_id: str
    """Twelve digits."""
    account_ref: str
    """`Account.id` of the account."""
    partition: str = "aws"
    """``aws``, ``aws-cn``, ``aws-us-gov``."""
    identities: list[Identity] = []
    """Users, groups and roles."""
    memberships: list[Link] = []
    """Group memberships."""
    policies: list[Policy] = []
    """Managed, inline and trust policies and permissions boundaries of the account."""
    management: bool | None = None
    """Whether it is the organization's management account, which service control policies do not restrict."""
    organization_id: str | None = None
    """``o-...``."""
    organization_accounts: frozenset[str] | None = None
    """Account numbers of the organization; None if they could not be read."""
    scps: list[list[dict[str, Any] | str]] | None = None
    """Service control policies, one list per level (root first, account last) of documents, parsed or as JSON text;
    None if they could not be read; empty if there are none."""
    rcps: list[list[dict[str, Any] | str]] | None = None
    """Resource control policies, as ``scps``."""
    resource_policies: list[ResourcePolicy] = []
    """Policies attached to resources."""
    compute: list[Compute] = []
    """Existing compute resources with a role."""
    compute_listed: frozenset[str] = frozenset()
    """The kinds of compute that are complete in ``compute``; of other kinds there may be more."""
    oidc_providers: frozenset[str] = frozenset()
    """ARNs of the account's OIDC providers; empty if there are none or they are unknown."""
    eks_issuers: frozenset[str] | None = None
    """Issuer URLs of the existing clusters; None if clusters could not be listed."""
    pod_identity_roles: frozenset[str] | None = None
    """ARNs of the roles in EKS Pod Identity associations; None if these could not be listed."""
    roles_anywhere_anchors: list[str] | None = None
    """ARNs of IAM Roles Anywhere trust anchors; None if they could not be listed."""
    passwords: frozenset[str] | None = None
    """Ids of the users with a password; None if the credential report was not read in full."""
    ids: dict[str, str] = {}
    """ARN -> id of its identity."""
