"""IAM's credential report: users are in moto, dates of use in the state."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sandbox.aws import backend
from sandbox.aws.wire import AwsError

if TYPE_CHECKING:
    from datetime import datetime

    from sandbox.aws.operation import Forward
    from sandbox.aws.state import State
    from sandbox.aws.wire import AwsCall

REPORT_TIME = "%Y-%m-%dT%H:%M:%S+00:00"
COLUMNS = (
    "user",
    "arn",
    "user_creation_time",
    "password_enabled",
    "password_last_used",
    "password_last_changed",
    "password_next_rotation",
    "mfa_active",
    "access_key_1_active",
    "access_key_1_last_rotated",
    "access_key_1_last_used_date",
    "access_key_1_last_used_region",
    "access_key_1_last_used_service",
    "access_key_2_active",
    "access_key_2_last_rotated",
    "access_key_2_last_used_date",
    "access_key_2_last_used_region",
    "access_key_2_last_used_service",
    "cert_1_active",
    "cert_1_last_rotated",
    "cert_2_active",
    "cert_2_last_rotated",
)
"""Of the credential report (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_getting-report.html)."""


def generate(state: State, call: AwsCall, forward: Forward) -> dict[str, Any]:
    """Start the credential report: STARTED at first, then COMPLETE."""
    job = (call.account, "credential-report", "")
    asked = state.known.get(job, 0)
    state.known[job] = asked + 1
    if asked:
        return {"State": "COMPLETE"}
    return {"State": "STARTED", "Description": "No report exists. Starting a new report generation task"}


def get(state: State, call: AwsCall, forward: Forward) -> dict[str, Any]:
    """Write the report: moto's users, the state's dates, and the root row that moto lacks."""
    if not state.known.get((call.account, "credential-report", "")):
        raise AwsError("ReportNotPresent", "Credential report not present. Generate the report first.", 410)
    return {
        "Content": state.kept(("credential-report", call.account), lambda: _report(state, call)),
        "ReportFormat": "text/csv",
        "GeneratedTime": state.as_of - timedelta(minutes=20),
    }


def _report(state: State, call: AwsCall) -> bytes:
    account = call.account
    out = io.StringIO()
    rows = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    rows.writeheader()
    rows.writerow(dict.fromkeys(COLUMNS, "N/A") | _root_row(state, account))
    for user in sorted(backend.iam(account).users.values(), key=lambda user: str(user.name)):
        rows.writerow(_user_row(state, account, user))
    return out.getvalue().encode()


def _root_row(state: State, account: str) -> dict[str, str]:
    facts = state.facts(account, "iam", "root", "<root_account>")
    keys: list[dict[str, Any]] = facts.get("keys", [])
    row = {
        "user": "<root_account>",
        "arn": f"arn:aws:iam::{account}:root",
        "user_creation_time": _time(facts.get("created", state.first_night - timedelta(days=1500))),
        "password_enabled": "not_supported",
        "password_last_used": _time(facts.get("used"), "no_information"),
        "password_last_changed": "not_supported",
        "password_next_rotation": "not_supported",
        "mfa_active": _yes(facts.get("mfa", True)),
        "cert_1_active": "false",
        "cert_2_active": "false",
    }
    return row | _key_columns(1, keys[0] if keys else None) | _key_columns(2, None)


def _user_row(state: State, account: str, user: Any) -> dict[str, str]:
    facts = state.facts(account, "iam", "UserName", user.name)
    created = facts.get("CreateDate", state.first_night - timedelta(days=300))
    row = {
        "user": user.name,
        "arn": user.arn,
        "user_creation_time": _time(created),
        "password_enabled": _yes(bool(user.password)),
        "password_last_used": _time(facts.get("PasswordLastUsed"), "no_information")
        if user.password
        else "N/A",
        "password_last_changed": _time(facts.get("PasswordChanged", created)) if user.password else "N/A",
        "password_next_rotation": "N/A",
        "mfa_active": _yes(bool(user.mfa_devices)),
    }
    for number in (1, 2):
        key = user.access_keys[number - 1] if len(user.access_keys) >= number else None
        facts = state.facts(account, "iam", "AccessKeyId", key.access_key_id) if key else {}
        row |= _key_columns(
            number,
            {"created": created, "active": key.status == "Active"}
            | {"created": facts.get("CreateDate", created)}
            | facts.get("LastUsed", {})
            if key
            else None,
        )
        certificates = list(user.signing_certificates.values())
        certificate = certificates[number - 1] if len(certificates) >= number else None
        row[f"cert_{number}_active"] = _yes(certificate is not None and certificate.status == "Active")
        stamp = (
            state.facts(account, "iam", "CertificateId", certificate.id).get("UploadDate", created)
            if certificate
            else None
        )
        row[f"cert_{number}_last_rotated"] = _time(stamp)
    return row


def _key_columns(number: int, key: dict[str, Any] | None) -> dict[str, str]:
    key = key or {}
    return {
        f"access_key_{number}_active": _yes(bool(key.get("active"))),
        f"access_key_{number}_last_rotated": _time(key.get("created")),
        f"access_key_{number}_last_used_date": _time(key.get("LastUsedDate")),
        f"access_key_{number}_last_used_region": key.get("Region", "N/A"),
        f"access_key_{number}_last_used_service": key.get("ServiceName", "N/A"),
    }


def _time(value: datetime | None, absent: str = "N/A") -> str:
    return value.strftime(REPORT_TIME) if value else absent


def _yes(value: bool) -> str:
    return "true" if value else "false"
