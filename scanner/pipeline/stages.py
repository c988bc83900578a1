"""The stages collect, analyze and report, and the exit code of a run."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import msgspec
from filelock import FileLock, Timeout
from pydantic import ValidationError

from scanner.collect.run import NothingCollectedError, Progress, collect_snapshot, free_space_message
from scanner.config import ConfigError
from scanner.findings import SEVERITIES
from scanner.night import open_night
from scanner.pipeline.inputs import check_files, read_rules
from scanner.pipeline.notify import Watched, tell_of_night
from scanner.plugins import load_report, report_config
from scanner.run_coverage import RunCoverage, seen_tonight
from scanner.snapshot import SnapshotError, list_sealed, run_id_of, write_private

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from scanner.analyze.rule import Rule
    from scanner.analyze.steps import AnalysisSummary, AnalyzeSettings
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
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with FileLock(state / "lock", timeout=wait_seconds, mode=0o600):
            yield
    except Timeout:
        raise LockedError(
            f"another run holds the lock {state / 'lock'}. Wait for it (--wait-lock 10m) or stop it. Nothing was changed."
        ) from None


@contextlib.contextmanager
def told_to_stop(deadline_minutes: float) -> Iterator[threading.Event]:
    """Provide an event set by SIGTERM, SIGINT or the deadline. Restores the signal handlers afterwards."""
    stopping = threading.Event()
    timer = threading.Timer(deadline_minutes * 60, stopping.set)
    timer.daemon = True
    timer.start()
    signals = (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in signals}
    try:
        yield stopping
    finally:
        timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


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
        threads=settings.limits.threads,
    )


def analyze_run(settings: Settings, run_id: str, rules: Sequence[Rule] | None = None) -> AnalysisSummary:
    """Analyze a sealed snapshot with the given ``rules``, or load them."""
    from scanner.analyze.steps import analyze

    return analyze(settings.state, run_id, settings=analyze_settings(settings), rules=rules)


def previous_run(state: Path, run_id: str) -> str | None:
    """Return the newest analyzed run before this one, or None."""
    earlier = sorted(path.name.split(".")[0] for path in (state / "history").glob("*.parquet"))
    return next((name for name in reversed(earlier) if name < run_id), None)


def write_reports(settings: Settings, run_id: str, formats: list[str]) -> list[Path]:
    """Write the reports of an analyzed run. Returns the files. Raises `ConfigError` for missing options."""
    with open_night(settings.state, run_id, previous=previous_run(settings.state, run_id)) as night:
        return _write_reports(settings, night, formats)


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


def resolve_run(state: Path, run_id: str | None) -> str:
    """Return the named run, or the newest sealed one. Raises `NoSuchRunError` if there is none."""
    sealed = [path.name for path in list_sealed(state / "snapshots")]
    if run_id is None:
        if not sealed:
            raise NoSuchRunError(
                f"{state / 'snapshots'} contains no sealed snapshot; run `sprawlscan run` first."
            )
        return sealed[-1]
    if run_id not in sealed:
        raise NoSuchRunError(f"no sealed snapshot {run_id}; available: {', '.join(sealed) or 'none'}.")
    return run_id


def run_night(
    loaded: Loaded,
    *,
    as_of: datetime,
    progress: Progress,
    only: list[str] | None = None,
    resume: bool = False,
    wait_lock: float = 0,
    stages: tuple[str, ...] = ("collect", "analyze", "report"),
) -> Outcome:
    """Collect, analyze and report one night, or only the first of these stages. Returns the result.

    Raises `LockedError`, `DocumentError`, `NothingCollectedError`, `SnapshotError`, and OSError for a full disk.
    """
    settings = loaded.settings
    with locked(settings.state, wait_lock), told_to_stop(settings.limits.deadline_minutes) as stopping:
        watched = Watched(settings.notify, run_id_of(as_of)) if "report" in stages else None
        with watched or contextlib.nullcontext():
            rules = read_rules(loaded)
            if "analyze" in stages:
                for problem in check_files(settings, rules, as_of):
                    log.warning("an exception accepts no finding", extra={"problem": problem})
            manifest = collect_snapshot(
                settings,
                digest=loaded.digest,
                as_of=as_of,
                stopping=stopping,
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
            previous = previous_run(settings.state, manifest.run_id)
            if "analyze" in stages:
                analyze_run(settings, manifest.run_id, rules)
            folder = report_folder(settings.state, manifest.run_id)
            opened = open_night(settings.state, manifest.run_id, previous=previous)
            with opened if "analyze" in stages else contextlib.nullcontext() as night:
                names: list[str] = []
                if night is not None and "report" in stages:
                    written = _write_reports(settings, night, settings.reports.formats)
                    names = [str(path.relative_to(folder)) for path in written if path.is_relative_to(folder)]
                    tell_of_night(settings.notify, night)
                outcome = judge(settings, manifest, names, night=night, stopped=stopping.is_set())
            if watched:
                write_private(
                    folder / "run.json", msgspec.json.format(msgspec.json.encode(outcome), indent=1) + b"\n"
                )
                watched.ended(sound=outcome.exit_code in (Exit.OK, Exit.FINDINGS))
            return outcome


__all__ = ["Exit", "LockedError", "NothingCollectedError", "Outcome", "free_space_message", "run_night"]
