"""Request bodies for Vanta's custom resources: ``vanta-identities.json`` and ``vanta-findings.json``.

Each is the body of ``PUT /v1/resources/custom_resource``
(https://developer.vanta.com/api-reference/custom-resources/sync-all-custom-resources). The basic schema of a custom resource is
display name, unique id and external address; its own properties are text, booleans or 32-bit integers
(https://developer.vanta.com/docs/custom-resource, https://developer.vanta.com/docs/create-a-resource).

The call replaces everything: a resource that it lacks is deleted in Vanta. So each body has all findings that are not resolved
and all identities that are not known to be gone; ``observed`` is false for those that the run could not list. Sending is not
part of this tool: it only reads providers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from reports.grc_rows import FINDINGS, IDENTITIES
from reports.stream import json_array, write_parts
from scanner.config import Section

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from scanner.night import Night


class Config(Section):
    """Request bodies for Vanta's custom resources."""

    identities_resource: str
    """The resource id that Vanta gave to the custom resource for identities."""
    findings_resource: str
    """The resource id of the custom resource for findings."""
    external_url: str
    """The address to show for what has none at its provider: that of the report, for example."""


def write(night: Night, folder: Path, config: Config) -> list[Path]:
    """Write both bodies. Returns their paths."""
    identities, findings = folder / "vanta-identities.json", folder / "vanta-findings.json"
    rows = (_identity(row, config) for row in night.dicts(IDENTITIES))
    write_parts(identities, _body(config.identities_resource, rows))
    rows = (_finding(row, config) for row in night.dicts(FINDINGS) if row["status"] != "resolved")
    write_parts(findings, _body(config.findings_resource, rows))
    return [identities, findings]


def _body(resource: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    yield b'{"resourceId":' + msgspec.json.encode(resource) + b',"resources":'
    yield from json_array(rows)
    yield b"}\n"


def _resource(uid: str, name: str, url: str, properties: dict[str, str | bool | None]) -> dict[str, Any]:
    """Return a resource. A property without a value is empty text: all have the properties of the schema."""
    given = {key: "" if value is None else value for key, value in properties.items()}
    return {"displayName": name, "uniqueId": uid, "externalUrl": url, "customProperties": given}


def _identity(row: dict[str, Any], config: Config) -> dict[str, Any]:
    return _resource(row["id"], row["name"], row["url"] or config.external_url, {
        "type": row["surface"], "kind": row["kind"], "provider": row["provider"], "nativeId": row["native_id"],
        "account": row["account_name"] or row["account_id"], "owner": row["owner"], "environment": row["environment"],
        "enabled": _known(row["enabled"]), "mfa": _known(row["mfa"]), "observed": row["observed"],
    })  # fmt: skip


def _finding(row: dict[str, Any], config: Config) -> dict[str, Any]:
    due = row["due_at"].strftime("%Y-%m-%dT%H:%M:%SZ") if row["due_at"] else None
    return _resource(row["id"], f"{row['title']}: {row['subject_name']}", row["url"] or config.external_url, {
        "severity": row["severity"], "status": row["status"], "rule": row["rule"], "description": row["detail"],
        "remediation": row["fix"], "account": row["account_name"] or row["account_id"], "subject": row["subject"],
        "identityId": row["identity_id"], "owner": row["owner"], "dueAt": due, "controls": "|".join(row["controls"]),
        "exceptionId": row["exception_id"] if row["status"] == "excepted" else None, "observed": row["observed"],
        "notObserved": row["not_observed"],
    })  # fmt: skip


def _known(value: bool | None) -> str:
    """Return yes, no or unknown: a boolean could not say that it is not known."""
    return "unknown" if value is None else "yes" if value else "no"
