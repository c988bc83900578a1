"""Credentials of an account's users and of its root user: keys, passwords, certificates, service credentials."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.aws.client import answer_with, items
from collectors.aws.credential_report import ROOT, CredentialReport, ReportedKey, ReportedUser
from collectors.aws.failures import MalformedError, TruncatedError
from collectors.aws.scope import PROVIDER, PartialReads
from collectors.aws.times import utc
from scanner.records import Control, Credential, Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from collectors.aws.facts import KeySightings
    from collectors.aws.scope import AwsScope
    from scanner.records import Record

MAX_MATCH = timedelta(seconds=2)
"""The largest time difference at which a report row and a ListAccessKeys entry are the same key."""


def reported(scope: AwsScope, report: CredentialReport, sightings: KeySightings) -> Iterator[Record]:
    """Yield passwords, signing certificates and access keys from the report.

    Raises `MalformedError` if the report is incomplete, `TruncatedError` if it lacks a user.
    """
    reads = PartialReads()
    chosen = users_with_key_ids(report, scope.config.key_id_users) | _owners_of_keys(
        scope, sightings.key_ids, reads
    )
    for row in sorted(report.rows.values(), key=lambda row: row.arn):
        if row.user == ROOT:
            continue
        identity_id = scope.id_of(row.arn)
        location = ", ".join(sorted(sightings.servers.get(identity_id, ()))) or None
        yield from _password(scope, identity_id, row)
        for slot, (active, since) in enumerate(row.certificates, start=1):
            yield Credential(
                id=record_id(PROVIDER, "signing-certificate", f"{_native(identity_id)}/{slot}"),
                provider=PROVIDER,
                account_id=scope.ref,
                identity_id=identity_id,
                kind="signing-certificate",
                native_id=f"{row.user}/{slot}",
                name=f"signing certificate {slot} of {row.user}",
                lifetime="static",
                enabled=active,
                rotated_at=since,
            )
        listed = reads.read(row.user, lambda: _listed_keys(scope, row.user)) if row.arn in chosen else None  # noqa: B023
        if listed is None:
            # A key without id is identified by its creation time; two of the same second by their order.
            for key, native in zip(
                row.keys, _by_time(identity_id, [key.rotated_at for key in row.keys]), strict=True
            ):
                yield msgspec.structs.replace(
                    _key(scope, identity_id, row.user, key, native=native), location=location
                )
        else:
            yield from _matched_keys(scope, identity_id, row, listed, location)
    if report.problem:
        raise MalformedError(report.problem)
    if report.generated_at is not None:
        at = report.generated_at
        users = scope.principals.users().values() if scope.principals else ()
        missing = [
            user.name for user in users if user.address not in report.rows and (user.created_at or at) < at
        ]
        if missing:
            raise TruncatedError(f"the credential report lacks {len(missing)} users, such as {missing[0]}")
    reads.end()


def users_with_key_ids(report: CredentialReport, limit: int) -> set[str]:
    """Return the ARNs of the users whose key ids are read, oldest active key first.

    This order rarely changes between nights, so record ids are stable.
    """
    oldest: dict[str, str] = {}
    for row in report.rows.values():
        if row.user != ROOT and row.keys:
            made = [key.rotated_at.isoformat() for key in row.keys if key.active and key.rotated_at]
            oldest[row.arn] = min(made, default="9999")
    return set(sorted(oldest, key=lambda arn: (oldest[arn], arn))[:limit])


def _owners_of_keys(scope: AwsScope, key_ids: set[str], reads: PartialReads) -> set[str]:
    """Return the ARNs of users whose key was found in a readable value, to link the copy to the credential.

    AWS does not resolve keys of other accounts.
    """
    iam = scope.client("iam")
    names: set[str] = set()
    for key_id in sorted(key_ids):
        if key_id.startswith("AKIA"):
            answer = reads.read(
                key_id,
                lambda: answer_with(iam.get_access_key_last_used(AccessKeyId=key_id), "AccessKeyLastUsed"),  # noqa: B023
                absent=("AccessDenied", "NoSuchEntity"),
            )
            names |= {answer["UserName"]} if answer and answer.get("UserName") else set()
    users = scope.principals.users() if scope.principals else {}
    return {str(users[name].address) for name in names if name in users}


def _native(identity_id: str) -> str:
    return identity_id.split(":", 2)[2] if identity_id.startswith(f"{PROVIDER}:") else identity_id


def _listed_keys(scope: AwsScope, user: str) -> list[dict[str, Any]]:
    return list(items(scope.client("iam"), "list_access_keys", "AccessKeyMetadata", UserName=user))


def _by_time(identity_id: str, made: list[datetime | None]) -> Iterator[str]:
    """Yield the ids of a user's keys whose own ids are not known."""
    seen: set[str] = set()
    for at in made:
        since = at.strftime("%Y%m%dT%H%M%SZ") if at else "unknown"
        yield f"{_native(identity_id)}/{since}{'-2' if since in seen else ''}"
        seen.add(since)


def _matched_keys(
    scope: AwsScope, identity_id: str, row: ReportedUser, listed: list[dict[str, Any]], location: str | None
) -> Iterator[Credential]:
    """Yield keys by id, with the report row of the same creation time, or with one call if no row matches."""
    left = list(row.keys)
    made = [utc(meta.get("CreateDate")) for meta in listed]
    for meta, created, substitute in zip(listed, made, _by_time(identity_id, made), strict=True):
        same = [
            key for key in left if key.rotated_at and created and abs(key.rotated_at - created) <= MAX_MATCH
        ]
        if not same and len(listed) == len(row.keys) == 1:
            same = left
        if same:
            left.remove(same[0])
            key = same[0]
        else:
            key = _key_by_last_used(scope, meta)
        yield Credential(
            id=record_id(PROVIDER, "access-key", meta["AccessKeyId"]),
            provider=PROVIDER,
            account_id=scope.ref,
            identity_id=identity_id,
            kind="access-key",
            native_id=meta["AccessKeyId"],
            substitute_id=record_id(PROVIDER, "access-key", substitute),
            name=f"{meta['AccessKeyId']} of {row.user}",
            lifetime="static",
            enabled=meta.get("Status") == "Active",
            created_at=created,
            rotated_at=created,
            last_used_at=key.last_used_at,
            last_used_service=key.last_used_service,
            never_used=key.never_used,
            never_expires=True,
            location=location,
        )


def _key_by_last_used(scope: AwsScope, meta: dict[str, Any]) -> ReportedKey:
    """Return a key's last use by GetAccessKeyLastUsed, for keys whose status changed after creation."""
    answer = scope.client("iam").get_access_key_last_used(AccessKeyId=meta["AccessKeyId"])
    used = answer["AccessKeyLastUsed"]
    at = utc(used.get("LastUsedDate"))
    service = used.get("ServiceName")
    return ReportedKey(
        active=meta.get("Status") == "Active",
        rotated_at=utc(meta.get("CreateDate")),
        last_used_at=at,
        last_used_service=service if service not in {None, "N/A"} else None,
        never_used=False if at else service == "N/A" or None,
    )


def _key(
    scope: AwsScope, identity_id: str, user: str, key: ReportedKey, *, native: str, kind: str = "access-key"
) -> Credential:
    return Credential(
        id=record_id(PROVIDER, kind, native),
        provider=PROVIDER,
        account_id=scope.ref,
        identity_id=identity_id,
        kind=kind,
        native_id=native,
        name=f"access key of {user}",
        lifetime="static",
        enabled=key.active,
        created_at=key.rotated_at,
        rotated_at=key.rotated_at,
        last_used_at=key.last_used_at,
        last_used_service=key.last_used_service,
        never_used=key.never_used,
        never_expires=True,
    )


def _password(scope: AwsScope, identity_id: str, row: ReportedUser) -> Iterator[Credential]:
    if not row.password_enabled:
        return
    yield Credential(
        id=record_id(PROVIDER, "password", _native(identity_id)),
        provider=PROVIDER,
        account_id=scope.ref,
        identity_id=identity_id,
        kind="password",
        native_id=_native(identity_id),
        name=f"console password of {row.user}",
        lifetime="static",
        enabled=True,
        created_at=None,
        rotated_at=row.password_changed_at,
        last_used_at=row.password_last_used_at,
        never_used=row.password_never_used,
    )


def root(scope: AwsScope, report: CredentialReport | None) -> Iterator[Record]:
    """Yield the root user, its password, keys and certificates, by GetAccountSummary and the report's first row.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountSummary.html
    """
    summary = scope.client("iam").get_account_summary()["SummaryMap"]
    if not summary:
        raise MalformedError("GetAccountSummary: the response contains no summary")
    row = next((row for row in report.rows.values() if row.user == ROOT), None) if report else None
    root_id = record_id(PROVIDER, "root", scope.account)
    address = f"arn:{scope.partition}:iam::{scope.account}:root"
    mfa = summary.get("AccountMFAEnabled")
    yield Identity(
        id=root_id,
        provider=PROVIDER,
        account_id=scope.ref,
        surface="human",
        kind="root",
        native_id=scope.account,
        name=f"root user of {scope.account}",
        address=address,
        enabled=True,
        created_at=row.created_at if row else None,
        last_used_at=row.last_used_at if row else None,
        never_used=row.never_used if row else None,
        environment=scope.environment(),
        managed_by=None,
        mfa=bool(mfa) if mfa is not None else (row.mfa if row else None),
    )
    if row:
        yield from _password(scope, root_id, row)
    keys = [key for key in row.keys if key.active] if row else []
    if not keys and summary.get("AccountAccessKeysPresent"):
        # The report is older than the key, or missing. The summary alone is sufficient proof.
        unknown = ReportedKey(
            active=True, rotated_at=None, last_used_at=None, last_used_service=None, never_used=None
        )
        keys = [unknown]
    for slot, key in enumerate(keys, start=1):
        yield _key(
            scope, root_id, "the root user", key, native=f"{scope.account}/{slot}", kind="root-access-key"
        )
    if summary.get("AccountSigningCertificatesPresent"):
        yield Credential(
            id=record_id(PROVIDER, "signing-certificate", f"{scope.account}/root"),
            provider=PROVIDER,
            account_id=scope.ref,
            identity_id=root_id,
            kind="signing-certificate",
            native_id=f"{scope.account}/root",
            name="signing certificate of the root user",
            lifetime="static",
            enabled=True,
        )


def root_management(scope: AwsScope) -> Iterator[Record]:
    """Yield whether centralized root access is enabled, so that member accounts need no root credentials."""
    answer = scope.client("iam").list_organizations_features()
    features = answer["EnabledFeatures"]
    yield Control(
        id=record_id(PROVIDER, "central-root-management", scope.account),
        provider=PROVIDER,
        account_id=scope.ref,
        stage="runtime",
        kind="central-root-management",
        name="centralized root access management",
        enforcement="enforced" if "RootCredentialsManagement" in features else "absent",
        target=scope.ref,
        detail=", ".join(sorted(features)) or None,
    )


def service_credentials(scope: AwsScope) -> Iterator[Record]:
    """Yield service-specific credentials (CodeCommit, Keyspaces, Amazon Bedrock keys), of all users in one listing.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListServiceSpecificCredentials.html
    """
    users = scope.principals.users() if scope.principals else {}
    found = items(
        scope.client("iam"),
        "list_service_specific_credentials",
        "ServiceSpecificCredentials",
        AllUsers=True,
        MaxItems=1000,
    )
    for item in found:
        user, native = item["UserName"], item["ServiceSpecificCredentialId"]
        expires = utc(item.get("ExpirationDate"))
        yield Credential(
            id=record_id(PROVIDER, "service-credential", native),
            provider=PROVIDER,
            account_id=scope.ref,
            identity_id=users[user].id
            if user in users
            else f"arn:{scope.partition}:iam::{scope.account}:user/{user}",
            kind="service-credential",
            native_id=native,
            name=f"{item.get('ServiceName', 'service')} credential of {user}",
            lifetime="expiring" if expires else "static",
            enabled=item.get("Status") == "Active",
            created_at=utc(item.get("CreateDate")),
            rotated_at=utc(item.get("CreateDate")),
            expires_at=expires,
            never_expires=expires is None,
            scopes=[item["ServiceName"]] if item.get("ServiceName") else [],
        )


def server_certificates(scope: AwsScope) -> Iterator[Record]:
    """Yield TLS certificates stored in IAM with their private keys."""
    for item in items(scope.client("iam"), "list_server_certificates", "ServerCertificateMetadataList"):
        yield Credential(
            id=record_id(PROVIDER, "server-certificate", item["Arn"]),
            provider=PROVIDER,
            account_id=scope.ref,
            identity_id=scope.ref,
            kind="server-certificate",
            native_id=item["ServerCertificateId"],
            name=item["ServerCertificateName"],
            lifetime="expiring",
            enabled=True,
            created_at=utc(item.get("UploadDate")),
            rotated_at=utc(item.get("UploadDate")),
            expires_at=utc(item.get("Expiration")),
            location=item.get("Arn"),
        )


def ssh_keys(scope: AwsScope) -> Iterator[Record]:
    """Yield the SSH public keys with which users push to CodeCommit."""
    reads = PartialReads()
    users = scope.principals.users() if scope.principals else {}
    for name in sorted(users):
        keys = reads.read(
            name,
            lambda: list(items(scope.client("iam"), "list_ssh_public_keys", "SSHPublicKeys", UserName=name)),  # noqa: B023
        )
        for key in keys or []:
            yield Credential(
                id=record_id(PROVIDER, "ssh-key", key["SSHPublicKeyId"]),
                provider=PROVIDER,
                account_id=scope.ref,
                identity_id=users[name].id,
                kind="ssh-key",
                native_id=key["SSHPublicKeyId"],
                name=f"CodeCommit SSH key of {name}",
                lifetime="static",
                enabled=key.get("Status") == "Active",
                created_at=utc(key.get("UploadDate")),
                rotated_at=utc(key.get("UploadDate")),
                never_expires=True,
            )
    reads.end()
