"""The metrics of a night in tidy form, from which trends are made.

Open means new, open or reopened, but not excepted, resolved or unobserved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.findings import Metric

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from scanner.tables import Tables

_OPEN = "status IN ('new', 'open', 'reopened')"

_DIMENSIONS = {
    "all": "''",
    "severity": "severity",
    "category": "category",
    "provider": "provider",
    "surface": "coalesce(surface, 'none')",
    "owner": "coalesce(owner, 'no owner')",
}

_BY_FINDING = {
    "open_findings": ("count(*)", _OPEN, "count"),
    "new_findings": ("count(*)", "status IN ('new', 'reopened')", "count"),
    "resolved_findings": ("count(*)", "status = 'resolved'", "count"),
    "unobserved_findings": ("count(*)", "status = 'unobserved'", "count"),
    "excepted_findings": ("count(*)", "status = 'excepted'", "count"),
    "overdue_findings": ("count(*)", f"{_OPEN} AND due_at < $as_of", "count"),
    "median_age_of_open_findings": ("median(date_diff('day', first_seen, $as_of))", _OPEN, "days"),
    "median_days_to_resolve": (
        "median(date_diff('day', first_seen, changed_at))",
        "status = 'resolved'",
        "days",
    ),
}
"""Metric, expression, condition and unit, computed for each dimension."""

_STATIC = "lifetime = 'static' AND coalesce(enabled, true)"

_BY_PROVIDER = {
    "identities": ("identities", "count(*)", "count"),
    "automation_identities": ("identities", "count(*) FILTER (surface = 'automation')", "count"),
    "identities_with_owner": (
        "identities",
        "count(*) FILTER (owner IS NOT NULL) / nullif(count(*), 0)",
        "ratio",
    ),
    "credentials": ("credentials", "count(*)", "count"),
    "static_credentials": ("credentials", f"count(*) FILTER ({_STATIC})", "count"),
    "credentials_with_known_use": (
        "credentials",
        "count(*) FILTER (last_used_at IS NOT NULL OR never_used) / nullif(count(*), 0)",
        "ratio",
    ),
    "median_age_of_static_credentials": (
        "credentials",
        f"median(date_diff('day', coalesce(rotated_at, created_at), $as_of)) FILTER ({_STATIC})",
        "days",
    ),
    "secrets": ("secrets", "count(*)", "count"),
    "secrets_readable": ("secrets", "count(*) FILTER (readable AND looks_like IS NOT NULL)", "count"),
    "admin_grants": ("grants", "count(*) FILTER (level = 'admin')", "count"),
    "open_trusts": ("trusts", "count(*) FILTER (exposure IN ('anyone', 'another-tenant'))", "count"),
    "unresolved_references": ("weaknesses", "count(*) FILTER (code = 'unresolved-reference')", "count"),
    "gaps": ("gaps", "count(*)", "count"),
}
"""Table, metric, expression and unit, computed in total and for each provider."""

_PIPELINE = "surface = 'automation' AND regexp_matches(kind, '(workflow|pipeline|project)$') AND coalesce(enabled, true)"
"""An enabled automation identity whose kind is a pipeline."""

_UNREAD = """
    EXISTS (SELECT 1 FROM gaps AS g WHERE g.account_id = i.account_id AND (g."table" = '*' OR g."table" IN ({})
            AND (g.kind IS NULL OR g.reason <> 'unsupported')))
"""
"""Something in the identity's account was not read. What a provider never shows counts if it affects all identities."""

_PIPELINES = f"""
    SELECT CASE WHEN len(i.secrets) > 0
                  OR i.id IN (SELECT holder_id FROM secrets WHERE looks_like IS NOT NULL OR credential_id IS NOT NULL)
                  OR i.id IN (SELECT source_id FROM edges WHERE kind = 'holds-key') THEN 'static'
                WHEN {_UNREAD.format("'secrets', 'weaknesses'")} THEN 'unknown' ELSE 'none' END AS found
    FROM identities AS i WHERE {_PIPELINE}
"""
"""For each pipeline: whether it reads or holds a stored secret."""

_SIGNING_IN = f"""
    SELECT CASE WHEN i.id IN (SELECT identity_id FROM credentials WHERE lifetime <> 'short-lived' AND coalesce(enabled, true)
                              AND coalesce(expires_at > $as_of, true))
                  OR i.id IN (SELECT source_id FROM edges WHERE kind = 'holds-key') THEN 'long-lived'
                WHEN {_UNREAD.format("'credentials'")} THEN 'unknown' ELSE 'short-lived' END AS found
    FROM identities AS i
    WHERE i.surface IN ('automation', 'workload') AND coalesce(i.enabled, true)
      AND (i.issuer IS NOT NULL OR i.id IN (SELECT identity_id FROM trusts)
           OR i.id IN (SELECT identity_id FROM credentials) OR i.id IN (SELECT source_id FROM links WHERE relation = 'runs_as'))
"""
"""For each automation or workload identity known to sign in: how. Short-lived includes roles and federation."""


_SHARES = (
    ("pipelines", "pipelines_without_static_secrets", "pipelines_of_unknown_secrets", _PIPELINES, "none"),
    (
        "automation_signing_in",
        "automation_with_short_lived_credentials",
        "automation_of_unknown_credentials",
        _SIGNING_IN,
        "short-lived",
    ),
)
"""The total, the share of good ones among those with a known answer, and the number of unknown ones."""

_ONCE = {
    "listings_complete": (
        """
        SELECT sum(listings_answered) / nullif(sum(listings_expected), 0) FROM target_coverage
        WHERE state <> 'not-asked'
        """,
        "ratio",
    ),
    "pipelines_reaching_admin": (
        f"""
        SELECT count(DISTINCT r.identity_id) FROM reach AS r JOIN identities AS i ON i.id = r.identity_id
        WHERE {_PIPELINE} AND r.power = 'admin' AND r.steps > 0
        """,
        "count",
    ),
    "pipelines_exceeding_their_workload": (
        "SELECT count(DISTINCT pipeline_id) FROM excess WHERE len(excess) > 0",
        "count",
    ),
    "exceptions_in_force": (
        "SELECT count(*) FROM exceptions WHERE state IN ('active', 'expiring')",
        "count",
    ),
}


def measure(tables: Tables, as_of: datetime) -> Iterator[Metric]:
    """Yield the metrics of a night in a fixed order. A metric without a value (the median of nothing) is left out."""
    by_finding = _by_finding(tables, as_of)
    for metric, (_, _, unit) in _BY_FINDING.items():
        for dimension in _DIMENSIONS:
            rows = by_finding[dimension][metric]
            if not rows and dimension == "all" and unit == "count":
                rows = {"": 0.0}
            for value, number in rows.items():
                yield Metric(
                    metric=metric, dimension=dimension, dimension_value=value, value=number, unit=unit
                )
    by_provider = _by_provider(tables, as_of)
    for metric, (_, _, unit) in _BY_PROVIDER.items():
        for dimension in ("all", "provider"):
            for value, number in by_provider[dimension][metric].items():
                yield Metric(
                    metric=metric, dimension=dimension, dimension_value=value, value=number, unit=unit
                )
    for metric, (query, unit) in _ONCE.items():
        number = tables.one(query, {"as_of": as_of})
        if number is not None:
            yield Metric(metric=metric, dimension="all", dimension_value="", value=float(number), unit=unit)
    for total, share, unknown, query, well in _SHARES:
        counts = dict(tables.rows(f"SELECT found, count(*) FROM ({query}) GROUP BY ALL", {"as_of": as_of}))
        every, dark = sum(counts.values()), counts.get("unknown", 0)
        figures = [(total, every, "count"), (unknown, dark, "count")]
        if every > dark:
            figures.append((share, counts.get(well, 0) / (every - dark), "ratio"))
        for metric, value, unit in figures:
            yield Metric(metric=metric, dimension="all", dimension_value="", value=float(value), unit=unit)


_Figures = dict[str, dict[str, dict[str, float]]]
"""Dimension, metric and value of the dimension -> figure; what has none is left out."""


def _by_finding(tables: Tables, as_of: datetime) -> _Figures:
    """Return the figures of findings. One query a dimension reads them all."""
    figures = ", ".join(
        f"(CASE WHEN count(*) FILTER ({condition}) > 0 THEN ({figure} FILTER ({condition})) END)::DOUBLE"
        for figure, condition, _ in _BY_FINDING.values()
    )
    return {
        dimension: _figures(
            tables, as_of, list(_BY_FINDING), f"SELECT {column} AS value, {figures} FROM findings"
        )
        for dimension, column in _DIMENSIONS.items()
    }


def _by_provider(tables: Tables, as_of: datetime) -> _Figures:
    """Return the figures of records. One query a table and dimension reads them all."""
    metrics: dict[str, list[str]] = {}
    for metric, (table, _, _) in _BY_PROVIDER.items():
        metrics.setdefault(table, []).append(metric)
    found: _Figures = {"all": {}, "provider": {}}
    for table, names in metrics.items():
        figures = ", ".join(f"({_BY_PROVIDER[name][1]})::DOUBLE" for name in names)
        for dimension, column in (("all", "''"), ("provider", "provider")):
            query = f"SELECT {column} AS value, {figures} FROM {table}"
            found[dimension] |= _figures(tables, as_of, names, query)
    return found


def _figures(tables: Tables, as_of: datetime, metrics: list[str], query: str) -> dict[str, dict[str, float]]:
    """Return metric -> value -> figure, of a query whose first column is the value."""
    found: dict[str, dict[str, float]] = {metric: {} for metric in metrics}
    for value, *numbers in tables.rows(f"{query} GROUP BY 1 ORDER BY 1", {"as_of": as_of}):
        for metric, number in zip(metrics, numbers, strict=True):
            if number is not None:
                found[metric][value] = number
    return found
