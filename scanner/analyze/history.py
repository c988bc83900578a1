"""The findings of earlier nights, and the status of each finding tonight.

``history/<run_id>.parquet`` contains every finding ever found, with its first night, its transitions and its last
status, so that ages and reopenings outlive pruned snapshots. Beside it stand what is remembered of listings
(`scanner.analyze.listing_history`), of accounts (`scanner.analyze.removed_accounts`), of targets
(`scanner.analyze.target_coverage`) and of identities, credentials and grants (`scanner.analyze.population`). The
analysis of a run reads the history of the analyzed run before it, by the order of the ledger (`scanner.ledger`).

docs/architecture.md, "Findings over nights", defines the statuses. New, open and reopened count as one state for
``changed_at`` and the transitions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.analyze.finding_facts import MAX_AGE_DAYS
from scanner.analyze.listing_history import NOT_THERE_AGAIN, WAS_COMPLETE
from scanner.findings import SEVERITIES, Finding
from scanner.parquet import sql_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

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


_MET_BY = """n."table" = l."table" AND (n.kind IS NULL OR l.kind IS NULL OR n.kind = l.kind)"""
"""Whether a need ``n`` is about a listing ``l``."""

_WITHIN = """(l.account_id = k.account_id
    OR n.above AND (k.account_id, l.account_id) IN (SELECT account_id, ancestor FROM accounts_above))"""

LOST = f"""
    SELECT k.rule, k.account_id, k.last_seen, min(l.what) AS what, bool_or({WAS_COMPLETE}) AS was_complete
    FROM (SELECT DISTINCT rule, account_id, last_seen FROM known_before WHERE status <> 'resolved') AS k
         JOIN nights AS n0 ON n0.run_id = k.last_seen
         JOIN rule_needs AS n ON n.rule = k.rule
         JOIN listings AS l ON {_MET_BY} AND (n.everywhere OR {_WITHIN})
    WHERE {NOT_THERE_AGAIN}
    GROUP BY k.rule, k.account_id, k.last_seen
"""
"""Listings that were complete when a finding was last found and are not complete tonight, or were requested then and
are not requested tonight."""

_GAPPED = f"""
    JOIN rule_needs AS n ON n.rule = k.rule AND NOT n.everywhere
    JOIN listed AS l ON l.gapped AND {_MET_BY} AND {_WITHIN}
    WHERE NOT (l."table" = k.subject_table AND l."table" IN ('credentials', 'identities', 'secrets')
               AND l.kind IS NOT NULL AND l.kind <> coalesce(k.subject_kind, l.kind))
"""
"""Gaps of tonight that hide findings ``k``. A gap of a different kind than the subject's does not: otherwise what a
provider never shows (the OAuth apps of an organization) would keep every credential finding from being resolved."""

BLOCKED = f"""
    SELECT DISTINCT k.rule, k.account_id, k.subject_table, coalesce(k.subject_kind, '') AS subject_kind
    FROM (SELECT DISTINCT rule, account_id, subject_table, subject_kind FROM known_before WHERE status <> 'resolved') AS k
    {_GAPPED}
"""
"""Findings that a gap of tonight can hide."""


def held(subjects: str, hits: str) -> str:
    """Return the query for hits of rules of absence that prove nothing: not all that the rule needs was listed.

    ``subjects`` is a relation of "table", id, account_id and kind.
    """
    return f"""
        WITH found AS (
            SELECT h.rule, h.subject, coalesce(h.account_id, s.account_id) AS account_id, s."table" AS subject_table,
                   s.kind AS subject_kind
            FROM {hits} AS h JOIN rules AS r ON r.rule = h.rule AND r.absence
                 JOIN ({subjects}) AS s ON s."table" = r.subject AND s.id = h.subject
        ), places AS (
            SELECT DISTINCT rule, account_id, subject_table, subject_kind FROM found
        ), hidden AS (
            SELECT DISTINCT k.* FROM places AS k {_GAPPED}
            UNION
            SELECT k.* FROM places AS k ANTI JOIN rule_states AS s ON s.rule = k.rule AND s.account_id = k.account_id
            UNION
            -- An account above that was lost whole takes with it what the accounts below inherit.
            SELECT k.* FROM places AS k JOIN accounts_above AS o ON o.account_id = k.account_id
                 JOIN gaps AS g ON g.account_id = o.ancestor AND g."table" = '*'
        )
        SELECT f.rule, f.subject FROM found AS f JOIN hidden AS h
             ON h.rule = f.rule AND h.account_id = f.account_id AND h.subject_kind IS NOT DISTINCT FROM f.subject_kind
    """


def moved(hits: str) -> str:
    """Return the query for hits that are known findings in another place, while the place where they were known cannot be read.

    They are recognized by their evidence: by the fingerprint of a secret's value, or by ``identified_by``, what a thing that
    several accounts list is known by.
    """
    mark = (
        "coalesce(map_extract({0}.evidence, 'fingerprint')[1], map_extract({0}.evidence, 'identified_by')[1])"
    )
    same = f"{mark.format('k')} = {mark.format('h')}"
    return f"""
        SELECT DISTINCT h.rule, h.subject
        FROM {hits} AS h JOIN known_before AS k ON k.rule = h.rule AND {same} AND k.status <> 'resolved'
             JOIN blocked AS b ON b.rule = k.rule AND b.account_id = k.account_id
                  AND b.subject_table = k.subject_table AND b.subject_kind = coalesce(k.subject_kind, '')
        WHERE k.subject NOT IN (SELECT s.subject FROM {hits} AS s WHERE s.rule = h.rule)
          AND h.subject NOT IN (SELECT s.subject FROM known_before AS s WHERE s.rule = h.rule AND s.status <> 'resolved')
    """


LOST_TONIGHT = """
    WITH failed AS (
        SELECT l.account_id, l.kind,
               coalesce(l.spells[-1]."first" = n.number AND l.spells[-2].complete, false) AS only_tonight
        FROM listings AS l, (SELECT max(number) AS number FROM nights) AS n
        WHERE l."table" = 'identities' AND NOT l.complete AND l.spells[-1]."last" = n.number
    )
    SELECT l.account_id || ' ' || l.kind AS listing
    FROM failed AS l WHERE l.account_id NOT IN (SELECT account_id FROM failed WHERE kind IS NULL)
    GROUP BY l.account_id, l.kind HAVING bool_and(l.only_tonight)
"""
"""Account and kind of the identities all of whose failed listings were complete on the last night that requested them."""


def assumed(hits: str) -> str:
    """Return the query for new hits that rest on a listing which failed tonight only: on the night before it was
    complete, and they were not found.

    The column ``assumed`` of the rule's query names those listings, see docs/architecture.md, "What was assumed for one
    night". A hit whose identity, or one of whose policies, is new is none of them: no night has judged it yet.
    """
    return f"""
        SELECT h.rule, h.subject
        FROM {hits} AS h JOIN rules AS r ON r.rule = h.rule
             JOIN (SELECT 'identities' AS "table", id, id AS identity_id FROM identities
                   UNION ALL SELECT 'grants', id, identity_id FROM grants) AS s
                  ON s."table" = r.subject AND s.id = h.subject
        WHERE list_has_all((SELECT list(listing) FROM lost_tonight),
                           string_split(map_extract(h.evidence, 'assumed')[1], ', '))
          AND (h.rule, h.subject) NOT IN (SELECT (k.rule, k.subject) FROM known_before AS k WHERE k.status <> 'resolved')
          AND s.identity_id IN (SELECT id FROM identities_before WHERE removed_at IS NULL)
          AND NOT EXISTS (FROM grants AS g WHERE g.identity_id = s.identity_id AND len(coalesce(g.assumed_kinds, [])) = 0
                          AND g.id NOT IN (SELECT id FROM grants_before WHERE removed_at IS NULL))
    """


COMPARED = (
    "rule_version", "category", "controls", "title", "severity", "confidence", "account_name", "subject_name",
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
        [*_CARRIED, f"{_SEVERE.format('severity')} AS severe"]
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
        "open_since": "CASE WHEN k.status = 'resolved' THEN $as_of ELSE coalesce(k.open_since, $as_of) END",
        # `settled` decides; here only what it can no longer tell.
        "counts_as_new": f"CASE WHEN {_SEVERE.format('f.severity')} < k.severe THEN 'severity-raised' END",
        # The previous values; `settled` computes the current ones.
        "due_at": "k.due_at",
        "exception_id": "k.exception_id",
        "gone_in": "NULL",
        "not_observed": "NULL",
        "out_of_scope": "false",
        "last_seen": "$run_id",
        "shown": "true",
        "transitions": "coalesce(k.transitions, [])",
    }
    return f"SELECT {_chosen(columns)} FROM ({facts}) AS f LEFT JOIN (SELECT {before} FROM {known}) AS k ON k.id = f.id"


_CARRIED = ("id", "status", "first_seen", "changed_at", "open_since", "due_at", "exception_id", "transitions")
_SEVERE = f"list_position([{', '.join(repr(name) for name in SEVERITIES)}], {{0}})"
"""1 for critical."""


def not_seen_tonight(hits: str, known: str, about: str) -> str:
    """Return the query for known findings without hits tonight.

    ``hits`` and ``known`` are relations of tonight's hits and of what earlier nights knew. Reads ``<about>_errors``
    (rules that failed) and ``<about>_held`` (hits that prove nothing). Parameter: ``$run_id``.
    """
    with_status = f"""
        SELECT k.*, t.version AS version_now, t.rule IS NULL OR r.id IS NOT NULL AS out_now,
               CASE WHEN k.status = 'resolved' THEN 'resolved'
                    WHEN t.rule IS NULL OR r.id IS NOT NULL THEN 'unobserved'
                    WHEN e.rule IS NOT NULL THEN 'error'
                    WHEN a.id IS NOT NULL THEN 'resolved'
                    WHEN s.rule IS NULL OR b.rule IS NOT NULL OR l.rule IS NOT NULL OR d.rule IS NOT NULL THEN 'unobserved'
                    ELSE 'resolved' END AS now,
               CASE WHEN t.rule IS NULL THEN 'its rule is disabled or gone'
                    WHEN r.id IS NOT NULL THEN 'its target is retired'
                    WHEN e.rule IS NOT NULL THEN 'its rule failed: ' || e.error
                    WHEN s.rule IS NULL THEN 'nothing that its rule needs was listed in its account'
                    WHEN b.rule IS NOT NULL OR d.rule IS NOT NULL
                    THEN coalesce(s.missing_table || ': ', '') || coalesce(s.reason, 'what its rule needs is incomplete')
                    WHEN l.was_complete
                    THEN 'was complete when this was last seen, and is not tonight: ' || l.what
                    ELSE 'was requested when this was last seen, and is not tonight: ' || l.what END AS because
        FROM {known} AS k
             LEFT JOIN {hits} AS h ON h.rule = k.rule AND h.subject = k.subject
             LEFT JOIN rules AS t ON t.rule = k.rule
             LEFT JOIN {about}_errors AS e ON e.rule = k.rule
             LEFT JOIN {about}_held AS d ON d.rule = k.rule AND d.subject = k.subject
             LEFT JOIN retired_accounts AS r ON r.id = k.account_id
             LEFT JOIN removed_accounts AS a ON a.id = k.account_id
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
        "rule_version": "CASE WHEN g.now = 'resolved' AND g.status <> 'resolved' THEN g.version_now ELSE g.rule_version END",
        # What a changed rule no longer finds was not fixed by anybody.
        "changed": """CASE WHEN g.now = 'resolved' AND g.status <> 'resolved' AND g.version_now <> g.rule_version
                           THEN ['rule_version']
                           WHEN g.now <> 'resolved' AND g.out_now <> g.out_of_scope THEN ['out_of_scope'] ELSE [] END""",
        "counts_as_new": "NULL",
        "gone_in": "CASE WHEN g.now = 'resolved' THEN coalesce(g.gone_in, $run_id) END",
        "out_of_scope": "g.out_now AND g.now <> 'resolved'",
        "shown": "CASE WHEN g.now = 'resolved' THEN g.status <> 'resolved' ELSE NOT (g.out_now AND g.out_of_scope) END",
        "not_observed": "CASE WHEN g.now IN ('unobserved', 'error') THEN g.because END",
    }
    return f"SELECT {_chosen(columns)} FROM ({with_status}) AS g"


_COUNTS_AS_NEW = """
    CASE WHEN c.now IN ('new', 'reopened') THEN c.now
         WHEN c.now IN ('open', 'unobserved', 'error') AND NOT c.out_of_scope
              AND c.exception_id IS NOT NULL AND c.covered_by IS NULL THEN 'exception-ended'
         WHEN c.now = 'open' THEN c.counts_as_new END
"""


def settled(due_days: dict[str, int]) -> str:
    """Return the query for all findings as stored in the history, with exceptions applied, dates and rank.

    Reads ``candidates`` (of both queries above, for all rules) and ``covered`` (finding_id, exception_id).
    Parameters: ``$run_id``, ``$as_of``.
    """
    status = """CASE WHEN x.exception_id IS NOT NULL AND c.status IN ('new', 'open', 'reopened') THEN 'excepted'
                     ELSE c.status END"""
    due = " ".join(
        f"WHEN '{name}' THEN c.open_since + to_days({int(due_days[name])})"
        for name in SEVERITIES
        if name in due_days
    )
    due_at = (
        f"CASE WHEN c.now = 'resolved' THEN c.due_at ELSE CASE c.severity {due} END END"
        if due
        else "NULL::TIMESTAMP"
    )
    # One that is out of scope keeps its exception: if that lapses meanwhile, the finding counts as new when it is back.
    exception_id = (
        "coalesce(c.covered_by, CASE WHEN c.now = 'resolved' OR c.out_of_scope THEN c.exception_id END)"
    )
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
            THEN c.rank + least(greatest(date_diff('day', c.open_since, $as_of), 0), {MAX_AGE_DAYS})
            ELSE c.rank END""",
        "changed_at": f"CASE WHEN {same} THEN c.changed_at ELSE $as_of END",
        "changed": f"""CASE WHEN c.previous_status IS NULL THEN []
            ELSE list_concat(c.changed, list_filter([{later}], lambda name: name IS NOT NULL)) END""",
        "due_at": due_at,
        "counts_as_new": _COUNTS_AS_NEW,
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
