"""The record types: what a scan writes down. Read this first.

One class is one Parquet schema, one DuckDB table and one section of the reference. The sentence under a
field is its documentation; the reference is generated from it.

Laws:

- ``None`` means unknown. "Never" is a fact with its own column.
- Times are aware UTC datetimes here and plain UTC ``TIMESTAMP`` in Parquet and SQL.
- An ``id`` is ``provider:kind:native-id``, built with `record_id` from the provider's immutable native id.
  Where a provider knows a thing only by a mutable address (a Lambda function's ARN), that address is the id.
- A record never carries a secret value. A value that was readable leaves a detector name, a length and a
  keyed fingerprint.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time
from typing import Literal, TypeAlias

import msgspec

Severity: TypeAlias = Literal["critical", "high", "medium", "low", "info"]
Surface: TypeAlias = Literal["human", "automation", "artifact", "workload"]
Power: TypeAlias = Literal[
    "admin",
    "grant-access",
    "become-other",
    "read-secrets",
    "change-delivery",
    "deploy",
    "change-data",
    "read-data",
    "read",
]
Level: TypeAlias = Literal["admin", "escalation", "write", "read", "unknown"]
Breadth: TypeAlias = Literal["organization", "account", "group", "resource"]
Lifetime: TypeAlias = Literal["static", "expiring", "short-lived"]
Exposure: TypeAlias = Literal[
    "anyone", "another-tenant", "organization", "repository", "exact", "nobody", "unknown"
]
Relation: TypeAlias = Literal["uses", "runs_as", "deploys", "member_of", "owns", "can_become"]
Enforcement: TypeAlias = Literal["enforced", "audited", "documented", "absent"]
Stage: TypeAlias = Literal["source", "build", "artifact", "deploy", "runtime"]
Reason: TypeAlias = Literal[
    "denied", "throttled", "unreachable", "unsupported", "malformed", "truncated", "deadline", "bug"
]
Operator: TypeAlias = Literal[
    "equals",
    "equals-ignore-case",
    "glob",
    "glob-ignore-case",
    "prefix",
    "regex",
    "not-equals",
    "not-glob",
    "exists",
    "cel",
    "principal",
    "unknown",
]

POWERS: tuple[Power, ...] = (
    "admin",
    "grant-access",
    "become-other",
    "read-secrets",
    "change-delivery",
    "deploy",
    "change-data",
    "read-data",
    "read",
)
"""Strongest first."""


def record_id(provider: str, kind: str, native_id: str) -> str:
    """Return ``provider:kind:native_id``, the id of a record."""
    return f"{provider}:{kind}:{native_id}"


def level_of(powers: tuple[Power, ...] | list[Power]) -> Level:
    """Derive a grant's level from its powers.

    ``admin`` from admin; ``escalation`` from grant-access or become-other; ``write`` from the powers that
    change something or read secrets; ``read`` from the rest. No power at all is ``unknown``: a grant that
    could not be judged must not look harmless.
    """
    have = set(powers)
    if "admin" in have:
        return "admin"
    if have & {"grant-access", "become-other"}:
        return "escalation"
    if have & {"read-secrets", "change-delivery", "deploy", "change-data"}:
        return "write"
    return "read" if have else "unknown"


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What all records share."""

    id: str
    """``provider:kind:native-id``; unique in its table."""
    provider: str
    """The system that was asked: ``aws``, ``github``, ``gitlab``, ``definitions``."""
    account_id: str
    """The `Account.id` that owns this, and by which coverage is judged."""


class Account(Record, frozen=True, kw_only=True, gc=False):
    """A place that owns things: an AWS account, a GitHub organization or repository, a cluster, a namespace."""

    kind: str
    """The provider's own word: ``aws-account``, ``github-organization``, ``github-repository``, ``eks-cluster``."""
    native_id: str
    """The provider's immutable id."""
    name: str
    """What people call it."""
    address: str | None = None
    """The provider's mutable full name: ``acme/app``, an ARN."""
    parent_id: str | None = None
    """The `Account.id` above: the organization of a repository, the organizational unit of an account."""
    environment: str | None = None
    """``production``, ``staging``, ...: from tags, or from the configuration."""
    owner: str | None = None
    """Who answers for it."""
    owner_source: str | None = None
    """Where the owner was read: ``file``, ``tag:owner``, ``CODEOWNERS``, ``creator``, ``account:acme``."""
    active: bool | None = None
    """False for suspended or archived."""
    created_at: datetime | None = None
    """When it was made."""
    pushed_at: datetime | None = None
    """When its content last changed, for repositories."""
    visibility: str | None = None
    """``public``, ``internal`` or ``private``, for repositories."""
    issuer: str | None = None
    """``https://...`` issuer of the tokens that it signs: a cluster's."""
    url: str | None = None
    """Where a person looks at it."""
    tags: dict[str, str] = {}
    """The provider's tags or labels."""


class Identity(Record, frozen=True, kw_only=True, gc=False):
    """Anything that can act or be run."""

    surface: Surface
    """human, automation (pipeline, app, role, token principal), artifact or workload."""
    kind: str
    """The provider's own word: ``iam-role``, ``iam-user``, ``lambda-function``, ``github-workflow``."""
    native_id: str
    """The provider's immutable id: ``AROA...``, a numeric id."""
    name: str
    """What people call it."""
    address: str | None = None
    """The provider's mutable full name, by which other systems refer to it: an ARN, ``acme/app/.github/workflows/x.yml``."""
    enabled: bool | None = None
    """False for disabled, suspended or archived."""
    created_at: datetime | None = None
    """When it was made."""
    last_used_at: datetime | None = None
    """Last known activity; unknown stays None."""
    never_used: bool | None = None
    """True when the provider says so, or its tracking window covers the identity's whole life."""
    usage_window_days: int | None = None
    """How far back the provider's usage data reaches: 400 for AWS roles."""
    owner: str | None = None
    """Who answers for it."""
    owner_source: str | None = None
    """Where the owner was read: ``file``, ``tag:owner``, ``CODEOWNERS``, ``creator``, ``account:acme``."""
    environment: str | None = None
    """``production``, ``staging``, ..."""
    issuer: str | None = None
    """``https://...`` issuer of the tokens it can present."""
    subjects: list[str] = []
    """The ``sub`` values it can present; a ``*`` stands for any text where a trigger allows many."""
    tokens: list[dict[str, str]] = []
    """The claims of each kind of token it can present, ``sub`` among them; ``*`` as in subjects, an empty text for a
    claim that such a token surely lacks. Empty where no more is known than the subjects."""
    managed_by: str | None = None
    """``provider`` for service-linked and platform-managed identities."""
    mfa: bool | None = None
    """Whether a second factor guards a human's sign-in."""
    dangerous_triggers: list[str] = []
    """Triggers by which strangers run this pipeline: ``pull_request_target``, ``issue_comment``."""
    secrets: list[str] = []
    """Names of the stored secrets that a pipeline's definition reads; ``*`` for all that are in scope."""
    permissions: list[str] = []
    """What a pipeline's own token may do: ``contents:write``, ``id-token:write``."""
    environments: list[str] = []
    """Deployment environments that a pipeline's jobs name."""
    runner: str | None = None
    """Class of machine that a pipeline runs on: ``hosted``, ``self-hosted``."""
    url: str | None = None
    """Where a person looks at it."""
    location: str | None = None
    """``path:line`` of the definition file, for pipelines."""
    triggers: list[str] = []
    """Events that start a pipeline: ``push``, ``pull_request``, ``schedule``."""
    variables: list[str] = []
    """Names of the plain variables that a pipeline's definition reads."""
    logins: list[str] = []
    """How a pipeline signs in elsewhere: ``aws:oidc``, ``aws:static``, ``pypi:static``."""
    tags: dict[str, str] = {}
    """The provider's tags or labels."""


class Credential(Record, frozen=True, kw_only=True, gc=False):
    """Proves an identity, at its issuer."""

    identity_id: str
    """The `Identity.id` it proves; for a credential of a place (a deploy key), the identity it acts as."""
    kind: str
    """``access-key``, ``password``, ``service-credential``, ``ssh-key``, ``certificate``, ``deploy-key``,
    ``deploy-token``, ``personal-access-token``, ``app-key``, ``source-credential``, ``trigger-token``, ..."""
    native_id: str
    """The issuer's id of it: an access key id, a numeric id. Never the secret."""
    name: str
    """What people call it."""
    lifetime: Lifetime
    """static (works until revoked), expiring (ends by itself), short-lived (minutes to hours)."""
    enabled: bool | None = None
    """False for inactive or revoked."""
    created_at: datetime | None = None
    """When it was made."""
    rotated_at: datetime | None = None
    """When its secret last changed."""
    last_used_at: datetime | None = None
    """Last known use; unknown stays None."""
    last_used_service: str | None = None
    """What it was last used for."""
    never_used: bool | None = None
    """True only when the provider says so."""
    expires_at: datetime | None = None
    """When it ends by itself."""
    never_expires: bool | None = None
    """True when the provider says that it has no end."""
    read_only: bool | None = None
    """True when it can only read."""
    scopes: list[str] = []
    """The issuer's scopes or permissions."""
    owner: str | None = None
    """Who answers for it, where it differs from the identity's owner."""
    location: str | None = None
    """Where it is known to be kept or registered: an on-premises server, a repository."""


class Secret(Record, frozen=True, kw_only=True, gc=False):
    """A stored copy of a credential somewhere. Never its value."""

    store: str
    """Where: ``lambda-env``, ``codebuild-env``, ``ecs-env``, ``secrets-manager``, ``ssm-parameter``,
    ``github-actions``, ``github-variable``, ``gitlab-variable``, ``ci-file``, ..."""
    name: str
    """The name under which it is stored."""
    holder_id: str | None = None
    """The `Identity.id` that gets it: the function, project or pipeline; None for a store that many read."""
    environment: str | None = None
    """The environment it is bound to."""
    readable: bool | None = None
    """True when the value was visible in clear to this reader."""
    masked: bool | None = None
    """Whether job logs hide it."""
    protected: bool | None = None
    """Whether only protected branches or environments get it."""
    visibility: str | None = None
    """Who can use it: ``all``, ``private``, ``selected``, ``repository``, ``environment``."""
    available_to: list[str] = []
    """The `Account.id`s of the places that can use it, where ``visibility`` is ``selected``."""
    looks_like: str | None = None
    """The detector that recognized the value or, with ``name:`` before it, the name."""
    length: int | None = None
    """Length of a readable value, in characters."""
    fingerprint: str | None = None
    """Keyed HMAC of a readable value: equal where the value is equal, within one installation."""
    credential_id: str | None = None
    """The `Credential.id` that the value is a copy of, where that is known."""
    managed_by: str | None = None
    """Vault or service that rotates it."""
    encrypted: bool | None = None
    """Whether the store encrypts it with a key of its own (SecureString, KMS)."""
    rotation_enabled: bool | None = None
    """Whether the store rotates it."""
    created_at: datetime | None = None
    """When it was first stored."""
    updated_at: datetime | None = None
    """When its value last changed, or its metadata where the store does not tell these apart."""
    rotated_at: datetime | None = None
    """When the store last rotated it."""
    last_used_at: datetime | None = None
    """When it was last read."""
    never_used: bool | None = None
    """True only when the store says that it was never read."""
    expires_at: datetime | None = None
    """When it ends by itself."""
    owner: str | None = None
    """Who answers for it."""
    location: str | None = None
    """``path:line`` in a definition file; otherwise the resource's address."""
    tags: dict[str, str] = {}
    """The provider's tags or labels."""


class Grant(Record, frozen=True, kw_only=True, gc=False):
    """What an identity may do, where: one attached policy, role or permission."""

    identity_id: str
    """The `Identity.id` that holds it."""
    role: str
    """The policy, role or permission by name."""
    resource: str
    """The widest resource pattern it reaches, in the provider's words; ``*`` is everything in the account."""
    breadth: Breadth
    """organization, account, group (many resources by pattern) or resource."""
    powers: list[Power] = []
    """What it effectively allows, strongest first; empty when it could not be judged."""
    level: Level = "unknown"
    """Derived from the powers with `level_of`."""
    conditional: bool | None = None
    """True when every power depends on a condition that narrows it."""
    wildcard: str | None = None
    """The widest wildcard it uses: ``*``, ``s3:*``, ``NotAction``; None when it names its actions."""
    confidence: Literal["high", "low"] = "high"
    """low when a boundary, a service control policy or a condition could not be read or judged."""
    via: str | None = None
    """How it is held: ``group Developers``, ``inline``, ``resource policy``."""
    why: str | None = None
    """Which statement of which policy gives the strongest power, in one sentence."""
    fix: str | None = None
    """The smallest change that ends the strongest power."""
    actions: list[str] = []
    """At most ten actions that show the strongest powers."""
    unused_actions: int | None = None
    """How many granted services or actions were not used in the tracking window."""
    granted_at: datetime | None = None
    """When it was given."""
    expires_at: datetime | None = None
    """When it ends by itself."""
    last_used_at: datetime | None = None
    """When something it allows was last used."""
    never_used: bool | None = None
    """True only when the provider says that nothing it allows was used in the window."""


class Test(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One test of a trust: a claim, an operator and the values of which any may match."""

    __test__ = False  # not a pytest class

    claim: str
    """``sub``, ``aud``, ``repository_id``, ``sts:ExternalId``, ``aws:PrincipalArn``, ..."""
    operator: Operator
    """How values are compared; ``unknown`` for what cannot be judged."""
    values: list[str]
    """Any may match; all of them must fail for the not- operators."""
    optional: bool = False
    """True when the test also passes on an absent claim (IfExists, ForAllValues): no pin."""


class Trust(Record, frozen=True, kw_only=True, gc=False):
    """Who may become an identity: one statement of a trust policy, one federated credential."""

    identity_id: str
    """The `Identity.id` that can be assumed."""
    kind: str
    """``oidc``, ``saml``, ``account``, ``service``, ``anyone``, ``certificate``, ``pod-identity``."""
    issuer: str
    """``https://...`` of an OIDC issuer, the ARN of a principal or provider, the name of a service, or ``*``."""
    tests: list[Test] = []
    """All must pass."""
    audience: list[str] = []
    """Audiences that are accepted; empty when the trust does not look."""
    exposure: Exposure = "unknown"
    """Who can pass, at the widest, beside the identities that we know."""
    external: bool | None = None
    """True when the trusted party lies outside the scanned organization."""
    problem: str | None = None
    """The code of the ladder that it falls on: ``OIDC-2``, ``XACCT-1``; None when it is sound."""
    severity: Severity | None = None
    """Severity of that problem."""
    why: str | None = None
    """One sentence: which statement, which condition is missing."""
    fix: str | None = None
    """The smallest change that ends it: the exact value to pin."""


class Link(Record, frozen=True, kw_only=True, gc=False):
    """A fact between two identities. An end may be an `Identity.address`; the analysis resolves it."""

    source_id: str
    """`Identity.id`, or `Identity.address`."""
    relation: Relation
    """uses, runs_as, deploys, member_of, owns, can_become."""
    target_id: str
    """`Identity.id`, or `Identity.address`."""
    evidence: str | None = None
    """What shows it: an escalation path's id, ``path:line``, a call."""
    why: str | None = None
    """One sentence for a reader."""
    fix: str | None = None
    """The smallest change that ends it, for can_become."""


class Control(Record, frozen=True, kw_only=True, gc=False):
    """A gate or guard, and whether it is enforced, audited or only documented."""

    stage: Stage
    """source, build, artifact, deploy or runtime."""
    kind: str
    """``branch-protection``, ``ruleset``, ``environment-approval``, ``tag-immutability``, ``scp``, ..."""
    name: str
    """What people call it."""
    enforcement: Enforcement
    """enforced, audited, documented or absent."""
    target: str | None = None
    """What it guards: a branch, an environment, a repository; an `Identity.id` or `Account.id` where there is one."""
    approvers: list[str] = []
    """Who may approve."""
    bypass: list[str] = []
    """Who may go around it."""
    detail: str | None = None
    """What it demands, in one sentence."""


class Weakness(Record, frozen=True, kw_only=True, gc=False):
    """Something wrong inside a definition or a setting, with its file and line."""

    subject_id: str
    """The `Identity.id` of the pipeline whose definition shows it."""
    code: str
    """What kind of weakness: ``template-injection``, ``unpinned-uses``, ``unresolved-reference``, ..."""
    severity: Severity
    """How bad this one is, where it stands."""
    what: str
    """A clause without a full stop: ``x/y@v2 is pinned to a tag``."""
    fix: str
    """The smallest change that ends it: one or two sentences."""
    path: str | None = None
    """The file that it stands in, which may be another one than the pipeline's own; None for a setting."""
    line: int | None = None
    """The line in that file, from 1; None where it is not known."""
    job: str | None = None
    """The job of the pipeline, where it lies in one."""
    confidence: Literal["high", "low"] = "high"
    """low where the definition is a program, or had to be repaired to be read."""


class Artifact(Record, frozen=True, kw_only=True, gc=False):
    """Something that was built."""

    kind: str
    """``image``, ``package``, ``function-code``."""
    name: str
    """Its repository and tag, or name."""
    digest: str | None = None
    """``sha256:...``."""
    builder_id: str | None = None
    """The `Identity.id` of the pipeline that built it."""
    signed: bool | None = None
    """Whether a signature was seen."""
    provenance: bool | None = None
    """Whether a build provenance was seen."""
    sbom: bool | None = None
    """Whether a bill of materials was seen."""
    mutable_tag: bool | None = None
    """Whether its tag can be moved to another digest."""
    created_at: datetime | None = None
    """When it was pushed."""
    last_used_at: datetime | None = None
    """When it was last pulled."""


class Deployment(Record, frozen=True, kw_only=True, gc=False):
    """Something that was deployed somewhere, by somebody."""

    pipeline_id: str | None = None
    """The `Identity.id` of the pipeline."""
    workload_id: str | None = None
    """The `Identity.id` (or address) of the workload."""
    environment: str | None = None
    """Where to."""
    digest: str | None = None
    """What."""
    ref: str | None = None
    """Commit or ref that was deployed."""
    approved_by: list[str] = []
    """Who approved."""
    deployed_by: str | None = None
    """Who acted."""
    deployed_at: datetime | None = None
    """When."""
    state: str | None = None
    """The provider's word for its outcome."""


class Rollout(Record, frozen=True, kw_only=True, gc=False):
    """What is declared to run, and what runs."""

    workload_id: str
    """The `Identity.id` of the workload."""
    declared: str | None = None
    """The image or code that the definition names."""
    declared_digest: str | None = None
    """Its digest, when it is pinned."""
    running_digest: str | None = None
    """The digest that runs."""
    pinned: bool | None = None
    """Whether the definition names a digest."""
    since: datetime | None = None
    """Since when."""


class Gap(Record, frozen=True, kw_only=True, gc=False):
    """What we were asked to see and could not."""

    collector: str
    """The collector that asked."""
    target: str
    """The unit of work that it belongs to."""
    table: str
    """The table that is incomplete; ``*`` when everything of the target is."""
    kind: str | None = None
    """The kind of record that is missing; None means every kind of the table."""
    call: str
    """The provider's name of the listing: ``iam:ListUsers``, ``GET /orgs/{org}/hooks``."""
    region: str | None = None
    """The region that was asked, where there is one."""
    reason: Reason
    """denied, throttled, unreachable, unsupported, malformed, truncated, deadline or bug."""
    detail: str
    """What the provider said, redacted."""
    needs: str | None = None
    """The permission that would close it."""


class Coverage(Record, frozen=True, kw_only=True, gc=False):
    """One listing that was asked for and answered in full: the positive evidence of completeness."""

    collector: str
    """The collector that asked."""
    target: str
    """The unit of work that it belongs to."""
    table: str
    """The table that it fills."""
    kind: str | None = None
    """The kind of record that it gives; None means several."""
    call: str
    """The provider's name of the listing."""
    region: str | None = None
    """The region that was asked, where there is one."""
    items: int
    """How many records of that table and kind it gave; what several listings give is counted by each of them."""
    carried_from: datetime | None = None
    """The night that really read it, where tonight's records were carried forward; NULL when it was read tonight."""


TABLES: dict[str, type[Record]] = {
    "accounts": Account,
    "identities": Identity,
    "credentials": Credential,
    "secrets": Secret,
    "grants": Grant,
    "trusts": Trust,
    "links": Link,
    "controls": Control,
    "weaknesses": Weakness,
    "artifacts": Artifact,
    "deployments": Deployment,
    "rollouts": Rollout,
    "gaps": Gap,
    "coverage": Coverage,
}
"""Table name to record class: the names in SQL, in the snapshot's folders and in the reference."""

TABLE_OF: dict[type[Record], str] = {record: name for name, record in TABLES.items()}
