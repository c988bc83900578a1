"""The coverage of each target, compared with the last night that read it.

A target is an account, an organization, a group or a folder. Counting only tonight's listings would make a night look
better the more it loses: listings that depend on a denied first call are never requested. So the listings of a target
with a gap are compared, by id, with those of the last night that read it, and those not requested tonight count as
lost. States:

- complete: every listing succeeded, except what the provider does not offer
- partial: some did
- unread: none did, and the target was read before or is named in the configuration

A target of an earlier night that is not requested tonight is unread too, unless the listing of its parent account
proves that it was removed. It is not-requested if the configuration retires it, or if the run was limited to other
targets (``--only``, ``--path``). A target is known by its collector and the id of its account, so that a new
name does not make it another.

``history/<run_id>.targets.parquet`` and ``.asked.parquet`` keep what the next night compares with. The rows of an
unread target are kept from its last reading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from scanner.analyze.listing_history import LISTING
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


def target_ids(planned: Sequence[PlannedTarget]) -> list[str]:
    """Return the id of each target: ``collector/account_id``, so that a new name does not make it another target.

    A target whose account is not known yet, and the second target of one account, are known by their names.
    """
    taken: set[str] = set()
    ids = []
    for one in planned:
        name = f"{one.collector}/{one.account_id}"
        if one.account_id.endswith(":unknown"):
            name = f"{one.collector}/{one.target}"
        elif name in taken:
            name = f"{name}/{one.target}"
        taken.add(name)
        ids.append(name)
    return ids


class AskedListing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One listing of a target, on the last night that read the target."""

    target_id: str
    """The target's id."""
    listing: str
    """The listing's id, stable across nights."""
    answered: bool
    """Whether it is complete."""
    items: int
    """Its number of records."""


_ASKED_TONIGHT = f"""
    SELECT p.id AS target_id, listing, bool_and(answered) AS answered, sum(items)::BIGINT AS items,
           bool_or(lost) AS lost, bool_or(never_shown) AS never_shown, bool_or("table" <> 'accounts') AS inside
    FROM (
        SELECT collector, target, "table", {LISTING} AS listing, true AS answered, items, false AS lost,
               false AS never_shown
        FROM coverage WHERE "table" <> '*'
        UNION ALL
        SELECT collector, target, "table", {LISTING}, false, 0, reason <> 'unsupported', reason = 'unsupported'
        FROM gaps WHERE "table" <> '*' AND coalesce(kind, '') <> 'carried-forward'
    ) JOIN planned_targets AS p USING (collector, target) GROUP BY p.id, listing
"""
"""``inside`` is about what lies in the target: that an account exists is often known from its parent."""

_WHOLE_GAPS = """
    SELECT p.id AS target_id, arg_min(g.reason || ': ' || g.detail, g.id) AS reason, arg_min(g.needs, g.id) AS needs
    FROM gaps AS g JOIN planned_targets AS p USING (collector, target) WHERE g."table" = '*' GROUP BY p.id
"""
"""Targets that could not be read, or not completely."""

_STATES = """
    WITH tonight AS (
        SELECT target_id, count(*) AS asked, count(*) FILTER (answered) AS answered,
               count(*) FILTER (answered AND inside) AS answered_inside,
               count(*) FILTER (never_shown AND NOT answered) AS never_shown,
               bool_or(lost AND NOT answered) AS lost, sum(items) AS items
        FROM asked_tonight GROUP BY ALL
    ), gone_with_it AS (
        SELECT b.target_id, count(*) AS listings, sum(b.items) AS items
        FROM asked_before AS b ANTI JOIN asked_tonight AS n USING (target_id, listing) GROUP BY ALL
    ), refused AS (
        SELECT p.id AS target_id, arg_min(g.call || ': ' || g.reason, g.id) AS reason, arg_min(g.needs, g.id) AS needs
        FROM gaps AS g JOIN planned_targets AS p USING (collector, target)
        WHERE g."table" <> '*' AND g.reason <> 'unsupported' AND coalesce(g.kind, '') <> 'carried-forward' GROUP BY ALL
    ), every AS (
        SELECT coalesce(p.id, b.id) AS target_id, coalesce(p.collector, b.collector) AS collector,
               coalesce(p.target, b.target) AS target,
               list_filter(CASE WHEN p.target <> b.target THEN list_prepend(b.target, b.earlier_targets) ELSE coalesce(b.earlier_targets, []) END,
                           lambda name: name <> coalesce(p.target, b.target)) AS earlier_targets,
               coalesce(p.account_id, b.account_id) AS account_id, p.target IS NOT NULL AS planned,
               b.last_read_in, b.last_complete_in, b.name AS name_before, b.provider AS provider_before,
               b.parent_id AS parent_before, b.kind AS kind_before
        FROM planned_targets AS p FULL JOIN targets_before AS b USING (id)
    ), figures AS (
        SELECT e.*, e.target_id IN (SELECT id FROM retired_targets) AS retired, a.id IS NOT NULL AS listed, a.active, coalesce(a.name, e.name_before) AS name,
               coalesce(a.provider, e.provider_before, e.collector) AS provider,
               coalesce(a.parent_id, e.parent_before) AS parent_id, coalesce(a.kind, e.kind_before) AS kind,
               coalesce(t.answered, 0) AS answered, coalesce(t.never_shown, 0) AS never_shown,
               coalesce(t.items, 0) AS items, w.target_id IS NOT NULL OR coalesce(t.lost, false) AS has_gap,
               coalesce(t.asked, 0) AS asked, w.target_id IS NOT NULL AS refused_whole,
               coalesce(t.answered, 0) = 0 OR (w.target_id IS NOT NULL AND t.answered_inside = 0) AS unread,
               CASE WHEN w.target_id IS NOT NULL OR coalesce(t.lost, t.asked IS NULL) THEN coalesce(g.listings, 0)
                    ELSE 0 END AS not_asked,
               CASE WHEN w.target_id IS NOT NULL OR coalesce(t.lost, t.asked IS NULL) THEN coalesce(g.items, 0)
                    ELSE 0 END AS items_not_asked,
               coalesce(w.reason, r.reason) AS reason, coalesce(w.needs, r.needs) AS needs
        FROM every AS e
             LEFT JOIN tonight AS t USING (target_id)
             LEFT JOIN gone_with_it AS g USING (target_id)
             LEFT JOIN whole_gaps AS w USING (target_id)
             LEFT JOIN refused AS r USING (target_id)
             LEFT JOIN accounts AS a ON a.id = e.account_id
    )
    SELECT target_id AS id, collector, target, earlier_targets, provider, account_id, name, kind, parent_id,
           CASE WHEN NOT planned AND ($selected OR retired) THEN 'not-requested'
                WHEN unread THEN 'unread' WHEN has_gap THEN 'partial' ELSE 'complete' END AS state,
           -- A refused first call stands for all below it where nothing more is known.
           greatest(asked + greatest(not_asked, refused_whole::INTEGER), 1) AS listings_expected, answered AS listings_answered,
           never_shown AS listings_never_shown, items::BIGINT AS items, (items + items_not_asked)::BIGINT AS items_expected,
           CASE WHEN NOT unread THEN $run_id ELSE last_read_in END AS last_read_in,
           CASE WHEN NOT unread AND NOT has_gap THEN $run_id ELSE last_complete_in END AS last_complete_in,
           CASE WHEN retired THEN 'retired in the configuration'
                WHEN NOT planned AND $selected THEN 'this run was limited to other targets'
                WHEN NOT planned THEN 'it was read before and is no longer requested' ELSE reason END AS reason,
           CASE WHEN planned THEN needs END AS needs
    FROM figures
    WHERE planned OR last_read_in IS NOT NULL AND NOT (
        -- Proven removed: the listing of its parent account is complete, and lacks it or lists it as closed.
        coalesce(complete(parent_id, 'accounts', kind), false) AND (NOT listed OR active IS FALSE)
    )
    ORDER BY id
"""

_ASKED_TO_KEEP = """
    SELECT target_id, listing, answered, items FROM asked_tonight
    WHERE target_id IN (SELECT id FROM target_coverage WHERE last_read_in = $run_id)
    UNION ALL
    SELECT target_id, listing, answered, items FROM asked_before
    WHERE target_id IN (SELECT id FROM target_coverage WHERE last_read_in <> $run_id)
    ORDER BY ALL
"""

_RETIRED = """
    SELECT b.id, b.account_id FROM targets_before AS b ANTI JOIN planned_targets AS p ON p.id = b.id
    WHERE EXISTS (
        FROM (SELECT unnest($retired::VARCHAR[]) AS given)
        WHERE given IN (b.id, b.collector || '/' || b.target)
           OR list_contains([b.collector || '/' || name FOR name IN b.earlier_targets], given)
              AND given NOT IN (SELECT collector || '/' || target FROM targets_before)
    )
"""
"""A name that a target had before is its own as long as no other has it."""


def measure_targets(
    tables: Tables,
    planned: Sequence[PlannedTarget],
    *,
    before: tuple[Path, Path] | None,
    run_id: str,
    selected: bool,
    retired: Sequence[str],
    out: Path,
    asked: Path,
) -> None:
    """Write tonight's `TargetCoverage` to ``out``, create the view ``target_coverage``, and write the listings to
    ``asked``.

    ``before`` are the same two files of the previous night. ``selected``: the run was limited to some targets.
    ``retired`` are ids or names (``collector/name``, today's or an earlier one) of targets that are not expected any more. Reads ``accounts``,
    ``coverage``, ``gaps`` and the macro ``complete``.
    """
    tables.table_of_rows(
        "planned_targets",
        dict.fromkeys(("id", "collector", "target", "account_id"), "VARCHAR"),
        [
            (name, one.collector, one.target, one.account_id)
            for name, one in zip(target_ids(planned), planned, strict=True)
        ],
    )
    tables.view("targets_before", TargetCoverage, [before[0]] if before else [])
    tables.table_of("retired_targets", _RETIRED, {"retired": list(retired)})
    tables.view("asked_before", AskedListing, [before[1]] if before else [])
    tables.table_of("asked_tonight", _ASKED_TONIGHT)
    tables.table_of("whole_gaps", _WHOLE_GAPS)
    tables.copy(_STATES, out, {"run_id": run_id, "selected": selected})
    tables.view("target_coverage", TargetCoverage, [out])
    tables.copy(_ASKED_TO_KEEP, asked, {"run_id": run_id})
