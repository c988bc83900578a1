"""IAM Roles Anywhere: trust anchors, profiles, and the certificates that have signed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.aws.client import items
from collectors.aws.scope import PROVIDER
from collectors.aws.times import utc
from scanner.records import Control, Credential, Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.aws.scope import AwsScope
    from scanner.records import Record


def roles_anywhere_region(scope: AwsScope) -> Iterator[Record]:
    """Yield all IAM Roles Anywhere records of the region."""
    yield from scope.listing(
        _anchors(scope),
        "rolesanywhere:ListTrustAnchors",
        "controls/trust-anchor",
        loses=("trusts/certificate",),
    )
    yield from scope.listing(
        _profiles(scope),
        "rolesanywhere:ListProfiles",
        "identities/roles-anywhere-profile",
        "links/uses",
    )
    yield from scope.listing(
        _subjects(scope),
        "rolesanywhere:ListSubjects",
        "identities/roles-anywhere-subject",
        "credentials/certificate",
    )


def _anchors(scope: AwsScope) -> Iterator[Record]:
    for anchor in items(scope.client("rolesanywhere"), "list_trust_anchors", "trustAnchors"):
        arn = anchor["trustAnchorArn"]
        source = str((anchor.get("source") or {}).get("sourceType") or "unknown")
        yield Control(
            id=record_id(PROVIDER, "trust-anchor", arn),
            provider=PROVIDER,
            account_id=scope.ref,
            stage="runtime",
            kind="trust-anchor",
            name=anchor.get("name") or arn,
            enforcement="enforced" if anchor.get("enabled") else "absent",
            target=arn,
            detail=f"Certificates of {source} sign in while it is enabled.",
        )


def _profiles(scope: AwsScope) -> Iterator[Record]:
    for profile in items(scope.client("rolesanywhere"), "list_profiles", "profiles"):
        arn = profile["profileArn"]
        profile_id = record_id(PROVIDER, "roles-anywhere-profile", arn)
        yield Identity(
            id=profile_id,
            provider=PROVIDER,
            account_id=scope.ref,
            surface="workload",
            kind="roles-anywhere-profile",
            native_id=arn,
            name=profile.get("name") or arn,
            address=arn,
            enabled=profile.get("enabled"),
            created_at=utc(profile.get("createdAt")),
            environment=scope.environment(),
        )
        for role in profile.get("roleArns") or []:
            yield scope.link(profile_id, "uses", scope.id_of(role), evidence="rolesanywhere:ListProfiles")


def _subjects(scope: AwsScope) -> Iterator[Record]:
    for subject in items(scope.client("rolesanywhere"), "list_subjects", "subjects"):
        yield from _subject(scope, subject)


def _subject(scope: AwsScope, subject: dict[str, Any]) -> Iterator[Record]:
    native, name = subject["subjectId"], subject.get("x509Subject") or subject["subjectId"]
    subject_id = record_id(PROVIDER, "roles-anywhere-subject", native)
    seen, created = utc(subject.get("lastSeenAt")), utc(subject.get("createdAt"))
    yield Identity(
        id=subject_id,
        provider=PROVIDER,
        account_id=scope.ref,
        surface="workload",
        kind="roles-anywhere-subject",
        native_id=native,
        name=name,
        address=subject.get("subjectArn"),
        enabled=subject.get("enabled"),
        created_at=created,
        last_used_at=seen,
        never_used=False if seen else None,
        environment=scope.environment(),
    )
    yield Credential(
        id=record_id(PROVIDER, "certificate", native),
        provider=PROVIDER,
        account_id=scope.ref,
        identity_id=subject_id,
        kind="certificate",
        native_id=native,
        name=name,
        lifetime="expiring",
        enabled=subject.get("enabled"),
        created_at=created,
        last_used_at=seen,
        never_used=False if seen else None,
    )
