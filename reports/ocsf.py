"""OCSF 1.8.0 events (https://schema.ocsf.io/1.8.0), one JSON object for each line.

``findings.ocsf.jsonl``: first what was not read, as Compliance Findings (2003) of unknown result; then the findings, as
IAM Analysis Findings (2008) where last use, credentials or permissions of an identity are known, else as Application
Security Posture Findings (2007); then the result of each rule in each account, as Compliance Findings, with passes.
``inventory.ocsf.jsonl``: identities, as User Inventory Info (5003).

An event tells what happened to a finding. One that the run could not observe is an update with the status "Not observed",
never a closure. Times are integers, milliseconds since 1970.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from reports.stream import json_lines, write_parts
from scanner.uncovered import coverage_sentence, uncovered_targets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from scanner.night import Night

VERSION = "1.8.0"

_SEVERITY = {"info": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}
_CREATE, _UPDATE, _CLOSE = 1, 2, 3
_NEW, _IN_PROGRESS, _SUPPRESSED, _RESOLVED, _OTHER = 1, 2, 3, 4, 99
_STATES = {
    "new": (_CREATE, _NEW, "New"),
    "reopened": (_CREATE, _NEW, "New"),
    "open": (_UPDATE, _IN_PROGRESS, "In Progress"),
    "excepted": (_UPDATE, _SUPPRESSED, "Suppressed"),
    "resolved": (_CLOSE, _RESOLVED, "Resolved"),
    "unobserved": (_UPDATE, _OTHER, "Not observed"),
    "error": (_UPDATE, _OTHER, "Not observed"),
}
"""Activity, status and its name, by the status of a finding."""
_CHECKS = {"pass": (1, "Pass"), "fail": (3, "Fail"), "unknown": (0, "Unknown")}
_CLOUDS = {"aws": "AWS", "azure": "Azure", "gcp": "GCP"}
_ACCOUNT_TYPES = {"aws-account": (10, "AWS Account"), "gcp-project": (11, "GCP Project"),
                  "azure-subscription": (13, "Azure Subscription")}  # fmt: skip
_USER_TYPES = {"human": (1, "User"), "automation": (4, "Service"), "workload": (4, "Service"), "artifact": (3, "System")}  # fmt: skip

_ACCOUNTS = """
    SELECT coalesce(a.id, t.account_id) AS id, coalesce(a.name, t.name) AS name, coalesce(a.kind, t.kind) AS kind,
           coalesce(a.native_id, t.target) AS native_id
    FROM accounts AS a FULL JOIN (SELECT account_id, min(name) AS name, min(kind) AS kind, min(target) AS target
                                  FROM target_coverage GROUP BY 1) AS t ON t.account_id = a.id
"""

_FINDINGS = """
    SELECT f.*, i.created_at, i.last_used_at, c.native_id AS key_id, c.kind AS key_kind, c.last_used_at AS key_used,
           g.actions, g.role, g.unused_actions
    FROM findings AS f LEFT JOIN identities AS i ON i.id = f.identity_id
         LEFT JOIN credentials AS c ON c.id = f.credential_id LEFT JOIN grants AS g ON g.id = f.grant_id
"""
"""In the order of the analysis, most urgent first: a sort would hold every finding in memory."""

_RULE_RESULTS = """
    SELECT r.*, r.findings - coalesce(f.excepted, 0) AS open, coalesce(f.excepted, 0) AS excepted,
           coalesce(f.unobserved, 0) AS unobserved
    FROM rule_results AS r LEFT JOIN (
        SELECT rule, account_id, count(*) FILTER (WHERE status = 'excepted') AS excepted,
               count(*) FILTER (WHERE status IN ('unobserved', 'error')) AS unobserved
        FROM findings GROUP BY ALL
    ) AS f ON f.rule = r.rule AND f.account_id = r.account_id
    ORDER BY r.rule, r.account_id
"""

_IDENTITIES = """
    SELECT i.*, k.keys FROM identities AS i LEFT JOIN (
        SELECT identity_id, list({'id': native_id, 'kind': kind, 'used': last_used_at} ORDER BY id) AS keys
        FROM credentials WHERE native_id IS NOT NULL GROUP BY 1
    ) AS k ON k.identity_id = i.id
    ORDER BY i.id
"""

PRIVILEGES = 100
"""The most privileges of a grant that an event names."""


def write(night: Night, folder: Path) -> list[Path]:
    """Write both files. Returns their paths."""
    events = _Events(night)
    findings, inventory = folder / "findings.ocsf.jsonl", folder / "inventory.ocsf.jsonl"
    write_parts(findings, json_lines(events.findings()))
    write_parts(inventory, json_lines(events.inventory()))
    return [findings, inventory]


class _Events:
    """The events of a night."""

    def __init__(self, night: Night) -> None:
        self._night = night
        self._time = _milliseconds(night.as_of)
        self._accounts = {row["id"]: row for row in night.dicts(_ACCOUNTS)}

    def findings(self) -> Iterator[dict[str, Any]]:
        """Yield what was not read, the findings, and the results of rules."""
        yield from self._uncovered()
        for row in self._night.dicts(_FINDINGS):
            yield self._finding(row)
        for row in self._night.dicts(_RULE_RESULTS):
            yield self._rule_result(row)

    def inventory(self) -> Iterator[dict[str, Any]]:
        """Yield the identities that the run listed. It says nothing of others."""
        for row in self._night.dicts(_IDENTITIES):
            user = self._user(row["id"], row["name"], row["surface"], row["account_id"])
            if row["keys"]:
                user["programmatic_credentials"] = [
                    _credential(key["id"], key["kind"], key["used"]) for key in row["keys"]
                ]
            if row["mfa"] is not None:
                user["has_mfa"] = row["mfa"]
            known = {name: row[name] for name in ("address", "kind", "owner", "environment", "enabled") if row[name] is not None}  # fmt: skip
            event = self._base(
                5003, 2, "info", row["id"], provider=row["provider"], account_id=row["account_id"]
            )
            yield event | {"user": user, "unmapped": known}

    def _base(
        self, class_uid: int, activity: int, severity: str, uid: str, *, provider: str, account_id: str
    ) -> dict[str, Any]:
        """Return what every event has."""
        event: dict[str, Any] = {
            "class_uid": class_uid,
            "category_uid": class_uid // 1000,
            "activity_id": activity,
            "type_uid": class_uid * 100 + activity,
            "time": self._time,
            "severity_id": _SEVERITY[severity],
            "metadata": {
                "version": VERSION,
                "product": {
                    "name": "sprawlscan",
                    "vendor_name": "sprawlscan",
                    "version": self._night.manifest.tool_version,
                },
                "uid": f"{self._night.run_id}:{uid}",
                "original_time": self._night.as_of.strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
        }
        if provider in _CLOUDS:
            event["metadata"]["profiles"] = ["cloud"]
            event["cloud"] = {"provider": _CLOUDS[provider], "account": self._account(account_id)}
        return event

    def _account(self, account_id: str) -> dict[str, Any]:
        known = self._accounts.get(account_id)
        if known is None:
            return {"uid": account_id, "type_id": 0, "type": "Unknown"}
        type_id, name = _ACCOUNT_TYPES.get(known["kind"], (99, known["kind"] or "unknown"))
        account = {"uid": known["native_id"] or account_id, "type_id": type_id, "type": name}
        return account | ({"name": known["name"]} if known["name"] else {})

    def _user(self, uid: str, name: str | None, surface: str | None, account_id: str) -> dict[str, Any]:
        type_id, label = _USER_TYPES.get(surface or "", (0, "Unknown"))
        user: dict[str, Any] = {"uid": uid, "type_id": type_id, "type": label}
        return user | ({"name": name} if name else {}) | {"account": self._account(account_id)}

    def _scope(self, account_id: str) -> dict[str, Any]:
        """Return the account as a resource: for providers that are not clouds, the only place that names it."""
        account = self._account(account_id)
        return {
            "uid": account_id,
            "type": account["type"],
            **({"name": account["name"]} if "name" in account else {}),
        }

    def _uncovered(self) -> Iterator[dict[str, Any]]:
        """Yield an event for the whole run, and one for each target that was not read in full."""
        uncovered = uncovered_targets(self._night)
        complete = not uncovered and not self._night.manifest.partial
        event = self._base(2003, _CREATE, "info", "coverage", provider="", account_id="")
        yield event | self._compliance(
            "coverage", "Coverage of the run", "pass" if complete else "unknown",
            [coverage_sentence(self._night, uncovered)], "coverage",
        )  # fmt: skip
        for target in uncovered:
            uid = f"coverage/{target.id}"
            severity = {"unread": "high", "partial": "medium"}.get(target.state, "info")
            event = self._base(
                2003, _CREATE, severity, uid, provider=target.collector, account_id=target.account_id
            )
            event |= self._compliance(uid, f"{target.name} was not read in full", "unknown", [str(target)], "coverage")  # fmt: skip
            yield event | {"resources": [self._scope(target.account_id)]}

    @staticmethod
    def _compliance(uid: str, title: str, result: str, details: list[str], rule: str) -> dict[str, Any]:
        status_id, status = _CHECKS[result]
        return {
            "finding_info": {
                "uid": uid,
                "title": title,
                "analytic": {"type_id": 1, "type": "Rule", "uid": rule},
            },
            "compliance": {
                "control": rule,
                "standards": ["sprawlscan"],
                "status_id": status_id,
                "status": status,
                **({"status_details": details} if details else {}),
            },
        }

    def _rule_result(self, row: Mapping[str, Any]) -> dict[str, Any]:
        uid = f"{row['rule']}/{row['account_id']}"
        details = [row["reason"]] if row["reason"] else []
        if row["unobserved"]:
            details.append(f"{row['unobserved']} findings of earlier runs were not observed in this one")
        if row["excepted"]:
            details.append(f"{row['excepted']} findings are accepted by an exception")
        if row["findings"]:
            result = "fail"
        else:
            result = "pass" if row["status"] == "evaluated" and not row["unobserved"] else "unknown"
        event = self._base(
            2003, _CREATE, row["severity"], uid, provider=row["provider"], account_id=row["account_id"]
        )
        event |= self._compliance(uid, row["title"], result, details, row["rule"])
        # All that it found is accepted: still a failed check, of a suppressed finding.
        accepted = row["findings"] > 0 and row["open"] == 0
        event["status_id"], event["status"] = (_SUPPRESSED, "Suppressed") if accepted else (_NEW, "New")
        if row["account_id"]:
            event["resources"] = [self._scope(row["account_id"])]
        return event

    def _finding(self, row: Mapping[str, Any]) -> dict[str, Any]:
        analysis = _analysis(row)
        activity, status_id, status = _STATES[row["status"]]
        class_uid = 2008 if analysis else 2007
        event = self._base(
            class_uid,
            activity,
            row["severity"],
            row["id"],
            provider=row["provider"],
            account_id=row["account_id"],
        )
        event |= {
            "finding_info": {
                "uid": row["id"],
                "title": row["title"],
                "desc": row["detail"],
                "first_seen_time": _milliseconds(row["first_seen"]),
                "analytic": {"type_id": 1, "type": "Rule", "uid": row["rule"], "version": row["rule_version"]},
                **({"src_url": row["url"]} if row["url"] else {}),
                **({"tags": [{"name": "control", "values": row["controls"]}]} if row["controls"] else {}),
            },
            "status_id": status_id,
            "status": status,
            "confidence_id": 3 if row["confidence"] == "high" else 1,
            "remediation": {"desc": row["fix"]},
            "resources": [_subject(row), self._scope(row["account_id"])],
        }  # fmt: skip
        if status_id == _OTHER:
            event["status_detail"] = row["not_observed"] or "its rule failed"
        elif row["status"] == "excepted":
            event["status_detail"] = f"accepted by the exception {row['exception_id']}"
        else:
            event["finding_info"]["last_seen_time"] = self._time
        if row["status"] == "resolved":
            event["finding_info"].pop("last_seen_time")
        if class_uid == 2008:
            event |= analysis
            if row["identity_id"]:
                event["user"] = self._user(
                    row["identity_id"], row["identity_name"], row["surface"], row["account_id"]
                )
        return event


def _subject(row: Mapping[str, Any]) -> dict[str, Any]:
    resource: dict[str, Any] = {"uid": row["subject"], "name": row["subject_name"], "type": row["subject_kind"] or row["subject_table"]}  # fmt: skip
    return resource | ({"owner": {"name": row["owner"]}} if row["owner"] else {})


def _analysis(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of the identity's use and permissions; an IAM Analysis Finding needs some."""
    metrics: dict[str, Any] = {}
    if row["last_used_at"] is not None:
        metrics["last_seen_time"] = _milliseconds(row["last_used_at"])
    if row["key_id"] is not None:
        metrics["programmatic_credentials"] = [_credential(row["key_id"], row["key_kind"], row["key_used"])]
    found: dict[str, Any] = {"identity_activity_metrics": metrics} if metrics else {}
    if row["actions"]:
        result: dict[str, Any] = {"granted_privileges": row["actions"][:PRIVILEGES]}
        if row["unused_actions"] is not None:
            result["unused_privileges_count"] = row["unused_actions"]
        found["permission_analysis_results"] = [result]
    return found


def _credential(uid: str, kind: str, used: datetime | None) -> dict[str, Any]:
    credential: dict[str, Any] = {"uid": uid, "type": kind}
    return credential | ({"last_used_time": _milliseconds(used)} if used is not None else {})


def _milliseconds(time: datetime) -> int:
    """Return the milliseconds since 1970. Times of tables are UTC without a zone."""
    return int(time.replace(tzinfo=UTC).timestamp()) * 1000
