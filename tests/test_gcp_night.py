"""A night against the make-believe organization: what it yields, what the evaluation repeats, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import collectors.gcp
from sandbox import gcp as gcp_sandbox
from sandbox.estate import FIRST_NIGHT
from sandbox.kit.elsewhere import Elsewhere
from sandbox.kit.trial import Trial, TrialNight
from scanner.records import Account, Credential, Gap, Grant, Identity, Link, Policy, Trust

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.records import Record


@pytest.fixture(scope="module", params=["organization", "projects"])
def trial(request: pytest.FixtureRequest) -> Iterator[Trial]:
    variant = str(request.param)
    with Elsewhere() as elsewhere, gcp_sandbox.open_sandbox("small", variant) as sandbox:
        sandbox.show(1)
        yield Trial(collectors.gcp, sandbox, elsewhere)


@pytest.fixture(scope="module")
def night(trial: Trial) -> TrialNight:
    return trial.whole


def _evaluated(records: list[Record]) -> list[Record]:
    return [
        record
        for record in records
        if isinstance(record, Grant | Trust) or (isinstance(record, Link) and record.relation == "can_become")
    ]


def test_the_evaluation_of_a_snapshot_repeats_what_the_night_yielded(night: TrialNight) -> None:
    for records in night.by_target.values():
        policies = [record for record in records if isinstance(record, Policy)]
        again = list(collectors.gcp.evaluate(policies, records, FIRST_NIGHT))
        assert sorted(again, key=lambda record: record.id) == sorted(
            _evaluated(records), key=lambda record: record.id
        )


def test_accounts_keys_and_policies_come_from_either_api(night: TrialNight) -> None:
    kinds = {type(record) for record in night.records}
    assert {Account, Credential, Grant, Identity, Link, Policy, Trust} <= kinds
    accounts = [
        record
        for record in night.records
        if isinstance(record, Identity) and record.kind == "gcp-service-account"
    ]
    assert accounts
    assert all(account.native_id.isdigit() and "@" in str(account.address) for account in accounts)
    assert {grant.confidence for grant in night.records if isinstance(grant, Grant)} <= {"high", "low"}
    assert not [gap for gap in night.records if isinstance(gap, Gap) and gap.reason == "bug"]
