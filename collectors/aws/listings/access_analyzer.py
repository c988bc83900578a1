"""Findings of existing unused-access analyzers of Access Analyzer. None is created, because they cost money.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-create-unused.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.aws.client import items
from collectors.aws.failures import TruncatedError
from collectors.aws.scope import PROVIDER, PartialReads
from collectors.aws.times import utc
from scanner.records import Control, record_id

if TYPE_CHECKING:
    from collections.abc import Generator

    from collectors.aws.facts import ServiceDates
    from collectors.aws.scope import AwsScope
    from scanner.records import Record


def access_analyzer_region(scope: AwsScope) -> Generator[Record, None, dict[str, ServiceDates]]:
    """Yield analyzers as controls. Returns ARN -> unused services, of the account's principals."""
    analyzers = yield from scope.listing(
        _analyzers(scope),
        "access-analyzer:ListAnalyzers",
        "controls/access-analyzer",
    )
    found: dict[str, ServiceDates] = {}
    if analyzers:
        # Results count even if the rest could not be read.
        yield from scope.lookup(
            lambda: _unused_permissions(scope, analyzers, found),
            "access-analyzer:ListFindings",
            "grants/unused-access",
            needs="access-analyzer:ListFindings, access-analyzer:GetFinding",
        )
    return found


def _analyzers(scope: AwsScope) -> Generator[Record, None, list[str]]:
    """Yield analyzers. Returns the ARNs of unused-access analyzers."""
    unused: list[str] = []
    for analyzer in items(scope.client("accessanalyzer"), "list_analyzers", "analyzers"):
        arn, kind = analyzer["arn"], str(analyzer.get("type"))
        active = analyzer.get("status") == "ACTIVE"
        if active and kind.endswith("UNUSED_ACCESS"):
            unused.append(arn)
        yield Control(
            id=record_id(PROVIDER, "access-analyzer", arn),
            provider=PROVIDER,
            account_id=scope.ref,
            stage="runtime",
            kind="access-analyzer",
            name=analyzer.get("name") or arn,
            enforcement="audited" if active else "absent",
            target=scope.ref,
            detail=f"{kind}, {analyzer.get('status')}",
        )
    return unused


def _unused_permissions(scope: AwsScope, analyzers: list[str], found: dict[str, ServiceDates]) -> None:
    """Add the analyzers' findings about the account's principals to ``found``."""
    client = scope.client("accessanalyzer")
    reads = PartialReads()
    calls = 0
    for analyzer in analyzers:
        chosen = {"status": {"eq": ["ACTIVE"]}, "findingType": {"eq": ["UnusedPermission"]}}
        for finding in items(client, "list_findings_v2", "findings", analyzerArn=analyzer, filter=chosen):
            principal = finding.get("resource")
            if finding.get("resourceOwnerAccount") != scope.account or not principal:
                continue
            if calls >= scope.config.unused_access_principals:
                raise TruncatedError(f"only the first {calls} findings were read (unused_access_principals)")
            calls += 1
            services = reads.read(finding["id"], lambda: _unused_services(client, analyzer, finding["id"]))  # noqa: B023
            found.setdefault(principal, {}).update(services or {})
    reads.end()


def _unused_services(client: object, analyzer: str, finding: str) -> ServiceDates:
    """Return the unused services with their last use. A finding that lists actions means the service is partly used."""
    details = items(client, "get_finding_v2", "findingDetails", analyzerArn=analyzer, id=finding)
    unused: ServiceDates = {}
    for detail in details:
        permission = detail.get("unusedPermissionDetails")
        if permission and not permission.get("actions"):
            unused[permission["serviceNamespace"]] = utc(permission.get("lastAccessed"))
    return unused
