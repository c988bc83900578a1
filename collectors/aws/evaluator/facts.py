"""What the evaluator of an AWS account is given: the answers of the API, nothing derived."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time
from typing import Any

import msgspec


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
    """One account as the API described it. ``None`` is unknown throughout, an empty collection is a fact.

    ``users``, ``groups``, ``roles`` and ``policies`` are the four lists of GetAccountAuthorizationDetails
    (https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html): as boto3 gives
    them, or as an AWS CLI dump with documents as text and times as ISO 8601 text.
    """

    account_id: str
    """Twelve digits."""
    account_ref: str
    """`Account.id` of the account."""
    users: list[dict[str, Any]]
    """``UserDetailList``."""
    groups: list[dict[str, Any]]
    """``GroupDetailList``."""
    roles: list[dict[str, Any]]
    """``RoleDetailList``."""
    policies: list[dict[str, Any]]
    """``Policies``: managed policies with their versions."""
    partition: str = "aws"
    """``aws``, ``aws-cn``, ``aws-us-gov``."""
    management: bool | None = None
    """Whether it is the organization's management account, which no service control policy binds."""
    organization_id: str | None = None
    """``o-...``."""
    organization_accounts: frozenset[str] | None = None
    """Account numbers of the organization; None when they could not be read."""
    scps: list[list[dict[str, Any]]] | None = None
    """Service control policies, one list a level (root first, account last), each of parsed documents; None when
    they could not be read; empty when there are none."""
    resource_policies: list[ResourcePolicy] = []
    """Policies attached to resources."""
    compute: list[Compute] = []
    """Compute that exists and has a role."""
    compute_listed: frozenset[str] = frozenset()
    """The kinds of compute of which every one is in ``compute``; of other kinds there may be more, anywhere."""
    oidc_providers: list[dict[str, Any]] = []
    """``{"arn": ..., "url": ..., "client_ids": [...]}`` an OIDC provider of the account."""
    eks_issuers: frozenset[str] | None = None
    """Issuer URLs of the clusters that exist; None when clusters could not be listed."""
    pod_identity_roles: frozenset[str] | None = None
    """ARNs of the roles that an EKS Pod Identity association names; None when they could not be listed."""
    roles_anywhere_anchors: list[str] | None = None
    """ARNs of IAM Roles Anywhere trust anchors; None when they could not be listed."""
    ids: dict[str, str] = {}
    """ARN -> id of the record that stands for it."""
    last_accessed: dict[str, dict[str, datetime | None]] = {}
    """ARN of a principal -> service namespace -> when it was last used (aware UTC); None when never in the window."""
