"""What the evaluator of an AWS account is given: records, and what follows from them, nothing of the API."""

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
    """Id of the record that stands for the resource, or its ARN where there is none."""
    document: dict[str, Any] | str
    """The document, parsed or as JSON text (URL-encoded or not)."""


class Compute(msgspec.Struct, frozen=True, kw_only=True):
    """Something that exists and runs with a role."""

    kind: str
    """The kind of the identity record: ``lambda-function``, ``ecs-service``, ``ec2-instance``, ``codebuild-project``."""
    arn: str
    """ARN of the compute resource."""
    role_arn: str
    """ARN of the role that it runs with."""
    record_id: str
    """Id of the record that stands for it, or its ARN where there is none."""


class AwsFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One account. ``None`` is unknown throughout, an empty collection is a fact."""

    account_id: str
    """Twelve digits."""
    account_ref: str
    """`Account.id` of the account."""
    partition: str = "aws"
    """``aws``, ``aws-cn``, ``aws-us-gov``."""
    identities: list[Identity] = []
    """Users, groups and roles."""
    memberships: list[Link] = []
    """Who is in which group."""
    policies: list[Policy] = []
    """Managed, inline and trust policies and permissions boundaries of the account."""
    management: bool | None = None
    """Whether it is the organization's management account, which no service control policy binds."""
    organization_id: str | None = None
    """``o-...``."""
    organization_accounts: frozenset[str] | None = None
    """Account numbers of the organization; None when they could not be read."""
    scps: list[list[dict[str, Any] | str]] | None = None
    """Service control policies, one list a level (root first, account last), each of documents, parsed or as JSON
    text; None when they could not be read; empty when there are none."""
    resource_policies: list[ResourcePolicy] = []
    """Policies attached to resources."""
    compute: list[Compute] = []
    """Compute that exists and has a role."""
    compute_listed: frozenset[str] = frozenset()
    """The kinds of compute of which every one is in ``compute``; of other kinds there may be more, anywhere."""
    oidc_providers: frozenset[str] = frozenset()
    """ARNs of the account's OIDC providers; empty when there are none or they are not known."""
    eks_issuers: frozenset[str] | None = None
    """Issuer URLs of the clusters that exist; None when clusters could not be listed."""
    pod_identity_roles: frozenset[str] | None = None
    """ARNs of the roles that an EKS Pod Identity association names; None when they could not be listed."""
    roles_anywhere_anchors: list[str] | None = None
    """ARNs of IAM Roles Anywhere trust anchors; None when they could not be listed."""
    ids: dict[str, str] = {}
    """ARN -> id of the identity that stands for it."""
