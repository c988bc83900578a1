"""The findings of earlier nights, and the status of each finding tonight.

``history/<run_id>.parquet`` contains every finding ever found, with its first night, its transitions and its last
status, so that ages and reopenings outlive pruned snapshots. ``history/<run_id>.listings.parquet`` holds which listing was
last complete when (`scanner.analyze.completeness`), and ``history/<run_id>.identities.parquet`` and its like since when what is
known (`scanner.analyze.population`). The analysis of a run reads the newest history before it.

| found tonight | known before | status |
|---|---|---|
| yes | no | new |
| yes | resolved | reopened |
| yes | otherwise | open |
| yes, and accepted by a valid exception | any | excepted |
| no, and its inputs are complete | not resolved | resolved: reported that night, then only in the history |
| no, and they are incomplete or were not requested | not resolved | unobserved, with the reason as evidence |
| no, and its rule failed | not resolved | error |

New, open and reopened count as one state for ``changed_at`` and the transitions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.analyze.finding_facts import MAX_AGE_DAYS
from scanner.findings import SEVERITIES, Finding
from scanner.parquet import sql_columns

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from scanner.tables import Tables


class Known(Finding, frozen=True, kw_only=True, gc=False):
    """A finding as stored in the history."""

    subject_address: str | None = None
    """The subject's address, which an exception may use as selector."""
    last_seen: str
    """The last run that found it."""
    shown: bool
    """Whether it is among its night's findings. Resolved findings are reported once."""
    transitions: list[str]
    """Every change of status, oldest first: ``20261123T020000Z new``."""


def define_known_before(tables: Tables, renamed: Mapping[str, str]) -> None:
    """Make the view ``known_before``: what the night before knew (``known_then``), with today's ids of the rules.

    ``renamed`` gives the id of a rule by an earlier one.
    """
    tables.table_of_rows("renamed_rules", {"was": "VARCHAR", "rule": "VARCHAR"}, sorted(renamed.items()))
    rule = (
        "coalesce((SELECT r.rule FROM renamed_rules AS r WHERE r.was = k.rule), k.rule)"
        if renamed
        else "k.rule"
    )
    tables.view_of("known_before", f"SELECT k.* REPLACE ({rule} AS rule) FROM known_then AS k")


def history_before(state: Path, run_id: str) -> str | None:
    """Return the newest analyzed run before this one; None on the first night."""
    names = sorted(path.stem for path in (state / "history").glob("*.parquet") if "." not in path.stem)
    return next((name for name in reversed(names) if name < run_id), None)


KEPT = 3
"""Histories that `superseded` keeps: the newest contains everything, the others allow a night or two to be analyzed again."""


def superseded(state: Path) -> list[Path]:
    """Return the files of older histories, oldest first. Each newer history contains everything in them."""
    files = sorted((state / "history").glob("*.parquet"))
    runs = sorted({path.name.partition(".")[0] for path in files})
    return [path for path in files if path.name.partition(".")[0] in runs[:-KEPT]]


LOST = """
    SELECT k.rule, k.account_id, k.last_seen, min(l.what) AS what
    FROM (SELECT DISTINCT rule, account_id, last_seen FROM known_before WHERE status <> 'resolved') AS k
         JOIN rule_needs AS n ON n.rule = k.rule
         JOIN listings AS l ON l."table" = n."table" AND (n.kind IS NULL OR l.kind IS NULL OR n.kind = l.kind)
              AND (n.everywhere OR l.account_id = k.account_id
                   OR n.above AND (k.account_id, l.account_id) IN (SELECT account_id, ancestor FROM accounts_above))
    WHERE k.last_seen BETWEEN l.first_complete AND l.last_complete AND l.last_complete <> $run_id
    GROUP BY k.rule, k.account_id, k.last_seen
"""
"""Listings that were complete when a finding was last found and are not complete tonight."""

BLOCKED = """
    SELECT DISTINCT k.rule, k.account_id, k.subject_table, coalesce(k.subject_kind, '') AS subject_kind
    FROM (SELECT DISTINCT rule, account_id, subject_table, subject_kind FROM known_before WHERE status <> 'resolved') AS k
         JOIN rule_needs AS n ON n.rule = k.rule AND NOT n.everywhere
         JOIN listed AS l ON l.gapped AND l."table" = n."table"
              AND (n.kind IS NULL OR l.kind IS NULL OR n.kind = l.kind)
              AND (l.account_id = k.account_id
                   OR n.above AND (k.account_id, l.account_id) IN (SELECT account_id, ancestor FROM accounts_above))
    WHERE NOT (l."table" = k.subject_table AND l."table" IN ('credentials', 'identities', 'secrets')
               AND l.kind IS NOT NULL AND l.kind <> coalesce(k.subject_kind, l.kind))
"""
"""Findings that a gap of tonight can hide. A gap of a different kind than the subject's does not hide it: otherwise what
a provider never shows (the OAuth apps of an organization) would keep every credential finding from being resolved."""

COMPARED = (
    "rule_version", "category", "title", "severity", "confidence", "account_name", "subject_name",
    "identity_id", "identity_name", "surface", "resource", "owner", "owner_source", "environment", "detail", "fix",
    "blast", "path", "url",
)  # fmt: skip
"""The fields whose changes since the previous night are reported to importers."""

_SPELL = "CASE WHEN {0} IN ('new', 'open', 'reopened') THEN 'open' ELSE {0} END"


def _chosen(given: dict[str, str]) -> str:
    """Return the columns of `Known` in order, with their types."""
    return ", ".join(
        f'CAST({given.get(name, name)} AS {kind}) AS "{name}"' for name, kind in sql_columns(Known).items()
    )


def seen_tonight(facts: str, known: str) -> str:
    """Return the query for findings with hits tonight.

    ``facts`` is `scanner.analyze.finding_facts.facts`, ``known`` the relation of what earlier nights knew.
    Parameters: ``$run_id``, ``$as_of``.
    """
    # Hashes of both sides, so that the join does not carry every sentence of the previous night.
    differing = ", ".join(f"CASE WHEN hash(f.{name}) <> k.{name} THEN '{name}' END" for name in COMPARED)
    before = ", ".join(
        ["id", "status", "first_seen", "changed_at", "due_at", "exception_id", "transitions"]
        + [f"hash({name}) AS {name}" for name in COMPARED]
    )
    columns = {
        **{name: f"f.{name}" for name in Known.__struct_fields__},
        "status": "CASE WHEN k.id IS NULL THEN 'new' WHEN k.status = 'resolved' THEN 'reopened' ELSE 'open' END",
        "previous_status": "k.status",
        "changed": f"CASE WHEN k.id IS NULL THEN [] ELSE list_filter([{differing}], lambda name: name IS NOT NULL) END",
        "rank": "f.urgency",
        "first_seen": "coalesce(k.first_seen, $as_of)",
        "changed_at": "coalesce(k.changed_at, $as_of)",
        # The previous values; `settled` computes the current ones.
        "due_at": "k.due_at",
        "exception_id": "k.exception_id",
        "gone_in": "NULL",
        "not_observed": "NULL",
        "last_seen": "$run_id",
        "shown": "true",
        "transitions": "coalesce(k.transitions, [])",
    }
    return f"SELECT {_chosen(columns)} FROM ({facts}) AS f LEFT JOIN (SELECT {before} FROM {known}) AS k ON k.id = f.id"


def not_seen_tonight(hits: str, known: str, errors: str) -> str:
    """Return the query for known findings without hits tonight.

    ``hits`` and ``known`` are relations of tonight's hits and of what earlier nights knew, ``errors`` of rules that
    failed. Parameter: ``$run_id``.
    """
    judged = f"""
        SELECT k.*, t.rule IS NULL AS not_run,
               CASE WHEN k.status = 'resolved' THEN 'resolved'
                    WHEN t.rule IS NULL THEN 'unobserved'
                    WHEN e.rule IS NOT NULL THEN 'error'
                    WHEN s.rule IS NULL OR b.rule IS NOT NULL OR l.rule IS NOT NULL THEN 'unobserved'
                    ELSE 'resolved' END AS now,
               CASE WHEN t.rule IS NULL THEN 'its rule is disabled or gone'
                    WHEN e.rule IS NOT NULL THEN 'its rule failed: ' || e.error
                    WHEN s.rule IS NULL THEN 'nothing that its rule needs was listed in its account'
                    WHEN b.rule IS NOT NULL THEN coalesce(s.missing_table || ': ', '') || s.reason
                    ELSE 'was complete when this was last seen, and is not tonight: ' || l.what END AS because
        FROM {known} AS k
             LEFT JOIN {hits} AS h ON h.rule = k.rule AND h.subject = k.subject
             LEFT JOIN rules AS t ON t.rule = k.rule
             LEFT JOIN {errors} AS e ON e.rule = k.rule
             LEFT JOIN rule_states AS s ON s.rule = k.rule AND s.account_id = k.account_id
             LEFT JOIN lost AS l ON l.rule = k.rule AND l.account_id = k.account_id AND l.last_seen = k.last_seen
             LEFT JOIN blocked AS b ON b.rule = k.rule AND b.account_id = k.account_id
                  AND b.subject_table = k.subject_table AND b.subject_kind = coalesce(k.subject_kind, '')
        WHERE h.rule IS NULL
    """
    columns = {
        **{name: f"g.{name}" for name in Known.__struct_fields__},
        "status": "g.now",
        "previous_status": "g.status",
        "changed": "[]",
        "gone_in": "CASE WHEN g.now = 'resolved' THEN coalesce(g.gone_in, $run_id) END",
        "shown": "CASE WHEN g.now = 'resolved' THEN g.status <> 'resolved' "
        "ELSE NOT (g.not_run AND g.status = 'unobserved') END",
        "not_observed": "CASE WHEN g.now IN ('unobserved', 'error') THEN g.because END",
    }
    return f"SELECT {_chosen(columns)} FROM ({judged}) AS g"


def settled(due_days: dict[str, int]) -> str:
    """Return the query for all findings as stored in the history, with exceptions applied, dates and rank.

    Reads ``candidates`` (of both queries above, for all rules) and ``covered`` (finding_id, exception_id).
    Parameters: ``$run_id``, ``$as_of``.
    """
    status = """CASE WHEN x.exception_id IS NOT NULL AND c.status IN ('new', 'open', 'reopened') THEN 'excepted'
                     ELSE c.status END"""
    due = " ".join(
        f"WHEN '{name}' THEN c.first_seen + to_days({int(due_days[name])})"
        for name in SEVERITIES
        if name in due_days
    )
    due_at = (
        f"CASE WHEN c.now = 'resolved' THEN c.due_at ELSE CASE c.severity {due} END END"
        if due
        else "NULL::TIMESTAMP"
    )
    exception_id = "coalesce(c.covered_by, CASE WHEN c.last_seen <> $run_id THEN c.exception_id END)"
    later = ", ".join(
        f"CASE WHEN c.{name} IS DISTINCT FROM ({sql}) THEN '{name}' END"
        for name, sql in (("due_at", due_at), ("exception_id", exception_id))
    )
    same = f"coalesce({_SPELL.format('c.previous_status')} = {_SPELL.format('c.now')}, false)"
    columns = {
        **{name: f"c.{name}" for name in Known.__struct_fields__},
        "status": "c.now",
        # A known finding keeps the rank of its last night. Its age is recomputed each night that finds it.
        "rank": f"""CASE WHEN c.last_seen = $run_id
            THEN c.rank + least(greatest(date_diff('day', c.first_seen, $as_of), 0), {MAX_AGE_DAYS})
            ELSE c.rank END""",
        "changed_at": f"CASE WHEN {same} THEN c.changed_at ELSE $as_of END",
        "changed": f"""CASE WHEN c.previous_status IS NULL THEN []
            ELSE list_concat(c.changed, list_filter([{later}], lambda name: name IS NOT NULL)) END""",
        "due_at": due_at,
        "exception_id": exception_id,
        "transitions": f"CASE WHEN {same} THEN c.transitions "
        "ELSE list_append(c.transitions, $run_id || ' ' || c.now) END",
    }
    return f"""
        SELECT {_chosen(columns)}
        FROM (SELECT c.*, x.exception_id AS covered_by, {status} AS now
              FROM candidates AS c LEFT JOIN covered AS x ON x.finding_id = c.id) AS c
        ORDER BY rank DESC, id
    """


FINDINGS = f"""
    SELECT {", ".join(f'"{name}"' for name in Finding.__struct_fields__)}
    FROM settled WHERE shown
"""
"""Tonight's findings from the history, ordered by rank, highest first, then id."""
