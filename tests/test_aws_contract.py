"""Every call of the AWS collector goes wrong in turn, in every way: always a gap, never an exception or a clean list."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from sandbox.aws.estate import build
from sandbox.aws.server import AwsSandbox
from sandbox.estate import DEV, PROD, REGION
from scanner.records import Coverage, Credential, Gap
from tests.aws_night import Night, collect, key_of, sign_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox.kit.faults import Trouble

REASONS: dict[Trouble, set[str]] = {
    403: {"denied"},
    "too-many": {"throttled"},
    500: {"unreachable"},
    "closed": {"unreachable"},
    "malformed": {"malformed", "unreachable"},
}
TARGETS = ("organization", PROD, DEV)
SIGN_IN = {
    "sts:AssumeRole",
    "sts:GetCallerIdentity",
    "organizations:DescribeOrganization",
    "organizations:ListAccounts",
}
"""Calls without which no target is known."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[AwsSandbox]:
    with pytest.MonkeyPatch.context() as patch, AwsSandbox() as opened:
        build(opened, night=1)
        opened.deny.clear()
        sign_in(patch, opened)
        yield opened


def told_of(night: Night, action: str) -> list[Gap]:
    return [gap for gap in night.gaps() if gap.call == action or action in (gap.needs or "").split(", ")]


@pytest.fixture(scope="module")
def whole(sandbox: AwsSandbox, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A night on which nothing goes wrong."""
    night = collect(sandbox, tmp_path_factory.mktemp("whole"), *TARGETS, regions=[REGION])
    assert night.gaps() == []
    return night


@pytest.fixture(scope="module")
def actions(sandbox: AwsSandbox, whole: Night) -> frozenset[str]:
    """What that night called."""
    return frozenset(sandbox.calls)


@pytest.mark.parametrize("kind", list(REASONS))
def test_a_call_that_fails_is_a_gap(
    sandbox: AwsSandbox, whole: Night, actions: frozenset[str], tmp_path: Path, kind: Trouble
) -> None:
    """Fail all calls at once, then those that were not reached because of it, and so on."""
    left = set(actions - SIGN_IN)
    complete = {key_of(row) for row in whole.of(Coverage)}
    rounds = 0
    while left:
        rounds += 1
        assert rounds < 8, left
        for action in left:
            sandbox.fail(action, kind)
        sandbox.calls.clear()
        night = collect(sandbox, tmp_path / str(rounds), *TARGETS, regions=[REGION])
        sandbox.heal()
        asked = left & set(sandbox.calls)
        assert asked, f"never asked again: {left}"
        untold = {action for action in asked if not told_of(night, action)}
        assert untold == set()
        for action in asked:
            assert {gap.reason for gap in told_of(night, action)} <= REASONS[kind], action
        assert [gap.detail for gap in night.gaps() if gap.reason == "bug"] == []
        gaps = {key_of(gap) for gap in night.of(Gap)}
        assert gaps.isdisjoint(key_of(row) for row in night.of(Coverage))
        # What is not told as missing was listed as on a whole night.
        assert {key_of(row) for row in night.of(Coverage)} <= complete
        left -= asked


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


def test_a_run_that_is_told_to_stop_ends_with_gaps(sandbox: AwsSandbox, tmp_path: Path) -> None:
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
