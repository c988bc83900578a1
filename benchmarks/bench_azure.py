"""One night of an Azure tenant of 200 subscriptions with 40,000 role assignments, against the sandbox in a process of its own.

Each subscription has 200 assignments (Azure allows 4,000), a web app and a virtual machine with an identity, a storage account,
a key vault and a deny assignment. Queries come in pages of 1,000 rows, Resource Graph's largest: 40 of the requests are pages of
assignments. Deny assignments and schedules of Privileged Identity Management are not in Resource Graph: one list for each
subscription, 20 of them in a request; one by one they alone would be 400. The budget is for access: entries of vaults, settings
of applications and federated credentials are further lists of each resource, which `Config` switches off.
``BENCH_AZURE_SUBSCRIPTIONS`` makes the tenant smaller; the request budget is for 200.
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

import collectors.azure
from benchmarks.one_night import collect_night
from scanner.records import Gap, Grant

SUBSCRIPTIONS = int(os.environ.get("BENCH_AZURE_SUBSCRIPTIONS", "200"))
ASSIGNMENTS = 200
"""In each subscription."""
BUDGETS = {"requests": 80, "peak_megabytes": 250, "gaps": 0}
_SANDBOX = f"""
import json, sys
from sandbox.azure import AzureSandbox
from sandbox.azure.company import BLOB_READER, CONTRIBUTOR, OWNER, READER, build
from sandbox.azure.tenant import AzureTenant, guid
from sandbox.entra.estate import TENANT
roles = (READER, BLOB_READER, CONTRIBUTOR, OWNER)
tenant = AzureTenant(authorizationresources=[
    row for row in build(1).authorizationresources if row["type"].endswith("roledefinitions")])
for s in range({SUBSCRIPTIONS}):
    number = guid(f"subscription {{s}}")
    at = f"/subscriptions/{{number}}"
    tenant.resourcecontainers.append({{
        "id": at, "name": f"subscription-{{s}}", "type": "microsoft.resources/subscriptions", "subscriptionId": number,
        "properties": {{"state": "Enabled", "managementGroupAncestorsChain": []}}, "tags": None}})
    for kind, name in (("Microsoft.Web/sites", "api"), ("Microsoft.Compute/virtualMachines", "vm")):
        tenant.resource(kind, name, subscription=number, identity={{
            "type": "SystemAssigned", "principalId": guid(f"{{name}} of {{s}}"), "tenantId": TENANT}})
    tenant.resource("Microsoft.Storage/storageAccounts", f"data{{s}}", subscription=number, properties={{"allowSharedKeyAccess": False}})
    tenant.deny(at, f"deny {{s}}")
    for a in range({ASSIGNMENTS}):
        tenant.assign(guid(f"principal {{(s * 31 + a) % 5000}}"), roles[a % 40 // 13], f"{{at}}/resourceGroups/group-{{a}}")
    tenant.resource("Microsoft.KeyVault/vaults", f"kv{{s}}", subscription=number, properties={{"enableRbacAuthorization": True}})
with AzureSandbox(page=1000) as sandbox:
    sandbox.tenant = tenant
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
        only_access = {"settings": False, "vault_entries": False, "federated_credentials": False}
        config = collectors.azure.Config.model_validate(
            {**section, "seconds_between_requests": 0, **only_access}
        )
        seconds, kinds = collect_night(collectors.azure, config, Path(folder))
        sandbox.stdin.write("count\n")
        sandbox.stdin.flush()
        calls = Counter(json.loads(sandbox.stdout.readline()))
        sandbox.stdin.close()
    return {
        "subscriptions": SUBSCRIPTIONS,
        "seconds": round(seconds, 1),
        "requests": calls.total(),
        "queries": sum(count for name, count in calls.items() if "ResourceGraph" in name),
        "batches": sum(count for name, count in calls.items() if name.endswith("/batch")),
        "grants": kinds[Grant.__name__],
        "records": kinds.total(),
        "gaps": kinds[Gap.__name__],
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
