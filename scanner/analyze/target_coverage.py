"""The coverage of each target, compared with the last night that read it.

A target is an account, an organization, a group or a folder. Counting only tonight's listings would make a night look
better the more it loses: listings that depend on a denied first call are never requested. So the listings of a target
with a gap are compared, by id, with those of the last night that read it, and those not requested tonight count as lost.
States:

- complete: every listing succeeded, except what the provider does not offer
- partial: some did
- unread: none did, and the target was read before or is named in the configuration

A target of an earlier night that is not requested tonight is unread too, unless the listing of its parent account proves
that it was removed, or the run was limited to other targets (``--only``, ``--path``): then it is not-requested.

``history/<run_id>.targets.parquet`` and ``.asked.parquet`` keep what the next night compares with. The rows of an unread
target are kept from its last reading.
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
    """A planned target of tonight's run."""

    collector: str
    target: str
    account_id: str


class AskedListing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One listing of a target, on the last night that read the target."""

    collector: str
    """The collector."""
    target: str
    """The target's name."""
    listing: str
    """The listing's id, stable across nights."""
    answered: bool
    """Whether it is complete."""
    items: int
    """Its number of records."""


_KEY = "regexp_extract(id, '[^:]+$')"
"""The id of a listing, common to its coverage and gap rows."""

_ASKED_TONIGHT = f"""
    SELECT collector, target, listing, bool_and(answered) AS answered, sum(items)::BIGINT AS items,
           bool_or(lost) AS lost, bool_or(never_shown) AS never_shown, bool_or("table" <> 'accounts') AS inside
    FROM (
        SELECT collector, target, "table", {_KEY} AS listing, true AS answered, items, false AS lost,
               false AS never_shown
        FROM coverage WHERE "table" <> '*'
        UNION ALL
        SELECT collector, target, "table", {_KEY}, false, 0, reason <> 'unsupported', reason = 'unsupported'
        FROM gaps WHERE "table" <> '*' AND coalesce(kind, '') <> 'carried-forward'
    ) GROUP BY collector, target, listing
"""
"""``inside`` is about what lies in the target: that an account exists is often known from its parent."""

_WHOLE_GAPS = """
    SELECT collector, target, arg_min(reason || ': ' || detail, id) AS reason, arg_min(needs, id) AS needs
    FROM gaps WHERE "table" = '*' GROUP BY ALL
"""
"""Targets that could not be read, or not completely."""

_STATES = """
    WITH tonight AS (
        SELECT collector, target, count(*) AS asked, count(*) FILTER (answered) AS answered,
               count(*) FILTER (answered AND inside) AS answered_inside,
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
               b.last_read_in, b.last_complete_in, b.name AS name_before, b.provider AS provider_before,
               b.parent_id AS parent_before, b.kind AS kind_before
        FROM planned_targets AS p FULL JOIN targets_before AS b USING (collector, target)
    ), figures AS (
        SELECT e.*, a.id IS NOT NULL AS listed, a.active, coalesce(a.name, e.name_before) AS name,
               coalesce(a.provider, e.provider_before, e.collector) AS provider,
               coalesce(a.parent_id, e.parent_before) AS parent_id, coalesce(a.kind, e.kind_before) AS kind,
               coalesce(t.answered, 0) AS answered, coalesce(t.never_shown, 0) AS never_shown,
               coalesce(t.items, 0) AS items, w.target IS NOT NULL OR coalesce(t.lost, false) AS has_gap,
               coalesce(t.asked, 0) AS asked, w.target IS NOT NULL AS refused_whole,
               coalesce(t.answered, 0) = 0 OR (w.target IS NOT NULL AND t.answered_inside = 0) AS unread,
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
           CASE WHEN NOT planned AND $selected THEN 'not-requested'
                WHEN unread THEN 'unread' WHEN has_gap THEN 'partial' ELSE 'complete' END AS state,
           -- A refused first call stands for all below it where nothing more is known.
           greatest(asked + greatest(not_asked, refused_whole::INTEGER), 1) AS listings_expected, answered AS listings_answered,
           never_shown AS listings_never_shown, items, items + items_not_asked AS items_expected,
           CASE WHEN NOT unread THEN $run_id ELSE last_read_in END AS last_read_in,
           CASE WHEN NOT unread AND NOT has_gap THEN $run_id ELSE last_complete_in END AS last_complete_in,
           CASE WHEN NOT planned AND $selected THEN 'this run was limited to other targets'
                WHEN NOT planned THEN 'it was read before and is no longer requested' ELSE reason END AS reason,
           CASE WHEN planned THEN needs END AS needs
    FROM figures
    WHERE planned OR NOT (
        -- Proven removed: the listing of its parent account is complete, and lacks it or lists it as closed.
        coalesce(complete(parent_id, 'accounts', kind), false) AND (NOT listed OR active IS FALSE)
    )
    ORDER BY id
"""

_ASKED_TO_KEEP = """
    SELECT collector, target, listing, answered, items FROM asked_tonight
    WHERE (collector, target) IN (SELECT (collector, target) FROM target_coverage WHERE last_read_in = $run_id)
    UNION ALL
    SELECT collector, target, listing, answered, items FROM asked_before
    WHERE (collector, target) IN (SELECT (collector, target) FROM target_coverage WHERE last_read_in <> $run_id)
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
    """Write tonight's `TargetCoverage` to ``out``, create the view ``target_coverage``, and write the listings to ``asked``.

    ``before`` are the same two files of the previous night. ``selected``: the run was limited to some targets.
    Reads ``accounts``, ``coverage``, ``gaps`` and the macro ``complete``.
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
