"""A night that holds one checkout, and on request everything that an earlier night saw: collected and analyzed in a
temporary folder.
"""

from __future__ import annotations

import shutil
import threading
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from scanner.collect.run import collect_snapshot
from scanner.ledger import Ledger
from scanner.night import open_night
from scanner.pipeline.analysis import analyze_run
from scanner.plugins import load_collector
from scanner.private_files import secure_folder
from scanner.snapshot import RunInfo, begin, read_manifest, run_id_of, verify

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from scanner.analyze.rule import Rule
    from scanner.collect.collector import Target
    from scanner.config import Settings
    from scanner.night import Night
    from scanner.snapshot import TargetDone


class _Silent:
    """Progress that nobody watches: a checkout takes a second."""

    def begin(self, total: int, skipped: int) -> None:
        """Say nothing."""

    def done(self, target: Target, result: TargetDone) -> None:
        """Say nothing."""


@contextmanager
def simulated_night(
    path: Path, *, settings: Settings, rules: Sequence[Rule], as_of: datetime, beside: Path | None = None
) -> Iterator[Night]:
    """Analyze the checkout at ``path`` as on a night at ``as_of``; the folder is deleted afterwards.

    ``settings`` give rules, exceptions and owners; its collectors and its state folder are not used. ``beside`` is a
    sealed snapshot, whose records are analyzed together with the checkout's. Raises what a run raises:
    `NothingCollectedError`, `SnapshotError`, `AnalysisError`.
    """
    with TemporaryDirectory(prefix="sprawlscan-check-") as name:
        state = Path(name) / "state"
        secure_folder(state)
        section = load_collector("definitions").Config(paths=[path])
        chosen = settings.model_copy(
            update={"state": state, "collectors": {"definitions": [section]}, "retired": []}
        )
        if beside is not None:
            as_of = read_manifest(beside).as_of
            _take_over(beside, state / "snapshots" / run_id_of(as_of))
        ledger = Ledger(state)
        manifest = collect_snapshot(
            chosen, ledger=ledger, digest="", as_of=as_of, stopping=threading.Event(), progress=_Silent(),
            resume=beside is not None,
        )  # fmt: skip
        analyze_run(chosen, manifest.run_id, rules, ledger=ledger)
        with open_night(state, manifest.run_id) as night:
            yield night


def _take_over(snapshot: Path, folder: Path) -> None:
    """Begin a snapshot with everything that another one holds, except checkouts. Raises `SnapshotError` if it changed."""
    manifest = verify(snapshot)
    begin(
        folder,
        RunInfo(
            run_id=manifest.run_id, as_of=manifest.as_of, tool_version=manifest.tool_version, config_digest=""
        ),
    )
    for mark in sorted((snapshot / "targets").glob("*.json")):
        if mark.name.startswith("definitions-"):
            continue
        (folder / "targets").mkdir(exist_ok=True)
        shutil.copyfile(mark, folder / "targets" / mark.name)
    for target in manifest.targets:
        if target.collector == "definitions":
            continue
        for file in target.files:
            (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(snapshot / file.path, folder / file.path)
