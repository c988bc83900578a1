"""The stages of a night: collect, analyze and report."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

import msgspec

from scanner.collect.run import collect_snapshot
from scanner.config_file import ConfigError
from scanner.ledger import check_analysis
from scanner.night import open_night
from scanner.pipeline.analysis import analyze_run
from scanner.pipeline.catch_up import analyze_missing, to_analyze, to_notify
from scanner.pipeline.inputs import check_files, read_rules
from scanner.pipeline.notify import Watched, send_notification
from scanner.pipeline.outcome import Exit, assess_run, with_earlier
from scanner.pipeline.reporting import record_files, write_files
from scanner.pipeline.retention import discard
from scanner.pipeline.state_folder import ledger_of, locked, report_folder, tidy
from scanner.pipeline.stopping import stop_requests
from scanner.private_files import write_private
from scanner.query_watch import QueryWatch
from scanner.readiness import unready
from scanner.snapshot import SnapshotError, read_manifest, run_id_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from scanner.analyze.rule import Rule
    from scanner.analyze.steps import AnalysisSummary
    from scanner.collect.target_threads import Progress
    from scanner.config import Settings
    from scanner.config_file import Loaded
    from scanner.ledger import Ledger
    from scanner.pipeline.outcome import Outcome
    from scanner.stop import Stop

log = logging.getLogger(__name__)


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
        stop_requests(settings.limits.deadline_minutes, exit_code=last_resort) as stop,
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
            earlier = night.report_earlier() if whole else []
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
                return assess_run(settings, manifest, [], night=None, stopped=stop.stopping.is_set())
            if whole:
                earlier += night.report_earlier(only=night.analyze_earlier(manifest.run_id))
            night.analyze(manifest.run_id)
            outcome = night.report(
                manifest.run_id, stopped=stop.stopping.is_set(), earlier=earlier, notify=whole
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
    done = [f"discarded {path.relative_to(settings.state)}" for path in discard(ledger, run_id, at)]
    if rules is None:
        left = to_analyze(ledger)
        return [*done, *(f"{name} was compared with it; the next run analyzes it again" for name in left)]
    again = analyze_missing(ledger, lambda name: analyze_run(settings, name, rules, ledger=ledger))
    return [*done, *(f"analyzed {name} again" for name in again)]


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

    def report_earlier(self, *, only: Sequence[str] | None = None) -> list[Outcome]:
        """Report and tell analyzed nights of earlier runs, all or ``only`` some. Returns the outcomes that no run has
        ended with.

        A night that is damaged is logged and left: it must not prevent a new one.
        """
        found = []
        for run_id in (run_id for run_id in to_notify(self.ledger) if only is None or run_id in only):
            before = self.ledger.night(run_id)
            try:
                check_analysis(self.settings.state, before)
                if before.notified is None or not before.notified.ended:
                    log.warning("completing an earlier night", extra={"run": run_id})
                    found.append(self.report(run_id, ended=False))
                else:
                    with open_night(self.settings.state, run_id) as night:
                        send_notification(self.settings.notify, night, self.ledger, ended=True)
            except SnapshotError as exc:
                advice = f"sprawlscan discard {run_id}"
                log.error(  # noqa: TRY400
                    "an earlier night cannot be reported",
                    extra={"run": run_id, "problem": str(exc), "remove_it": advice},
                )
                continue
            notified = self.ledger.night(run_id).notified
            if notified is not None and not notified.delivered:
                break  # The webhook takes nothing now; the others wait too.
        return found

    def report(
        self,
        run_id: str,
        *,
        stopped: bool = False,
        earlier: Sequence[Outcome] = (),
        notify: bool = True,
        ended: bool = True,
    ) -> Outcome:
        """Write the reports of an analyzed night, determine its outcome, and send the notification. Returns the result.

        ``stopped``: its collection was. ``ended``: the run ends with its exit code. A new finding of an ``earlier`` night that
        was interrupted counts tonight: nobody has seen its exit code.
        """
        folder = report_folder(self.settings.state, run_id)
        manifest = read_manifest(self.settings.state / "snapshots" / run_id)
        with open_night(self.settings.state, run_id) as night, QueryWatch(night.tables, self._stop):
            formats = self.settings.reports.formats if notify else []
            reports = write_files(self.settings, night, formats)
            for failed in reports.failed:
                log.error("a report was not written", extra={"run": run_id, "problem": failed})
            written = reports.files
            names = [str(path.relative_to(folder)) for path in written if path.is_relative_to(folder)]
            outcome = assess_run(
                self.settings, manifest, names, night=night, stopped=stopped, failed_reports=reports.failed
            )
            outcome = with_earlier(outcome, earlier)
            if notify:
                written.append(folder / "run.json")
                write_private(
                    written[-1], msgspec.json.format(msgspec.json.encode(outcome), indent=1) + b"\n"
                )
                record_files(self.ledger, run_id, written)
                send_notification(self.settings.notify, night, self.ledger, ended=ended)
                for one in earlier:
                    notified = self.ledger.night(one.run_id).notified
                    if notified is not None:
                        self.ledger.append(msgspec.structs.replace(notified, ended=True))
            return outcome
