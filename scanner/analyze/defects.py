"""What is wrong in pipeline definitions, one row a pipeline: the macro that every rule about them is made of.

A collector leaves a `Control` for each problem: its kind is the problem's code, its name ``path:line``, and its detail
``[severity] what (job x). What to do.``
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.findings import SEVERITIES

if TYPE_CHECKING:
    from scanner.night import Tables

READS = frozenset({"controls", "identities"})
"""The tables that the macro reads."""

TOLD = 5
"""Different problems that a sentence names; the rest are counted."""

_WORST = " ".join(f"WHEN {place} THEN '{severity}'" for place, severity in enumerate(SEVERITIES, start=1))

_DEFECTS = rf"""
    CREATE OR REPLACE MACRO defects(kinds) AS TABLE
    WITH found AS (
        SELECT i.id, c.kind, c.name,
               -- The reader sees the pipeline's own file beside this.
               CASE WHEN starts_with(c.name, regexp_replace(i.location, ':\d+$', '') || ':')
                    THEN 'line ' || regexp_extract(c.name, '\d+$') ELSE c.name END AS place,
               TRY_CAST(regexp_extract(c.name, ':(\d+)$', 1) AS INT) AS line,
               list_position({list(SEVERITIES)}, regexp_extract(c.detail, '^\[(\w+)\]', 1)) AS severity,
               regexp_extract(regexp_replace(coalesce(c.detail, c.kind), '^\[\w+\] ', ''),
                              '(?s)^(.*?)(?:\. ([A-Z].*)|\.)?$', ['what', 'fix']) AS said
        FROM controls AS c JOIN identities AS i ON i.id = c.target
        WHERE list_contains(kinds, c.kind) AND c.enforcement = 'absent' AND coalesce(i.enabled, true)
    ), alike AS (
        SELECT id, said.what AS what, min(line) AS line, min(place) AS place,
               string_agg(place, ', ' ORDER BY line, place) || ': ' || what AS told
        FROM found GROUP BY id, said.what
    ), sentences AS (
        SELECT id, array_to_string(list(told ORDER BY line, place, what)[:{TOLD}], '; ')
                   || CASE WHEN count(*) > {TOLD} THEN '; and ' || count(*) - {TOLD} || ' more' ELSE '' END AS detail
        FROM alike GROUP BY id
    )
    SELECT f.id AS subject, any_value(s.detail) AS detail, CASE min(f.severity) {_WORST} END AS severity,
           -- One thing to do is said; many are what the rule says.
           CASE WHEN count(DISTINCT f.said.fix) = 1 THEN nullif(max(f.said.fix), '') END AS fix,
           string_agg(DISTINCT f.kind, ', ' ORDER BY f.kind) AS kinds, string_agg(f.name, ', ' ORDER BY f.name) AS lines
    FROM found AS f JOIN sentences AS s ON s.id = f.id GROUP BY f.id
"""


def define_defects(tables: Tables) -> None:
    """Define the table macro ``defects(['template-injection', ...])``: a row for each pipeline with such problems.

    It gives all that a rule gives (`scanner.analyze.rule`): subject, detail, severity and fix, with kinds and lines as evidence.
    """
    tables.con.execute(_DEFECTS)
