"""What ``sprawlscan run --path`` takes for a checkout with one workflow: the price of a whole night without a network."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

BUDGETS = {"cpu_seconds": 1.5}
WORKFLOW = """\
on: [push, pull_request_target]
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: echo "${{ github.event.pull_request.title }}"
"""


def run() -> dict[str, float]:
    """Return the median of five processes after a first one, which compiles modules and templates; and a peak."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "checkout" / ".github" / "workflows" / "build.yml"
        file.parent.mkdir(parents=True)
        file.write_text(WORKFLOW, encoding="utf-8")
        for number in range(6):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            command = ["-m", "sprawlscan", "run", "--path", "checkout", "--state", f"state-{number}"]
            subprocess.run([sys.executable, *command], check=True, capture_output=True, cwd=folder)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            figures.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        (report,) = Path(folder).glob("state-0/reports/*/report.html")
        assert report.stat().st_size > 50_000
    return {
        "cpu_seconds": round(sorted(figures[1:])[2], 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, 1),
    }
