"""What `analyze` writes down: findings, how each rule fared, paths, and the signature comparison.

Like the records, one class is one Parquet schema and one DuckDB table; reports read nothing else.
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

SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low", "info")
"""Worst first."""


class Finding(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One rule broken by one subject."""

    id: str
    """``nf1-`` and 26 characters: a hash of rule and subject id; the same every night, whatever is renamed."""
    rule: str
    """The rule's id: its file's stem."""
    rule_version: str
    """Eight hex digits of the rule's text and parameters."""
    category: Category
    """The rule's category."""
    title: str
    """The rule's title, with its parameters filled in."""
    severity: Severity
    """critical, high, medium, low or info."""
    status: Status
    """new, open, reopened, resolved, unobserved, excepted or error."""
    previous_status: Status | None = None
    """The status of the night before; None when it was not known then."""
    changed: list[str] = []
    """What differs from the night before, beside the status: names of these fields. Nothing for what was not known."""
    confidence: Literal["high", "low"] = "high"
    """low when something that could change the verdict was not readable."""
    rank: float
    """Order of urgency, largest first: severity, exposure, what it can reach, age."""
    provider: str
    """The provider of the subject."""
    account_id: str
    """The `Account.id` it belongs to."""
    account_name: str | None = None
    """What people call that account."""
    subject: str
    """The id of the record that breaks the rule."""
    subject_table: str
    """The table of that record."""
    subject_kind: str | None = None
    """Its kind or store."""
    subject_name: str
    """What people call it."""
    identity_id: str | None = None
    """The `Identity.id` concerned."""
    identity_name: str | None = None
    """What people call that identity."""
    surface: Surface | None = None
    """The surface of that identity."""
    credential_id: str | None = None
    """The `Credential.id`, when the subject is one."""
    grant_id: str | None = None
    """The `Grant.id`, when the subject is one."""
    resource: str | None = None
    """What it reaches or where it lies."""
    owner: str | None = None
    """Who answers for it; None is its own row in every report."""
    owner_source: str | None = None
    """Where the owner was read."""
    environment: str | None = None
    """``production``, ..."""
    detail: str
    """One sentence: why this subject breaks the rule, with its figures."""
    fix: str
    """The exact action that ends it."""
    blast: str | None = None
    """What it can reach, in one sentence."""
    path: list[str] = []
    """The shortest path to the power that matters, one step an item."""
    evidence: dict[str, str] = {}
    """The rule's further columns."""
    url: str | None = None
    """Where a person looks at it."""
    first_seen: datetime
    """The first night that saw it, in this spell or an earlier one."""
    changed_at: datetime
    """The night of its last change of status."""
    due_at: datetime | None = None
    """By when its severity wants it gone, counted from the first night."""
    exception_id: str | None = None
    """The exception that covers it."""
    state_hash: str
    """Hash of the facts that an exception would accept; another hash voids the exception."""
    gone_in: str | None = None
    """For resolved ones: the run whose complete inputs no longer show it."""


class RuleResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How one rule fared in one account."""

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
    """evaluated: all inputs complete; incomplete: findings are true, silence proves nothing;
    not-evaluated: none of an input was seen; error: the rule itself failed."""
    findings: int
    """Open findings, exceptions included."""
    reason: str | None = None
    """What was missing, or the error."""


class Edge(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A step from one identity to another."""

    source_id: str
    """`Identity.id`."""
    target_id: str
    """`Identity.id`."""
    kind: str
    """``trust``, ``trust-pattern``, ``uses``, ``runs_as``, ``member_of``, ``escalation``."""
    evidence: str | None = None
    """The `Trust.id`, `Link.id` or escalation path that shows it."""
    why: str | None = None
    """One sentence."""


class Reach(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The strongest that an identity reaches, and the shortest way there."""

    identity_id: str
    """`Identity.id` of the start."""
    target_id: str
    """`Identity.id` that holds the power."""
    grant_id: str
    """The `Grant.id`."""
    power: Power
    """The power reached."""
    level: Level
    """Its level."""
    account_id: str
    """The `Account.id` where it is reached."""
    steps: int
    """How many edges; 0 is its own grant."""
    path: list[str]
    """One sentence part a step, from start to power."""


class Excess(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The signature comparison: what a pipeline reaches and the workload it delivers does not have."""

    pipeline_id: str
    """`Identity.id` of the pipeline."""
    pipeline_name: str
    """What people call it."""
    workload_id: str
    """`Identity.id` of the workload."""
    workload_name: str
    """What people call it."""
    pipeline_powers: list[Power]
    """What the pipeline reaches in the workload's account."""
    workload_powers: list[Power]
    """What the workload has."""
    excess: list[Power]
    """What the first has and the second has not, less what delivering needs (deploy, change-delivery)."""
    pipeline_level: Level
    """The level of the first."""
    workload_level: Level
    """The level of the second."""
    path: list[str]
    """How the pipeline reaches the strongest of the excess."""
    fix: str | None = None
    """Where that way is cut with the smallest change: the identity, and what to change there."""
    complete: bool
    """False when something on either side could not be read."""
    why: str
    """One sentence: why the pipeline still has more than the workload."""


class ExceptionState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One entry of exceptions.yaml, and what became of it tonight."""

    id: str
    """Its id in the file, or a hash of its text."""
    rule: str
    """Rule id it accepts."""
    selector: str
    """Exact subject id or anchored glob."""
    owner: str
    """Who owns the risk."""
    approved_by: str
    """Who approved it."""
    approved_at: datetime | None = None
    """When."""
    reason: str
    """Why, in its own words."""
    compensating_control: str | None = None
    """What guards meanwhile."""
    ticket: str | None = None
    """Where it is tracked."""
    expires_at: datetime
    """When it ends."""
    state: Literal["active", "expiring", "expired", "unmatched", "void", "malformed"]
    """What became of it tonight."""
    matched: int
    """How many findings it covers."""
    detail: str | None = None
    """Why it is void or malformed."""


class Member(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One identity, credential or grant of the population, tonight's and those that are gone."""

    table: str
    """``identities``, ``credentials`` or ``grants``."""
    id: str
    """The record's id."""
    account_id: str
    """The `Account.id` it belongs to."""
    kind: str | None = None
    """Its kind; None for grants."""
    name: str
    """What people call it; a grant's role."""
    identity_id: str | None = None
    """The `Identity.id` concerned."""
    surface: Surface | None = None
    """An identity's surface."""
    first_seen: datetime
    """The first night that saw it, before or after a time of absence."""
    last_seen: str
    """The run that last saw it."""
    removed_at: datetime | None = None
    """The night whose complete listing first lacked it; None while it is there or not known to be gone."""


class TargetCoverage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How much of one target was seen: an account, an organization, a group, a folder."""

    id: str
    """``collector/target``."""
    collector: str
    """The collector that reads it."""
    target: str
    """Its name in that collector."""
    provider: str
    """Its provider."""
    account_id: str
    """The `Account.id` that it covers."""
    name: str | None = None
    """What people call that account, as far as any night read it."""
    kind: str | None = None
    """The account's kind."""
    parent_id: str | None = None
    """The `Account.id` above it."""
    state: Literal["whole", "part", "dark", "not-asked"]
    """whole: all that the provider shows was answered; part: some was; dark: nothing was;
    not-asked: the run was told to read other targets only."""
    listings_expected: int
    """Listings asked for tonight, and those of the last night that saw it which could not be asked for."""
    listings_answered: int
    """Listings that were read in full."""
    listings_never_shown: int
    """Listings that the provider shows to nobody, or not to this kind of credential; expected and not answered."""
    items: int
    """Records that the answered listings gave."""
    items_expected: int
    """The same, with what the last night listed where tonight could not ask."""
    seen_in: str | None = None
    """The last run that saw something of it."""
    whole_in: str | None = None
    """The last run that saw all of it."""
    reason: str | None = None
    """Why it is not whole: the worst gap."""
    needs: str | None = None
    """The missing permission."""


class Metric(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One figure of one night, in tidy form."""

    metric: str
    """``open_findings``, ``static_credentials``, ``pipelines_without_static_secrets``, ..."""
    dimension: str
    """``all``, ``severity``, ``provider``, ``owner``, ``surface``."""
    dimension_value: str
    """The value of the dimension; empty for ``all``."""
    value: float
    """The figure."""
    unit: str
    """``count``, ``ratio``, ``days``."""


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
"""Table name to class: the names in SQL, and of the files, or folders of files, in an analysis folder."""
