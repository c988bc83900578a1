"""One night of a Google Cloud organization of 500 projects with 40 service accounts each, against the sandbox in a process of its own.

Each project has 20 keys that users made, a policy with four bindings, a policy on every second account, two secrets and a Cloud
Run service; ten folders have a deny policy each. Assets come in pages of 1,000 and search results in pages of 500, Google's
largest. Asked one by one, accounts, keys and policies alone would be more than 40,000 requests.

Policy Analyzer answers for one project and one type of activity at a time: one query for the accounts of each project, and one
more for the keys where a project has any (https://docs.cloud.google.com/policy-intelligence/docs/activity-analyzer-service-account-authentication).
``BENCH_GCP_PROJECTS`` makes the organization smaller; the request budget is for 500.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import collectors.gcp
from benchmarks.one_night import collect_night
from scanner.records import Gap, Grant, Identity

PROJECTS = int(os.environ.get("BENCH_GCP_PROJECTS", "500"))
ACCOUNTS = 40
"""In each project."""
BUDGETS = {"requests": 200, "activity_queries": 2 * PROJECTS, "peak_megabytes": 400}
_SANDBOX = f"""
import json, sys
from sandbox.gcp import GcpSandbox
from sandbox.gcp.organization import GoogleOrganization
from sandbox.gcp.roles import predefined
company = GoogleOrganization(number="700000000007", domain="lanternpay.example", roles=predefined())
folders = [company.folder(f"71000000{{f:04d}}", f"folder-{{f}}") for f in range(10)]
for folder in folders:
    company.deny(folder, "no-keys", {{"deniedPrincipals": ["principalSet://goog/public:all"],
        "deniedPermissions": ["iam.googleapis.com/serviceAccountKeys.create"]}})
roles = ("roles/viewer", "roles/run.developer", "roles/secretmanager.secretAccessor", "roles/storage.objectUser")
for p in range({PROJECTS}):
    home = company.project(f"lantern-{{p:04d}}", f"72000000{{p:04d}}", folders[p % 10])
    emails = [company.account(home, f"account-{{a:02d}}") for a in range({ACCOUNTS})]
    for a, email in enumerate(emails):
        company.signed_in(email, a)
        if a % 2:
            company.grant(email, "roles/iam.serviceAccountUser", f"serviceAccount:{{emails[a - 1]}}")
        else:
            company.signed_in(email, a, key=company.key(email, "key", made=100 + a))
    for r, role in enumerate(roles):
        company.grant(home, role, *(f"serviceAccount:{{email}}" for email in emails[r * 4 : r * 4 + 4]))
    for s in range(2):
        name = f"projects/{{home.number}}/secrets/secret-{{s}}"
        company.asset(home, "secretmanager.googleapis.com/Secret", name, {{
            "name": name, "createTime": "2026-01-01T00:00:00Z", "replication": {{"automatic": {{}}}}}})
    name = f"projects/{{home.id}}/locations/europe-west1/services/api"
    company.asset(home, "run.googleapis.com/Service", name, {{
        "name": name, "createTime": "2026-01-01T00:00:00Z", "template": {{
            "serviceAccount": emails[0], "containers": [{{"image": "europe-west1-docker.pkg.dev/p/r/api:1"}}]}}}}, version="v2")
with GcpSandbox(page=1000) as sandbox:
    sandbox.company = company
    print(json.dumps([sandbox.section(), sandbox.environment()]), flush=True)
    sys.stdin.readline()
    print(json.dumps(sandbox.calls), flush=True)
    sys.stdin.read()
"""


def run() -> dict[str, float]:
    """Return requests by kind, seconds, and peak memory of the collecting process."""
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
        config = collectors.gcp.Config.model_validate({**section, "seconds_between_requests": 0})
        seconds, kinds = collect_night(collectors.gcp, config, Path(folder))
        sandbox.stdin.write("count\n")
        sandbox.stdin.flush()
        calls = Counter(json.loads(sandbox.stdout.readline()))
        sandbox.stdin.close()
    activities = sum(count for name, count in calls.items() if name.endswith("activities:query"))
    return {
        "projects": PROJECTS,
        "seconds": round(seconds, 1),
        "requests": calls.total() - activities,
        "activity_queries": activities,
        "identities": kinds[Identity.__name__],
        "grants": kinds[Grant.__name__],
        "records": kinds.total(),
        "gaps": kinds[Gap.__name__],
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
