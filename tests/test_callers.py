"""Trusts in callers: accounts, everyone, and conditions on who calls, evaluated with what is known of each identity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from scanner.records import Account, Identity, Test
from tests.test_reach import analyzed, edges, grant, identity, trust

if TYPE_CHECKING:
    from pathlib import Path

HOME, OTHER = "aws:account:111111111111", "aws:account:222222222222"
ORGANIZATION = "aws:organization:o-lantern"


def place(ref: str, kind: str = "aws-account", parent: str | None = None) -> Account:
    return Account(
        id=ref,
        provider="aws",
        account_id=ref,
        kind=kind,
        native_id=ref.rpartition(":")[2],
        name=ref,
        parent_id=parent,
    )


PLACES = (
    place(ORGANIZATION, "aws-organization"),
    place(HOME, parent=ORGANIZATION),
    place(OTHER, parent=ORGANIZATION),
)


def caller(name: str, account_id: str = HOME, **more: Any) -> Identity:
    number = account_id.rpartition(":")[2]
    return identity(name, account_id=account_id, address=f"arn:aws:iam::{number}:role/{name}", **more)


TARGET = caller("target")


def about(fact: Any, operator: Any, *values: str) -> Test:
    claims = {
        "address": "aws:PrincipalArn",
        "account": "aws:PrincipalAccount",
        "organization": "aws:PrincipalOrgID",
    }
    return Test(claim=claims[fact], operator=operator, values=list(values), caller=fact)


def whole(*tests: Test, account: str = HOME) -> Any:
    number = account.rpartition(":")[2]
    return trust(
        "target", *tests, kind="account", issuer=f"arn:aws:iam::{number}:root", trusted_account=account
    )


def everyone(*tests: Test, kind: str = "account") -> Any:
    return trust("target", *tests, kind=kind, issuer="*")


@pytest.mark.parametrize(
    ("tests", "admitted"),
    [
        ([], {"deployer", "intern"}),
        ([about("address", "glob", "arn:aws:iam::111111111111:role/deployer")], {"deployer"}),
        ([about("address", "not-equals", "arn:aws:iam::111111111111:role/intern")], {"deployer"}),
        ([about("address", "not-glob", "*/intern")], {"deployer"}),
        ([about("account", "equals", "111111111111")], {"deployer", "intern"}),
        ([about("account", "equals", "222222222222")], set()),
        ([about("organization", "equals", "o-lantern")], {"deployer", "intern"}),
        ([about("organization", "equals", "o-other")], set()),
        # What an insider can satisfy is not evaluated.
        ([Test(claim="sts:ExternalId", operator="equals", values=["x"])], {"deployer", "intern"}),
    ],
)
def test_a_condition_on_the_caller_counts_under_a_trust_in_the_whole_account(
    tmp_path: Path, tests: list[Test], admitted: set[str]
) -> None:
    night = (
        *PLACES,
        TARGET,
        *(caller(name) for name in ("deployer", "intern", "powerless")),
        grant("deployer", "become-other"),
        grant("intern", "become-other"),
        grant("powerless", "change-data"),
        grant("target", "admin"),
    )
    with analyzed(tmp_path, *night, whole(*tests)) as tables:
        assert {(source, kind) for source, kind, _ in edges(tables)} == {(name, "trust") for name in admitted}
        assert set(tables.rows("SELECT identity_id FROM reach WHERE power = 'admin' AND steps = 1")) == {
            (name,) for name in admitted
        }


@pytest.mark.parametrize("kind", ["account", "anyone"])
@pytest.mark.parametrize(
    ("tests", "admitted"),
    [
        ([], {"near", "far"}),
        ([about("address", "equals", "arn:aws:iam::222222222222:role/far")], {"far"}),
        ([about("organization", "equals", "o-lantern")], {"near", "far"}),
        ([about("account", "not-equals", "222222222222")], {"near"}),
    ],
)
def test_a_trust_in_everyone_admits_whom_its_conditions_leave(
    tmp_path: Path, kind: str, tests: list[Test], admitted: set[str]
) -> None:
    night = (
        *PLACES,
        TARGET,
        caller("near"),
        caller("far", OTHER),
        grant("far", "become-other", resource="arn:aws:iam::111111111111:role/*"),
        caller("elsewhere", OTHER),
        grant("elsewhere", "become-other", resource="arn:aws:iam::999999999999:role/*"),
        caller("off", OTHER, enabled=False),
        grant("off", "admin"),
        caller("function", surface="workload"),
        msgspec.structs.replace(caller("foreign"), provider="github"),
    )
    with analyzed(tmp_path, *night, everyone(*tests, kind=kind)) as tables:
        assert {source for source, _, _ in edges(tables)} == admitted


@pytest.mark.parametrize(
    "known", [(), (place(HOME),), (place(HOME, parent="unit"), place("unit", parent=ORGANIZATION))]
)
def test_a_fact_of_the_caller_that_is_unknown_leaves_a_doubt(
    tmp_path: Path, known: tuple[Account, ...]
) -> None:
    night = (*known, caller("near"), TARGET, everyone(about("organization", "equals", "o-lantern")))
    with analyzed(tmp_path, *night) as tables:
        assert edges(tables) == [("near", "trust-pattern", "target")]


def test_to_call_a_workload_is_not_to_become_it(tmp_path: Path) -> None:
    function = msgspec.structs.replace(TARGET, surface="workload")
    with analyzed(tmp_path, caller("near"), function, everyone(kind="anyone")) as tables:
        assert edges(tables) == []


def test_a_named_caller_of_another_account_needs_a_grant_of_its_own(tmp_path: Path) -> None:
    def named(name: str) -> Any:
        number = "222222222222" if name.startswith("far") else "111111111111"
        given = trust("target", kind="account", issuer=f"arn:aws:iam::{number}:role/{name}")
        return msgspec.structs.replace(given, id=f"names-{name}")

    night = (
        TARGET,
        caller("near"),
        caller("far", OTHER),
        caller("far-and-may", OTHER),
        grant("far-and-may", "become-other"),
    )
    with analyzed(tmp_path, *night, *(named(name) for name in ("near", "far", "far-and-may"))) as tables:
        assert {source for source, _, _ in edges(tables)} == {"near", "far-and-may"}


def test_an_escalation_is_no_grant_to_assume(tmp_path: Path) -> None:
    escalation = msgspec.structs.replace(grant("near", "admin"), escalation_path="passrole-lambda")
    with analyzed(tmp_path, TARGET, caller("near"), escalation, whole()) as tables:
        assert edges(tables) == []
