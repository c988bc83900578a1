"""How long ``sprawlscan --help`` takes: the price of every import that is not lazy."""

from __future__ import annotations

import subprocess
import sys
import time

BUDGETS = {"help_seconds": 0.3}


def run() -> dict[str, float]:
    """Return the best of five whole processes, in seconds."""
    code = "import sys; sys.argv = ['sprawlscan', '--help']; from scanner.command.cli import main; main()"
    figures = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        figures.append(time.perf_counter() - started)
    return {"help_seconds": round(min(figures), 3)}
