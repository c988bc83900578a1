"""Repositories that changed since an earlier night, by the organization's audit log (GitHub Enterprise Cloud).

https://docs.github.com/en/rest/orgs/orgs#get-the-audit-log-for-an-organization
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from scanner.collect.failures import SourceError, unsupported_on
from scanner.collect.listings import with_coverage

if TYPE_CHECKING:
    from collections.abc import Generator

    from collectors.github.scope import OrganizationScope
    from scanner.records import Record

_NOTE = "audit-log-read"
_MOST = 20_000
"""With more events than this, reading the log saves nothing; its own limit is 1,750 requests an hour."""
_NOISE = ("git.", "workflows.", "pull_request", "issue", "packages.", "copilot")
"""Events that change nothing that is read by REST."""


def changed(scope: OrganizationScope) -> Generator[Record, None, frozenset[str] | None]:
    """Yield no record. Return the full names of the repositories that changed since the last night that read the log.
    None on the first night, and without an audit log: repositories are then read in rotation.
    """
    since = scope.memory.note(_NOTE)
    if since is None:
        scope.memory.keep_note(_NOTE, scope.run.as_of.isoformat())
        return None
    return (
        yield from with_coverage(
            _changed_since(scope, datetime.fromisoformat(since) - timedelta(days=1)),
            scope.request(
                "coverage",
                "GET /orgs/{org}/audit-log",
                kind="audit-log",
                needs="organization_administration: read, or an owner's token with read:audit_log",
            ),
            classify=unsupported_on({404}, "The audit log's API is a feature of GitHub Enterprise Cloud."),
        )
    )


def _changed_since(scope: OrganizationScope, start: datetime) -> Generator[Record, None, frozenset[str]]:
    repositories: set[str] = set()
    events = scope.client.items(
        scope.path("/orgs/{org}/audit-log"),
        {"phrase": f"created:>={start:%Y-%m-%d}", "include": "web", "order": "asc"},
    )
    for count, event in enumerate(events):
        if count >= _MOST:
            raise SourceError("truncated", f"more than {_MOST} events since {start:%Y-%m-%d}")
        name = event.get("repo") or event.get("repository")
        if name and not str(event.get("action")).startswith(_NOISE):
            repositories.add(str(name))
    scope.memory.keep_note(_NOTE, scope.run.as_of.isoformat())
    yield from ()
    return frozenset(repositories)
