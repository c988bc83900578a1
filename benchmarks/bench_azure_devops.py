"""A first and a second night of an Azure DevOps organization, against the sandbox in a process of its own.

100 projects, 2,000 service connections, 1,500 variable groups and 5,000 pipelines. What a first night may need: 16 requests a
project, one for each connection for its last use, and one for each 200 definitions. A second night is to need at most a fifth.
The files of YAML pipelines are one request each and are counted apart, in two nights of their own.
``BENCH_AZURE_DEVOPS_PROJECTS`` makes it smaller; the budgets are for 100.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import collectors.azure_devops
from scanner.collect.collector import Run
from scanner.secrets.detectors import Fingerprint

PROJECTS = int(os.environ.get("BENCH_AZURE_DEVOPS_PROJECTS", "100"))
CONNECTIONS, GROUPS, PIPELINES = 20, 15, 50
"""In each project."""
FIRST = PROJECTS * (16 + CONNECTIONS) + PROJECTS * PIPELINES / 200
BUDGETS = {
    "first_night_requests": FIRST,
    "second_night_share": 0.2,
    "second_night_share_with_files": 0.2,
    "peak_megabytes": 250,
}
_SANDBOX = f"""
import json, sys
from collections import defaultdict
from sandbox.azure_devops import AzureDevOpsSandbox
from sandbox.azure_devops.access import default_access
from sandbox.azure_devops.doors import DoorEstate
from sandbox.azure_devops.estate import DevOpsOrganization, DevOpsProject, guid, setting_values
projects = []
for p in range({PROJECTS}):
    one = DevOpsProject(id=guid(f"project {{p}}"), name=f"project-{{p}}", settings=setting_values(enforceJobAuthScope=True))
    for c in range({CONNECTIONS}):
        one.endpoint(f"connection {{p}} {{c}}", "azurerm", "ServicePrincipal", {{"serviceprincipalid": guid(f"app {{p}} {{c}}")}})
    for g in range({GROUPS}):
        one.variable_groups.append({{"id": 1000 * p + g, "name": f"group {{g}}", "type": "Vsts", "isShared": False,
                                    "variables": {{f"v{{n}}": {{"isSecret": True, "value": None}} for n in range(5)}}}})
    repository = one.repository(f"repository {{p}}", **{{"azure-pipelines.yml": "steps: [{{task: AzureCLI@2, inputs: {{azureSubscription: connection %d 0}}}}]\\n" % p}})
    for d in range({PIPELINES}):
        one.pipeline(1000 * p + d, f"pipeline {{d}}", repository)
    one.environments.append({{"id": 10 * p, "name": "production"}})
    projects.append(one)
organization = DevOpsOrganization(projects=projects, settings=setting_values(enforceJobAuthScope=True))
organization.doors = DoorEstate(projects={PROJECTS}, tenant_policies=defaultdict(lambda: {{'value': True}}))
organization.access = default_access([(one.id, one.name) for one in projects])
with AzureDevOpsSandbox(page=200) as sandbox:
    sandbox.organization = organization
    print(json.dumps([sandbox.section(), sandbox.environment()]), flush=True)
    for line in sys.stdin:
        print(sum(sandbox.calls.values()), flush=True)
        sandbox.calls.clear()
        sandbox.log.clear()
"""


def run() -> dict[str, float]:
    """Return requests, seconds and peak memory of the collecting process."""
    figures: dict[str, float] = {}
    with (
        subprocess.Popen(
            [sys.executable, "-c", _SANDBOX], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as sandbox,
        tempfile.TemporaryDirectory() as folder,
    ):
        assert sandbox.stdin is not None
        assert sandbox.stdout is not None
        section, environment = json.loads(sandbox.stdout.readline())
        os.environ.update(environment)
        for number, night in enumerate(("first", "second")):
            seconds, records = _night({**section, "yaml": False}, Path(folder), number)
            sandbox.stdin.write("count\n")
            sandbox.stdin.flush()
            figures[f"{night}_night_requests"] = int(sandbox.stdout.readline())
            figures[f"{night}_night_seconds"] = round(seconds, 1)
            figures[f"{night}_night_records"] = records
        figures["second_night_share"] = round(
            figures["second_night_requests"] / figures["first_night_requests"], 3
        )
        for number, night in enumerate(("first", "second")):
            seconds, _ = _night(section, Path(folder) / "yaml", number)
            sandbox.stdin.write("count\n")
            sandbox.stdin.flush()
            figures[f"{night}_night_requests_with_files"] = int(sandbox.stdout.readline())
            figures[f"{night}_night_seconds_with_files"] = round(seconds, 1)
        figures["second_night_share_with_files"] = round(
            figures["second_night_requests_with_files"] / figures["first_night_requests_with_files"], 3
        )
        figures["peak_megabytes"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
        sandbox.stdin.close()
    return figures


def _night(section: dict[str, Any], cache: Path, number: int) -> tuple[float, int]:
    config = collectors.azure_devops.Config.model_validate(
        {**section, "seconds_between_requests": 0, "workers": 8}
    )
    tonight = Run(
        as_of=datetime(2026, 11, 22, 2, tzinfo=UTC) + timedelta(days=number),
        fingerprint=Fingerprint(b"k" * 32),
        cache=cache,
        stopping=threading.Event(),
    )
    started, records = time.perf_counter(), 0
    for target in collectors.azure_devops.targets(config, tonight):
        for _ in collectors.azure_devops.collect(target, config, tonight):
            records += 1
    return time.perf_counter() - started, records
