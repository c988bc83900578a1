"""How a run is stopped: by a signal, by its deadline, and finally by force.

A run stops in steps, counted from the signal or the deadline:

1. at once, ``stopping``: nothing new begins; requests are cut; what was collected is sealed as partial;
2. after `ABANDONED_SECONDS`: targets that still wait (for a file that is a pipe, say) are given up;
3. after `ENDING_SECONDS`, ``ending``: queries of the analysis are interrupted; the next run completes the night;
4. after `LAST_SECONDS`, on the command line: the process exits. The state can be continued from any moment.
"""

from __future__ import annotations

import threading

ABANDONED_SECONDS = 4.0
ENDING_SECONDS = 7.0
LAST_SECONDS = 9.0


class StoppedError(Exception):
    """The run was stopped while it analyzed or reported. What it had sealed stays, and the next run completes it."""

    def __init__(self) -> None:
        super().__init__(
            "the run was stopped before its analysis and reports were complete. What was collected is sealed; the next "
            "`sprawlscan run` completes this night first."
        )


class Stop:
    """Whether a run must stop, and how soon."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        """Nothing new may begin."""
        self.ending = threading.Event()
        """Work in progress is to be interrupted."""
