"""Nights of a GitLab group of 10,000 projects, against the sandbox in a process of its own.

Every answer takes 20 ms, and GitLab.com's limits hold in scaled time: a minute passes in five seconds.

What a first night may need: an Owner's token 60,000 REST requests and 600 GraphQL requests, and ten in a hundred more. With an
administrator's token deploy keys are one list; deploy tokens, webhooks and environments still are a request a project:
``/deploy_tokens`` names no project, ``/hooks`` are the instance's own, and GraphQL resolves environments for one project a
request. A second night is to need at most a fifth. ``BENCH_GITLAB_PROJECTS`` makes it smaller; the budgets are for 10,000.
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

import collectors.gitlab
from scanner.collect.collector import Run
from scanner.secrets.detectors import Fingerprint

PROJECTS = int(os.environ.get("BENCH_GITLAB_PROJECTS", "10000"))
BUDGETS = {
    "owner_first_night_rest_requests": 60_000 * 1.1,
    "owner_first_night_graphql_requests": 600 * 1.1,
    "owner_second_night_share": 0.2,
    "admin_first_night_rest_requests": 40_000 * 1.1,
    "admin_second_night_share": 0.2,
    "peak_megabytes": 400,
}
_SANDBOX = """
import sys
from sandbox.gitlab import GitLabSandbox
from sandbox.gitlab.large import build_large
from sandbox.gitlab.limits import GitLabLimits
count = int(sys.argv[1])
with GitLabSandbox(instance=build_large(count), limits=GitLabLimits(scale=12), latency=0.02) as sandbox:
    print(sandbox.url, flush=True)
    print(sandbox.owner_token, flush=True)
    print(sandbox.token, flush=True)
    for line in sys.stdin:
        graphql = sandbox.calls["POST /api/graphql"]
        print(sum(sandbox.calls.values()) - graphql, graphql, flush=True)
        sandbox.instance = build_large(count, night=int(line))
        sandbox.calls.clear()
        sandbox.log.clear()
        sandbox.headers.clear()
"""


def run() -> dict[str, float]:
    """Return requests, seconds and peak memory of the collecting process."""
    figures: dict[str, float] = {}
    with subprocess.Popen(
        [sys.executable, "-c", _SANDBOX, str(PROJECTS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as sandbox:
        assert sandbox.stdin is not None
        assert sandbox.stdout is not None
        url, owner, admin = (sandbox.stdout.readline().strip() for _ in range(3))

        def requests(next_night: int) -> tuple[int, int]:
            """Return how many were sent since the last time, and make it that night."""
            assert sandbox.stdin is not None
            assert sandbox.stdout is not None
            sandbox.stdin.write(f"{next_night}\n")
            sandbox.stdin.flush()
            rest, graphql = sandbox.stdout.readline().split()
            return int(rest), int(graphql)

        for who, token in (("owner", owner), ("admin", admin)):
            os.environ["BENCH_GITLAB_TOKEN"] = token
            with tempfile.TemporaryDirectory() as folder:
                seconds, kinds = _night(url, Path(folder), 0)
                first, graphql = requests(2)
                figures[f"{who}_first_night_seconds"] = round(seconds, 1)
                figures[f"{who}_first_night_rest_requests"] = first
                figures[f"{who}_first_night_graphql_requests"] = graphql
                figures[f"{who}_first_night_records"] = kinds.total()
                figures[f"{who}_first_night_minutes_at_2000"] = round((first + graphql) / 2_000, 1)
                seconds, kinds = _night(url, Path(folder), 1)
                rest, queries = requests(1)
                figures[f"{who}_second_night_seconds"] = round(seconds, 1)
                figures[f"{who}_second_night_rest_requests"] = rest
                figures[f"{who}_second_night_graphql_requests"] = queries
                figures[f"{who}_second_night_records"] = kinds.total()
                figures[f"{who}_second_night_share"] = round((rest + queries) / (first + graphql), 3)
        figures["peak_megabytes"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
        sandbox.stdin.close()
    return figures


def _night(url: str, cache: Path, number: int) -> tuple[float, Counter[str]]:
    config = collectors.gitlab.Config.model_validate(
        {
            "base_url": url,
            "token": "${env:BENCH_GITLAB_TOKEN}",
            "groups": ["lantern"],
            "instance": False,
            "workers": 8,
        }
    )
    tonight = Run(
        as_of=datetime(2026, 11, 22, 2, tzinfo=UTC) + timedelta(days=number),
        fingerprint=Fingerprint(b"k" * 32),
        cache=cache,
        stopping=threading.Event(),
    )
    started = time.perf_counter()
    kinds: Counter[str] = Counter()
    for target in collectors.gitlab.targets(config, tonight):
        for record in collectors.gitlab.collect(target, config, tonight):
            kinds[type(record).__name__] += 1
    return time.perf_counter() - started, kinds
