"""Runs every ``bench_*.py`` in a process of its own, prints measured against budget, and writes JSON.

A benchmark is a module with ``BUDGETS`` (figure -> limit) and ``run() -> dict[str, float]``; figures without a
budget are printed as they are. ``python -m benchmarks NAME ...`` runs only those.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results"


def _one(name: str) -> dict[str, float]:
    """Run one benchmark in a fresh interpreter, so that its peak memory is its own."""
    code = f"import json; from benchmarks.{name} import run; print('\\n' + json.dumps(run()))"
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=HERE.parent
    )
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise SystemExit(f"{name} failed")
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def main() -> int:
    """Print the table. Exit with 1 when a figure is over its budget."""
    chosen = sys.argv[1:] or sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    rows: list[dict[str, object]] = []
    over = 0
    print(f"{'benchmark':12} {'figure':44} {'measured':>14} {'budget':>14}")
    for name in chosen:
        budgets: dict[str, float] = import_module(f"benchmarks.bench_{name}").BUDGETS
        for figure, value in _one(f"bench_{name}").items():
            budget = budgets.get(figure)
            bad = budget is not None and value > budget
            over += bad
            mark = "OVER" if bad else ""
            print(
                f"{name:12} {figure:44} {value:14,.2f} {'' if budget is None else f'{budget:14,.2f}'} {mark}",
                flush=True,
            )
            rows.append({"benchmark": name, "figure": figure, "measured": value, "budget": budget})
    RESULTS.mkdir(exist_ok=True)
    result = {"python": platform.python_version(), "machine": platform.machine(), "rows": rows}
    (RESULTS / "bench.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{over} over budget; {RESULTS / 'bench.json'}")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
