"""When the riskiest users and roles last used each granted service.

IAM keeps 400 days, reports use within four hours, and also counts denied attempts:
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_last-accessed.html. It throttles these calls early,
so only some principals are read, and results are cached for seven days.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.aws.client import pages
from collectors.aws.evaluator.policy import parse
from collectors.aws.evaluator.policy_records import INLINE, MANAGED
from collectors.aws.facts import ServiceDates  # noqa: TC001  msgspec reads the annotations at run time
from collectors.aws.failures import MalformedError, TruncatedError
from collectors.aws.scope import PartialReads
from collectors.aws.times import utc

if TYPE_CHECKING:
    from pathlib import Path

    from collectors.aws.facts import ListedPrincipals
    from collectors.aws.scope import AwsScope

KEPT = timedelta(days=7)
_PASSES = 30
"""Number of polls for unfinished jobs, two seconds apart."""


class CachedUse(msgspec.Struct, frozen=True, kw_only=True):
    """One principal's cached result."""

    read_at: datetime
    services: ServiceDates


def last_accessed(scope: AwsScope, principals: ListedPrincipals) -> dict[str, ServiceDates]:
    """Return principal ARN -> use, for the riskiest principals."""
    path = scope.run.cache / f"aws-last-accessed-{scope.account}.json"
    kept = _load(path)
    fresh = {
        arn: entry for arn, entry in kept.items() if timedelta(0) <= scope.run.as_of - entry.read_at < KEPT
    }
    wanted = riskiest(principals, scope.config.unused_access_principals)
    iam = scope.client("iam")
    reads = PartialReads()
    jobs: dict[str, str] = {}
    try:
        for arn in wanted:
            if arn in fresh:
                continue
            job = reads.read(
                arn,
                lambda: iam.generate_service_last_accessed_details(Arn=arn, Granularity="SERVICE_LEVEL"),  # noqa: B023
                absent=("NoSuchEntity",),
            )
            if job:
                jobs[arn] = job["JobId"]
        for attempt in range(_PASSES):
            for arn, job_id in list(jobs.items()):
                use = reads.read(arn, lambda: _finished(iam, job_id))  # noqa: B023
                if use is None:
                    continue  # not ready, or refused
                fresh[arn] = CachedUse(read_at=scope.run.as_of, services=use)
                del jobs[arn]
            jobs = {arn: job_id for arn, job_id in jobs.items() if not reads.has_failed(arn)}
            if not jobs or scope.run.stopping.wait(0.2 if attempt == 0 else 2.0):
                break
    finally:
        _save(path, fresh)
    reads.end()
    if jobs:
        raise TruncatedError(
            f"IAM did not report in time what {len(jobs)} principals used, such as {min(jobs)}"
        )
    return {arn: fresh[arn].services for arn in wanted if arn in fresh}


def riskiest(principals: ListedPrincipals, limit: int) -> list[str]:
    """Return the ARNs of users and roles, most permissive policies first, without service-linked roles.

    A rough order based on wildcards. The evaluator computes the effective permissions.
    """
    scores: dict[str, int] = {}
    for policy in principals.policies:
        if policy.kind in {MANAGED, INLINE} and policy.document is not None:
            score = _score(policy.document)
            for identity_id in policy.attached_to:
                scores[identity_id] = scores.get(identity_id, 0) + score
    by_groups: dict[str, int] = {}
    for link in principals.memberships:
        by_groups[link.source_id] = by_groups.get(link.source_id, 0) + scores.get(link.target_id, 0)
    ranked = [
        (scores.get(one.id, 0) + by_groups.get(one.id, 0), one.address or "")
        for one in principals.identities
        if one.kind in {"iam-user", "iam-role"} and ":role/aws-service-role/" not in (one.address or "")
    ]
    return [arn for score, arn in sorted(ranked, key=lambda one: (-one[0], one[1])) if score > 0][:limit]


def _score(document: str) -> int:
    score = 0
    for statement in parse(document).statements:
        if statement.allow:
            points = 500 if statement.not_actions else sum(map(_points, statement.actions))
            score += points * (4 if "*" in (statement.resources or ("*",)) else 1)
    return score


def _points(action: str) -> int:
    if action in {"*", "*:*"}:
        return 1000
    service, _, verb = action.partition(":")
    weight = 10 if service in {"iam", "sts", "organizations", "kms", "secretsmanager", "lambda"} else 1
    return weight * (10 if verb == "*" else 0 if verb.startswith(("get", "list", "describe")) else 1)


def _finished(iam: Any, job_id: str) -> ServiceDates | None:
    """Return the result of a job; None if unfinished."""
    use: ServiceDates = {}
    for page in pages(iam, "get_service_last_accessed_details", JobId=job_id):
        state = page["JobStatus"]
        if state == "FAILED":
            raise MalformedError(f"IAM could not report what was used: {page.get('Error')}")
        if state != "COMPLETED":
            return None
        for service in page["ServicesLastAccessed"]:
            use[service["ServiceNamespace"]] = utc(service.get("LastAuthenticated"))
    return use


# Created once: msgspec 0.22 crashes when several threads are the first to decode a type.
_KEPT = msgspec.json.Decoder(dict[str, CachedUse])


def _load(path: Path) -> dict[str, CachedUse]:
    """Return the cached results; empty if the file is missing or invalid."""
    try:
        return _KEPT.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        return {}


def _save(path: Path, kept: dict[str, CachedUse]) -> None:
    from scanner.private_files import write_private

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(path, json.dumps(json.loads(msgspec.json.encode(kept)), sort_keys=True).encode())
