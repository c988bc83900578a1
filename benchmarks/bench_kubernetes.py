"""One night of a cluster of 50,000 pods, against the simulated API server in a process of its own.

2,500 deployments of 20 pods each, in 250 namespaces, with service accounts, roles, bindings and a Secret each; a pod is about
7.5 kB of JSON, as on a real server, where most of it is ``managedFields``. Lists come in pages of 500, compressed.
``BENCH_KUBERNETES_PODS`` makes the cluster smaller; the request budget is for 50,000.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import collectors.kubernetes
from benchmarks.one_night import collect_night
from scanner.records import Gap, Identity

PODS = int(os.environ.get("BENCH_KUBERNETES_PODS", "50000"))
BUDGETS = {"requests": 260, "cpu_seconds": 30, "peak_megabytes": 150, "gaps": 0}
_SANDBOX = f"""
import json, sys
from sandbox.kubernetes.large import build
from sandbox.kubernetes import KubernetesSandbox
with KubernetesSandbox("small", "1.36") as sandbox:
    sandbox.serve_cluster(build({PODS}))
    print(json.dumps([sandbox.section(), sandbox.environment()]), flush=True)
    sys.stdin.readline()
    print(json.dumps(sandbox.calls), flush=True)
    sys.stdin.read()
"""


def run() -> dict[str, float]:
    """Return requests, CPU seconds, and peak memory of the collecting process."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, "-c", _SANDBOX], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as sandbox,
    ):
        assert sandbox.stdin is not None
        assert sandbox.stdout is not None
        section, environment = json.loads(sandbox.stdout.readline())
        os.environ.update(environment)
        config = collectors.kubernetes.Config.model_validate({**section, "seconds_between_requests": 0})
        begun = time.process_time()
        seconds, kinds = collect_night(collectors.kubernetes, config, Path(folder))
        spent = time.process_time() - begun
        sandbox.stdin.write("count\n")
        sandbox.stdin.flush()
        calls = Counter(json.loads(sandbox.stdout.readline()))
        sandbox.stdin.close()
    return {
        "pods": PODS,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(spent, 1),
        "requests": calls.total(),
        "pages_of_pods": calls["GET /api/v1/pods"],
        "identities": kinds[Identity.__name__],
        "records": kinds.total(),
        "gaps": kinds[Gap.__name__],
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
