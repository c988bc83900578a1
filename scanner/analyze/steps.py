"""Runs the rules over a sealed snapshot and compares with the night before.

Pure: it reads the snapshot, the history, and the files that its settings name, and given the same it writes the same
bytes. It writes, whole or not at all:

- ``analysis/<run_id>/``: one Parquet file a result table (`scanner.findings`), ``records/`` with what `scanner.analyze.resolve`
  changed, ``rules.json`` (the rules in force, with the controls they give evidence for) and ``summary.json``
- ``history/<run_id>.parquet`` and what else `scanner.analyze.history` names, and ``.metrics.json``: they outlive pruned
  snapshots
"""

from __future__ import annotations

import shutil
from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time
from pathlib import Path  # noqa: TC003
from typing import TYPE_CHECKING, Any

import msgspec

from scanner.analyze import completeness, history
from scanner.analyze.exceptions import judge as judge_exceptions
from scanner.analyze.exceptions import read_exceptions
from scanner.analyze.finding_facts import EXCEPTIONS_ACCOUNT, FINDING_ID, facts, stray_subjects
from scanner.analyze.framework import load_frameworks, references
from scanner.analyze.history import Known
from scanner.analyze.hits import QueryError, plain_utc, write_hits
from scanner.analyze.metrics import measure
from scanner.analyze.owners import read_owners
from scanner.analyze.population import count_population, keep_population
from scanner.analyze.reach import compute
from scanner.analyze.resolve import resolve
from scanner.analyze.rule_files import choose, load_rules
from scanner.analyze.weaknesses import define_weak_identities
from scanner.findings import SEVERITIES, ExceptionState, Finding, Metric, RuleResult
from scanner.parquet import write_table
from scanner.records import Severity  # noqa: TC001  msgspec reads the annotations at run time
from scanner.snapshot import check_history, mark_history, verify, write_private
from scanner.tables import Tables, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanner.analyze.exceptions import Accepted
    from scanner.analyze.rule import Rule
    from scanner.snapshot import Manifest

DUE_DAYS: dict[Severity, int] = {"critical": 7, "high": 30, "medium": 60, "low": 90}


PART_ROWS = 500_000
"""Findings that are put together at once."""


class AnalysisError(Exception):
    """The analysis cannot be trusted and was not written. The message says why and what to do."""


class AnalyzeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration says of analysis."""

    rule_params: dict[str, dict[str, float | int | str | list[str]]] = {}
    """Thresholds by rule id."""
    disabled: list[str] = []
    """Rule ids that do not run."""
    custom_rules: Path | None = None
    """A folder of rules of the user's own."""
    exceptions: Path | None = None
    """exceptions.yaml."""
    owners: Path | None = None
    """The ownership file."""
    frameworks: list[str] | None = None
    """Ids of the frameworks to cite; None cites all."""
    due_days: dict[Severity, int] = msgspec.field(default_factory=DUE_DAYS.copy)
    """Days from the first night until a finding is overdue."""
    memory: str = "1GB"
    threads: int = 2


class AnalysisSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a night came to; also ``summary.json``."""

    run_id: str
    as_of: datetime
    baseline: str | None
    """The run it was compared with; None: no baseline."""
    coverage: float
    """Complete listings of all listings that were asked for, 0 to 1."""
    partial: bool
    """True when the snapshot is partial."""
    findings: dict[str, dict[str, int]]
    """Counts by status, then severity."""
    rule_results: dict[str, int]
    """Rules times accounts, by how they fared."""
    exceptions: dict[str, int]
    """Exceptions by what became of them."""
    errors: list[str]
    """Rules that failed: ``rule: why``. What they look for was not looked for."""


def analyze(state: Path, run_id: str, *, settings: AnalyzeSettings) -> AnalysisSummary:
    """Analyse one sealed run of a state folder.

    Raises `SnapshotError` when the snapshot is not what its manifest says, `DocumentError` for rules, exceptions or
    owners that cannot be read, and `AnalysisError` when ids collide.
    """
    snapshot = state / "snapshots" / run_id
    manifest = verify(snapshot)
    check_history(state / "history")
    every = load_rules(settings.custom_rules)
    rules = choose(every, settings.rule_params, settings.disabled)
    accepted = (
        read_exceptions(settings.exceptions, [rule.id for rule in every], manifest.as_of)
        if settings.exceptions is not None
        else []
    )
    out = state / "analysis" / f"{run_id}.partial"
    past = state / "history"
    shutil.rmtree(out, ignore_errors=True)
    for folder in (out.parent, past, out, out / "work"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    tables = Tables([snapshot, out, past], memory=settings.memory, threads=settings.threads)
    try:
        steps = _Analysis(tables, manifest, rules, accepted=accepted, settings=settings, state=state, out=out)
        summary = steps.run()
    finally:
        tables.close()
    for path in out.rglob("*.parquet"):
        path.chmod(0o600)
    history_file, listings_file = out / "work" / "settled.parquet", out / "work" / "listings.parquet"
    history_file.replace(past / f"{run_id}.parquet")
    listings_file.replace(past / f"{run_id}.listings.parquet")
    keep_population(out / "population", past, run_id)
    mark_history(past)
    write_private(past / f"{run_id}.metrics.json", (out / "metrics.json").read_bytes())
    (out / "metrics.json").unlink()
    shutil.rmtree(out / "work")
    final = state / "analysis" / run_id
    shutil.rmtree(final, ignore_errors=True)
    out.replace(final)
    return summary


class _Analysis:
    """The steps of one analysis, over one connection."""

    def __init__(
        self,
        tables: Tables,
        manifest: Manifest,
        rules: list[Rule],
        *,
        accepted: list[Accepted],
        settings: AnalyzeSettings,
        state: Path,
        out: Path,
    ) -> None:
        self.tables = tables
        self.manifest = manifest
        self.rules = rules
        self.accepted = accepted
        self.settings = settings
        self.state = state
        self.out = out
        self.work = out / "work"
        self.as_of = plain_utc(manifest.as_of)
        self.night = {"run_id": manifest.run_id, "as_of": self.as_of}
        self.baseline = history.history_before(state, manifest.run_id)
        self.errors: dict[str, str] = {}
        self.candidates: list[Path] = []

    def run(self) -> AnalysisSummary:
        owners = read_owners(self.settings.owners) if self.settings.owners is not None else []
        snapshot = self.state / "snapshots" / self.manifest.run_id
        resolve(self.tables, snapshot, self.manifest, owners, self.out / "records")
        compute(self.tables, self.out, self.manifest.as_of)
        completeness.define_complete(self.tables)
        define_weak_identities(self.tables)
        self.tables.con.execute(FINDING_ID)
        self.tables.lock()
        self._remember()
        about_records = [rule for rule in self.rules if rule.subject != "exceptions"]
        about_exceptions = [rule for rule in self.rules if rule.subject == "exceptions"]
        completeness.judge(self.tables, self.rules)
        self.tables.con.execute(_EXCEPTIONS_JUDGED.format(rules=_names(about_exceptions)))
        self.tables.con.execute(history.LOST, {"run_id": self.manifest.run_id})
        self.tables.con.execute(history.BLOCKED)
        self._candidates(about_records, "candidates", f"rule NOT IN ({_names(about_exceptions)})")
        states = self._exceptions()
        self._candidates(about_exceptions, "candidates-exceptions", f"rule IN ({_names(about_exceptions)})")
        self._settle()
        count_population(
            self.tables,
            self.state / "history",
            baseline=self.baseline,
            run_id=self.manifest.run_id,
            as_of=self.as_of,
            out=self.out / "population",
        )
        results = self._rule_results()
        metrics = list(measure(self.tables, self.as_of))
        write_table(self.out / "metrics.parquet", Metric, metrics)
        write_private(self.out / "metrics.json", msgspec.json.encode(metrics) + b"\n")
        self._write_rules()
        summary = AnalysisSummary(
            run_id=self.manifest.run_id,
            as_of=self.manifest.as_of,
            baseline=self.baseline,
            coverage=self.manifest.coverage,
            partial=self.manifest.partial,
            findings=self._counts(),
            rule_results=results,
            exceptions=_count(state.state for state in states),
            errors=[f"{rule}: {error}" for rule, error in sorted(self.errors.items())],
        )
        write_private(self.out / "summary.json", _pretty(summary))
        return summary

    def _remember(self) -> None:
        """Make the views of what earlier nights knew."""
        past = self.state / "history"
        before = [past / f"{self.baseline}.parquet"] if self.baseline else []
        self.tables.view("known_before", Known, before)
        listings = past / f"{self.baseline}.listings.parquet" if self.baseline else None
        completeness.remember_listings(
            self.tables,
            listings if listings is not None and listings.is_file() else None,
            self.manifest.run_id,
            self.work / "listings.parquet",
        )
        self.tables.con.execute("CREATE OR REPLACE VIEW known AS SELECT * FROM known_before")

    def _candidates(self, rules: list[Rule], name: str, which_known: str) -> None:
        """Run rules; write their findings and the known ones of ``which_known`` with their status."""
        tables = self.tables
        self._hits(rules, name)
        tables.con.execute(
            f"CREATE OR REPLACE VIEW all_known AS SELECT * FROM known_before WHERE {which_known}"
        )
        used = [row[0] for row in tables.rows(_SUBJECTS_USED)]
        written = []
        rows = sum(tables.one(f"SELECT count(*) FROM {view}") for view in ("all_hits", "all_known"))
        parts = rows // PART_ROWS + 1
        for part in range(parts):
            # In parts, so that the joins of a very large night stay within the memory given.
            for view in ("hits", "known"):
                only = f" WHERE hash(subject) % {parts} = {part}" if parts > 1 else ""
                tables.con.execute(f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM all_{view}{only}")
            queries = [history.not_seen_tonight()]
            if used:
                queries.append(history.seen_tonight(facts(used)))
            for number, query in enumerate(queries):
                written.append(self.work / f"{name}-{part}-{number}.parquet")
                tables.copy(query, written[-1], self.night)
        tables.view("candidates", Known, written)
        self.candidates += written
        twice = tables.one("SELECT id FROM candidates GROUP BY id HAVING count(*) > 1 ORDER BY id LIMIT 1")
        if twice is not None:
            clash = tables.rows(
                "SELECT rule, subject FROM candidates WHERE id = $id ORDER BY ALL", {"id": twice}
            )
            raise AnalysisError(
                f"two findings have the id {twice}: {'; '.join(' '.join(row) for row in clash)}. "
                "Nothing was written; please report this with both lines."
            )

    def _hits(self, rules: list[Rule], name: str) -> None:
        """Run rules and make the views ``hits`` and ``rules``. A rule that fails is an error, never a pass."""
        folder = self.work / name
        folder.mkdir(mode=0o700)
        for rule in rules:
            try:
                write_hits(self.tables, rule, self.manifest.as_of, folder / f"{rule.id}.parquet")
            except QueryError as exc:
                self._failed(rule, exc)
        self._view_hits(rules, folder)
        used = [row[0] for row in self.tables.rows(_SUBJECTS_USED)]
        strays = list(self.tables.rows(stray_subjects(used))) if used else []
        by_id = {rule.id: rule for rule in rules}
        for rule_id, subject in strays:
            table = by_id[rule_id].subject
            self._failed(by_id[rule_id], QueryError(f"its subject {subject} is no row of {table}"))
            (folder / f"{rule_id}.parquet").unlink()
        if strays:
            self._view_hits(rules, folder)

    def _failed(self, rule: Rule, exc: QueryError) -> None:
        if exc.duplicate and not rule.custom:
            raise AnalysisError(f"rule {rule.id}: {exc}. Nothing was written; please report this.") from None
        self.errors[rule.id] = str(exc)

    def _view_hits(self, rules: list[Rule], folder: Path) -> None:
        con = self.tables.con
        con.execute(
            "CREATE OR REPLACE TABLE rules(rule VARCHAR, subject VARCHAR, severity VARCHAR, category VARCHAR, "
            "title VARCHAR, version VARCHAR, fix VARCHAR, error VARCHAR)"
        )
        rows = [
            (
                rule.id,
                rule.subject,
                rule.severity,
                rule.category,
                rule.title,
                rule.version,
                rule.fix,
                self.errors.get(rule.id),
            )
            for rule in rules
        ]
        if rows:
            con.executemany("INSERT INTO rules VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        files = [path for rule in rules if (path := folder / f"{rule.id}.parquet").is_file()]
        if files:
            listed = ", ".join(quoted(str(path.resolve())) for path in files)
            query = f"SELECT * FROM read_parquet([{listed}])"
        else:
            query = _NO_HITS
        con.execute(f"CREATE OR REPLACE VIEW all_hits AS {query}")
        con.execute("CREATE OR REPLACE VIEW hits AS SELECT * FROM all_hits")

    def _exceptions(self) -> list[ExceptionState]:
        """Judge exceptions.yaml against the candidates; write and view its states."""
        states = judge_exceptions(self.tables, self.accepted, self.manifest.as_of)
        file = self.out / "exceptions.parquet"
        write_table(file, ExceptionState, states)
        self.tables.view("exceptions", ExceptionState, [file])
        return states

    def _settle(self) -> None:
        """Write the history and tonight's findings."""
        self.tables.view("candidates", Known, self.candidates)
        query = history.settled({str(name): days for name, days in self.settings.due_days.items()})
        path = self.work / "settled.parquet"
        self.tables.copy(query, path, self.night)
        self.tables.view("settled", Known, [path])
        self.tables.copy(history.FINDINGS, self.out / "findings.parquet")
        self.tables.view("findings", Finding, [self.out / "findings.parquet"])

    def _rule_results(self) -> dict[str, int]:
        """Write how each rule fared in each account; return the counts by status."""
        con = self.tables.con
        con.execute(
            "CREATE OR REPLACE TABLE all_rules(rule VARCHAR, title VARCHAR, severity VARCHAR, category VARCHAR, "
            "error VARCHAR)"
        )
        rows = [
            (rule.id, rule.title, rule.severity, rule.category, self.errors.get(rule.id))
            for rule in self.rules
        ]
        if rows:
            con.executemany("INSERT INTO all_rules VALUES (?, ?, ?, ?, ?)", rows)
        path = self.out / "rule_results.parquet"
        self.tables.copy(_RULE_RESULTS, path)
        self.tables.view("rule_results", RuleResult, [path])
        return dict(self.tables.rows("SELECT status, count(*) FROM rule_results GROUP BY 1 ORDER BY 1"))

    def _counts(self) -> dict[str, dict[str, int]]:
        counts: dict[str, dict[str, int]] = {}
        query = "SELECT status, severity, count(*) FROM findings GROUP BY ALL ORDER BY ALL"
        found = {(status, severity): count for status, severity, count in self.tables.rows(query)}
        for status in sorted({status for status, _ in found}):
            counts[status] = {name: found[status, name] for name in SEVERITIES if (status, name) in found}
        return counts

    def _write_rules(self) -> None:
        cited = references(load_frameworks(), self.settings.frameworks)
        rules = [
            {
                "id": rule.id,
                "title": rule.title,
                "version": rule.version,
                "severity": rule.severity,
                "category": rule.category,
                "why": rule.why,
                "fix": rule.fix,
                "params": rule.params,
                "needs": rule.needs,
                "custom": rule.custom,
                "controls": cited.get(rule.id, {}),
                "error": self.errors.get(rule.id),
            }
            for rule in self.rules
        ]
        write_private(self.out / "rules.json", _pretty(rules))


_NO_HITS = """
    SELECT NULL::VARCHAR AS rule, NULL::VARCHAR AS subject, NULL::VARCHAR AS account_id, NULL::VARCHAR AS fix,
           NULL::VARCHAR AS identity_id, NULL::VARCHAR AS resource, NULL::VARCHAR AS blast,
           NULL::VARCHAR AS confidence, NULL::VARCHAR AS detail, NULL::VARCHAR AS severity,
           MAP {}::MAP(VARCHAR, VARCHAR) AS evidence WHERE false
"""

# exceptions.yaml is read whole or the run ends: rules about it are always evaluated.
_EXCEPTIONS_JUDGED = f"""
    INSERT INTO rule_states(rule, account_id, provider, status_here, status)
    SELECT unnest([{{rules}}]), '{EXCEPTIONS_ACCOUNT}', 'sprawlscan', 'evaluated', 'evaluated'
"""

_SUBJECTS_USED = """
    SELECT DISTINCT r.subject FROM hits AS h JOIN rules AS r ON r.rule = h.rule ORDER BY 1
"""

_RULE_RESULTS = """
    WITH counted AS (
        SELECT rule, account_id, min(provider) AS provider, count(*) AS findings FROM findings
        WHERE status IN ('new', 'open', 'reopened', 'excepted') GROUP BY rule, account_id
    ), judged AS (
        SELECT coalesce(s.rule, c.rule) AS rule, coalesce(s.account_id, c.account_id) AS account_id,
               coalesce(s.provider, c.provider) AS provider, coalesce(s.status, 'incomplete') AS status,
               CASE WHEN s.rule IS NULL THEN 'not everything that this rule needs is listed here'
                    ELSE s.reason END AS reason, coalesce(c.findings, 0) AS findings
        FROM rule_states AS s FULL JOIN counted AS c ON c.rule = s.rule AND c.account_id = s.account_id
    )
    SELECT r.rule, r.title, r.severity, r.category,
           coalesce(j.provider, 'sprawlscan') AS provider, coalesce(j.account_id, '') AS account_id,
           CASE WHEN r.error IS NULL THEN j.status ELSE 'error' END AS status,
           coalesce(j.findings, 0)::BIGINT AS findings,
           coalesce(r.error, j.reason) AS reason
    FROM all_rules AS r LEFT JOIN judged AS j ON j.rule = r.rule
    WHERE j.rule IS NOT NULL OR r.error IS NOT NULL
    ORDER BY rule, account_id
"""


def _count(names: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in sorted(names):
        counts[name] = counts.get(name, 0) + 1
    return counts


def _names(rules: Sequence[Rule]) -> str:
    return ", ".join(quoted(rule.id) for rule in rules) or "''"


def _pretty(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
