"""Every call of the AWS collector goes wrong in turn, in every way: always a gap, never an exception or a clean list."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from sandbox.aws.estate import build
from sandbox.aws.server import AwsSandbox
from sandbox.estate import PROD
from scanner.records import Coverage, Credential, Gap
from tests.aws_night import collect, sign_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox.kit.faults import Trouble

REASONS: dict[Trouble, set[str]] = {
    "too-many": {"throttled"},
    500: {"unreachable"},
    "closed": {"unreachable"},
    "malformed": {"malformed", "unreachable"},
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[AwsSandbox]:
    with pytest.MonkeyPatch.context() as patch, AwsSandbox() as opened:
        build(opened, night=1)
        opened.deny.clear()
        sign_in(patch, opened)
        yield opened


@pytest.mark.parametrize("kind", [403, "too-many", 500, "closed", "malformed", 401])
def test_an_account_that_cannot_be_entered_is_one_gap(
    sandbox: AwsSandbox, tmp_path: Path, kind: Trouble
) -> None:
    sandbox.fail("sts:GetCallerIdentity", kind, account=PROD)
    night = collect(sandbox, tmp_path, PROD)
    sandbox.heal()
    (gap,) = night.gaps()
    assert gap.table == "*"
    assert gap.reason in REASONS.get(kind, {"denied"})
    assert Counter(type(record).__name__ for record in night.all()) == {"Gap": 1, "Account": 1, "Coverage": 1}


def test_a_report_that_is_cut_off_is_no_empty_report(sandbox: AwsSandbox, tmp_path: Path) -> None:
    sandbox.fail("iam:GetCredentialReport", "malformed", account=PROD)
    night = collect(sandbox, tmp_path, PROD)
    sandbox.heal()
    gaps = [gap for gap in night.gaps() if gap.table == "credentials" and gap.kind == "access-key"]
    assert [gap.reason for gap in gaps] == ["malformed"]
    assert [key for key in night.of(Credential) if key.kind == "access-key"] == []
    covered = {(row.table, row.kind) for row in night.of(Coverage)}
    assert ("credentials", "access-key") not in covered


def test_a_run_that_must_stop_ends_with_gaps(sandbox: AwsSandbox, tmp_path: Path) -> None:
    import collectors.aws as aws
    from tests.aws_night import config_of, run_of

    config, run = config_of(sandbox), run_of(sandbox, tmp_path)
    (target,) = [target for target in aws.targets(config, run) if target.name == PROD]
    records = aws.collect(target, config, run)
    first = next(records)
    run.stopping.set()
    rest = list(records)
    assert isinstance(first, Coverage)
    assert {gap.reason for gap in rest if isinstance(gap, Gap)} == {"deadline"}
    assert not [row for row in rest if isinstance(row, Coverage)]
