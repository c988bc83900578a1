"""When the riskiest users and roles last used each service that they may use.

IAM keeps 400 days, shows use after four hours at most, and counts denied attempts as well:
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_last-accessed.html. It throttles these calls early,
so that only some principals are asked for, and answers are kept for seven days.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.aws.client import document, pages
from collectors.aws.failures import MalformedError, TruncatedError
from collectors.aws.place import Tally
from collectors.aws.times import utc

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

    from collectors.aws.listings.iam import Details
    from collectors.aws.place import Place
    from scanner.records import Record

KEPT = timedelta(days=7)
_PASSES = 30
"""How often unfinished jobs are asked again, two seconds apart."""
Use = dict[str, datetime | None]
"""Service namespace -> last use, None for never in the window."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One principal's answer, as it is kept."""

    read_at: datetime
    services: Use


def last_accessed(place: Place, details: Details) -> Generator[Record, None, dict[str, Use]]:
    """Yield nothing; return principal ARN -> use, for the riskiest principals."""
    yield from ()
    path = place.run.cache / f"aws-last-accessed-{place.account}.json"
    kept = _load(path)
    fresh = {
        arn: entry for arn, entry in kept.items() if timedelta(0) <= place.run.as_of - entry.read_at < KEPT
    }
    wanted = riskiest(details, place.config.unused_access_principals)
    iam = place.client("iam")
    tally = Tally()
    jobs: dict[str, str] = {}
    try:
        for arn in wanted:
            if arn in fresh:
                continue
            job = tally.read(
                arn,
                lambda: iam.generate_service_last_accessed_details(Arn=arn, Granularity="SERVICE_LEVEL"),  # noqa: B023
                absent=("NoSuchEntity",),
            )
            if job:
                jobs[arn] = job["JobId"]
        for attempt in range(_PASSES):
            for arn, job_id in list(jobs.items()):
                use = tally.read(arn, lambda: _finished(iam, job_id))  # noqa: B023
                if use is None:
                    continue  # not ready, or refused
                fresh[arn] = Kept(read_at=place.run.as_of, services=use)
                del jobs[arn]
            jobs = {arn: job_id for arn, job_id in jobs.items() if not tally.has_failed(arn)}
            if not jobs or place.run.stopping.wait(0.2 if attempt == 0 else 2.0):
                break
    finally:
        _save(path, fresh)
    tally.end()
    if jobs:
        raise TruncatedError(
            f"IAM did not report in time what {len(jobs)} principals used, such as {min(jobs)}"
        )
    return {arn: fresh[arn].services for arn in wanted if arn in fresh}


def riskiest(details: Details, limit: int) -> list[str]:
    """Return ARNs of users and roles, those first whose policies allow most. Service-linked roles are left out.

    A rough order by wildcards alone; the evaluator judges what is really allowed.
    """
    managed = {policy["Arn"]: _default_document(policy) for policy in details.policies if "Arn" in policy}
    groups = {group["GroupName"]: group for group in details.groups}
    scores: dict[str, int] = {}
    for role in details.roles:
        if not str(role.get("Path", "/")).startswith("/aws-service-role/"):
            scores[role["Arn"]] = _score(_documents(role, "RolePolicyList", managed))
    for user in details.users:
        documents = _documents(user, "UserPolicyList", managed)
        for name in user.get("GroupList", []):
            documents += _documents(groups.get(name, {}), "GroupPolicyList", managed)
        scores[user["Arn"]] = _score(documents)
    ranked = sorted(scores, key=lambda arn: (-scores[arn], arn))
    return [arn for arn in ranked if scores[arn] > 0][:limit]


def _default_document(policy: dict[str, Any]) -> Any:
    versions = policy.get("PolicyVersionList") or []
    return next((version.get("Document") for version in versions if version.get("IsDefaultVersion")), None)


def _documents(principal: dict[str, Any], inline: str, managed: dict[str, Any]) -> list[Any]:
    documents = [policy.get("PolicyDocument") for policy in principal.get(inline) or []]
    return documents + [
        managed.get(policy.get("PolicyArn")) for policy in principal.get("AttachedManagedPolicies") or []
    ]


def _score(documents: Iterable[Any]) -> int:
    score = 0
    for raw in documents:
        parsed = document(raw) if raw is not None else {}
        for statement in _listed(parsed.get("Statement")) if isinstance(parsed, dict) else ():
            if not isinstance(statement, dict) or statement.get("Effect") != "Allow":
                continue
            wide = "*" in _listed(statement.get("Resource", "*"))
            points = 500 if "NotAction" in statement else 0
            for action in _listed(statement.get("Action")):
                points += _points(str(action).lower())
            score += points * (4 if wide else 1)
    return score


def _points(action: str) -> int:
    if action in {"*", "*:*"}:
        return 1000
    service, _, verb = action.partition(":")
    weight = 10 if service in {"iam", "sts", "organizations", "kms", "secretsmanager", "lambda"} else 1
    return weight * (10 if verb == "*" else 0 if verb.startswith(("get", "list", "describe")) else 1)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _finished(iam: Any, job_id: str) -> Use | None:
    """Return what a job found; None when it is not done."""
    use: Use = {}
    for page in pages(iam, "get_service_last_accessed_details", JobId=job_id):
        state = page.get("JobStatus")
        if state == "FAILED":
            raise MalformedError(f"IAM could not report what was used: {page.get('Error')}")
        if state != "COMPLETED":
            return None
        for service in page["ServicesLastAccessed"]:
            use[service["ServiceNamespace"]] = utc(service.get("LastAuthenticated"))
    return use


# Made once: msgspec 0.22 crashes when several threads are the first to decode one type.
_KEPT = msgspec.json.Decoder(dict[str, Kept])


def _load(path: Path) -> dict[str, Kept]:
    """Return what was kept; nothing when the file is not there or not ours."""
    try:
        return _KEPT.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        return {}


def _save(path: Path, kept: dict[str, Kept]) -> None:
    from scanner.snapshot import write_private

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(path, json.dumps(json.loads(msgspec.json.encode(kept)), sort_keys=True).encode())
