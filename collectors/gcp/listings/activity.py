"""When service accounts and their keys last signed in.

https://docs.cloud.google.com/policy-intelligence/docs/activity-analyzer-service-account-authentication: a row that is missing
means that no sign-in was seen in the observation period, not that there never was one. Times are exact to the day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gcp.calls import ACCOUNT_USE, KEY_USE
from collectors.gcp.names import last, part, project_id
from scanner.collect.listings import side_by_side
from scanner.collect.scope import utc_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collectors.gcp.facts import LastSignIns
    from collectors.gcp.scope import GcpScope
    from scanner.records import Record

NEEDS = "Activity Analysis Viewer (roles/policyanalyzer.activityAnalysisViewer)"


def account_sign_ins(scope: GcpScope, projects: Iterable[str]) -> Iterator[Record]:
    """Read when accounts last signed in into ``scope.account_use``."""
    yield from _all(scope, projects, ACCOUNT_USE, "identities", scope.account_use, keys=False)


def key_sign_ins(scope: GcpScope, projects: Iterable[str]) -> Iterator[Record]:
    """Read when keys last signed in."""
    yield from _all(scope, projects, KEY_USE, "credentials", scope.key_use, keys=True)


def _all(
    scope: GcpScope, projects: Iterable[str], call: str, table: str, found: LastSignIns, *, keys: bool
) -> Iterator[Record]:
    listings = [_one(scope, project, call, table, found, keys=keys) for project in sorted(projects)]
    yield from side_by_side(listings, scope.config.workers)


def _one(
    scope: GcpScope, project: str, call: str, table: str, found: LastSignIns, *, keys: bool
) -> Iterator[Record]:
    def note(row: dict[str, Any]) -> Iterator[Record]:
        name = str(row["fullResourceName"])
        key = last(name) if keys else str(part(name, "serviceAccounts"))
        period = row.get("observationPeriod") or {}
        start, end = utc_time(period.get("startTime")), utc_time(period.get("endTime"))
        if start is not None and end is not None:
            found.days[key] = (end - start).days
            found.period[project] = max(found.period.get(project, 0), (end - start).days)
        seen = utc_time((row.get("activity") or {}).get("lastAuthenticatedTime"))
        if seen is not None:
            found.times[key] = seen
        yield from ()

    yield from scope.within(project_id(project), project=project).listing(
        call,
        note,
        table=table,
        kind="last-authentication",
        needs=NEEDS,
        at="activities",
        parameters={"pageSize": 1000},
    )
