"""The result types of `analyze`: findings, rule results, paths, and the comparison of pipeline and workload access.

Like the records, each class is one Parquet schema and one DuckDB table. Reports read nothing else.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time
from typing import Literal, TypeAlias

import msgspec

from scanner.records import Level, Power, Severity, Surface  # noqa: TC001  Arrow schemas read the annotations at run time

Category: TypeAlias = Literal[
    "static-secret", "over-scope", "stale", "trust", "ownership", "integrity", "runtime", "exception"
]
Status: TypeAlias = Literal["new", "open", "reopened", "resolved", "unobserved", "excepted", "error"]

OPEN = "status IN ('new', 'open', 'reopened')"
"""The SQL condition of open findings: found tonight, and not accepted."""
COUNTS_AS_NEW = "counts_as_new IS NOT NULL"
"""The SQL condition of findings that are news: see `Finding.counts_as_new`."""

SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low", "info")
"""Worst first."""


class Finding(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One violation of a rule by one subject."""

    id: str
    """``nf1-`` and 26 characters: a hash of rule and subject id. It stays the same when things are renamed."""
    rule: str
    """The rule's id."""
    rule_version: str
    """``rv-`` and eight hex digits of the rule's text and parameters."""
    category: Category
    """The rule's category."""
    controls: list[str] = []
    """Framework controls for which the rule is evidence: ``CIS AWS 7.0.0: 2.12``. As on the last run that found it."""
    title: str
    """The rule's title, with its parameters filled in."""
    severity: Severity
    """critical, high, medium, low or info."""
    status: Status
    """new, open, reopened, resolved, unobserved, excepted or error."""
    previous_status: Status | None = None
    """The status in the previous run; None if the finding is new."""
    changed: list[str] = []
    """The names of the fields, other than the status, that differ from the previous run. Empty for new findings."""
    confidence: Literal["high", "low"] = "high"
    """low if some inputs that could change the result were not readable."""
    rank: float
    """Urgency, highest first: severity, exposure, reach, age."""
    provider: str
    """The provider of the subject."""
    account_id: str
    """The `Account.id` it belongs to."""
    account_name: str | None = None
    """The display name of that account."""
    subject: str
    """The id of the record that violates the rule."""
    subject_table: str
    """The table of that record."""
    subject_kind: str | None = None
    """Its kind or store."""
    subject_name: str
    """The display name."""
    identity_id: str | None = None
    """The `Identity.id` concerned."""
    identity_name: str | None = None
    """The display name of that identity."""
    surface: Surface | None = None
    """The surface of that identity."""
    credential_id: str | None = None
    """The `Credential.id`, if the subject is a credential."""
    grant_id: str | None = None
    """The `Grant.id`, if the subject is a grant."""
    resource: str | None = None
    """The affected resource or location."""
    owner: str | None = None
    """The person or team responsible for it; None is a separate row in every report."""
    owner_source: str | None = None
    """The source of the owner."""
    environment: str | None = None
    """``production``, ..."""
    detail: str
    """One sentence: why this subject violates the rule, with its values."""
    fix: str
    """The exact action that fixes it."""
    blast: str | None = None
    """One sentence: what it can reach."""
    path: list[str] = []
    """The shortest path to the power that matters, one item for each step."""
    evidence: dict[str, str] = {}
    """The additional columns of the rule's query."""
    url: str | None = None
    """Its page in the provider's web console."""
    first_seen: datetime
    """The first run that ever found it, including runs before it was resolved."""
    changed_at: datetime
    """The run in which its status last changed."""
    open_since: datetime
    """The first run that found it since it was last resolved. Its age and its due date count from here."""
    due_at: datetime | None = None
    """The due date for its severity, counted from ``open_since``."""
    counts_as_new: Literal["new", "reopened", "exception-ended", "severity-raised"] | None = None
    """Why it counts as new in this run: it is new or reopened, the exception that accepted it has ended, or its
    severity has risen. None for all others."""
    exception_id: str | None = None
    """The exception that accepts it in this run, whether it was observed or not; for resolved findings, the last
    one."""
    state_hash: str
    """Hash of the facts that an exception would accept. A different hash voids the exception."""
    gone_in: str | None = None
    """For resolved findings: the run that no longer found it, with complete inputs."""
    not_observed: str | None = None
    """Why this night says nothing about it: what was not listed, or how its rule failed; for unobserved and error."""
    out_of_scope: bool = False
    """Whether its rule is disabled or its target is retired. Such a finding is unobserved, listed on the first such
    run only, and counts in no verdict."""


class RuleResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The result of one rule in one account."""

    rule: str
    """The rule's id."""
    title: str
    """The rule's title."""
    severity: Severity
    """The rule's own severity."""
    category: Category
    """The rule's category."""
    provider: str
    """The account's provider."""
    account_id: str
    """The `Account.id`."""
    status: Literal["evaluated", "incomplete", "not-evaluated", "error"]
    """evaluated: all inputs are complete; incomplete: findings are valid, but their absence proves nothing;
    not-evaluated: an input was not collected at all; error: the rule failed."""
    findings: int
    """Open findings, including accepted ones."""
    reason: str | None = None
    """The missing input, or the error."""
    missing_table: str | None = None
    """The table that is incomplete in the account, if one is."""


class Edge(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A step from one identity to another."""

    source_id: str
    """`Identity.id`."""
    target_id: str
    """`Identity.id`."""
    kind: str
    """``trust``, ``trust-pattern`` (from some tokens, or if a condition that was not evaluated passes), ``uses``,
    ``holds-key``, ``runs_as``, ``member_of``, ``escalation``."""
    evidence: str | None = None
    """The `Trust.id`, `Link.id` or escalation path it is based on."""
    why: str | None = None
    """One sentence."""
    via: str | None = None
    """What is used, in a few words: the subject of the token, the name of the stored secret, the permission."""
    confidence: Literal["high", "low"] = "high"
    """low if a condition could not be evaluated, or the `Link` says so."""


class Reach(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A power that an identity can reach, and the shortest path to it."""

    identity_id: str
    """`Identity.id` of the start."""
    target_id: str
    """`Identity.id` of the holder of the power."""
    grant_id: str
    """The `Grant.id`."""
    power: Power
    """The power reached."""
    level: Level
    """Its level."""
    account_id: str
    """The `Account.id` in which it is reached."""
    steps: int
    """The number of edges; 0 for the identity's own grant."""
    path: list[str]
    """One clause for each step, from start to power."""
    last_id: str | None = None
    """`Identity.id` of the last identity before the target, which is the start itself if there is one step; None for the
    identity's own grant."""
    confidence: Literal["high", "low"] = "high"
    """low if an edge or the grant has low confidence."""


class ExcessStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step on the way from a pipeline or workload to a power. The last step is the grant of that power."""

    what: str
    """``can sign in as deploy (iam-role)``; in the last step, the power and its grant."""
    because: str | None = None
    """The evidence for it, in one sentence."""
    kind: str = "grant"
    """`Edge.kind`, or ``grant`` in the last step."""
    identity_id: str | None = None
    """`Identity.id` of the identity reached; None in the last step."""
    name: str | None = None
    """The name of the identity reached; in the last step, the resource."""
    identity_kind: str | None = None
    """The `Identity.kind` of the identity reached."""
    via: str | None = None
    """`Edge.via`; in the last step, the role or policy."""
    power: Power | None = None
    """In the last step, the power."""


class Excess(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The comparison of a pipeline with a workload it deploys: permissions of the pipeline that the workload does not
    have.
    """

    pipeline_id: str
    """`Identity.id` of the pipeline."""
    pipeline_name: str
    """The display name."""
    workload_id: str
    """`Identity.id` of the workload."""
    workload_name: str
    """The display name."""
    pipeline_powers: list[Power]
    """The powers that the pipeline reaches. Those that pipelines have on a platform of their own, such as a repository, count
    only if the workload is of the same provider."""
    workload_powers: list[Power]
    """The powers that the workload has and reaches."""
    excess: list[Power]
    """Powers of the pipeline that the workload does not have, except those needed to deploy (deploy, change-delivery, read)."""
    pipeline_level: Level
    """The pipeline's level."""
    workload_level: Level
    """The workload's level."""
    path: list[ExcessStep]
    """How the pipeline reaches the strongest excess permission, step by step."""
    fix: str | None = None
    """The smallest change that cuts that path: the identity, and what to change there."""
    cut: int | None = None
    """The step of ``path`` that the fix removes, counted from 0."""
    excess_after_fix: list[Power] = []
    """The part of the excess that the pipeline still reaches in other ways once that step is removed."""
    more_fixes: list[str] = []
    """The further changes that end the rest of the excess, in order."""
    excess_after_fixes: list[Power] = []
    """The part that no change listed here ends."""
    workload_path: list[ExcessStep] = []
    """How the workload reaches its own strongest power."""
    complete: bool
    """False if inputs of either side could not be read."""
    why: str
    """One sentence: why the pipeline has more access than the workload."""


class ExceptionState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One entry of exceptions.yaml and its state in this run."""

    id: str
    """Its id in the file, or a hash of its content."""
    rule: str
    """The id of the accepted rule."""
    selector: str
    """An exact subject id or an anchored glob."""
    owner: str
    """The owner of the risk."""
    approved_by: str
    """Who approved it."""
    approved_at: datetime | None = None
    """When it was approved."""
    reason: str
    """The reason given."""
    compensating_control: str | None = None
    """The compensating control."""
    ticket: str | None = None
    """The ticket that tracks it."""
    expires_at: datetime
    """When it expires."""
    state: Literal["active", "expiring", "expired", "dormant", "unmatched", "void", "malformed"]
    """Its state in this run. dormant: it matches no finding, but its rule is disabled or could not look."""
    matched: int
    """How many findings it accepts."""
    detail: str | None = None
    """Why it is in that state."""


class Member(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One identity, credential, grant or stored secret of the inventory: listed in this run, removed, or not looked at."""

    table: str
    """``identities``, ``credentials``, ``grants`` or ``secrets``."""
    id: str
    """The record's id."""
    account_id: str
    """The `Account.id` it belongs to."""
    provider: str
    """The provider of the record."""
    native_id: str | None = None
    """The provider's own id; None for grants and secrets."""
    substitute_id: str | None = None
    """`Credential.substitute_id`; None for others."""
    kind: str | None = None
    """Its kind, of a secret its store; None for grants."""
    name: str
    """The display name; for a grant, its role."""
    identity_id: str | None = None
    """The `Identity.id` concerned."""
    surface: Surface | None = None
    """An identity's surface."""
    address: str | None = None
    """An identity's address."""
    first_seen: datetime
    """The first run that listed it, even if it was removed in between."""
    last_seen: str
    """The last run that listed it."""
    removed_at: datetime | None = None
    """The run whose complete listing first lacked it; None while it exists or its removal is not confirmed."""


class TargetCoverage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The coverage of one target: an account, an organization, a group, a folder."""

    id: str
    """``collector/account_id``, or ``collector/target`` while the account's id is not known. A new name does not
    change it."""
    collector: str
    """The collector that reads it."""
    target: str
    """Its name within that collector."""
    earlier_targets: list[str] = []
    """The names that it had before, newest first: an organization or a group can be renamed."""
    provider: str
    """Its provider."""
    account_id: str
    """The `Account.id` it covers."""
    name: str | None = None
    """The display name of that account, if any run has read it."""
    kind: str | None = None
    """The account's kind."""
    parent_id: str | None = None
    """The parent `Account.id`."""
    state: Literal["complete", "partial", "unread", "not-requested"]
    """complete: everything the provider shows was read; partial: some of it was; unread: nothing was;
    not-requested: the run was limited to other targets, or the configuration retires it."""
    listings_expected: int
    """Listings requested in this run, and those of the last run that read it which could not be requested."""
    listings_answered: int
    """Complete listings."""
    listings_never_shown: int
    """Listings that the provider does not offer, or not to this kind of credential. They count as expected, not as
    answered."""
    items: int
    """Records of the complete listings."""
    items_expected: int
    """The same, plus the records of the last run for listings that could not be requested."""
    last_read_in: str | None = None
    """The last run that read any of it."""
    last_complete_in: str | None = None
    """The last run that read all of it."""
    reason: str | None = None
    """Why it is not complete: the worst gap."""
    needs: str | None = None
    """The missing permission."""


class Metric(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One metric of one run, in tidy form."""

    metric: str
    """``open_findings``, ``static_credentials``, ``pipelines_without_static_secrets``, ..."""
    dimension: str
    """``all``, ``severity``, ``category``, ``provider``, ``surface``, ``environment``, ``owner``."""
    dimension_value: str
    """The value of the dimension; empty for ``all``."""
    value: float | None
    """The value of the metric; None if it was not measured."""
    unit: str
    """``count``, ``ratio``, ``days``."""
    numerator: float | None = None
    """For a ratio: how many meet it."""
    denominator: float | None = None
    """Of how many it is known whether they do, for a ratio and for a count with unknown ones."""
    unknown: float | None = None
    """How many more there are of which it is not known; None if that cannot occur."""
    reason: str | None = None
    """Why it was not measured."""


RESULT_TABLES: dict[str, type[msgspec.Struct]] = {
    "findings": Finding,
    "rule_results": RuleResult,
    "edges": Edge,
    "reach": Reach,
    "excess": Excess,
    "exceptions": ExceptionState,
    "target_coverage": TargetCoverage,
    "metrics": Metric,
    "population": Member,
}
"""Class by table name. The names are used in SQL and for the files and folders of an analysis."""
