"""Two nights of a GitHub organization of 10,000 repositories, against the sandbox in a process of its own.

Every answer takes 20 ms, and GitHub's limits hold in scaled time: an hour passes in half a minute. The plan for a first
night is about 66,000 REST requests, 250 for the organization, and 560 GraphQL requests; a second night is to need at
most a fifth. ``BENCH_GITHUB_REPOSITORIES`` makes it smaller; the request budgets are for 10,000.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import collectors.github
from scanner.collect.collector import Run
from scanner.secrets.detectors import Fingerprint

REPOSITORIES = int(os.environ.get("BENCH_GITHUB_REPOSITORIES", "10000"))
BUDGETS = {
    "first_night_rest_requests": 66_250 * 1.1,
    "first_night_graphql_requests": 560 * 1.1,
    "second_night_share": 0.2,
    "second_night_without_audit_log_share": 0.2,
    "peak_megabytes": 400,
}
_SANDBOX = """
import sys
from sandbox.github import GitHubSandbox, build_large
from sandbox.github.limits import GitHubLimits
from sandbox.github.shapes import Site
count = int(sys.argv[1])
with GitHubSandbox(organization=build_large(count), limits=GitHubLimits(scale=120), latency=0.02) as sandbox:
    print(sandbox.url, flush=True)
    print(sandbox.app.app_id, flush=True)
    print(sandbox.app.private_key.replace(chr(10), "|"), flush=True)
    before = 0, 0
    for line in sys.stdin:
        if line.strip() == "night":
            later = build_large(count, night=2)
            sandbox.organization, sandbox.site = later, Site(later, sandbox.url, "https://github.com")
        graphql = sandbox.calls["POST /graphql"]
        rest = sum(sandbox.calls.values()) - graphql
        print(rest - before[0], graphql - before[1], flush=True)
        before = rest, graphql
        sandbox.log.clear()
"""


def run() -> dict[str, float]:
    """Return requests, seconds and peak memory of the collecting process."""
    figures: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, "-c", _SANDBOX, str(REPOSITORIES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as sandbox,
    ):
        assert sandbox.stdin is not None
        assert sandbox.stdout is not None
        url, app_id, key = (sandbox.stdout.readline().strip() for _ in range(3))
        os.environ["BENCH_GITHUB_KEY"] = key.replace("|", "\n")

        def requests(command: str) -> tuple[int, int]:
            assert sandbox.stdin is not None
            assert sandbox.stdout is not None
            sandbox.stdin.write(command + "\n")
            sandbox.stdin.flush()
            rest, graphql = sandbox.stdout.readline().split()
            return int(rest), int(graphql)

        def night(number: int, *, audit_log: bool) -> tuple[float, Counter[str]]:
            config = collectors.github.Config.model_validate(
                {
                    "app": {"app_id": app_id, "private_key": "${env:BENCH_GITHUB_KEY}"},
                    "base_url": url,
                    "seconds_between_requests": 0,
                    "workers": 8,
                    "audit_log": audit_log,
                }
            )
            tonight = Run(
                as_of=datetime(2026, 11, 22, 2, tzinfo=UTC) + timedelta(days=number),
                fingerprint=Fingerprint(b"k" * 32),
                cache=Path(folder),
                stopping=threading.Event(),
            )
            started = time.perf_counter()
            kinds: Counter[str] = Counter()
            for target in collectors.github.targets(config, tonight):
                for record in collectors.github.collect(target, config, tonight):
                    kinds[type(record).__name__] += 1
            return time.perf_counter() - started, kinds

        seconds, kinds = night(0, audit_log=True)
        first, graphql = requests("night")
        figures["first_night_seconds"] = round(seconds, 1)
        figures["first_night_rest_requests"] = first
        figures["first_night_graphql_requests"] = graphql
        figures["first_night_records"] = kinds.total()
        figures["first_night_hours_at_15000"] = round(first / 15_000, 2)
        seconds, kinds = night(1, audit_log=True)
        rest, graphql = requests("count")
        figures["second_night_seconds"] = round(seconds, 1)
        figures["second_night_rest_requests"] = rest
        figures["second_night_graphql_requests"] = graphql
        figures["second_night_records"] = kinds.total()
        figures["second_night_share"] = round(rest / first, 3)
        night(2, audit_log=False)
        rest, _ = requests("count")
        figures["second_night_without_audit_log_rest_requests"] = rest
        figures["second_night_without_audit_log_share"] = round(rest / first, 3)
        figures["peak_megabytes"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
        sandbox.stdin.close()
    return figures
