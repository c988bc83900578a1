"""What the audit log says of the time since the last night: which projects changed, and which connections were used.

https://learn.microsoft.com/azure/devops/organizations/audit/auditing-events : for 90 days, in organizations connected to Entra ID.
Without the log, projects are read in rotation.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from collectors.azure_devops.calls import PREVIEW
from scanner.collect.failures import SourceError
from scanner.collect.listings import with_coverage
from scanner.collect.paging import list_in
from scanner.collect.scope import utc_time

if TYPE_CHECKING:
    from collections.abc import Generator

    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Record

CALL = "/_apis/audit/auditlog"
_NOTE = "audit-log-read"
_BATCH = 1000
_MOST = 50
"""Batches. A log with more events than that saves nothing."""
USED = "Library.ServiceConnectionExecuted"
_NOISE = (
    USED,
    "Pipelines.DeploymentJobCompleted",
    "Pipelines.RunStopped",
    "Release.",
    "Licensing.",
    "AuditLog.AccessLog",
)
"""Events after which nothing that is carried forward differs."""


class AuditNews(msgspec.Struct, kw_only=True):
    """What happened since the last night that read the log."""

    changed: set[str] = set()
    """GUIDs of projects that an event names which changes something."""
    used: dict[str, datetime] = {}
    """GUID of a connection -> when it was last used."""


def audit_news(scope: DevOpsScope) -> Generator[Record, None, AuditNews | None]:
    """Return what the log says. None on the first night, where the log may not be read, and where all is read every night."""
    memory = scope.nights.memory
    if not scope.nights.rotate:
        return None
    since = memory.note(_NOTE)
    if since is None:
        memory.keep_note(_NOTE, scope.run.as_of.isoformat())
        return None
    start = datetime.fromisoformat(since) - timedelta(days=1)
    request = scope.request(
        "coverage", f"GET {CALL}", kind="audit-log", needs='"View audit log" of the organization'
    )
    return (yield from with_coverage(_since(scope.on(scope.clients.audit), start), request))


def _since(scope: DevOpsScope, start: datetime) -> Generator[Record, None, AuditNews]:
    news = AuditNews()
    asked: dict[str, str | int] = {
        **PREVIEW,
        "startTime": f"{start:%Y-%m-%dT%H:%M:%SZ}",
        "endTime": f"{scope.run.as_of:%Y-%m-%dT%H:%M:%SZ}",
        "batchSize": _BATCH,
        "skipAggregation": "true",
    }
    for _ in range(_MOST):
        body = scope.client.one(CALL, asked)
        for event in list_in(body, "decoratedAuditLogEntries", CALL):
            action, project = str(event["actionId"]), str(event.get("projectId") or "").lower()
            if action == USED:
                number = str((event.get("data") or {}).get("ConnectionId") or "").lower()
                when = utc_time(event.get("timestamp"))
                if number and when is not None:
                    news.used[number] = max(when, news.used.get(number, when))
            if not action.startswith(_NOISE):
                news.changed.add(project)
        if not body.get("hasMore"):
            scope.nights.memory.keep_note(_NOTE, scope.run.as_of.isoformat())
            yield from ()
            return news
        token = str(body.get("continuationToken") or "")
        if not token or token == asked.get("continuationToken"):
            raise SourceError("malformed", f"{CALL}: more is announced, and no new continuation token given")
        asked["continuationToken"] = token
    raise SourceError("truncated", f"more than {_MOST * _BATCH} events since {start:%Y-%m-%d}")
