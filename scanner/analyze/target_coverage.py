"""How much of each target was seen tonight, against what the last night that saw it was asked.

A target is an account, an organization, a group or a folder. Counting tonight's listings alone would make a night look
better the more it loses: what hangs below a first call that is refused is never asked for. So the listings of a target
that has a gap are compared with those of the last night that saw it, by their ids, and those that were not asked for
tonight count as lost. Three states:

- whole: every listing was answered, but for what the provider shows to nobody
- part: some were
- dark: none was, and it was read before or the configuration names it

A target of an earlier night that is not asked for tonight is dark, too, unless the listing of accounts above it proves
that it is gone, or the run was told to read other targets only (``--only``, ``--path``): then it is not-asked.

``history/<run_id>.targets.parquet`` and ``.asked.parquet`` keep what the next night compares with: a dark target's rows
stay as its last night left them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from scanner.findings import TargetCoverage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scanner.tables import Tables


class PlannedTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A target that tonight's run was to collect."""

    collector: str
    target: str
    account_id: str


class AskedListing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One listing of a target, on the last night that saw the target."""

    collector: str
    """The collector."""
    target: str
    """The target's name."""
    listing: str
    """The listing's id: the same every night."""
    answered: bool
    """Whether it was read in full."""
    items: int
    """How many records it gave."""


_KEY = "regexp_extract(id, '[^:]+$')"
"""The id of a listing: what the rows of an answer and of a gap have in common."""

_ASKED_TONIGHT = f"""
    SELECT collector, target, listing, bool_and(answered) AS answered, sum(items)::BIGINT AS items,
           bool_or(lost) AS lost, bool_or(never_shown) AS never_shown
    FROM (
        SELECT collector, target, {_KEY} AS listing, true AS answered, items, false AS lost, false AS never_shown
        FROM coverage WHERE "table" <> '*'
        UNION ALL
        SELECT collector, target, {_KEY}, false, 0, reason <> 'unsupported', reason = 'unsupported'
        FROM gaps WHERE "table" <> '*' AND coalesce(kind, '') <> 'carried-forward'
    ) GROUP BY ALL
"""

_WHOLE_GAPS = """
    SELECT collector, target, arg_min(reason || ': ' || detail, id) AS reason, arg_min(needs, id) AS needs
    FROM gaps WHERE "table" = '*' GROUP BY ALL
"""
"""Targets that could not be read, or not to the end."""

_STATES = """
    WITH tonight AS (
        SELECT collector, target, count(*) AS asked, count(*) FILTER (answered) AS answered,
               count(*) FILTER (never_shown AND NOT answered) AS never_shown,
               bool_or(lost AND NOT answered) AS lost, sum(items) AS items
        FROM asked_tonight GROUP BY ALL
    ), gone_with_it AS (
        SELECT b.collector, b.target, count(*) AS listings, sum(b.items) AS items
        FROM asked_before AS b ANTI JOIN asked_tonight AS n USING (collector, target, listing) GROUP BY ALL
    ), refused AS (
        SELECT collector, target, arg_min(call || ': ' || reason, id) AS reason, arg_min(needs, id) AS needs
        FROM gaps WHERE "table" <> '*' AND reason <> 'unsupported'
          AND coalesce(kind, '') <> 'carried-forward' GROUP BY ALL
    ), every AS (
        SELECT coalesce(p.collector, b.collector) AS collector, coalesce(p.target, b.target) AS target,
               coalesce(p.account_id, b.account_id) AS account_id, p.target IS NOT NULL AS planned,
               b.seen_in, b.whole_in, b.name AS name_before, b.provider AS provider_before,
               b.parent_id AS parent_before, b.kind AS kind_before
        FROM planned_targets AS p FULL JOIN targets_before AS b USING (collector, target)
    ), figures AS (
        SELECT e.*, a.id IS NOT NULL AS listed, a.active, coalesce(a.name, e.name_before) AS name,
               coalesce(a.provider, e.provider_before, e.collector) AS provider,
               coalesce(a.parent_id, e.parent_before) AS parent_id, coalesce(a.kind, e.kind_before) AS kind,
               coalesce(t.answered, 0) AS answered, coalesce(t.never_shown, 0) AS never_shown,
               coalesce(t.items, 0) AS items, w.target IS NOT NULL OR coalesce(t.lost, false) AS has_gap,
               coalesce(t.asked, 0) AS asked,
               CASE WHEN w.target IS NOT NULL OR coalesce(t.lost, t.asked IS NULL) THEN coalesce(g.listings, 0)
                    ELSE 0 END AS not_asked,
               CASE WHEN w.target IS NOT NULL OR coalesce(t.lost, t.asked IS NULL) THEN coalesce(g.items, 0)
                    ELSE 0 END AS items_not_asked,
               coalesce(w.reason, r.reason) AS reason, coalesce(w.needs, r.needs) AS needs
        FROM every AS e
             LEFT JOIN tonight AS t USING (collector, target)
             LEFT JOIN gone_with_it AS g USING (collector, target)
             LEFT JOIN whole_gaps AS w USING (collector, target)
             LEFT JOIN refused AS r USING (collector, target)
             LEFT JOIN accounts AS a ON a.id = e.account_id
    )
    SELECT collector || '/' || target AS id, collector, target, provider, account_id, name, kind, parent_id,
           CASE WHEN NOT planned AND $selected THEN 'not-asked'
                WHEN answered = 0 THEN 'dark' WHEN has_gap THEN 'part' ELSE 'whole' END AS state,
           greatest(asked + not_asked, 1) AS listings_expected, answered AS listings_answered,
           never_shown AS listings_never_shown, items, items + items_not_asked AS items_expected,
           CASE WHEN answered > 0 THEN $run_id ELSE seen_in END AS seen_in,
           CASE WHEN answered > 0 AND NOT has_gap THEN $run_id ELSE whole_in END AS whole_in,
           CASE WHEN NOT planned AND $selected THEN 'this run was told to read other targets only'
                WHEN NOT planned THEN 'it was read before and is not asked for any more' ELSE reason END AS reason,
           CASE WHEN planned THEN needs END AS needs
    FROM figures
    WHERE planned OR NOT (
        -- Proven gone: what lists the accounts above it was answered in full, and has it no more or as closed.
        coalesce(complete(parent_id, 'accounts', kind), false) AND (NOT listed OR active IS FALSE)
    )
    ORDER BY id
"""

_ASKED_TO_KEEP = """
    SELECT collector, target, listing, answered, items FROM asked_tonight
    WHERE (collector, target) IN (SELECT (collector, target) FROM target_coverage WHERE seen_in = $run_id)
    UNION ALL
    SELECT collector, target, listing, answered, items FROM asked_before
    WHERE (collector, target) IN (SELECT (collector, target) FROM target_coverage WHERE seen_in <> $run_id)
    ORDER BY ALL
"""


def measure_targets(
    tables: Tables,
    planned: Sequence[PlannedTarget],
    *,
    before: tuple[Path, Path] | None,
    run_id: str,
    selected: bool,
    out: Path,
    asked: Path,
) -> None:
    """Write `TargetCoverage` of tonight to ``out`` and make the view ``target_coverage``; to ``asked`` what to keep.

    ``before`` are the same two files of the night that tonight is compared with. ``selected``: the run was told to read
    only some targets. Reads ``accounts``, ``coverage``, ``gaps`` and the macro ``complete``.
    """
    tables.table_of_rows(
        "planned_targets",
        dict.fromkeys(("collector", "target", "account_id"), "VARCHAR"),
        [(one.collector, one.target, one.account_id) for one in planned],
    )
    tables.view("targets_before", TargetCoverage, [before[0]] if before else [])
    tables.view("asked_before", AskedListing, [before[1]] if before else [])
    tables.table_of("asked_tonight", _ASKED_TONIGHT)
    tables.table_of("whole_gaps", _WHOLE_GAPS)
    tables.copy(_STATES, out, {"run_id": run_id, "selected": selected})
    tables.view("target_coverage", TargetCoverage, [out])
    tables.copy(_ASKED_TO_KEEP, asked, {"run_id": run_id})
