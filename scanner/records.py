"""The record types that a scan produces. Read this module first.

Each class is one Parquet schema, one DuckDB table and one section of the reference. The docstring under a
field documents it; the reference is generated from these docstrings.

Rules for every record:

- ``None`` means unknown. "Never" is a fact with its own column.
- Times are aware UTC datetimes here and plain UTC ``TIMESTAMP`` in Parquet and SQL.
- An ``id`` is ``provider:kind:native-id``, built with `record_id` from the provider's immutable native id.
  Where a provider has only a mutable address (a Lambda function's ARN), that address is the id.
- A record never contains a secret value. For a readable value it keeps a detector name, a length and a
  keyed fingerprint.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time
from typing import Literal, TypeAlias

import msgspec

Severity: TypeAlias = Literal["critical", "high", "medium", "low", "info"]
RecognizedBy: TypeAlias = Literal["value", "name", "provider"]
CredentialEvidence: TypeAlias = Literal["key-id", "same-value", "beside-key-id", "sign-in", "id-in-name"]
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
    "denied",
    "throttled",
    "unreachable",
    "unsupported",
    "unread",
    "malformed",
    "truncated",
    "unconfirmed",
    "deadline",
    "bug",
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
    change something or read secrets; ``read`` from the rest. Without any power it is ``unknown``: a grant that
    could not be evaluated must not look harmless.
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
    """The fields of every record."""

    id: str
    """``provider:kind:native-id``; unique in its table."""
    provider: str
    """The system it was read from: ``aws``, ``github``, ``gitlab``, ``definitions``."""
    account_id: str
    """The `Account.id` that owns it. Coverage is counted by account."""


class Account(Record, frozen=True, kw_only=True, gc=False):
    """A place that owns things: an AWS account, a GitHub organization or repository, a cluster, a namespace."""

    kind: str
    """The provider's term: ``aws-account``, ``github-organization``, ``github-repository``, ``eks-cluster``."""
    native_id: str
    """The provider's immutable id."""
    name: str
    """The display name."""
    address: str | None = None
    """The provider's mutable full name: ``acme/app``, an ARN."""
    parent_id: str | None = None
    """The parent `Account.id`: the organization of a repository, the organizational unit of an account."""
    administrator_id: str | None = None
    """The `Account.id` that administers an organization; the organization's policies do not apply to it."""
    members: list[str] | None = None
    """The `Account.id` of every account in an organization, scanned or not; None if they were not listed."""
    environment: str | None = None
    """``production``, ``staging``, ..., from tags or from the configuration."""
    owner: str | None = None
    """The person or team responsible for it."""
    owner_source: str | None = None
    """The source of the owner: ``file``, ``tag:owner``, ``CODEOWNERS``, ``creator``, ``account:acme``."""
    active: bool | None = None
    """False for suspended or archived."""
    created_at: datetime | None = None
    """When it was created."""
    pushed_at: datetime | None = None
    """When its content last changed, for repositories."""
    visibility: str | None = None
    """``public``, ``internal`` or ``private``, for repositories."""
    issuer: str | None = None
    """``https://...`` issuer of the tokens it signs, for clusters."""
    url: str | None = None
    """Its page in the provider's web console."""
    tags: dict[str, str] = {}
    """The provider's tags or labels."""


class ServiceUse(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """When an identity last used one service of its provider."""

    service: str
    """The provider's name of the service: ``s3``, ``iam``."""
    last_used_at: datetime | None = None
    """Last use; None if it was not used within the provider's tracking period."""


class StoredSignIn(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One sign-in of a pipeline with stored credentials."""

    service: str
    """The system that it signs in to: ``aws``, ``azure``."""
    names: list[str]
    """The names of the stored secrets and variables that it uses."""
    target: str | None = None
    """The `Identity.address` as which it signs in, if the definition says so."""


class Identity(Record, frozen=True, kw_only=True, gc=False):
    """Anything that can act or be executed."""

    surface: Surface | None
    """human, automation (pipeline, app, role, token principal), artifact or workload; None if the answer that tells a
    person from automation is missing."""
    kind: str
    """The provider's term: ``iam-role``, ``iam-user``, ``lambda-function``, ``github-workflow``."""
    native_id: str
    """The provider's immutable id: ``AROA...``, a numeric id."""
    name: str
    """The display name."""
    address: str | None = None
    """The provider's mutable full name, which other systems use to refer to it: an ARN, ``acme/app/.github/workflows/x.yml``."""
    enabled: bool | None = None
    """False for disabled, suspended or archived."""
    created_at: datetime | None = None
    """When it was created."""
    last_used_at: datetime | None = None
    """Last known activity; None if unknown."""
    never_used: bool | None = None
    """True if the provider reports it, or if its tracking period covers the identity's whole lifetime."""
    usage_window_days: int | None = None
    """The length of the provider's usage tracking period: 400 for AWS roles."""
    service_use: list[ServiceUse] = []
    """The services it may use, each with its last use; empty if the provider was not asked."""
    owner: str | None = None
    """The person or team responsible for it."""
    owner_source: str | None = None
    """The source of the owner: ``file``, ``tag:owner``, ``CODEOWNERS``, ``creator``, ``account:acme``."""
    environment: str | None = None
    """``production``, ``staging``, ..."""
    issuer: str | None = None
    """``https://...`` issuer of the tokens it can present."""
    subjects: list[str] = []
    """The ``sub`` values it can present; ``*`` matches any text where a trigger allows several values."""
    tokens: list[dict[str, str]] = []
    """The claims of each kind of token it can present, including ``sub``; ``*`` as in subjects, an empty string for a
    claim that such a token never has. Empty if only the subjects are known. Those of an identity without ``issuer`` say it
    themselves, as ``iss``: the identity may have such a token, and it is not known whether it does."""
    managed_by: str | None = None
    """``provider`` for service-linked and platform-managed identities."""
    mfa: bool | None = None
    """Whether a user's sign-in requires MFA."""
    dangerous_triggers: list[str] = []
    """Triggers through which outsiders can run this pipeline: ``pull_request_target``, ``issue_comment``."""
    secrets: list[str] = []
    """Names of the stored secrets that a pipeline's definition reads; ``*`` for all secrets in scope."""
    permissions: list[str] = []
    """Permissions of a pipeline's own token: ``contents:write``, ``id-token:write``."""
    environments: list[str] = []
    """Deployment environments that a pipeline's jobs name."""
    runner: str | None = None
    """The type of runner that a pipeline uses: ``hosted``, ``self-hosted``."""
    url: str | None = None
    """Its page in the provider's web console."""
    location: str | None = None
    """``path:line`` of the definition file, for pipelines."""
    triggers: list[str] = []
    """Events that start a pipeline: ``push``, ``pull_request``, ``schedule``."""
    variables: list[str] = []
    """Names of the plain variables that a pipeline's definition reads."""
    logins: list[str] = []
    """How a pipeline signs in to other systems: ``aws:oidc``, ``aws:static``, ``pypi:static``."""
    sign_ins: list[StoredSignIn] = []
    """Its sign-ins with stored credentials."""
    is_pipeline: bool = False
    """True for what runs the jobs of a delivery: a workflow, a pipeline, a build project."""
    reusable: Literal["only", "also"] | None = None
    """``only`` if nothing but other pipelines starts it, ``also`` if other pipelines can start it as well; it then runs with
    their permissions. None if other pipelines cannot call it."""
    tags: dict[str, str] = {}
    """The provider's tags or labels."""


class Credential(Record, frozen=True, kw_only=True, gc=False):
    """Proves an identity, as registered at its issuer."""

    identity_id: str
    """The `Identity.id` it proves; for a credential of an account (a deploy key), the identity it acts as."""
    kind: str
    """``access-key``, ``password``, ``service-credential``, ``ssh-key``, ``certificate``, ``deploy-key``,
    ``deploy-token``, ``personal-access-token``, ``app-key``, ``source-credential``, ``trigger-token``, ..."""
    native_id: str
    """The issuer's id for it: an access key id, a numeric id. Never the secret."""
    substitute_id: str | None = None
    """The id that this record has on a night that cannot read its native id. It keeps the id under which it was first
    known."""
    name: str
    """The display name."""
    lifetime: Lifetime
    """static (works until revoked), expiring (has an expiration date), short-lived (minutes to hours)."""
    enabled: bool | None = None
    """False for inactive or revoked."""
    created_at: datetime | None = None
    """When it was created."""
    rotated_at: datetime | None = None
    """When its secret last changed."""
    last_used_at: datetime | None = None
    """Last known use; None if unknown."""
    last_used_service: str | None = None
    """The service it was last used with."""
    never_used: bool | None = None
    """True only if the provider reports it."""
    expires_at: datetime | None = None
    """When it expires."""
    never_expires: bool | None = None
    """True if the provider reports no expiration date."""
    read_only: bool | None = None
    """True if it grants read access only."""
    scopes: list[str] = []
    """The issuer's scopes or permissions."""
    owner: str | None = None
    """The owner, if different from the identity's owner."""
    created_by: str | None = None
    """Who created it, as the issuer or its audit log says; None if neither does, or if it was not read."""
    location: str | None = None
    """Where it is stored or registered, if known: an on-premises server, a repository."""


class Secret(Record, frozen=True, kw_only=True, gc=False):
    """A stored copy of a credential. Never contains its value."""

    store: str
    """Where it is stored: ``lambda-env``, ``codebuild-env``, ``ecs-env``, ``secrets-manager``, ``ssm-parameter``,
    ``github-actions``, ``github-variable``, ``gitlab-variable``, ``ci-file``, ..."""
    name: str
    """The name under which it is stored."""
    holder_id: str | None = None
    """The `Identity.id` that receives it: the function, project or pipeline; None for a shared store."""
    environment: str | None = None
    """The deployment environment it is limited to."""
    readable: bool | None = None
    """True if the scanner could read the plaintext value."""
    masked: bool | None = None
    """Whether job logs hide it."""
    protected: bool | None = None
    """Whether only protected branches or environments receive it."""
    visibility: str | None = None
    """Who can use it: ``all``, ``private``, ``selected``, ``repository``, ``environment``."""
    available_to: list[str] = []
    """The `Account.id`s that can use it, if ``visibility`` is ``selected``."""
    looks_like: str | None = None
    """What it seems to be: ``aws-secret-key``, ``github-token``, ``password``, ..."""
    length: int | None = None
    """Length of a readable value, in characters."""
    fingerprint: str | None = None
    """Keyed HMAC of a readable value. Equal values have equal fingerprints within one installation."""
    credential_id: str | None = None
    """The `Credential.id` that it is a copy of, if known."""
    credential_known_by: CredentialEvidence | None = None
    """How that is known: its value contains the key id, or its store names it (``key-id``); another known copy has the same value;
    the key id is stored beside it; one pipeline or connection signs in with both; an id in its name or tags. Added by the
    analysis."""
    managed_by: str | None = None
    """The vault or service that rotates it."""
    encrypted: bool | None = None
    """Whether the store encrypts it with a separate key (SecureString, KMS)."""
    rotation_enabled: bool | None = None
    """Whether the store rotates it."""
    created_at: datetime | None = None
    """When it was first stored."""
    updated_at: datetime | None = None
    """When its value last changed; when its metadata changed, if the store does not distinguish them."""
    rotated_at: datetime | None = None
    """When the store last rotated it."""
    last_used_at: datetime | None = None
    """When it was last read."""
    never_used: bool | None = None
    """True only if the store reports that it was never read."""
    expires_at: datetime | None = None
    """When it expires."""
    owner: str | None = None
    """The person or team responsible for it."""
    location: str | None = None
    """``path:line`` in a definition file; otherwise the resource's address."""
    tags: dict[str, str] = {}
    """The provider's tags or labels."""
    recognized_by: RecognizedBy | None = None
    """What ``looks_like`` is based on: the format of the value, the name alone, or what the provider says."""


class Grant(Record, frozen=True, kw_only=True, gc=False):
    """A permission of an identity: one attached policy, role or permission on a resource."""

    identity_id: str
    """The `Identity.id` that holds it."""
    role: str
    """The name of the policy, role or permission."""
    resource: str
    """The widest resource pattern it covers, in the provider's syntax; ``*`` is everything in the account."""
    breadth: Breadth
    """organization, account, group (several resources, by pattern) or resource."""
    powers: list[Power] = []
    """What it effectively allows, strongest first; empty if it could not be evaluated."""
    level: Level = "unknown"
    """Derived from the powers by `level_of`."""
    conditional: bool | None = None
    """True if every power depends on a condition."""
    wildcard: str | None = None
    """The widest action wildcard: ``*``, ``s3:*``, ``NotAction``; None if it lists its actions."""
    confidence: Literal["high", "low"] = "high"
    """low if a boundary, a service control policy or a condition could not be read or evaluated."""
    escalation_path: str | None = None
    """The id of the escalation path that gives it, if it follows from the identity's other grants; None for an assigned one."""
    via: str | None = None
    """How it is assigned: ``group Developers``, ``inline``, ``resource policy``."""
    why: str | None = None
    """One sentence: which policy statement gives the strongest power."""
    fix: str | None = None
    """The smallest change that removes the strongest power."""
    actions: list[str] = []
    """At most ten actions, those that give the strongest powers."""
    assumes: list[str] | None = None
    """The identities that it lets its holder sign in as, as patterns of their addresses; None if the provider does not tell
    them apart from `resource`."""
    assumed_kinds: list[str] = []
    """Kinds of identities, such as ``lambda-function``, whose listing is incomplete: the level rests on one of them that
    is assumed to exist. Empty if the level is the same without it."""
    unused_actions: int | None = None
    """How many granted services or actions were not used in the tracking period."""
    granted_at: datetime | None = None
    """When it was granted."""
    expires_at: datetime | None = None
    """When it expires."""
    last_used_at: datetime | None = None
    """When one of its permissions was last used."""
    never_used: bool | None = None
    """True only if the provider reports that none of its permissions was used in the tracking period."""


class Test(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One condition of a trust: a claim, an operator and values of which any may match."""

    __test__ = False  # not a pytest class

    claim: str
    """``sub``, ``aud``, ``repository_id``, ``sts:ExternalId``, ``aws:PrincipalArn``, ..."""
    operator: Operator
    """How values are compared; ``unknown`` if it cannot be evaluated."""
    values: list[str]
    """One must match; for the not- operators, none may match."""
    optional: bool = False
    """True if the test also passes when the claim is absent (IfExists, ForAllValues)."""
    caller: Literal["address", "account", "organization", "chosen"] | None = None
    """What the claim is of the calling identity: its address, or the provider's id of its account or organization;
    ``chosen`` if the caller is free to choose the value, such as a session name. None for other claims."""


class Trust(Record, frozen=True, kw_only=True, gc=False):
    """Who may assume an identity: one statement of a trust policy, one federated credential."""

    identity_id: str
    """The `Identity.id` that can be assumed."""
    kind: str
    """``oidc``, ``saml``, ``account``, ``service``, ``anyone``, ``certificate``, ``pod-identity``."""
    issuer: str
    """``https://...`` of an OIDC issuer, the ARN of a principal or provider, the name of a service, or ``*``."""
    tests: list[Test] = []
    """All must pass."""
    trusted_account: str | None = None
    """The `Account.id` whose identities are all trusted; None if the trust names an identity, an issuer or everyone."""
    audience: list[str] = []
    """Accepted audiences, with ``*`` as any text; empty if the trust does not check the audience."""
    exposure: Exposure = "unknown"
    """The widest set of callers that can pass, besides the known identities."""
    external: bool | None = None
    """True if the trusted party is outside the scanned organization."""
    problem: str | None = None
    """The code of the problem found: ``OIDC-2``, ``XACCT-1``; None if there is none."""
    severity: Severity | None = None
    """The severity of that problem."""
    why: str | None = None
    """One sentence: the statement and the missing condition."""
    fix: str | None = None
    """The smallest change that fixes it: the exact value to pin."""


class Link(Record, frozen=True, kw_only=True, gc=False):
    """A relation between two identities. Either end may be an `Identity.address`; the analysis resolves it."""

    source_id: str
    """`Identity.id`, or `Identity.address`."""
    relation: Relation
    """uses, runs_as, deploys, member_of, owns, can_become."""
    target_id: str
    """`Identity.id`, or `Identity.address`."""
    evidence: str | None = None
    """The evidence: an escalation path's id, ``path:line``, an API call."""
    why: str | None = None
    """One sentence that explains it."""
    via: str | None = None
    """The permission that it uses, in the provider's terms: ``sts:AssumeRole``."""
    by_trust: bool = False
    """For can_become: whether it works only while a trust of the target admits the source, so that ``fix`` ends that, too."""
    fix: str | None = None
    """The smallest change that removes it, for can_become."""
    confidence: Literal["high", "low"] = "high"
    """low if it depends on a condition or a policy that could not be evaluated, or on a resource that may not exist."""
    assumed_kinds: list[str] = []
    """For can_become: kinds of identities, such as ``lambda-function``, whose listing is incomplete: the link rests on one
    of them that is assumed to exist. Empty if it does not."""
    expires_at: datetime | None = None
    """When it ends, for memberships with an end date."""
    target_provider: str | None = None
    """The provider of a target that is known by name only, such as a deployed function without its account."""
    target_kind: str | None = None
    """The `Identity.kind` of that target, or its `Identity.surface` if the name does not tell the kind."""
    target_name: str | None = None
    """The name of that target, or the end of its address behind ``/`` or ``:``."""


class Policy(Record, frozen=True, kw_only=True, gc=False):
    """A policy, role definition or trust document as the provider returned it, redacted. One row per distinct document."""

    kind: str
    """``managed-policy``, ``managed-policy-version`` (not in force), ``permissions-boundary``, ``inline-policy``,
    ``role-trust``, ``resource-policy``, ``scp``, ``rcp``, ..."""
    native_id: str
    """The provider's immutable id; the hash of name and document if it has none."""
    name: str
    """The display name."""
    address: str | None = None
    """The provider's mutable full name: an ARN."""
    document: str | None = None
    """JSON with sorted keys and no spaces, with secret values redacted; text that is not JSON is kept as it is. None if the
    provider did not return it."""
    sha256: str | None = None
    """The SHA-256 of ``document`` in UTF-8, in hex."""
    attached_to: list[str] = []
    """What it applies to, sorted: ids of identities, accounts and organizational units; the id of the policy it is a version
    of; the address of a resource that has no record."""


class Control(Record, frozen=True, kw_only=True, gc=False):
    """A security control, and whether it is enforced, audited or only documented."""

    stage: Stage
    """source, build, artifact, deploy or runtime."""
    kind: str
    """``branch-protection``, ``ruleset``, ``environment-approval``, ``tag-immutability``, ``scp``, ..."""
    name: str
    """The display name."""
    enforcement: Enforcement
    """enforced, audited, documented or absent."""
    target: str | None = None
    """What it protects: a branch, an environment, a repository; an `Identity.id` or `Account.id` if there is one."""
    approvers: list[str] = []
    """Who can approve."""
    approvals: int | None = None
    """How many people other than the author must approve what passes it; 0 if the author alone is enough. None if that is
    not known, or if it does not work by approvals (a locked branch)."""
    approvals_end: bool | None = None
    """Whether a later push by the author ends the approvals given so far; None without approvals."""
    restricted: bool | None = None
    """Whether only named people or roles can make the change at all, with or without an approval."""
    tier: str | None = None
    """What the provider says that an environment is for: ``production``, ``staging``, ``testing``, ``development``,
    ``other``. None if it does not say."""
    bypass: list[str] = []
    """Who can bypass it."""
    detail: str | None = None
    """One sentence: what it requires."""
    public: bool | None = None
    """Whether public repositories may use what it protects: a runner group."""
    shared_id: str | None = None
    """The provider's id of a control that several accounts list: an organization's ruleset in each repository."""


class Weakness(Record, frozen=True, kw_only=True, gc=False):
    """A weakness in a pipeline definition or setting, with file and line."""

    subject_id: str
    """The `Identity.id` of the pipeline whose definition contains it."""
    code: str
    """The kind of weakness: ``template-injection``, ``unpinned-uses``, ``unresolved-reference``, ..."""
    severity: Severity
    """The severity of this occurrence."""
    what: str
    """A clause without a period: ``x/y@v2 is pinned to a tag``."""
    fix: str
    """The smallest change that fixes it, in one or two sentences."""
    path: str | None = None
    """The file that contains it, which may differ from the pipeline's own; None for a setting."""
    line: int | None = None
    """The line in that file, from 1; None if unknown."""
    job: str | None = None
    """The job that contains it, if any."""
    confidence: Literal["high", "low"] = "high"
    """low if the definition is a program, or had to be repaired to be read."""


class Artifact(Record, frozen=True, kw_only=True, gc=False):
    """A build output: an image, a package, code."""

    kind: str
    """``image``, ``package``, ``function-code``."""
    name: str
    """Its repository and tag, or its name."""
    digest: str | None = None
    """``sha256:...``."""
    builder_id: str | None = None
    """The `Identity.id` of the pipeline that built it."""
    signed: bool | None = None
    """Whether a signature was found."""
    provenance: bool | None = None
    """Whether build provenance was found."""
    sbom: bool | None = None
    """Whether an SBOM was found."""
    mutable_tag: bool | None = None
    """Whether its tag can be moved to a different digest."""
    created_at: datetime | None = None
    """When it was pushed."""
    last_used_at: datetime | None = None
    """When it was last pulled."""


class Deployment(Record, frozen=True, kw_only=True, gc=False):
    """One deployment of an artifact to an environment."""

    pipeline_id: str | None = None
    """The `Identity.id` of the pipeline."""
    workload_id: str | None = None
    """The `Identity.id` or address of the workload."""
    environment: str | None = None
    """The target environment."""
    digest: str | None = None
    """The digest that was deployed."""
    ref: str | None = None
    """The commit or ref that was deployed."""
    approved_by: list[str] = []
    """Who approved it."""
    deployed_by: str | None = None
    """Who started it."""
    deployed_at: datetime | None = None
    """When it was deployed."""
    state: str | None = None
    """The provider's term for its outcome."""


class Rollout(Record, frozen=True, kw_only=True, gc=False):
    """The declared and the running version of a workload."""

    workload_id: str
    """The `Identity.id` of the workload."""
    declared: str | None = None
    """The image or code named in the definition."""
    declared_digest: str | None = None
    """Its digest, if pinned."""
    running_digest: str | None = None
    """The running digest."""
    pinned: bool | None = None
    """Whether the definition pins a digest."""
    since: datetime | None = None
    """When the running version started."""
    state: str | None = None
    """Whether all replicas are of the declared version: ``complete``, ``progressing``, ``paused``, ``held`` (kept on purpose),
    ``stalled``. None if the provider does not say."""
    replicas: int | None = None
    """How many replicas run this digest."""


class Gap(Record, frozen=True, kw_only=True, gc=False):
    """A listing that failed: data that the scan should have read but could not."""

    collector: str
    """The collector that made the request."""
    target: str
    """The target (unit of work) it belongs to."""
    table: str
    """The incomplete table; ``*`` if all tables of the target are incomplete."""
    kind: str | None = None
    """The missing kind of record; None means every kind of the table."""
    call: str
    """The provider's name for the listing: ``iam:ListUsers``, ``GET /orgs/{org}/hooks``."""
    region: str | None = None
    """The region, if any."""
    reason: Reason
    """denied, throttled, unreachable, unsupported (the provider does not have it), unread (it is there, in a format that is not
    read), malformed, truncated, deadline, bug, or, in analysis only, unconfirmed: the listing fell suddenly, which proves
    nothing until a second run confirms it."""
    detail: str
    """The provider's error message, redacted."""
    needs: str | None = None
    """The permission that would close it, as it is named where it is granted; always a read permission."""
    hides_access: bool = True
    """False if what is missing cannot be a permission of a pipeline or workload, or a way to one."""
    of_item: bool | None = None
    """True if it is about one item of another listing, such as a file or a team, which ``call`` names in parentheses."""


class Coverage(Record, frozen=True, kw_only=True, gc=False):
    """One complete listing: the positive evidence that nothing is missing."""

    collector: str
    """The collector that made the request."""
    target: str
    """The target (unit of work) it belongs to."""
    table: str
    """The table it fills."""
    kind: str | None = None
    """The kind of record it returns; None means several."""
    call: str
    """The provider's name for the listing."""
    region: str | None = None
    """The region, if any."""
    items: int
    """How many records of that table and kind it returned. Records returned by several listings count for each."""
    carried_from: datetime | None = None
    """The run that read it, if its records were carried forward; NULL if it was read in this run."""
    of_item: bool | None = None
    """True if it is about one item of another listing, such as a file or a team, which ``call`` names in parentheses."""


TABLES: dict[str, type[Record]] = {
    "accounts": Account,
    "identities": Identity,
    "credentials": Credential,
    "secrets": Secret,
    "grants": Grant,
    "trusts": Trust,
    "links": Link,
    "policies": Policy,
    "controls": Control,
    "weaknesses": Weakness,
    "artifacts": Artifact,
    "deployments": Deployment,
    "rollouts": Rollout,
    "gaps": Gap,
    "coverage": Coverage,
}
"""Record class by table name. The names are used in SQL, snapshot folders and the reference."""

TABLE_OF: dict[type[Record], str] = {record: name for name, record in TABLES.items()}
