"""The figures of a night, in tidy form: what trends are made of.

Open means new, open or reopened: not excepted, not resolved, not unobserved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.findings import Metric

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from scanner.night import Tables

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
"""Figure, condition and unit, for each of the dimensions."""

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
    "gaps": ("gaps", "count(*)", "count"),
}
"""Table, figure and unit, in all and for each provider."""

_PIPELINE = "surface = 'automation' AND regexp_matches(kind, '(workflow|pipeline|project)$')"
"""An automation identity of a kind that is called so by its provider."""
_STATIC_OF_C = "c.lifetime = 'static' AND coalesce(c.enabled, true)"

_ONCE = {
    "listings_complete": (
        "SELECT count(*) / nullif(count(*) + (SELECT count(*) FROM gaps), 0) FROM coverage",
        "ratio",
    ),
    "pipelines": (f"SELECT count(*) FROM identities WHERE {_PIPELINE}", "count"),
    "pipelines_without_static_secrets": (
        f"""
        SELECT count(*) FILTER (NOT EXISTS (
                   SELECT 1 FROM secrets AS s
                   WHERE s.holder_id = i.id AND (s.looks_like IS NOT NULL OR s.credential_id IS NOT NULL))
                 AND len(i.secrets) = 0
                 AND NOT EXISTS (SELECT 1 FROM edges AS e WHERE e.source_id = i.id AND e.kind = 'holds-key')
               ) / nullif(count(*), 0)
        FROM identities AS i WHERE {_PIPELINE}
        """,
        "ratio",
    ),
    "automation_with_short_lived_credentials": (
        f"""
        SELECT count(*) FILTER (NOT EXISTS (SELECT 1 FROM credentials AS c WHERE c.identity_id = i.id AND {_STATIC_OF_C}))
               / nullif(count(*), 0)
        FROM identities AS i
        WHERE i.surface IN ('automation', 'workload') AND coalesce(i.enabled, true)
          AND (i.issuer IS NOT NULL
               OR EXISTS (SELECT 1 FROM trusts AS t WHERE t.identity_id = i.id)
               OR EXISTS (SELECT 1 FROM credentials AS c WHERE c.identity_id = i.id)
               OR EXISTS (SELECT 1 FROM links AS l WHERE l.source_id = i.id AND l.relation = 'runs_as'))
        """,
        "ratio",
    ),
    "pipelines_reaching_admin": (
        """
        SELECT count(DISTINCT r.identity_id) FROM reach AS r
        JOIN identities AS i ON i.id = r.identity_id
        WHERE i.surface = 'automation' AND r.power = 'admin' AND r.steps > 0
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
    """Yield the figures of a night, in a fixed order. What has no value (a median of nothing) is left out."""
    for metric, (figure, condition, unit) in _BY_FINDING.items():
        for dimension, column in _DIMENSIONS.items():
            query = (
                f"SELECT {column} AS value, ({figure})::DOUBLE FROM findings WHERE {condition} "
                "GROUP BY 1 ORDER BY 1"
            )
            rows = list(tables.rows(query, {"as_of": as_of}))
            if not rows and dimension == "all" and unit == "count":
                rows = [("", 0.0)]
            for value, number in rows:
                yield Metric(
                    metric=metric, dimension=dimension, dimension_value=value, value=number, unit=unit
                )
    for metric, (table, figure, unit) in _BY_PROVIDER.items():
        for dimension, column in (("all", "''"), ("provider", "provider")):
            query = f"SELECT {column} AS value, ({figure})::DOUBLE FROM {table} GROUP BY 1 ORDER BY 1"
            for value, number in tables.rows(query, {"as_of": as_of}):
                if number is not None:
                    yield Metric(
                        metric=metric, dimension=dimension, dimension_value=value, value=number, unit=unit
                    )
    for metric, (query, unit) in _ONCE.items():
        number = tables.one(query)
        if number is not None:
            yield Metric(metric=metric, dimension="all", dimension_value="", value=float(number), unit=unit)
