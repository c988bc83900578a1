"""Proposes the section ``azure-devops``: the organizations that this machine knows, and how to sign in.

https://learn.microsoft.com/azure/devops/pipelines/build/variables, https://learn.microsoft.com/azure/devops/cli/log-in-via-pat
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from collectors._microsoft.first_section import sign_ins
from scanner.machine import ProposedSection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.machine import Machine

_ORGANIZATION = re.compile(
    r"https://(?:[^@/\s]{1,100}@)?dev\.azure\.com/(?P<new>[\w.-]{1,60})/?.*|https://(?P<old>[\w-]{1,60})\.visualstudio\.com/?.*"
)
_TOKEN = "AZURE_DEVOPS_EXT_PAT"  # noqa: S105  the name of a variable


def first_sections(machine: Machine) -> Iterator[ProposedSection]:
    """Yield a section for each way to sign in, if an organization or a token for one is known here."""
    path = machine.path("AZURE_DEVOPS_EXT_CONFIG_DIR", ".azure/azuredevops") / "config"
    addresses = [
        machine.value("SYSTEM_COLLECTIONURI", "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI"),
        machine.ini(path).get("defaults", {}).get("organization"),
        *(f"https://dev.azure.com/{where.removeprefix('v3/')}" for host, where in machine.remotes if host in {"dev.azure.com", "ssh.dev.azure.com"}),
    ]  # fmt: skip
    found = (_ORGANIZATION.fullmatch(address) for address in addresses if address)
    organizations = list(dict.fromkeys(one["new"] or one["old"] for one in found if one))
    known = {"organizations": organizations} if organizations else {}
    if organizations:
        where = f"the organization {', '.join(organizations)}"
        for one in sign_ins(machine, "azure-devops"):
            yield msgspec.structs.replace(
                one, found=f"{where}, and {one.found}", section={**known, **one.section}
            )
    if machine.variable(_TOKEN):
        note = "A token of a person ends with the person; `sprawlscan permissions azure-devops` says how an application signs in."
        yield ProposedSection(
            found=f"a personal access token in the environment ({_TOKEN})",
            section={**known, "token": f"${{env:{_TOKEN}}}"}, notes={"token": note}, asks="organizations",
        )  # fmt: skip
    elif organizations:
        yield ProposedSection(
            found=f"the organization {', '.join(organizations)}",
            section={**known, "token": f"${{env:{_TOKEN}}}"},
            first=f"Set a personal access token with read scopes: export {_TOKEN}=..., or sign in with az",
        )
