"""The credential report: read strictly, so that a report that is cut off is never a report of fewer users."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.aws.credential_report import ROOT, parse
from collectors.aws.failures import MalformedError

HEADER = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,"
    "mfa_active,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,"
    "access_key_1_last_used_region,access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,"
    "access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,"
    "cert_1_last_rotated,cert_2_active,cert_2_last_rotated,additional_column_of_next_year"
)
ROWS = (
    (
        f"{ROOT},arn:aws:iam::123456789012:root,2020-01-01T00:00:00+00:00,not_supported,2026-01-02T00:00:00+00:00,"
        "not_supported,not_supported,true,false,N/A,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A,x"
    ),
    (
        "ada,arn:aws:iam::123456789012:user/ada,2021-03-01T10:00:00+00:00,true,no_information,"
        "2021-03-01T10:00:00+00:00,N/A,false,true,2021-03-01T10:00:05+00:00,N/A,N/A,N/A,true,"
        "2024-03-01T10:00:00+00:00,2026-10-01T09:15:00+00:00,eu-west-1,s3,true,2022-01-01T00:00:00+00:00,false,N/A,x"
    ),
    (
        "bot,arn:aws:iam::123456789012:user/ci/bot,2013-03-01T10:00:00+00:00,false,N/A,N/A,N/A,false,true,"
        "2013-03-01T10:00:00+00:00,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A,x"
    ),
)
REPORT = "\n".join((HEADER, *ROWS)).encode()
BOUNDARIES = {len("\n".join((HEADER, *ROWS[:n])).encode()) + end for n in range(1, 4) for end in (-1, 0, 1)}


def test_a_whole_report() -> None:
    report = parse(REPORT)
    assert report.problem is None
    ada = report.rows["arn:aws:iam::123456789012:user/ada"]
    assert (ada.password_enabled, ada.password_never_used, ada.mfa) == (True, True, False)
    first, second = ada.keys
    assert (first.never_used, first.last_used_at) == (True, None)
    assert (second.last_used_service, second.never_used) == ("s3", False)
    assert ada.last_used_at == datetime(2026, 10, 1, 9, 15, tzinfo=UTC)
    assert ada.certificates == [(True, datetime(2022, 1, 1, tzinfo=UTC))]


def test_a_key_from_before_use_was_tracked_is_not_called_never_used() -> None:
    (key,) = parse(REPORT).rows["arn:aws:iam::123456789012:user/ci/bot"].keys
    assert (key.last_used_at, key.never_used) == (None, None)


@given(st.integers(min_value=0, max_value=len(REPORT) - 2))
def test_a_report_that_is_cut_off_says_so(end: int) -> None:
    try:
        report = parse(REPORT[:end])
    except MalformedError:
        return
    if report.rows and end in BOUNDARIES:
        return  # whole rows: told apart from a whole report by the users that IAM lists
    assert report.problem is not None


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff\xfe", b"<html>", b"user,arn\n", HEADER.replace("mfa_active", "mfa").encode()],
)
def test_what_is_no_report_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedError):
        parse(text)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("true,no_information", "maybe,no_information"),
        ("2021-03-01T10:00:05+00:00", "yesterday"),
        ("2021-03-01T10:00:05+00:00", "2021-03-01T10:00:05"),
        ("arn:aws:iam::123456789012:user/ada", "ada"),
        (",eu-west-1,s3", ',eu-west-1,"s3'),
    ],
)
def test_a_cell_that_aws_never_writes_ends_the_report(before: str, after: str) -> None:
    report = parse(REPORT.replace(before.encode(), after.encode(), 1))
    assert report.problem is not None
    assert "truncated or altered" in report.problem
    assert list(report.rows) == ["arn:aws:iam::123456789012:root"]
