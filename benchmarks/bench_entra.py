"""One night of an Entra tenant of 50,000 applications, against the sandbox in a process of its own.

Every list comes in pages of 999, as Microsoft Graph's largest. Applications are read twice and service principals three
times, since Graph expands one relation a request: 255 pages of the plan's requests.
``BENCH_ENTRA_APPLICATIONS`` makes the tenant smaller; the request budget is for 50,000.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import collectors.entra
from benchmarks.one_night import collect_night
from scanner.records import Gap

APPLICATIONS = int(os.environ.get("BENCH_ENTRA_APPLICATIONS", "50000"))
BUDGETS = {"requests": 400, "peak_megabytes": 250, "gaps": 0}
_SANDBOX = """
import json, sys
from sandbox.entra import EntraSandbox
from sandbox.entra.estate import GRAPH_ROLES, ago, guid, password
count = int(sys.argv[1])
with EntraSandbox(page=999) as sandbox:
    held = sandbox.directory
    people = [held.user(f"person.{number}") for number in range(500)]
    for number in range(300):
        held.service_principal(f"api {number}", appRoles=[
            {"id": guid(f"role {number}"), "value": "Read", "displayName": "Read", "allowedMemberTypes": ["Application"]}])
    roles = list(GRAPH_ROLES)
    for number in range(count):
        secret = password(f"secret {number}", made=30, ends=-60)
        client = held.application(f"app {number}", passwords=(secret,), owners=(people[number % 500],))
        held.application_sign_ins.append({"id": f"a{number}", "appId": guid(f"app app {number}"),
                                          "lastSignInActivity": {"lastSignInDateTime": ago(1)}})
        if number % 3 == 0:
            held.permit(client, roles[number % len(roles)])
    print(json.dumps({**sandbox.section(), **sandbox.environment()}), flush=True)
    sys.stdin.readline()
    print(sum(sandbox.calls.values()), flush=True)
    sys.stdin.read()
"""


def run() -> dict[str, float]:
    """Return requests, seconds and peak memory of the collecting process."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, "-c", _SANDBOX, str(APPLICATIONS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as sandbox,
    ):
        assert sandbox.stdin is not None
        assert sandbox.stdout is not None
        section = json.loads(sandbox.stdout.readline())
        for name in [name for name in section if name.isupper()]:
            os.environ[name] = section.pop(name)
        config = collectors.entra.Config.model_validate({**section, "graph_url": section["authority"]})
        seconds, kinds = collect_night(collectors.entra, config, Path(folder))
        sandbox.stdin.write("count\n")
        sandbox.stdin.flush()
        requests = int(sandbox.stdout.readline())
        sandbox.stdin.close()
    return {
        "applications": APPLICATIONS,
        "seconds": round(seconds, 1),
        "requests": requests,
        "records": kinds.total(),
        "gaps": kinds[Gap.__name__],
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
