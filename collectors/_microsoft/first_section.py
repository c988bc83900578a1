"""How this machine could sign in to Entra ID, for proposals of the Microsoft sections.

https://learn.microsoft.com/python/api/azure-identity/azure.identity.environmentcredential,
https://azure.github.io/azure-workload-identity/docs/quick-start.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from scanner.machine import ProposedSection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.machine import Machine

_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def sign_ins(machine: Machine, permissions: str) -> Iterator[ProposedSection]:
    """Yield the ways to sign in that are set up here, best first. ``permissions`` is the collector's name."""
    note = f"`sprawlscan permissions {permissions}` prints what the application needs."
    tenant = machine.value("AZURE_TENANT_ID", "ARM_TENANT_ID")
    client = machine.value("AZURE_CLIENT_ID", "ARM_CLIENT_ID")
    if tenant and client and _GUID.fullmatch(tenant) and _GUID.fullmatch(client):
        section = {"tenant": tenant, "client_id": client}
        token = machine.value("AZURE_FEDERATED_TOKEN_FILE", "ARM_OIDC_TOKEN_FILE_PATH")
        secret = machine.variable("AZURE_CLIENT_SECRET", "ARM_CLIENT_SECRET")
        certificate = machine.value("AZURE_CLIENT_CERTIFICATE_PATH")
        if token:
            yield _proposal("a workload identity", section, note, federated_token=f"${{file:{token}}}")
        elif certificate:
            found = "an application with a certificate in the environment"
            yield _proposal(found, section, note, client_certificate=f"${{file:{certificate}}}")
        elif secret:
            found = f"an application with a secret in the environment ({secret})"
            yield _proposal(found, section, note, client_secret=f"${{env:{secret}}}")
    path = machine.path("AZURE_CONFIG_DIR", ".azure") / "azureProfile.json"
    listed = machine.mapping(path).get("subscriptions")
    rows = [row for row in (listed if isinstance(listed, list) else []) if isinstance(row, dict)]
    rows.sort(key=lambda row: row.get("isDefault") is not True)
    tenants = dict.fromkeys(str(row.get("tenantId") or "") for row in rows)
    for one in tenants:
        if _GUID.fullmatch(one):
            found = f"a sign-in of az to the tenant {one} in {machine.shown(path)}"
            yield _proposal(found, {"tenant": one}, "For a first try. For every night, use an application. " + note, sign_in="azure-cli")  # fmt: skip


def _proposal(found: str, section: dict[str, Any], note: str, **how: str) -> ProposedSection:
    (key,) = how
    return ProposedSection(found=found, section={**section, **how}, notes={key: note})
