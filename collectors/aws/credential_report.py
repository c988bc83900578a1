"""The credential report of an account, parsed strictly: a truncated or altered report is an error, never "none".

Columns and values: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_getting-report.html. The data is
up to four hours old, "last rotated" of a key means created *or* activated or deactivated, "last used" is exact to
15 minutes. The report contains no key ids.
"""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from collectors.aws.failures import MalformedError, TruncatedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from collectors.aws.client import Access

ROOT = "<root_account>"
_COLUMNS = (
    "user",
    "arn",
    "user_creation_time",
    "password_enabled",
    "password_last_used",
    "password_last_changed",
    "mfa_active",
    *(
        f"access_key_{slot}_{what}"
        for slot in (1, 2)
        for what in ("active", "last_rotated", "last_used_date", "last_used_service")
    ),
    *(f"cert_{slot}_{what}" for slot in (1, 2) for what in ("active", "last_rotated")),
)
_BOOLEANS = tuple(name for name in _COLUMNS if name.endswith(("_active", "_enabled")))
_TIMES = tuple(
    name for name in _COLUMNS if name.endswith(("_time", "_rotated", "_changed", "_used", "_date"))
)
_NO_VALUE = frozenset({"N/A", "no_information", "not_supported", ""})
_TRACKED_SINCE = datetime(2015, 4, 22, tzinfo=UTC)
"""The date since which AWS tracks the use of access keys. Passwords are tracked since 2014-10-20."""


class ReportedKey(msgspec.Struct, frozen=True, kw_only=True):
    """An access key in the report."""

    active: bool
    rotated_at: datetime | None
    last_used_at: datetime | None
    last_used_service: str | None
    never_used: bool | None


class ReportedUser(msgspec.Struct, frozen=True, kw_only=True):
    """One user of the report, or the root user."""

    user: str
    arn: str
    created_at: datetime | None
    password_enabled: bool | None
    password_last_used_at: datetime | None
    password_never_used: bool | None
    password_changed_at: datetime | None
    mfa: bool | None
    keys: list[ReportedKey]
    """Existing keys, active or not, in the report's order."""
    certificates: list[tuple[bool, datetime | None]]
    """Existing signing certificates: whether active, and since when."""

    @property
    def last_used_at(self) -> datetime | None:
        """Last use of the password or of any key."""
        times = [self.password_last_used_at, *(key.last_used_at for key in self.keys)]
        return max((time for time in times if time is not None), default=None)

    @property
    def never_used(self) -> bool | None:
        """True if neither the password nor any key was ever used; None if uncertain."""
        if self.last_used_at is not None:
            return False
        verdicts = [key.never_used for key in self.keys]
        if self.password_enabled:
            verdicts.append(self.password_never_used)
        return True if verdicts and all(verdicts) else None


class CredentialReport(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed report. ``problem`` says why the rows are incomplete; None if the report is complete."""

    rows: dict[str, ReportedUser]
    """ARN -> row."""
    generated_at: datetime | None
    problem: str | None = None


def read_report(access: Access, wait: Callable[[float], bool]) -> CredentialReport:
    """Generate the report, wait for it and parse it. ``wait(seconds)`` returns True if the run must stop.

    Raises botocore's exceptions, and `TruncatedError` if AWS takes longer than two minutes.
    """
    iam = access.client("iam")
    for attempt in range(60):
        state = iam.generate_credential_report()["State"]
        if state == "COMPLETE":
            break
        if wait(0.2 if attempt == 0 else 2.0):
            break
    else:
        raise TruncatedError("the credential report was not ready after two minutes")
    answer = iam.get_credential_report()
    content = answer.get("Content")
    if not isinstance(content, bytes) or not content:
        raise MalformedError("GetCredentialReport: the response contains no report")
    return parse(content, answer.get("GeneratedTime"))


def parse(content: bytes, generated_at: datetime | None = None) -> CredentialReport:
    """Parse a report. Parsing stops at an invalid row, described in ``problem``.

    Raises `MalformedError` if the text is not a credential report.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise MalformedError(f"the credential report is not UTF-8 at byte {exc.start}") from None
    lines = csv.reader(io.StringIO(text), strict=True)
    rows: dict[str, ReportedUser] = {}
    problem = None
    try:
        header = next(lines, [])
        missing = [name for name in _COLUMNS if name not in header]
        if missing:
            raise MalformedError(f"the credential report has no column {missing[0]}")
        for number, cells in enumerate(lines, start=2):
            if len(cells) != len(header):
                problem = f"line {number} has {len(cells)} of {len(header)} cells: the report is truncated or altered"
                break
            row = _row(dict(zip(header, cells, strict=True)))
            rows[row.arn] = row
    except (csv.Error, ValueError) as exc:
        problem = f"line {lines.line_num}: {exc}: the report is truncated or altered"
    if not rows and problem is None:
        problem = "it has no rows, not even the root user's: the report is truncated or altered"
    return CredentialReport(rows=rows, generated_at=generated_at, problem=problem)


def _row(cells: dict[str, str]) -> ReportedUser:
    """Return a row. Raises ValueError for an invalid cell."""
    flags = {name: _boolean(name, cells[name]) for name in _BOOLEANS}
    times = {name: _time(name, cells[name]) for name in _TIMES}
    created = times["user_creation_time"]
    if not cells["arn"].startswith("arn:") or created is None:
        raise ValueError("user without ARN or creation time")
    keys: list[ReportedKey] = []
    certificates: list[tuple[bool, datetime | None]] = []
    for slot in (1, 2):
        rotated, used = times[f"access_key_{slot}_last_rotated"], times[f"access_key_{slot}_last_used_date"]
        active = flags[f"access_key_{slot}_active"] is True
        if active or rotated is not None:
            service = cells[f"access_key_{slot}_last_used_service"]
            never = cells[f"access_key_{slot}_last_used_date"] == "N/A" and created > _TRACKED_SINCE
            keys.append(
                ReportedKey(
                    active=active,
                    rotated_at=rotated,
                    last_used_at=used,
                    last_used_service=None if service in _NO_VALUE else service,
                    never_used=False if used is not None else (never or None),
                )
            )
        signing, since = flags[f"cert_{slot}_active"] is True, times[f"cert_{slot}_last_rotated"]
        if signing or since is not None:
            certificates.append((signing, since))
    password_used = times["password_last_used"]
    unused = cells["password_last_used"] in {"no_information", "N/A"} and created > _TRACKED_SINCE
    return ReportedUser(
        user=cells["user"],
        arn=cells["arn"],
        created_at=created,
        password_enabled=flags["password_enabled"],
        password_last_used_at=password_used,
        password_never_used=False if password_used is not None else (unused or None),
        password_changed_at=times["password_last_changed"],
        mfa=flags["mfa_active"],
        keys=keys,
        certificates=certificates,
    )


def _boolean(name: str, text: str) -> bool | None:
    match text.lower():
        case "true":
            return True
        case "false":
            return False
        case "n/a" | "no_information" | "not_supported" | "":
            return None
        case _:
            raise ValueError(f"{name} is neither true nor false")


def _time(name: str, text: str) -> datetime | None:
    if text in _NO_VALUE:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name} is not a time") from None
    if time.tzinfo is None:
        raise ValueError(f"{name} has no time zone")
    return time.astimezone(UTC)
