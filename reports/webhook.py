"""Tells a webhook of a night worth telling: new findings above a threshold, coverage lost, exceptions about to end.

Sends counts and a link, nothing that names an identity or a credential. Sends nothing on a quiet night. It is sent
only where ``notify.webhook`` is configured, after every ``run``. A run that failed is told by `scanner.pipeline.notify`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanner.findings import SEVERITIES
from scanner.pipeline.notify import post

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.night import Night


def write(night: Night, folder: Path) -> list[Path]:  # noqa: ARG001  nothing is written
    """Send the message when there is one and a webhook is configured. Writes no file."""
    notify = night.settings.get("notify")
    if notify is None or notify.webhook is None:
        return []
    text = message(night, notify.webhook_threshold, notify.report_url)
    if text is not None:
        post(notify, text)
    return []


def message(night: Night, threshold: str, report_url: str | None) -> dict[str, Any] | None:
    """Return what to send, or None on a quiet night. ``text`` is what Slack, Teams and Mattermost show."""
    worst = [str(name) for name in SEVERITIES][: [str(name) for name in SEVERITIES].index(threshold) + 1]
    marks = ", ".join(f"'{name}'" for name in worst)
    query = (
        f"SELECT severity, count(*) FROM findings WHERE status IN ('new', 'reopened') AND severity IN ({marks}) "
        "GROUP BY severity"
    )
    new = {severity: int(count) for severity, count in night.rows(query)}
    unobserved = int(night.one("SELECT count(*) FROM findings WHERE status = 'unobserved'") or 0)
    # Told once, when it begins: an exception that stays expired is an open finding like any other.
    query = "SELECT count(*) FROM findings WHERE status IN ('new', 'reopened') AND rule IN ('exception-expiring', 'exception-expired')"
    expiring = int(night.one(query) or 0)
    failed = int(night.one("SELECT count(DISTINCT rule) FROM rule_results WHERE status = 'error'") or 0)
    parts = []
    if new:
        counts = ", ".join(f"{new[name]} {name}" for name in SEVERITIES if name in new)
        parts.append(f"new or reopened: {counts}")
    if unobserved:
        parts.append(f"{unobserved} findings could not be looked at again")
    if night.manifest.partial:
        parts.append("the run was stopped before every target was done")
    if expiring:
        parts.append(f"{expiring} exceptions have ended or end soon")
    if failed:
        parts.append(f"{failed} rules failed")
    if not parts:
        return None
    link = f" {report_url}" if report_url else ""
    text = f"sprawlscan {night.run_id}: {'; '.join(parts)}. Coverage {night.manifest.coverage:.1%}.{link}"
    return {
        "text": text,
        "run_id": night.run_id,
        "new": new,
        "unobserved": unobserved,
        "coverage": night.manifest.coverage,
        "partial": night.manifest.partial,
        "exceptions_ending": expiring,
        "report_url": report_url,
    }
