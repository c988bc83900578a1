"""Runs the rules of a night, and combines their results with earlier nights. Rules about records run first, then rules
about exceptions, which depend on the findings that exceptions match. The results of each run have their own names:
``record_hits`` and ``exception_hits``, and likewise ``..._errors``, ``..._known`` and ``..._candidates``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import duckdb
import msgspec

from scanner.analyze.finding_facts import facts, stray_subjects, subject_places
from scanner.analyze.framework import load_frameworks, references
from scanner.analyze.history import Known, assumed, held, moved, not_seen_tonight, seen_tonight
from scanner.analyze.hits import RuleQueryError, write_few_hits, write_hits
from scanner.analyze.rule_sources import finds_nothing, present_in
from scanner.tables import quoted, read_parquet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from scanner.analyze.rule import Rule
    from scanner.query_watch import QueryWatch
    from scanner.tables import Tables

About: TypeAlias = Literal["record", "exception"]

PART_ROWS = 500_000
"""Number of findings combined at once."""


class AnalysisError(Exception):
    """The analysis is not reliable and was not written. The message says why and what to do."""


class RuleHits(msgspec.Struct, frozen=True, kw_only=True):
    """The hits of rules."""

    about: About
    subjects: list[str]
    """The tables of the subjects."""
    errors: dict[str, str]
    """Failed rules and their errors. A failed rule is an error, never a pass."""


def define_rules(tables: Tables, rules: Sequence[Rule], frameworks: list[str] | None) -> None:
    """Make the tables ``rules`` and ``rule_controls``, of the chosen frameworks; None takes all."""
    columns = ("rule", "oldest_id", "subject", "severity", "category", "title", "version", "fix")
    types = {**dict.fromkeys(columns, "VARCHAR"), "absence": "BOOLEAN"}
    rows = [
        (
            rule.id,
            rule.oldest_id,
            rule.subject,
            rule.severity,
            rule.category,
            rule.title,
            rule.version,
            rule.fix,
            bool(rule.absence),
        )
        for rule in rules
    ]
    tables.table_of_rows("rules", types, rows)
    cited = references(load_frameworks(), frameworks)
    controls = [
        (rule.id, provider, [f"{one.framework}: {one.code}" for one in found])
        for rule in rules
        for provider, found in cited.get(rule.id, {}).items()
    ]
    kinds = {"rule": "VARCHAR", "provider": "VARCHAR", "controls": "VARCHAR[]"}
    tables.table_of_rows("rule_controls", kinds, controls)


def run_rules(
    tables: Tables, rules: Sequence[Rule], *, about: About, as_of: datetime, folder: Path, watch: QueryWatch
) -> RuleHits:
    """Run rules; make the view ``<about>_hits``, the table ``<about>_errors``, and the table ``<about>_held``: the
    hits that prove nothing, which are not among the others.

    Hits are written into ``folder``, one file a rule. A rule that takes longer than ``watch`` allows has failed. Raises
    `AnalysisError` when a built-in rule gives a subject twice, and `scanner.stop.StoppedError` if the run must end.
    """
    folder.mkdir(mode=0o700)
    present = present_in(tables)
    errors: dict[str, str] = {}
    found: dict[str, Path] = {}
    for rule in rules:
        path = folder / f"{rule.id}.parquet"
        if finds_nothing(rule, present):
            continue
        try:
            with watch.one_rule():
                if rule.custom or tables.large:
                    rows = write_hits(tables, rule, as_of, path)
                else:
                    rows = write_few_hits(tables, rule, as_of, path)
            if rows:
                found[rule.id] = path
        except duckdb.InterruptException:
            watch.check()
            errors[rule.id] = (
                f"query took longer than {watch.rule_seconds / 60:g} minutes (limits.rule_minutes)"
            )
        except RuleQueryError as exc:
            if exc.duplicate and not rule.custom:
                raise AnalysisError(
                    f"rule {rule.id}: {exc}. Nothing was written; please report this."
                ) from None
            errors[rule.id] = str(exc)
    subject_of = {rule.id: rule.subject for rule in rules}
    if found:
        subjects = sorted({subject_of[rule] for rule in found})
        for rule_id, subject in tables.rows(stray_subjects(subjects, read_parquet(list(found.values())))):
            errors[rule_id] = f"its subject {subject} is no row of {subject_of[rule_id]}"
            del found[rule_id]
    every = f"FROM {read_parquet(list(found.values()))}" if found else _NO_HITS
    queries = _held(tables, rules, found)
    if queries:
        tables.table_of(f"{about}_held", " UNION ".join(queries))
        every = f"SELECT h.* FROM ({every}) AS h ANTI JOIN {about}_held AS d ON d.rule = h.rule AND d.subject = h.subject"
    else:
        tables.table_of_rows(f"{about}_held", {"rule": "VARCHAR", "subject": "VARCHAR"}, [])
    tables.view_of(f"{about}_hits", every)
    tables.table_of_rows(f"{about}_errors", {"rule": "VARCHAR", "error": "VARCHAR"}, list(errors.items()))
    return RuleHits(about=about, subjects=sorted({subject_of[rule] for rule in found}), errors=errors)


def _held(tables: Tables, rules: Sequence[Rule], found: dict[str, Path]) -> list[str]:
    """Return the queries for hits that prove nothing."""
    absent = [rule for rule in rules if rule.absence and rule.id in found]
    queries = []
    if absent:
        subjects = sorted({rule.subject for rule in absent})
        queries.append(held(subject_places(subjects), read_parquet([found[rule.id] for rule in absent])))
    if found and "blocked" not in tables.empty:
        queries.append(moved(read_parquet(list(found.values()))))
    if found and "lost_tonight" not in tables.empty:
        queries.append(assumed(read_parquet(list(found.values()))))
    return queries


_NO_HITS = """
    SELECT NULL::VARCHAR AS rule, NULL::VARCHAR AS subject, NULL::VARCHAR AS account_id, NULL::VARCHAR AS fix,
           NULL::VARCHAR AS identity_id, NULL::VARCHAR AS resource, NULL::VARCHAR AS blast,
           NULL::VARCHAR AS confidence, NULL::VARCHAR AS detail, NULL::VARCHAR AS severity,
           MAP {}::MAP(VARCHAR, VARCHAR) AS evidence WHERE false
"""


def write_candidates(
    tables: Tables, hits: RuleHits, exception_rules: Sequence[str], night: dict[str, Any], folder: Path
) -> list[Path]:
    """Write the findings of tonight's hits, and known findings of these rules, with their status; return the files.
    Creates the views ``<about>_known`` and ``<about>_candidates``. ``night`` has ``run_id`` and ``as_of``, a time in
    UTC without a zone. Raises `AnalysisError` if two findings have the same id.
    """
    about = hits.about
    among = "IN" if about == "exception" else "NOT IN"
    names = ", ".join(quoted(name) for name in exception_rules) or "''"
    known_before = "known_before" not in tables.empty
    if known_before:
        tables.view_of(f"{about}_known", f"SELECT * FROM known_before WHERE rule {among} ({names})")
    else:
        tables.view(f"{about}_known", Known, [])
    hit = tables.one(f"SELECT count(*) FROM {about}_hits") if hits.subjects else 0
    were_known = tables.one(f"SELECT count(*) FROM {about}_known") if known_before else 0
    parts = (hit + were_known) // PART_ROWS + 1
    written: list[Path] = []
    for part in range(parts):
        # In parts, so that the joins of a very large night stay within the memory limit.
        only = f" WHERE hash(subject) % {parts} = {part}" if parts > 1 else ""
        found, known = (f"(SELECT * FROM {about}_{what}{only})" for what in ("hits", "known"))
        queries = [not_seen_tonight(found, known, about)] if were_known else []
        if hits.subjects:
            queries.append(seen_tonight(facts(hits.subjects, found), known))
        for number, query in enumerate(queries):
            written.append(folder / f"{about}-candidates-{part}-{number}.parquet")
            tables.copy(query, written[-1], night)
    tables.view(f"{about}_candidates", Known, written)
    if written:
        _refuse_collisions(tables, f"{about}_candidates")
    return written


def _refuse_collisions(tables: Tables, candidates: str) -> None:
    twice = tables.one(f"SELECT id FROM {candidates} GROUP BY id HAVING count(*) > 1 ORDER BY id LIMIT 1")
    if twice is None:
        return
    clash = tables.rows(f"SELECT rule, subject FROM {candidates} WHERE id = $id ORDER BY ALL", {"id": twice})
    raise AnalysisError(
        f"two findings have the id {twice}: {'; '.join(' '.join(row) for row in clash)}. "
        "Nothing was written; please report this with both lines."
    )
