"""One collector's small estate, on which nights are run with one fault each."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import tempfile
import threading
import time
import traceback
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from benchmarks.faults.criteria import FaultyNight
from benchmarks.faults.pairs import ENDING, FaultPair
from sandbox.estate import FIRST_NIGHT
from sandbox.kit.elsewhere import Elsewhere
from sandbox.kit.provider import environment, load_package
from sandbox.kit.trial import HASTE, IMPATIENCE, TrialNight
from scanner.collect.run import NothingCollectedError, collect_snapshot
from scanner.config_file import load
from scanner.kinds import declared_by
from scanner.ledger import Ledger
from scanner.night import open_night
from scanner.parquet import read_table
from scanner.pipeline.analysis import analyze_run
from scanner.pipeline.inputs import read_rules
from scanner.pipeline.outcome import Exit, assess_run
from scanner.pipeline.state_folder import locked
from scanner.plugins import load_collector
from scanner.records import TABLES, Gap, Record
from scanner.snapshot import read_manifest

if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType

    from sandbox.kit.api import HttpSandbox
    from scanner.analyze.rule import Rule
    from scanner.collect.collector import Target
    from scanner.config_file import Loaded
    from scanner.snapshot import Manifest, TargetDone

MEMORY = Path("/dev/shm")
LATER = FIRST_NIGHT + timedelta(hours=1)
"""The second night: so near that nothing grows old in between."""


class _Unwatched:
    """Progress that nobody follows."""

    def begin(self, total: int, skipped: int) -> None:
        """Say nothing."""

    def done(self, target: Target, result: TargetDone) -> None:
        """Say nothing."""


class FaultEstate:
    """A sandbox, a configuration and the state that a healthy night left. Use it as a context manager."""

    def __init__(self, collector: str, variant: str) -> None:
        self.collector = collector
        self.variant = variant
        self._stack = contextlib.ExitStack()
        self._known: dict[str, tuple[int, dict[str, str]]] = {}
        """Exit code and findings of the nights that were analyzed, by what was collected."""
        self._rules: list[Rule] = []

    def __enter__(self) -> Self:
        package = load_package(self.collector)
        # In memory where there is such a folder: a disk that is asked to flush every file is most of a short night.
        memory = MEMORY if MEMORY.is_dir() else None
        self._root = Path(self._stack.enter_context(tempfile.TemporaryDirectory(dir=memory)))
        self.elsewhere = self._stack.enter_context(Elsewhere())
        self.sandbox: HttpSandbox = self._stack.enter_context(package.open_sandbox("small", self.variant))
        self.sandbox.elsewhere = self.elsewhere.origin
        self.sandbox.show(1)
        self._stack.enter_context(environment(self.sandbox.environment()))
        self._run(self._first, FIRST_NIGHT)
        shutil.rmtree(self._first / "cache")  # with it, less is asked for on the second night
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def _first(self) -> Path:
        return self._root / "first"

    @cached_property
    def parts(self) -> dict[str, frozenset[str]]:
        """The parts of tables that the collector declares."""
        return declared_by(load_collector(self.collector)).parts

    @cached_property
    def healthy(self) -> FaultyNight:
        """The second night without a fault."""
        night = self.second(None)
        if night.night is None or night.traceback:
            raise RuntimeError(f"the healthy night failed: {night.traceback}")
        wrong = [name for name, status in night.findings.items() if status in {"new", "resolved"}]
        if wrong:
            raise RuntimeError(f"two healthy nights differ: {wrong[:5]}")
        return night

    def second(self, pair: FaultPair | None) -> FaultyNight:
        """Run the second night in a copy of the state, with the fault of a pair."""
        state = self._root / "second"
        shutil.rmtree(state, ignore_errors=True)
        shutil.copytree(self._first, state)
        self.sandbox.heal()
        if pair is not None:
            if pair.fault == ENDING:
                self.sandbox.fail("*", 401, since=pair.route)
            else:
                self.sandbox.fail(pair.route, pair.kind)
        self.elsewhere.requests.clear()
        since = len(self.sandbox.log)
        begun = time.monotonic()
        code, trace, sealed = int(Exit.INTERNAL), "", True
        findings: dict[str, str] = {}
        by_target: dict[str, list[Record]] = {}
        output = io.StringIO()
        with contextlib.redirect_stderr(output):
            try:
                options = IMPATIENCE if pair is not None and pair.fault == "slow" else {}
                code, findings, by_target = self._run(state, LATER, **options)
            except NothingCollectedError:
                code, sealed = int(Exit.USAGE), False
            except Exception:  # noqa: BLE001  that a night ends with an exception is what is looked for
                trace, sealed = traceback.format_exc(), False
        seconds = time.monotonic() - begun
        self.sandbox.heal()
        log = self.sandbox.log[since:]
        if "Traceback (most recent call last)" in output.getvalue():
            trace = trace or output.getvalue()
        night = None
        if sealed:
            night = TrialNight(
                by_target=by_target,
                asked=dict.fromkeys((call.name for call in log), 1),
                struck={call.name: call.fault for call in log if call.fault is not None},
                refused=None,
                seconds=seconds,
            )
        return FaultyNight(
            night=night,
            exit_code=code,
            findings=findings,
            traceback=trace[-3000:],
            seconds=seconds,
            contacted=list(self.elsewhere.requests),
            struck=any(call.fault is not None for call in log),
        )

    def _loaded(self, state: Path, **options: Any) -> Loaded:
        known = load_collector(self.collector).Config.model_fields
        given = {name: value for name, value in {**HASTE, **options}.items() if name in known}
        config = self._root / "config.yaml"
        section = {**self.sandbox.section(), **given}
        config.write_text(
            json.dumps({"state": str(state), "collectors": {self.collector: section}}),
            encoding="utf-8",
        )
        return load(config)

    def _run(
        self, state: Path, as_of: datetime, **options: Any
    ) -> tuple[int, dict[str, str], dict[str, list[Record]]]:
        """Return the exit code, the findings and the records of a night.

        Collect and analyze as `run_night` does; a night like one that was seen before is not analyzed again.
        """
        loaded = self._loaded(state, **options)
        settings = loaded.settings
        stopping = threading.Event()
        with locked(settings.state, 0):
            manifest: Manifest = collect_snapshot(
                settings,
                ledger=Ledger(state),
                digest=loaded.digest,
                as_of=as_of,
                stopping=stopping,
                progress=_Unwatched(),
            )
            collected = _records(state, manifest.run_id)
            same = manifest.run_id + _digest(collected)
            if same not in self._known:
                self._rules = self._rules or read_rules(loaded)
                analyze_run(settings, manifest.run_id, self._rules)
                with open_night(state, manifest.run_id) as night:
                    outcome = assess_run(settings, manifest, [], night=night, stopped=stopping.is_set())
                    found = dict(night.rows("SELECT rule || ' ' || subject, status FROM findings"))
                self._known[same] = outcome.exit_code, found
            return *self._known[same], collected


def _records(state: Path, run_id: str) -> dict[str, list[Record]]:
    """Return the records of a night by target."""
    folder = state / "snapshots" / run_id
    return {
        target.target: [
            row for file in target.files for row in read_table(folder / file.path, TABLES[file.table])
        ]
        for target in read_manifest(folder).targets
    }


def _digest(by_target: dict[str, list[Record]]) -> str:
    """Return what the second night collected. Of a gap's reason, statuses rest only on whether it is ``unsupported``."""
    rows = sorted(
        msgspec.msgpack.encode((name, type(row).__name__, _without_words(row)))
        for name, records in by_target.items()
        for row in records
    )
    return hashlib.sha256(b"".join(rows)).hexdigest()


def _without_words(row: Record) -> Record:
    if not isinstance(row, Gap) or row.reason == "unsupported":
        return row
    return msgspec.structs.replace(row, detail="", needs=None, reason="denied")
