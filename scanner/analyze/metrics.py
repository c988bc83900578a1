"""Every figure of a night, in tidy form. docs/analysis.md defines each; HTML, CSV, console and the others read them here.

A figure that was not measured has no value and says why: unknown is never 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from scanner.findings import COUNTS_AS_NEW, OPEN, SEVERITIES, Metric

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from scanner.tables import Tables

OVERDUE = f"{OPEN} AND due_at < $as_of"
"""SQL: a finding is open and its due date has passed."""
_WAS_OPEN = "coalesce(previous_status IN ('new', 'open', 'reopened'), false)"


class Figure(NamedTuple):
    """A figure as SQL aggregates over the rows of a table."""

    unit: str
    value: str
    """Of a ratio: its numerator."""
    denominator: str = "NULL"
    """Rows with a known answer, if some can be unknown."""
    unknown: str = "NULL"
    """Rows that belong to it, but whose answer is unknown."""

    def of_nothing(self) -> list[int | None]:
        """Return the three numbers over no rows, as SQL would: counts are 0, and a median is NULL."""
        return [
            0 if part.startswith("count(") else None for part in (self.value, self.denominator, self.unknown)
        ]


def _count(where: str = "true", *, unknown: str | None = None) -> Figure:
    """Count the rows that meet a condition; not measured if it is unknown for all rows."""
    if unknown is None:
        return Figure("count", _rows(where))
    return Figure("count", _rows(where), _rows(f"NOT ({unknown})"), _rows(unknown))


def _share(where: str, *, among: str = "true", unknown: str | None = None) -> Figure:
    """Return the share of rows that meet a condition, of those among which it is known whether they do."""
    known = f"({among}) AND NOT ({unknown})" if unknown else among
    return Figure(
        "ratio",
        _rows(f"({known}) AND ({where})"),
        _rows(known),
        _rows(f"({among}) AND ({unknown})") if unknown else "NULL",
    )


def _median_days(since: str, until: str, among: str, *, unknown: bool = False) -> Figure:
    """Return the median number of whole days between two times."""
    return Figure(
        "days",
        f"median(date_sub('day', {since}, {until})) FILTER ({among})",
        "NULL",
        _rows(f"({among}) AND {since} IS NULL") if unknown else "NULL",
    )


def _rows(where: str) -> str:
    return f"count(*) FILTER (coalesce({where}, false))"


_DIMENSIONS = {
    "all": "''",
    "severity": "severity",
    "category": "category",
    "provider": "provider",
    "surface": "coalesce(surface, 'none')",
    "environment": "coalesce(environment, 'none')",
    "owner": "coalesce(owner, 'no owner')",
}

_OF_FINDINGS = {
    "open_findings": _count(OPEN),
    "new_findings": _count(COUNTS_AS_NEW),
    "resolved_findings": _count("status = 'resolved'"),
    "unobserved_findings": _count("status = 'unobserved'"),
    "excepted_findings": _count("status = 'excepted'"),
    "error_findings": _count("status = 'error'"),
    "overdue_findings": _count(OVERDUE),
    "unowned_findings": _count(f"{OPEN} AND owner IS NULL"),
    "median_age_of_open_findings": _median_days("open_since", "$as_of", OPEN),
    "median_days_to_resolve": _median_days("open_since", "changed_at", "status = 'resolved'"),
}
"""By each dimension."""

_TRANSITIONS = {
    "open_before": _count(_WAS_OPEN),
    "became_new": _count(f"{OPEN} AND previous_status IS NULL"),
    "became_reopened": _count(f"{OPEN} AND previous_status = 'resolved'"),
    "became_unexcepted": _count(f"{OPEN} AND previous_status = 'excepted'"),
    "became_observed": _count(f"{OPEN} AND previous_status IN ('unobserved', 'error')"),
    "became_resolved": _count(f"{_WAS_OPEN} AND status = 'resolved'"),
    "became_excepted": _count(f"{_WAS_OPEN} AND status = 'excepted'"),
    "became_unobserved": _count(f"{_WAS_OPEN} AND status = 'unobserved'"),
    "became_error": _count(f"{_WAS_OPEN} AND status = 'error'"),
}
"""By severity. What was open before, plus the four that come, minus the four that go, is open now."""

_STATIC = "lifetime = 'static' AND coalesce(enabled, true)"
_KNOWN_USE = "coalesce(last_used_at IS NOT NULL OR never_used, false)"

_OF_RECORDS: dict[str, dict[str, Figure]] = {
    "identities": {
        "identities": _count(),
        "automation_identities": _count("surface = 'automation'"),
        "identities_with_owner": _share("owner IS NOT NULL"),
    },
    "credentials": {
        "credentials": _count(),
        "static_credentials": _count(_STATIC),
        "share_of_static_credentials": _share(_STATIC, among="coalesce(enabled, true)"),
        "credentials_with_known_use": _share(_KNOWN_USE),
        "median_age_of_static_credentials": _median_days(
            "coalesce(rotated_at, created_at)", "$as_of", _STATIC, unknown=True
        ),
        "credentials_expiring_soon": _count(
            "coalesce(enabled, true) AND expires_at > $as_of AND expires_at <= $as_of + to_days(30)"
        ),
    },
    "secrets": {
        "secrets": _count(),
        "secrets_readable": _count("readable AND looks_like IS NOT NULL"),
    },
    "grants": {"admin_grants": _count("level = 'admin' AND coalesce(expires_at > $as_of, true)")},
    "trusts": {"open_trusts": _count("exposure IN ('anyone', 'another-tenant')")},
    "weaknesses": {"unresolved_references": _count("code = 'unresolved-reference'")},
    "gaps": {"gaps": _count()},
    "artifacts": {
        "artifacts": _count(),
        "signed_artifacts": _share("signed", unknown="signed IS NULL"),
        "artifacts_with_provenance": _share("provenance", unknown="provenance IS NULL"),
        "artifacts_with_sbom": _share("sbom", unknown="sbom IS NULL"),
        "artifacts_signed_and_attested": _share(
            "signed AND provenance AND sbom",
            unknown="(signed AND provenance AND sbom) IS NULL",
        ),
    },
    "rollouts": {
        "workloads_running": _count(),
        "pinned_workloads": _share("pinned", unknown="pinned IS NULL"),
    },
    "controls": {"gates_enforced": _share("enforcement = 'enforced'")},
}
"""By table; in total and by provider."""

_DIGESTS = "running_digest IS NULL OR declared_digest IS NULL"
_OF_ROLLOUTS = {
    "workloads_running_the_declared_digest": _share("running_digest = declared_digest", unknown=_DIGESTS),
    "runtime_drift": _count("running_digest <> declared_digest", unknown=_DIGESTS),
}
"""By environment of the workload."""
_PLACED_ROLLOUTS = (
    "(SELECT r.*, i.environment FROM rollouts AS r LEFT JOIN identities AS i ON i.id = r.workload_id)"
)

PIPELINE = "is_pipeline AND coalesce(enabled, true)"
"""SQL: an identity is a pipeline that can run."""

_UNREAD = """
    EXISTS (SELECT 1 FROM gaps AS g WHERE g.account_id = i.account_id AND (g."table" = '*' OR g."table" IN ({})
            AND (g.kind IS NULL OR g.reason <> 'unsupported')))
"""
"""Something in the identity's account was not read. What a provider never shows counts if it affects all identities."""

_PIPELINES = f"""
    SELECT CASE WHEN len(i.secrets) > 0
                  OR i.id IN (SELECT holder_id FROM secrets WHERE looks_like IS NOT NULL OR credential_id IS NOT NULL)
                  OR i.id IN (SELECT source_id FROM edges WHERE kind = 'holds-key') THEN 'no'
                WHEN {_UNREAD.format("'secrets', 'weaknesses'")} THEN 'unknown' ELSE 'yes' END AS found
    FROM identities AS i WHERE {PIPELINE}
"""
"""For each pipeline: whether it does without stored secrets."""

_LIVE = "coalesce(expires_at > $as_of, true)"

_SIGNING_IN = f"""
    WITH working AS (
        SELECT identity_id, lifetime FROM credentials WHERE coalesce(enabled, true) AND {_LIVE}
    )
    SELECT CASE WHEN i.surface IS NULL THEN 'unknown'
                WHEN i.id IN (SELECT identity_id FROM working WHERE lifetime <> 'short-lived')
                  OR i.id IN (SELECT source_id FROM edges WHERE kind = 'holds-key')
                  OR i.kind LIKE '%-service-connection' AND ends_with(i.logins[1], ':static') THEN 'no'
                WHEN {_UNREAD.format("'credentials'")}
                  OR i.kind LIKE '%-service-connection' AND ends_with(i.logins[1], ':unknown') THEN 'unknown' ELSE 'yes' END AS found
    FROM identities AS i
    WHERE coalesce(i.surface IN ('automation', 'workload'), true) AND coalesce(i.enabled, true)
      AND (i.issuer IS NOT NULL OR i.id IN (SELECT identity_id FROM trusts) OR i.id IN (SELECT identity_id FROM working)
           OR i.id IN (SELECT source_id FROM links WHERE relation = 'runs_as' AND {_LIVE}))
"""
"""For each automation or workload identity known to sign in: whether only by what is short-lived or federated."""

_CONNECTIONS = f"""
    WITH connections AS (
        SELECT id, split_part(logins[1], ':', 1) AS service, split_part(logins[1], ':', 2) AS how FROM identities
        WHERE kind LIKE '%-service-connection' AND coalesce(enabled, true)
    ), behind AS (
        SELECT e.source_id AS connection, e.target_id AS holder FROM edges AS e JOIN connections AS c ON c.id = e.source_id
        WHERE e.kind IN ('runs_as', 'holds-key')
        UNION
        SELECT e.source_id, m.target_id FROM edges AS e JOIN connections AS c ON c.id = e.source_id
               JOIN edges AS m ON m.source_id = e.target_id AND m.kind = 'member_of'
        WHERE e.kind IN ('runs_as', 'holds-key')
    ), unread AS (
        SELECT account_id, provider FROM gaps WHERE coalesce(hides_access, true) AND "table" IN ('grants', '*')
    )
    SELECT CASE WHEN c.how IN ('oidc', 'managed', 'app', 'none') THEN 'yes'
                WHEN c.how = 'unknown'
                  OR EXISTS (FROM links AS l WHERE l.source_id = c.id AND l.relation IN ('runs_as', 'uses') AND {_LIVE}
                             AND l.target_id NOT IN (SELECT id FROM identities)) THEN 'unknown'
                WHEN c.id NOT IN (SELECT connection FROM behind) THEN 'no'
                WHEN EXISTS (FROM behind AS b JOIN grants AS g ON g.identity_id = b.holder
                             WHERE b.connection = c.id AND g.breadth IN ('organization', 'account') AND {_LIVE}) THEN 'no'
                WHEN c.service NOT IN (SELECT provider FROM coverage WHERE "table" = 'grants')
                  OR c.service IN (SELECT provider FROM unread)
                  OR EXISTS (FROM behind AS b JOIN identities AS h ON h.id = b.holder
                             WHERE b.connection = c.id AND h.account_id IN (SELECT account_id FROM unread)) THEN 'unknown'
                ELSE 'yes' END AS found
    FROM connections AS c
"""
"""For each service connection: whether it signs in without a stored secret, or as an identity that is limited to resources."""

_STAGES = """
    SELECT CASE WHEN bool_or(c.enforcement = 'enforced') THEN 'yes'
                WHEN EXISTS (FROM gaps AS g WHERE g.account_id = c.account_id AND g."table" IN ('controls', '*')) THEN 'unknown'
                ELSE 'no' END AS found
    FROM controls AS c GROUP BY c.account_id, c.stage
"""
"""For each stage of an account that has a control: whether one is enforced."""

_EVIDENCE = """
    SELECT CASE WHEN deployed_by IS NOT NULL AND coalesce(digest, ref) IS NOT NULL AND deployed_at IS NOT NULL
                     AND len(approved_by) > 0 THEN 'yes' ELSE 'no' END AS found
    FROM deployments
"""
"""For each deployment: whether who, what, when and by whose approval are known."""

_SHARES = {
    "pipelines_without_static_secrets": _PIPELINES,
    "service_connections_scoped_or_federated": _CONNECTIONS,
    "automation_with_short_lived_credentials": _SIGNING_IN,
    "stages_enforced": _STAGES,
    "deployments_with_evidence": _EVIDENCE,
}
"""Queries of one answer for each subject: yes, no or unknown."""
_ABOUT = {"stages_enforced": "controls", "deployments_with_evidence": "deployments"}
"""The table without whose rows there is nothing to ask; for the others, identities."""
_DOUBTFUL = _SHARES.keys() - {"deployments_with_evidence"}
"""Those of which the answer can be unknown."""

_ONCE: dict[str, tuple[str, str]] = {
    "listings_complete": (
        "ratio",
        """
        SELECT sum(listings_answered), sum(listings_expected), NULL FROM target_coverage WHERE state <> 'not-requested'
        """,
    ),
    **{
        f"targets_{state}": (
            "count",
            f"SELECT count(*) FILTER (state = '{state}'), NULL, NULL FROM target_coverage",
        )
        for state in ("complete", "partial", "unread")
    },
    "pipelines_reaching_admin": (
        "count",
        f"""
        SELECT count(DISTINCT r.identity_id), NULL, NULL FROM reach AS r JOIN identities AS i ON i.id = r.identity_id
        WHERE {PIPELINE} AND r.power = 'admin' AND r.steps > 0
        """,
    ),
    "pipelines_compared": ("count", "SELECT count(DISTINCT pipeline_id), NULL, NULL FROM excess"),
    "pipelines_exceeding_their_workload": (
        "count",
        "SELECT count(DISTINCT pipeline_id) FILTER (len(excess) > 0), NULL, NULL FROM excess",
    ),
    "exceptions_in_force": (
        "count",
        "SELECT count(*) FILTER (state IN ('active', 'expiring')), NULL, NULL FROM exceptions",
    ),
    "median_age_of_exceptions": (
        "days",
        """
        SELECT median(date_sub('day', approved_at, $as_of)), NULL, count(*) FILTER (approved_at IS NULL)
        FROM exceptions WHERE state IN ('active', 'expiring')
        """,
    ),
}
"""Unit, and a query for value (or numerator), denominator and number of unknown ones."""

NOT_MEASURED = {
    "deployments_with_policy_evidence": "no collector reads policy decisions",
    "deployments_of_the_approved_digest": "no collector reads which digest was approved",
    "workloads_running_the_approved_digest": "no collector reads which digest was approved",
}
"""Why figures of delivery are not measured by any collector yet."""


def measure(tables: Tables, as_of: datetime) -> Iterator[Metric]:
    """Yield the figures of a night in a fixed order.

    In total and by severity every figure has a row. For other values of a dimension, counts of 0 and what was not measured
    are left out.
    """
    night = {"as_of": as_of.replace(tzinfo=None)}
    for dimension in _DIMENSIONS:
        yield from _measured(tables, night, _OF_FINDINGS, _Cut("findings", dimension))
        if dimension in ("all", "severity"):
            yield from _measured(tables, night, _TRANSITIONS, _Cut("findings", dimension))
    for table, figures in _OF_RECORDS.items():
        for dimension in ("all", "provider"):
            yield from _measured(tables, night, figures, _Cut(table, dimension))
    placed = "rollouts" if "rollouts" in tables.empty else _PLACED_ROLLOUTS
    for dimension in ("all", "environment"):
        yield from _measured(tables, night, _OF_ROLLOUTS, _Cut(placed, dimension))
    for name, (unit, query) in _ONCE.items():
        yield _metric(name, unit, *next(tables.rows(query, night)))
    for name, query in _SHARES.items():
        nothing = _ABOUT.get(name, "identities") in tables.empty
        found = (
            {} if nothing else dict(tables.rows(f"SELECT found, count(*) FROM ({query}) GROUP BY 1", night))
        )
        yes, no = found.get("yes", 0), found.get("no", 0)
        yield _metric(name, "ratio", yes, yes + no, found.get("unknown", 0) if name in _DOUBTFUL else None)
    for name, reason in NOT_MEASURED.items():
        yield Metric(
            metric=name, dimension="all", dimension_value="", value=None, unit="ratio", reason=reason
        )


class _Cut(NamedTuple):
    """Where figures are taken: rows of a table or subquery, by one dimension."""

    source: str
    dimension: str

    @property
    def total(self) -> bool:
        return self.dimension == "all"


def _measured(
    tables: Tables, night: dict[str, Any], figures: Mapping[str, Figure], cut: _Cut
) -> Iterator[Metric]:
    """Yield figures by one dimension. One query reads them all."""
    chosen = ", ".join(f"{one.value}, {one.denominator}, {one.unknown}" for one in figures.values())
    # Without rows there are no groups, but there is a total.
    by = "" if cut.total else "GROUP BY 1 ORDER BY 1"
    query = f"SELECT {_DIMENSIONS[cut.dimension]} AS value, {chosen} FROM {cut.source} {by}"
    if cut.source in tables.empty:
        found = {"": [part for one in figures.values() for part in one.of_nothing()]} if cut.total else {}
    else:
        found = {value: numbers for value, *numbers in tables.rows(query, night)}
    if cut.dimension == "severity":
        none = [part for one in figures.values() for part in (0 if one.unit == "count" else None, None, None)]
        found = {severity: found.get(severity, none) for severity in SEVERITIES}
    for value, numbers in found.items():
        for place, (name, figure) in enumerate(figures.items()):
            metric = _metric(
                name, figure.unit, *numbers[3 * place : 3 * place + 3], dimension=cut.dimension, value=value
            )
            nothing = metric.value is None or (metric.unit == "count" and not metric.value)
            if cut.dimension in ("all", "severity") or not nothing:
                yield metric


def _metric(
    name: str,
    unit: str,
    figure: float | None,
    denominator: float | None,
    unknown: float | None,
    *,
    dimension: str = "all",
    value: str = "",
) -> Metric:
    """Return a figure as a row. A ratio of nothing and a median of nothing are not measured."""
    measured = figure
    if unit == "ratio":
        measured = figure / denominator if figure is not None and denominator else None
    elif unknown and denominator == 0:
        measured = None
    reason = None
    if measured is None:
        reason = f"it is unknown for all {unknown:,.0f}" if unknown else "there are none"
    return Metric(
        metric=name,
        dimension=dimension,
        dimension_value=value,
        value=None if measured is None else float(measured),
        unit=unit,
        numerator=_float(figure) if unit == "ratio" else None,
        denominator=_float(denominator),
        unknown=_float(unknown),
        reason=reason,
    )


def _float(number: float | None) -> float | None:
    return None if number is None else float(number)
