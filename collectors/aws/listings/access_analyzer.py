"""Findings of Access Analyzer's unused-access analyzers, where the account has them. None is ever made: they cost.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-create-unused.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.aws.client import items
from collectors.aws.failures import TruncatedError
from collectors.aws.place import PROVIDER, Tally
from collectors.aws.times import utc
from scanner.records import Control, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from datetime import datetime

    from collectors.aws.place import Place
    from scanner.records import Record


def access_analyzer_region(place: Place) -> Iterator[Record]:
    """Yield analyzers as guards, and keep for the evaluator which granted services they found unused."""
    analyzers = yield from place.ask(
        _analyzers(place),
        "access-analyzer:ListAnalyzers",
        ("controls", "access-analyzer"),
        service="accessanalyzer",
    )
    if analyzers:
        yield from place.ask(
            _unused_permissions(place, analyzers),
            "access-analyzer:ListFindings",
            ("grants", "unused-access"),
            needs="access-analyzer:ListFindings, access-analyzer:GetFinding",
            service="accessanalyzer",
        )


def _analyzers(place: Place) -> Generator[Record, None, list[str]]:
    """Yield analyzers. Returns the ARNs of those that look for unused access."""
    unused: list[str] = []
    for analyzer in items(place.client("accessanalyzer"), "list_analyzers", "analyzers"):
        arn, kind = analyzer["arn"], str(analyzer.get("type"))
        active = analyzer.get("status") == "ACTIVE"
        if active and kind.endswith("UNUSED_ACCESS"):
            unused.append(arn)
        yield Control(
            id=record_id(PROVIDER, "access-analyzer", arn),
            provider=PROVIDER,
            account_id=place.ref,
            stage="runtime",
            kind="access-analyzer",
            name=analyzer.get("name") or arn,
            enforcement="audited" if active else "absent",
            target=place.ref,
            detail=f"{kind}, {analyzer.get('status')}",
        )
    return unused


def _unused_permissions(place: Place, analyzers: list[str]) -> Iterator[Record]:
    yield from ()
    client = place.client("accessanalyzer")
    tally = Tally()
    calls = 0
    for analyzer in analyzers:
        chosen = {"status": {"eq": ["ACTIVE"]}, "findingType": {"eq": ["UnusedPermission"]}}
        for finding in items(client, "list_findings_v2", "findings", analyzerArn=analyzer, filter=chosen):
            principal = finding.get("resource")
            if finding.get("resourceOwnerAccount") != place.account or not principal:
                continue
            if calls >= place.config.unused_access_principals:
                raise TruncatedError(f"only the first {calls} findings were read (unused_access_principals)")
            calls += 1
            services = tally.read(finding["id"], lambda: _unused_services(client, analyzer, finding["id"]))  # noqa: B023
            with place.found.lock:
                place.found.last_accessed.setdefault(principal, {}).update(services or {})
    tally.end()


def _unused_services(client: object, analyzer: str, finding: str) -> dict[str, datetime | None]:
    """Return the services of which nothing was used, and when they last were. A finding with actions is in part used."""
    details = items(client, "get_finding_v2", "findingDetails", analyzerArn=analyzer, id=finding)
    unused: dict[str, datetime | None] = {}
    for detail in details:
        permission = detail.get("unusedPermissionDetails")
        if permission and not permission.get("actions"):
            unused[permission["serviceNamespace"]] = utc(permission.get("lastAccessed"))
    return unused
