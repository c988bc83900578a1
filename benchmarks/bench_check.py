"""What ``sprawlscan check`` takes for one file and for a checkout of 1,000 workflows, as whole processes; and, where they
are installed, what zizmor and actionlint take for the same files.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUDGETS = {"one_file_seconds": 0.6, "thousand_files_seconds": 2.0}
WORKFLOW = """\
on: [push, pull_request]
permissions: {{contents: read}}
jobs:
  build{number}:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: make test-{number}
"""
PEERS = {"zizmor": ["--offline", "--no-progress"], "actionlint": []}


def run() -> dict[str, float]:
    """Return the best of three processes, in wall seconds and CPU seconds; ``..._ratio`` is ours to the peer's wall time."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, files in (("one_file", 1), ("thousand_files", 1000)):
            workflows = Path(folder) / name / ".github" / "workflows"
            workflows.mkdir(parents=True)
            for number in range(files):
                (workflows / f"build-{number}.yml").write_text(
                    WORKFLOW.format(number=number), encoding="utf-8"
                )
            (Path(folder) / name / ".git").mkdir()
            given = workflows if files > 1 else workflows / "build-0.yml"
            wall, cpu = _best([sys.executable, "-m", "sprawlscan", "check", str(given)], {0})
            figures |= {f"{name}_seconds": wall, f"{name}_cpu_seconds": cpu}
            for peer, options in PEERS.items():
                program = shutil.which(peer)
                if program is not None:
                    listed = [str(one) for one in sorted(workflows.glob("*.yml"))]
                    theirs, _ = _best([program, *options, *listed], set(range(20)))
                    figures[f"{name}_{peer}_ratio"] = round(wall / theirs, 1)
    return figures


def _best(command: list[str], codes: set[int]) -> tuple[float, float]:
    """Return the least wall and CPU seconds of three processes after a first one, which compiles modules."""
    walls, cpus = [], []
    for _ in range(4):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode in codes, done.stderr.decode()[-400:]
        walls.append(time.perf_counter() - started)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return round(min(walls[1:]), 2), round(min(cpus[1:]), 2)
