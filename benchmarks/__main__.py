"""Runs every ``bench_*.py`` in a process of its own, prints measured against budget, and writes JSON.

A benchmark is a module with ``BUDGETS`` (figure -> limit) and ``run() -> dict[str, float]``; figures without a
budget are printed as they are. ``python -m benchmarks NAME ...`` runs only those.

Budgets in seconds are for two quiet cores. Where a benchmark is over and the load average is above the number of
cores, look at its CPU seconds: they hardly change with what else the machine does.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results"


def _one(name: str) -> dict[str, float]:
    """Run one benchmark in a fresh interpreter, so that its peak memory is its own."""
    code = f"import json; from benchmarks.{name} import run; print('\\n' + json.dumps(run()))"
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=HERE.parent
    )
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise SystemExit(f"{name} failed")
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return figures | {
        "(whole benchmark: CPU seconds)": round(
            after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1
        ),
        "(whole benchmark: wall seconds)": round(time.perf_counter() - started, 1),
        "(load average)": round(os.getloadavg()[0], 1),
    }


def main() -> int:
    """Print the table. Exit with 1 when a figure is over its budget, or a figure with a budget is missing."""
    chosen = sys.argv[1:] or sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    rows: list[dict[str, object]] = []
    over = 0
    print(f"{'benchmark':12} {'figure':48} {'measured':>14} {'budget':>14}")
    for name in chosen:
        budgets: dict[str, float] = import_module(f"benchmarks.bench_{name}").BUDGETS
        figures: dict[str, float | None] = {**dict.fromkeys(budgets), **_one(f"bench_{name}")}
        for figure, value in figures.items():
            budget = budgets.get(figure)
            bad = value is None or (budget is not None and value > budget)
            over += bad
            measured = "missing" if value is None else f"{value:,.2f}"
            limit = "" if budget is None else f"{budget:,.2f}"
            print(f"{name:12} {figure:48} {measured:>14} {limit:>14} {'OVER' if bad else ''}", flush=True)
            rows.append({"benchmark": name, "figure": figure, "measured": value, "budget": budget})
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "bench.json"
    if path.is_file():
        # What was not measured this time keeps its last figures.
        before = json.loads(path.read_text(encoding="utf-8"))["rows"]
        rows = sorted(
            [row for row in before if row["benchmark"] not in chosen] + rows,
            key=lambda row: str(row["benchmark"]),
        )
    result = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "rows": rows,
    }
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{over} over budget; {path}")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
