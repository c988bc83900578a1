"""Proposes the section ``gcp`` from what gcloud and the client libraries of this machine use.

https://docs.cloud.google.com/docs/authentication/application-default-credentials
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scanner.machine import ProposedSection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.machine import Machine

_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
_NOTES = {
    "projects": "To read a whole organization, name its number under organizations instead. `sprawlscan permissions gcp` prints "
    "the custom role that the scanner needs there."
}


def first_sections(machine: Machine) -> Iterator[ProposedSection]:
    """Yield the projects of the credentials that the client libraries would use here, best first."""
    named = machine.value("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT")
    given = machine.value("GOOGLE_APPLICATION_CREDENTIALS")
    folder = machine.settings / "gcloud"
    used = machine.path("CLOUDSDK_CONFIG", str(folder))
    signed_in = used / "application_default_credentials.json"
    configured = machine.ini(used / "configurations" / "config_default").get("core", {}).get("project")
    project = named or configured or ""
    if not _PROJECT.fullmatch(project):
        return
    if given:
        yield ProposedSection(
            found="Application Default Credentials in GOOGLE_APPLICATION_CREDENTIALS",
            section={"projects": [project]},
            notes=_NOTES,
        )
    elif machine.text(signed_in):
        yield ProposedSection(
            found=f"Application Default Credentials in {machine.shown(signed_in)}",
            section={"projects": [project]},
            notes=_NOTES,
        )
