"""How long ``sprawlscan demo`` takes: two nights of three providers, from sandbox to report, in one process."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time

BUDGETS = {"seconds": 60.0}


def run() -> dict[str, float]:
    """Return wall and CPU seconds and the peak memory; the sandbox servers are in the same process and count."""
    with tempfile.TemporaryDirectory() as folder:
        code = f"import sys; sys.argv = ['sprawlscan', 'demo', '--folder', {folder!r}]; from scanner.command.cli import main; main()"
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": round(used.ru_maxrss / 1024, 1),
    }
