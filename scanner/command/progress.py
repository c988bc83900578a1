"""Progress of a run, on a terminal or in logs."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from scanner.safe_text import plain

if TYPE_CHECKING:
    from scanner.collect.collector import Target
    from scanner.collect.target_threads import Progress
    from scanner.snapshot import TargetDone

log = logging.getLogger(__name__)


class TerminalProgress:
    """A progress bar on stderr, with a line for every target that has gaps."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )

    def begin(self, total: int, skipped: int) -> None:
        """Show the bar of a wave."""
        for earlier in self._bar.task_ids:
            self._bar.remove_task(earlier)
        self._task = self._bar.add_task("Collecting", total=total, completed=skipped)
        self._left = total - skipped
        if self._left:
            self._bar.start()

    def done(self, target: Target, result: TargetDone) -> None:
        """Advance the bar."""
        self._left -= 1
        self._bar.advance(self._task)
        if result.gaps:
            self._console.print(
                f"{target.collector}/{plain(target.name)}: {result.gaps} listings incomplete",
                markup=False,
                highlight=False,
            )
        if not self._left:
            self._bar.stop()


class LogProgress:
    """A log line for every target."""

    def begin(self, total: int, skipped: int) -> None:
        """Log the number of targets."""
        log.info("collecting", extra={"targets": total, "skipped": skipped})

    def done(self, target: Target, result: TargetDone) -> None:
        """Log one target."""
        log.info(
            "target done",
            extra={
                "collector": target.collector,
                "target": target.name,
                "records": result.records,
                "gaps": result.gaps,
                "seconds": result.seconds,
            },
        )


def of_this_terminal() -> Progress:
    """Return a progress bar for a terminal, and log lines for everything else."""
    terminal = sys.stderr.isatty() and not os.environ.get("CI")
    return TerminalProgress() if terminal else LogProgress()
