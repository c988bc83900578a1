"""The IAM part of an AWS account of 1,000 roles and 500 users: requests, CPU and memory of the collecting process.

The sandbox is a process of its own, so that its CPU and memory do not count. Use of services and policies on
resources are left out: they cost a call a principal or a resource, and the configuration bounds them.
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
from datetime import UTC, datetime
from pathlib import Path

BUDGETS = {"iam_requests": 45.0, "cpu_seconds": 5.0, "peak_mb": 150.0}

_SANDBOX = """
import json, sys
from sandbox.aws.large import build_large
from sandbox.aws.server import REGION, AwsSandbox
with AwsSandbox() as sandbox:
    build_large(sandbox, roles=1_000, users=500)
    print(json.dumps([sandbox.url, REGION, sandbox.environment()]), flush=True)
    sys.stdin.readline()
    print(json.dumps(sandbox.calls), flush=True)
"""


def _collect(url: str, region: str) -> Counter[str]:
    """Collect the account as a scan does; return the records by class."""
    import collectors.aws
    from scanner.collect.collector import Run
    from scanner.secrets.detectors import Fingerprint

    kinds: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(
            as_of=datetime(2026, 11, 23, 2, tzinfo=UTC),
            fingerprint=Fingerprint(b"k" * 32),
            cache=Path(folder),
            stopping=threading.Event(),
        )
        config = collectors.aws.Config(
            endpoint_url=url, regions=[region], unused_access=False, resource_policies=[]
        )
        for target in collectors.aws.targets(config, run):
            for record in collectors.aws.collect(target, config, run):
                kinds[type(record).__name__] += 1
    return kinds


def run() -> dict[str, float]:
    """Return requests, CPU and wall seconds, peak memory and records; imports count."""
    import json

    with subprocess.Popen(
        [sys.executable, "-c", _SANDBOX], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as sandbox:
        assert sandbox.stdin is not None
        assert sandbox.stdout is not None
        url, region, environment = json.loads(sandbox.stdout.readline())
        os.environ.update(environment)
        cpu, wall = time.process_time(), time.perf_counter()
        kinds = _collect(url, region)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        sandbox.stdin.write("\n")
        sandbox.stdin.flush()
        calls = Counter(json.loads(sandbox.stdout.readline()))
    return {
        "iam_requests": sum(count for action, count in calls.items() if action.startswith("iam:")),
        "all_requests": calls.total(),
        "cpu_seconds": round(cpu, 2),
        "wall_seconds": round(wall, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "records": kinds.total(),
        "gaps": kinds["Gap"],
    }
