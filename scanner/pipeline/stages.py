"""The stages collect, analyze and report, and the exit code of a run."""

from __future__ import annotations

import contextlib
import logging
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import msgspec
from filelock import FileLock, Timeout
from pydantic import ValidationError

from scanner.collect.run import NothingCollectedError, collect_snapshot
from scanner.config import ConfigError
from scanner.findings import SEVERITIES
from scanner.ledger import Ledger, Reported, check_analysis, hashes
from scanner.night import open_night
from scanner.pipeline.catch_up import analyze_missing, to_analyze, to_tell
from scanner.pipeline.inputs import check_files, read_rules
from scanner.pipeline.notify import Watched, tell_of_night
from scanner.pipeline.retention import discard
from scanner.pipeline.state_folder import secure_state, tidy
from scanner.pipeline.stopping import told_to_stop
from scanner.plugins import load_report, report_config
from scanner.private_files import write_private
from scanner.query_watch import QueryWatch
from scanner.readiness import unready
from scanner.run_coverage import RunCoverage, seen_tonight
from scanner.signing import signer
from scanner.snapshot import SnapshotError, list_sealed, read_manifest, run_id_of
from scanner.stop import Stop, StoppedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from scanner.analyze.rule import Rule
    from scanner.analyze.steps import AnalysisSummary, AnalyzeSettings
    from scanner.collect.target_threads import Progress
    from scanner.config import Loaded, Section, Settings
    from scanner.night import Night
    from scanner.records import Severity
    from scanner.snapshot import Manifest

log = logging.getLogger(__name__)


class Exit(IntEnum):
    """Exit codes, each with one meaning. If several apply, the first in `PRECEDENCE` is used."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    FINDINGS = 3
    COVERAGE = 4
    LOCKED = 5
    DEADLINE = 6


PRECEDENCE = (Exit.INTERNAL, Exit.USAGE, Exit.LOCKED, Exit.DEADLINE, Exit.COVERAGE, Exit.FINDINGS)


class Uncovered(msgspec.Struct, frozen=True, kw_only=True):
    """Listings of one kind that could not be read, for one reason."""

    collector: str
    call: str
    """The provider's name of the listing."""
    reason: str
    detail: str
    """What the provider said, in one of the accounts."""
    accounts: int
    """How many accounts it concerns."""
    account_id: str
    """One of them."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one run, written as ``run.json`` next to the reports."""

    run_id: str
    exit_code: int
    conditions: list[str]
    """The names of all exit codes that apply."""
    partial: bool
    coverage: RunCoverage
    """Coverage of the targets."""
    uncovered: list[Uncovered]
    """What could not be read and why, the most accounts first."""
    findings: dict[Severity, int]
    """Open findings by severity, without accepted ones."""
    new: dict[Severity, int]
    """Findings that count as new, by severity (`scanner.findings.Finding.counts_as_new`)."""
    not_observed: dict[Severity, int]
    """Findings that are not accepted and could not be looked at again, by severity. They count as open for ``fail_on``."""
    failed_rules: int
    reports: list[str]
    """Files in the report folder, relative to it."""


class LockedError(Exception):
    """Another run holds the lock."""


class NoSuchRunError(SnapshotError):
    """There is no such run."""


@contextlib.contextmanager
def locked(state: Path, wait_seconds: float) -> Iterator[None]:
    """Hold the lock of the state folder. Raises `LockedError` if another run holds it for longer than ``wait`` seconds."""
    secure_state(state)
    try:
        with FileLock(state / "lock", timeout=wait_seconds, mode=0o600):
            yield
    except Timeout:
        raise LockedError(
            f"another run holds the lock {state / 'lock'}. Wait for it (--wait-lock 10m) or stop it. Nothing was changed."
        ) from None


def analyze_settings(settings: Settings) -> AnalyzeSettings:
    """Return the part of the configuration used by the analysis."""
    from scanner.analyze.steps import AnalyzeSettings

    return AnalyzeSettings(
        rule_params=settings.rules.params,
        disabled=settings.rules.disabled,
        custom_rules=settings.rules.custom,
        exceptions=settings.exceptions,
        owners=settings.owners,
        frameworks=settings.rules.frameworks,
        due_days=dict(settings.rules.due_days),
        drop_share=settings.sudden_drop.share,
        drop_rows=settings.sudden_drop.rows,
        retired=settings.retired,
        memory=settings.limits.memory,
        rule_minutes=settings.limits.rule_minutes,
        threads=settings.limits.threads,
    )


def ledger_of(settings: Settings) -> Ledger:
    """Return the ledger of the state folder, which signs if the configuration names a key."""
    return Ledger(settings.state, signer(settings.signing_key))


def analyze_run(
    settings: Settings,
    run_id: str,
    rules: Sequence[Rule] | None = None,
    *,
    ledger: Ledger | None = None,
    stop: Stop | None = None,
) -> AnalysisSummary:
    """Analyze a sealed snapshot with the given ``rules``, or load them."""
    from scanner.analyze.steps import analyze

    return analyze(
        settings.state,
        run_id,
        settings=analyze_settings(settings),
        rules=rules,
        ledger=ledger or ledger_of(settings),
        stop=stop,
    )


def write_reports(settings: Settings, run_id: str, formats: list[str]) -> list[Path]:
    """Write the reports of an analyzed run and record them. Returns the files.

    Raises `ConfigError` for missing options.
    """
    with open_night(settings.state, run_id) as night:
        written = _write_reports(settings, night, formats)
    _record_reports(ledger_of(settings), run_id, written)
    return written


def _record_reports(ledger: Ledger, run_id: str, written: list[Path]) -> None:
    inside = [path for path in written if path.is_relative_to(report_folder(ledger.state, run_id))]
    if inside:
        ledger.append(Reported(run_id=run_id, files=hashes(ledger.state, inside)))


def _write_reports(settings: Settings, night: Night, formats: list[str]) -> list[Path]:
    folder = report_folder(settings.state, night.run_id)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return [
        path for name in formats for path in _write_report(night, folder, name, settings.reports.of(name))
    ]


def report_folder(state: Path, run_id: str) -> Path:
    """Return where the reports of a run stand."""
    return state / "reports" / run_id


def _write_report(night: Night, folder: Path, name: str, config: Section | None) -> list[Path]:
    report: Any = load_report(name)
    model = report_config(name)
    if model is None:
        written: list[Path] = report.write(night, folder)
        return written
    try:
        written = report.write(night, folder, config or model())
    except ValidationError as exc:
        missing = ", ".join(str(error["loc"][0]) for error in exc.errors())
        raise ConfigError([f"reports.{name}: the report needs {missing}; set it in config.yaml"]) from None
    return written


_BY_SEVERITY = "SELECT severity, count(*) FROM findings WHERE {} GROUP BY severity"
_UNREAD_AND_NOT_EXCEPTED = """
    SELECT count(*) FROM target_coverage AS t WHERE t.state = 'unread' AND NOT EXISTS (
        FROM findings AS f WHERE f.rule = 'account-not-read' AND f.subject = t.id AND f.status = 'excepted')
"""
_COUNTS = """
    exception_id IS NULL AND NOT out_of_scope AND status IN ('new', 'open', 'reopened', 'unobserved', 'error')
"""
"""Findings that count in a verdict: a night that could not look at one does not make it better."""
_UNOBSERVED = f"""
    SELECT count(*) FILTER (status IN ('unobserved', 'error')) / nullif(count(*), 0) FROM findings WHERE {_COUNTS}
"""
_FAILED_RULES = "SELECT count(DISTINCT rule) FROM rule_results WHERE status = 'error'"


_UNCOVERED = """
    SELECT collector, call, reason, min(detail) AS detail, count(DISTINCT account_id) AS accounts,
           min(account_id) AS account_id
    FROM gaps WHERE reason <> 'unsupported' GROUP BY collector, call, reason
    ORDER BY accounts DESC, bool_or("table" = '*') DESC, collector, call, reason
"""


def judge(
    settings: Settings, manifest: Manifest, reports: list[str], *, night: Night | None, stopped: bool
) -> Outcome:
    """Return the conditions that a run violates: deadline, coverage and, if analyzed, ``fail_on``.

    Coverage is insufficient if a target could not be read at all and no exception accepts that, if a rule failed, if more
    than ``max_unobserved`` of the findings that count could not be checked, or if less than ``min_coverage`` of the listings
    is complete. docs/architecture.md, "Exit codes", is the definition. ``night`` is the analyzed run, None if it was only
    collected.
    """
    still_open = new = not_observed = dict.fromkeys(SEVERITIES, 0)
    coverage = seen_tonight(manifest)
    lost = coverage.unread
    unobserved, failed_rules = 0.0, 0
    uncovered: list[Uncovered] = []
    if night is not None:
        still_open = night.figures.by_severity("open_findings")
        new = night.figures.by_severity("new_findings")
        hidden = dict(night.rows(_BY_SEVERITY.format(f"{_COUNTS} AND status IN ('unobserved', 'error')")))
        not_observed = {name: int(hidden.get(name, 0)) for name in SEVERITIES}
        coverage = night.coverage
        lost = int(night.one(_UNREAD_AND_NOT_EXCEPTED) or 0)
        failed_rules = int(night.one(_FAILED_RULES) or 0)
        uncovered = [Uncovered(**row) for row in night.dicts(_UNCOVERED)]
        if not manifest.selected:
            unobserved = float(night.one(_UNOBSERVED) or 0)
    conditions: list[Exit] = []
    if stopped or manifest.partial:
        conditions.append(Exit.DEADLINE)
    too_little = coverage.ratio < settings.min_coverage or unobserved > settings.max_unobserved
    if lost or failed_rules or too_little:
        conditions.append(Exit.COVERAGE)
    if settings.fail_on:
        scope, _, severity = settings.fail_on.rpartition(":")
        counts = (new,) if scope == "new" else (still_open, not_observed)
        worst = SEVERITIES[: [str(name) for name in SEVERITIES].index(severity) + 1]
        if any(count[name] for count in counts for name in worst):
            conditions.append(Exit.FINDINGS)
    code = next((code for code in PRECEDENCE if code in conditions), Exit.OK)
    return Outcome(
        run_id=manifest.run_id,
        exit_code=int(code),
        conditions=[condition.name for condition in conditions],
        partial=manifest.partial,
        coverage=coverage,
        uncovered=uncovered,
        findings={**still_open},
        new={**new},
        not_observed={**not_observed},
        failed_rules=failed_rules,
        reports=reports,
    )


def resolve_run(state: Path, run_id: str | None, *, analyzed: bool = False) -> str:
    """Return the named run, or the newest one in force: sealed, or ``analyzed``. Raises `NoSuchRunError` if there is none."""
    sealed = {path.name for path in list_sealed(state / "snapshots")}
    if run_id is not None:
        if run_id not in sealed:
            there = ", ".join(sorted(sealed)) or "none"
            raise NoSuchRunError(f"no sealed snapshot {run_id}; available: {there}.")
        return run_id
    nights = [night for night in Ledger(state).in_force() if night.run_id in sealed]
    if not nights:
        raise NoSuchRunError(
            f"{state / 'snapshots'} contains no sealed snapshot; run `sprawlscan run` first."
        )
    chosen = [night.run_id for night in nights if night.analyzed is not None or not analyzed]
    if not chosen:
        raise NoSuchRunError(f"no night of {state} is analyzed; run `sprawlscan analyze` first.")
    return chosen[-1]


def run_night(
    loaded: Loaded,
    *,
    as_of: datetime,
    progress: Progress,
    from_clock: bool = False,
    only: list[str] | None = None,
    resume: bool = False,
    wait_lock: float = 0,
    stages: tuple[str, ...] = ("collect", "analyze", "report"),
    exit_when_stopped: bool = False,
) -> Outcome:
    """Collect, analyze and report one night, or only the first of these stages. Returns the result.

    A whole night first completes earlier ones that were interrupted. ``from_clock``: ``as_of`` was read from the clock, and
    not given. ``exit_when_stopped``: end the process if the run does not end in time when it is told to stop.

    Raises `LockedError`, `DocumentError`, `NothingCollectedError`, `ImplausibleTimeError`, `ResumeError`, `SnapshotError`,
    `StoppedError`, and OSError for a full disk.
    """
    settings = loaded.settings
    last_resort = int(Exit.DEADLINE) if exit_when_stopped else None
    with (
        locked(settings.state, wait_lock),
        told_to_stop(settings.limits.deadline_minutes, exit_code=last_resort) as stop,
    ):
        ledger = ledger_of(settings)
        tidy(ledger)
        whole = "report" in stages
        watched = Watched(settings.notify, run_id_of(as_of)) if whole else None
        with watched or contextlib.nullcontext():
            rules = read_rules(loaded)
            problems = unready(loaded, only or ())
            if problems:
                raise ConfigError(problems)
            if "analyze" in stages:
                for problem in check_files(settings, rules, as_of):
                    log.warning("an exception accepts no finding", extra={"problem": problem})
            night = _Night(settings, ledger, rules, stop)
            earlier = night.tell_earlier() if whole else []
            manifest = collect_snapshot(
                settings,
                ledger=night.ledger,
                digest=loaded.digest,
                as_of=as_of,
                from_clock=from_clock,
                stopping=stop.stopping,
                progress=progress,
                only=only,
                selected=bool(only) or loaded.selected,
                resume=resume,
            )
            log.info(
                "snapshot sealed",
                extra={
                    "run": manifest.run_id,
                    "listings": manifest.coverage,
                    "partial": manifest.partial,
                },
            )
            if "analyze" not in stages:
                return judge(settings, manifest, [], night=None, stopped=stop.stopping.is_set())
            if whole:
                earlier += night.tell_earlier(only=night.analyze_earlier(manifest.run_id))
            night.analyze(manifest.run_id)
            outcome = night.report(
                manifest.run_id, stopped=stop.stopping.is_set(), earlier=earlier, tell=whole
            )
            if watched:
                watched.ended(sound=outcome.exit_code in (Exit.OK, Exit.FINDINGS))
            return outcome


def discard_night(settings: Settings, run_id: str, *, at: datetime, rules: list[Rule] | None) -> list[str]:
    """Discard a night, and analyze those again that were compared with it; return one line for each thing done.

    ``rules`` is None without a configuration, whose exceptions and parameters an analysis needs: then the next run does it.
    Raises `SnapshotError` for a night that is not there. The caller holds the lock.
    """
    ledger = ledger_of(settings)
    told = [f"discarded {path.relative_to(settings.state)}" for path in discard(ledger, run_id, at)]
    if rules is None:
        left = to_analyze(ledger)
        return [*told, *(f"{name} was compared with it; the next run analyzes it again" for name in left)]
    again = analyze_missing(ledger, lambda name: analyze_run(settings, name, rules, ledger=ledger))
    return [*told, *(f"analyzed {name} again" for name in again)]


class _Night:
    """The stages of a night after its collection, for tonight's and for earlier ones that were interrupted."""

    def __init__(self, settings: Settings, ledger: Ledger, rules: list[Rule], stop: Stop) -> None:
        self.settings = settings
        self.ledger = ledger
        self._rules = rules
        self._stop = stop

    def analyze(self, run_id: str) -> AnalysisSummary:
        """Analyze a sealed night."""
        return analyze_run(self.settings, run_id, self._rules, ledger=self.ledger, stop=self._stop)

    def analyze_earlier(self, tonight: str) -> list[str]:
        """Analyze what earlier runs did not come to, after the collection, which a large analysis must not prevent.

        Returns the analyzed nights.
        """
        return analyze_missing(self.ledger, self.analyze, but=tonight)

    def tell_earlier(self, *, only: Sequence[str] | None = None) -> list[Outcome]:
        """Report and tell analyzed nights of earlier runs, all or ``only`` some. Returns the outcomes that no run has
        ended with.

        A night that is damaged is logged and left: it must not prevent a new one.
        """
        found = []
        for run_id in (run_id for run_id in to_tell(self.ledger) if only is None or run_id in only):
            before = self.ledger.night(run_id)
            try:
                check_analysis(self.settings.state, before)
                if before.told is None or not before.told.ended:
                    log.warning("completing an earlier night", extra={"run": run_id})
                    found.append(self.report(run_id, ended=False))
                else:
                    with open_night(self.settings.state, run_id) as night:
                        tell_of_night(self.settings.notify, night, self.ledger, ended=True)
            except SnapshotError as exc:
                advice = f"sprawlscan discard {run_id}"
                log.error(  # noqa: TRY400
                    "an earlier night cannot be reported",
                    extra={"run": run_id, "problem": str(exc), "remove_it": advice},
                )
                continue
            told = self.ledger.night(run_id).told
            if told is not None and not told.delivered:
                break  # The webhook takes nothing now; the others wait too.
        return found

    def report(
        self,
        run_id: str,
        *,
        stopped: bool = False,
        earlier: Sequence[Outcome] = (),
        tell: bool = True,
        ended: bool = True,
    ) -> Outcome:
        """Write the reports of an analyzed night, judge it, and tell whoever must know. Returns the result.

        ``stopped``: its collection was. ``ended``: the run ends with its exit code. A new finding of an ``earlier`` night that
        was interrupted counts tonight: nobody has seen its exit code.
        """
        folder = report_folder(self.settings.state, run_id)
        manifest = read_manifest(self.settings.state / "snapshots" / run_id)
        with open_night(self.settings.state, run_id) as night, QueryWatch(night.tables, self._stop):
            written = _write_reports(self.settings, night, self.settings.reports.formats) if tell else []
            names = [str(path.relative_to(folder)) for path in written if path.is_relative_to(folder)]
            outcome = judge(self.settings, manifest, names, night=night, stopped=stopped)
            outcome = _with_earlier(outcome, earlier)
            if tell:
                written.append(folder / "run.json")
                write_private(
                    written[-1], msgspec.json.format(msgspec.json.encode(outcome), indent=1) + b"\n"
                )
                _record_reports(self.ledger, run_id, written)
                tell_of_night(self.settings.notify, night, self.ledger, ended=ended)
                for one in earlier:
                    told = self.ledger.night(one.run_id).told
                    if told is not None:
                        self.ledger.append(msgspec.structs.replace(told, ended=True))
            return outcome


def _with_earlier(outcome: Outcome, earlier: Sequence[Outcome]) -> Outcome:
    """Add that an earlier night, whose exit code nobody has seen, had findings."""
    if not any(Exit.FINDINGS.name in one.conditions for one in earlier):
        return outcome
    conditions = {*outcome.conditions, Exit.FINDINGS.name}
    every = [code for code in PRECEDENCE if code.name in conditions]
    return msgspec.structs.replace(outcome, exit_code=int(every[0]), conditions=[code.name for code in every])


__all__ = ["Exit", "LockedError", "NothingCollectedError", "Outcome", "StoppedError", "run_night"]
