"""Runs the rules on a sealed snapshot and compares the result with the previous night.

Deterministic: it reads the snapshot, the history and the files named in its settings, and the same input gives the same
bytes. It writes:

- ``analysis/<run_id>/``: one Parquet file for each result table (`scanner.findings`), ``records/`` with the tables changed by
  `scanner.analyze.resolve`, ``rules.json`` (the enabled rules and their mapped controls) and ``summary.json``
- ``history/<run_id>.parquet``, the other files named in `scanner.analyze.history`, and ``.metrics.json``, which outlive
  pruned snapshots

Both are made aside and then put in place between two lines of the ledger: an analysis counts once the second is there.
"""

from __future__ import annotations

import shutil
from collections import Counter
from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time
from pathlib import Path  # noqa: TC003
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from scanner.analyze import completeness, history
from scanner.analyze.exceptions import evaluate_exceptions, read_exceptions
from scanner.analyze.finding_facts import define_finding_id
from scanner.analyze.history import Known
from scanner.analyze.hits import plain_utc
from scanner.analyze.kept_ids import keep_ids
from scanner.analyze.kept_surface import keep_surfaces
from scanner.analyze.listing_history import load_listings, remember_listings
from scanner.analyze.metrics import measure
from scanner.analyze.owners import read_owners
from scanner.analyze.population import count_population, load_members
from scanner.analyze.reach import compute
from scanner.analyze.removed_accounts import find_removed_accounts, load_accounts
from scanner.analyze.resolve import resolve
from scanner.analyze.rule_files import choose, load_rules, todays_ids
from scanner.analyze.rule_results import write_rule_results, write_rules
from scanner.analyze.rule_runs import define_rules, run_rules, write_candidates
from scanner.analyze.secret_credentials import match_secrets
from scanner.analyze.sudden_drop import doubt
from scanner.analyze.target_coverage import PlannedTarget, measure_targets
from scanner.analyze.weaknesses import define_weak_identities
from scanner.findings import SEVERITIES, ExceptionState, Finding, Metric
from scanner.ledger import AnalysisBegun, Analyzed, Ledger, check_base, hashes
from scanner.parquet import write_table
from scanner.private_files import flush_to_disk, write_private
from scanner.query_watch import QueryWatch
from scanner.records import Severity  # noqa: TC001  msgspec reads the annotations at run time
from scanner.run_coverage import RunCoverage, read_run_coverage
from scanner.snapshot import check_history, mark_history, verify
from scanner.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanner.analyze.exceptions import Accepted
    from scanner.analyze.rule import Rule
    from scanner.snapshot import Manifest
    from scanner.stop import Stop

FEW_ROWS = 20_000
"""Records of a night that one thread reads as fast as two."""

DUE_DAYS: dict[Severity, int] = {"critical": 7, "high": 30, "medium": 60, "low": 90}


class AnalyzeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of an analysis."""

    rule_params: dict[str, dict[str, float | int | str | list[str]]] = {}
    """Parameters by rule id."""
    disabled: list[str] = []
    """Ids of disabled rules."""
    custom_rules: Path | None = None
    """The folder of custom rules."""
    exceptions: Path | None = None
    """exceptions.yaml."""
    owners: Path | None = None
    """The ownership file."""
    frameworks: list[str] | None = None
    """Ids of the frameworks to cite; None cites all."""
    drop_share: float = 0.5
    """A listing that falls by more than this share of its rows is in doubt."""
    drop_rows: int = 5
    """And by at least so many rows."""
    retired: list[str] = []
    """Targets that are out of scope for good."""
    due_days: dict[Severity, int] = msgspec.field(default_factory=DUE_DAYS.copy)
    """Days from first detection until a finding is overdue, by severity."""
    memory: str = "1GB"
    threads: int = 2
    rule_minutes: float = 30
    """How long the query of one rule may take."""


class AnalysisSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an analysis, also written as ``summary.json``."""

    run_id: str
    as_of: datetime
    baseline: str | None
    """The run it was compared with; None for the first run."""
    coverage: RunCoverage
    """How much of the targets was seen."""
    partial: bool
    """True if the snapshot is partial."""
    findings: dict[str, dict[str, int]]
    """Number of findings by status, then severity."""
    rule_results: dict[str, int]
    """Number of rule results by status, one result for each rule and account."""
    exceptions: dict[str, int]
    """Number of exceptions by state."""
    errors: list[str]
    """Failed rules as ``rule: error``. Their findings are unknown."""


def analyze(
    state: Path,
    run_id: str,
    *,
    settings: AnalyzeSettings,
    rules: Sequence[Rule] | None = None,
    ledger: Ledger | None = None,
    stop: Stop | None = None,
) -> AnalysisSummary:
    """Analyze one sealed run of a state folder.

    ``rules`` are all rules, built-in and custom, from `load_rules`; they are loaded if omitted. Raises `SnapshotError`
    if the snapshot, or the history of the night before, is missing or does not match the ledger, `DocumentError` for
    rules, exceptions or owners that cannot be read, `AnalysisError` if ids collide, and `scanner.stop.StoppedError` if
    ``stop`` ends it.
    """
    ledger = ledger or Ledger(state)
    snapshot = state / "snapshots" / run_id
    night = ledger.night(run_id)
    manifest = verify(snapshot, night.manifest)
    check_history(state / "history")
    base = ledger.base_of(run_id)
    if base is not None:
        check_base(state, night, base)
    baseline = base.run_id if base is not None else None
    every = load_rules(settings.custom_rules) if rules is None else rules
    chosen = choose(every, settings.rule_params, settings.disabled)
    accepted = (
        read_exceptions(
            settings.exceptions, [rule.id for rule in every], manifest.as_of, renamed=todays_ids(every)
        )
        if settings.exceptions is not None
        else []
    )
    out = state / "analysis" / f"{run_id}.partial"
    past = state / "history"
    shutil.rmtree(out, ignore_errors=True)
    for folder in (out.parent, past, out, out / "work"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # For few rows, a second thread takes longer to wake than to work.
    threads = settings.threads if sum(manifest.rows.values()) > FEW_ROWS else 1
    tables = Tables([snapshot, out, past], state=state, memory=settings.memory, threads=threads)
    try:
        with QueryWatch(tables, stop, settings.rule_minutes * 60) as watch:
            summary = _Analysis(
                tables, watch, manifest, chosen, todays_ids(every), accepted, settings, state, out, baseline
            ).run()
    finally:
        tables.close()
    for path in out.rglob("*.parquet"):
        path.chmod(0o600)
    _put_in_place(out, ledger, run_id, baseline)
    return summary


def _put_in_place(out: Path, ledger: Ledger, run_id: str, baseline: str | None) -> None:
    """Move the files of a complete analysis to their places, between two lines of the ledger."""
    state, work = ledger.state, out / "work"
    past, final = state / "history", state / "analysis" / run_id
    kept = {
        work / "settled.parquet": past / f"{run_id}.parquet",
        **{
            work / f"{name}.parquet": past / f"{run_id}.{name}.parquet"
            for name in ("listings", "asked", "nights", "accounts")
        },
        _copy(out / "target_coverage.parquet", work): past / f"{run_id}.targets.parquet",
        **{
            _copy(path, work): past / f"{run_id}.{path.name}"
            for path in (out / "population").glob("*.parquet")
        },
        out / "metrics.json": past / f"{run_id}.metrics.json",
    }
    for made in kept:
        flush_to_disk(made)
    ledger.append(AnalysisBegun(run_id=run_id))
    mark_history(past)
    for made, place in kept.items():
        made.replace(place)
    flush_to_disk(past)
    shutil.rmtree(work)
    shutil.rmtree(final, ignore_errors=True)
    out.replace(final)
    files = [*kept.values(), *(path for path in final.rglob("*") if path.is_file())]
    ledger.append(Analyzed(run_id=run_id, base=baseline, files=hashes(state, files)))


def _copy(path: Path, work: Path) -> Path:
    """Copy a file into ``work``, closed to others."""
    copied = work / f"kept-{path.name}"
    shutil.copyfile(path, copied)
    copied.chmod(0o600)
    return copied


class _Analysis(NamedTuple):
    """The steps of one analysis, in the order of `run`. Each step creates views, tables and macros under its own names,
    which later steps read.
    """

    tables: Tables
    watch: QueryWatch
    manifest: Manifest
    rules: list[Rule]
    renamed: dict[str, str]
    """Current rule ids by earlier ids, including disabled rules."""
    accepted: list[Accepted]
    settings: AnalyzeSettings
    state: Path
    out: Path
    baseline: str | None
    """The night that it is compared with."""

    @property
    def as_of(self) -> datetime:
        """The night's time as used in SQL."""
        return plain_utc(self.manifest.as_of)

    @property
    def night(self) -> dict[str, Any]:
        return {"run_id": self.manifest.run_id, "as_of": self.as_of}

    @property
    def past(self) -> Path:
        return self.state / "history"

    def run(self) -> AnalysisSummary:
        tables, out, baseline = self.tables, self.out, self.baseline
        self._make_records(baseline)
        self._define_macros()
        tables.lock()
        define_rules(tables, self.rules, self.settings.frameworks)
        self._measure_targets(baseline)
        self._assess_listings()
        errors, states = self._assess_findings()
        count_population(tables, run_id=self.manifest.run_id, as_of=self.as_of, out=out / "population")
        results = write_rule_results(tables, out / "rule_results.parquet")
        metrics = list(measure(tables, self.as_of))
        write_table(out / "metrics.parquet", Metric, metrics)
        write_private(out / "metrics.json", msgspec.json.encode(metrics) + b"\n")
        write_rules(out / "rules.json", self.rules, errors, self.settings.frameworks)
        summary = AnalysisSummary(
            run_id=self.manifest.run_id,
            as_of=self.manifest.as_of,
            baseline=baseline,
            coverage=read_run_coverage(tables),
            partial=self.manifest.partial,
            findings=self._counts(),
            rule_results=results,
            exceptions=dict(sorted(Counter(state.state for state in states).items())),
            errors=[f"{rule}: {error}" for rule, error in sorted(errors.items())],
        )
        write_private(
            out / "summary.json", msgspec.json.format(msgspec.json.encode(summary), indent=1) + b"\n"
        )
        return summary

    def _make_records(self, baseline: str | None) -> None:
        """Make the record tables, ``edges``, ``reach`` and ``excess``, what the history holds, and ``listings``."""
        owners = read_owners(self.settings.owners) if self.settings.owners is not None else []
        snapshot = self.state / "snapshots" / self.manifest.run_id
        records = self.out / "records"
        resolve(self.tables, snapshot, self.manifest, owners, records)
        self._load_history(baseline)
        keep_ids(self.tables, records)
        number = load_listings(self.tables, self.past, baseline, self.manifest.run_id)
        doubt(self.tables, share=self.settings.drop_share, rows=self.settings.drop_rows, records=records)
        remember_listings(self.tables, number, self.out / "work")
        keep_surfaces(self.tables, records)
        match_secrets(self.tables, records)
        compute(self.tables, self.out, self.manifest.as_of)

    def _load_history(self, baseline: str | None) -> None:
        """Make the views of what the base knew: ``known_before``, ``accounts_before`` and the members."""
        before = [self.past / f"{baseline}.parquet"] if baseline else []
        self.tables.view("known_then", Known, before)
        history.define_known_before(self.tables, self.renamed)
        load_accounts(self.tables, self.past, baseline)
        load_members(self.tables, self.past, baseline)

    def _define_macros(self) -> None:
        completeness.define_complete(self.tables)
        define_weak_identities(self.tables)
        define_finding_id(self.tables)

    def _measure_targets(self, baseline: str | None) -> None:
        """Create ``target_coverage``, and the file that the next night compares with."""
        before = (self.past / f"{baseline}.targets.parquet", self.past / f"{baseline}.asked.parquet")
        measure_targets(
            self.tables,
            [
                PlannedTarget(collector=one.collector, target=one.target, account_id=one.account_id)
                for one in self.manifest.targets
            ],
            before=before if all(path.is_file() for path in before) else None,
            run_id=self.manifest.run_id,
            selected=self.manifest.selected,
            retired=self.settings.retired,
            out=self.out / "target_coverage.parquet",
            asked=self.out / "work" / "asked.parquet",
        )

    def _assess_listings(self) -> None:
        """Say what the silence of each rule proves."""
        find_removed_accounts(self.tables, self.manifest.run_id, self.out / "work" / "accounts.parquet")
        completeness.assess(self.tables, self.rules)
        self.tables.table_of("lost", history.LOST)
        self.tables.table_of("blocked", history.BLOCKED)
        self.tables.table_of("lost_tonight", history.LOST_TONIGHT)

    def _assess_findings(self) -> tuple[dict[str, str], list[ExceptionState]]:
        """Run the rules; create ``exceptions``, ``candidates``, ``settled`` and ``findings``. Returns the failed rules
        and the states of the exceptions.
        """
        tables, work = self.tables, self.out / "work"
        about_exceptions = [rule for rule in self.rules if rule.subject == "exceptions"]
        about_records = [rule for rule in self.rules if rule.subject != "exceptions"]
        names = [rule.id for rule in about_exceptions]
        hits = run_rules(
            tables,
            about_records,
            about="record",
            as_of=self.manifest.as_of,
            folder=work / "records",
            watch=self.watch,
        )
        candidates = write_candidates(tables, hits, names, self.night, work)
        states = evaluate_exceptions(tables, self.accepted, self.manifest.as_of)
        write_table(self.out / "exceptions.parquet", ExceptionState, states)
        tables.view("exceptions", ExceptionState, [self.out / "exceptions.parquet"])
        more = run_rules(
            tables,
            about_exceptions,
            about="exception",
            as_of=self.manifest.as_of,
            folder=work / "exceptions",
            watch=self.watch,
        )
        candidates += write_candidates(tables, more, names, self.night, work)
        tables.view("candidates", Known, candidates)
        due_days = {str(name): days for name, days in self.settings.due_days.items()}
        tables.copy(history.settled(due_days), work / "settled.parquet", self.night)
        tables.view("settled", Known, [work / "settled.parquet"])
        tables.copy(history.FINDINGS, self.out / "findings.parquet")
        tables.view("findings", Finding, [self.out / "findings.parquet"])
        return {**hits.errors, **more.errors}, states

    def _counts(self) -> dict[str, dict[str, int]]:
        counts: dict[str, dict[str, int]] = {}
        query = "SELECT status, severity, count(*) FROM findings GROUP BY ALL ORDER BY ALL"
        found = {(status, severity): count for status, severity, count in self.tables.rows(query)}
        for status in sorted({status for status, _ in found}):
            counts[status] = {name: found[status, name] for name in SEVERITIES if (status, name) in found}
        return counts
