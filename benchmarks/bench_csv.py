"""How long 500,000 findings take to become CSV, and how much memory."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reports.csv import Config, write
from scanner.night import open_night

BUDGETS = {"seconds": 10.0, "peak_mb": 250.0}
FINDINGS = 500_000


def run() -> dict[str, float]:
    """Return seconds and peak memory of the export alone: the night is made in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        state = Path(name) / "state"
        make = f"from pathlib import Path; from tests.synthetic_night import write_night; write_night(Path({str(state)!r}), count={FINDINGS})"
        subprocess.run([sys.executable, "-c", make], check=True)
        (run_id,) = (path.name for path in (state / "snapshots").iterdir())
        out = Path(name) / "out"
        out.mkdir()
        with open_night(state, run_id) as night:
            cpu, started = time.process_time(), time.perf_counter()
            write(night, out, Config())
            cpu, seconds = time.process_time() - cpu, time.perf_counter() - started
        size = (out / "findings.csv").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "peak_mb": round(peak, 1),
        "findings_csv_mb": round(size / 1e6, 1),
    }
