"""A run that is killed at random moments: `make kills` does this fifty times."""

from __future__ import annotations

import subprocess
import sys

COUNT = 3


def test_a_killed_run_damages_no_state_and_loses_no_alert() -> None:
    """In a process without other threads, because it forks."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kills", "--count", str(COUNT), "--seed", "7"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert f"{COUNT} kills: 0 damaged states, 0 alerts lost" in done.stdout
