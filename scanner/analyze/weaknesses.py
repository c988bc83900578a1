"""The weaknesses of pipeline definitions, one row for each pipeline: a macro for the rules about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.findings import SEVERITIES

if TYPE_CHECKING:
    from scanner.tables import Tables

READS = frozenset({"weaknesses", "identities"})
"""The tables that the macro reads."""

NAMED = 5
"""Maximum number of different weaknesses named in a sentence. The rest are counted."""

_WORST = " ".join(f"WHEN {place} THEN '{severity}'" for place, severity in enumerate(SEVERITIES, start=1))

_WEAK_IDENTITIES = f"""
    TABLE
    WITH found AS (
        SELECT i.id, w.code, w.fix, w.line, w.confidence, list_position({list(SEVERITIES)}, w.severity) AS severity,
               coalesce(w.path || coalesce(':' || w.line, ''), w.code) AS location,
               -- The reader sees the pipeline's own file beside this.
               CASE WHEN w.line IS NOT NULL AND starts_with(i.location, w.path || ':') THEN 'line ' || w.line
                    ELSE coalesce(w.path || coalesce(':' || w.line, ''), w.code) END AS place,
               w.what || coalesce(' (job ' || w.job || ')', '') AS what
        FROM weaknesses AS w JOIN identities AS i ON i.id = w.subject_id
        WHERE list_contains(codes, w.code) AND coalesce(i.enabled, true)
    ), alike AS (
        SELECT id, what, min(line) AS line, min(place) AS place,
               string_agg(place, ', ' ORDER BY line, place) || ': ' || what AS line_text
        FROM found GROUP BY id, what
    ), sentences AS (
        SELECT id, array_to_string(list(line_text ORDER BY line, place, what)[:{NAMED}], '; ')
                   || CASE WHEN count(*) > {NAMED} THEN '; and ' || count(*) - {NAMED} || ' more' ELSE '' END AS detail
        FROM alike GROUP BY id
    )
    SELECT f.id AS subject, any_value(s.detail) AS detail, CASE min(f.severity) {_WORST} END AS severity,
           -- One thing to do is said; many are what the rule says.
           CASE WHEN count(DISTINCT f.fix) = 1 THEN max(f.fix) END AS fix,
           CASE WHEN bool_and(f.confidence = 'low') THEN 'low' ELSE 'high' END AS confidence,
           string_agg(DISTINCT f.code, ', ' ORDER BY f.code) AS codes,
           string_agg(f.location, ', ' ORDER BY f.location) AS lines
    FROM found AS f JOIN sentences AS s ON s.id = f.id GROUP BY f.id
"""


def define_weak_identities(tables: Tables) -> None:
    """Define the table macro ``weak_identities(['template-injection', ...])``: a row for each pipeline with such weaknesses.

    It returns all columns of a rule's query (`scanner.analyze.rule`): subject, detail, severity, fix and confidence, with codes
    and lines as evidence.
    """
    tables.macro("weak_identities", "codes", _WEAK_IDENTITIES)
