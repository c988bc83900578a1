"""The whole product in one command: two nights of Lantern Pay, scanned over HTTP by the real collectors.

The sandbox servers listen on 127.0.0.1; no other host is contacted. The configuration, exceptions and owners that it
writes are like those of a real installation, and all other commands work on the folder: ``sprawlscan explain FINDING
--state demo``.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from typing import TYPE_CHECKING, Any

from sandbox.estate import FIRST_NIGHT, SECOND_NIGHT
from sandbox.kit.provider import environment, load_package, provider_names
from scanner.command.summary import outcome_lines
from scanner.config_file import load
from scanner.pipeline.stages import run_night

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scanner.collect.target_threads import Progress
    from scanner.pipeline.outcome import Outcome

VARIANTS = {"github": "app"}
"""The variant of a provider's sandbox, if not the usual one."""

EXCEPTIONS = """\
# Accepted risks of the demo. Each ends by itself; see the README.
exceptions:
  - id: RISK-7
    rule: human-standing-admin
    subject: "arn:aws:iam::100000000001:user/break-glass"
    owner: platform
    approver: ciso@lanternpay.example
    reason: accepted-risk
    explanation: Sealed emergency access, tested every quarter.
    ticket: SEC-441
    compensating_control: An alarm on every use.
    approved: 2026-11-16
    expires: 2026-12-10
  - id: RISK-3
    rule: credential-old
    subject: "aws:access-key:AKIANOSUCHKEYANYMORE"
    owner: data
    approver: head-of-data@lanternpay.example
    reason: planned-removal
    explanation: The export moves to a role.
    ticket: DATA-88
    approved: 2026-10-01
    expires: 2026-10-31
"""

OWNERS = """\
match,owner,environment
arn:aws:iam::*:role/deploy-payments,payments,
github:org:7001001,platform,
"""


def run_demo(
    folder: Path, *, progress: Progress, echo: Callable[[str], object], keep: bool = False
) -> Outcome:
    """Scan two nights into a folder and print the path of the report. Returns the second night's outcome. An earlier
    demo in the folder is replaced unless ``keep``; any other folder is never touched.
    """
    marker = folder / ".sprawlscan-demo"
    if folder.exists() and not marker.is_file() and any(folder.iterdir()):
        raise FileExistsError(17, "not empty and not a demo; choose another --folder", str(folder))
    if folder.exists() and not keep:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    marker.touch()
    (folder / "exceptions.yaml").write_text(EXCEPTIONS, encoding="utf-8")
    (folder / "owners.csv").write_text(OWNERS, encoding="utf-8")
    outcome: Outcome | None = None
    with contextlib.ExitStack() as stack:
        # The same URLs on both nights, so that the second night can use what the first cached.
        sandboxes = [
            stack.enter_context(load_package(name).open_sandbox("company", VARIANTS.get(name, "")))
            for name in provider_names()
        ]
        config = folder / "config.yaml"
        sections = {one.provider: _kept(one.section(), one.provider, folder) for one in sandboxes}
        config.write_text(_configuration(sections), encoding="utf-8")
        for one in sandboxes:
            stack.enter_context(environment(one.environment()))
        for night, as_of in ((1, FIRST_NIGHT), (2, SECOND_NIGHT)):
            for one in sandboxes:
                one.show(night)
            echo(f"Night {night} of Lantern Pay: {as_of:%Y-%m-%d}")
            outcome = run_night(load(config), as_of=as_of, progress=progress)
            for line in outcome_lines(folder, outcome):
                echo(f"  {line}")
    assert outcome is not None
    echo(f"Open {folder / 'reports' / outcome.run_id / 'report.html'} in a browser.")
    return outcome


def _kept(section: dict[str, Any], provider: str, folder: Path) -> dict[str, Any]:
    """Return a section whose CA file stays with the demo: the sandbox removes its own."""
    if "ca_bundle" not in section:
        return section
    name = f"ca-{provider}.pem"
    shutil.copyfile(section["ca_bundle"], folder / name)
    return {**section, "ca_bundle": name}


def _configuration(collectors: dict[str, Any]) -> str:
    """Return config.yaml as text, in JSON, which is valid YAML and needs no manual escaping."""
    document = {
        "state": ".",
        "collectors": collectors,
        "exceptions": "exceptions.yaml",
        "owners": "owners.csv",
        "min_coverage": 0.5,
        "reports": {"formats": ["html", "csv", "json"], "html": {"title": "Lantern Pay: identity sprawl"}},
    }
    return "# Written by `sprawlscan demo`; the servers it names are gone by now.\n" + json.dumps(
        document, indent=2
    )
