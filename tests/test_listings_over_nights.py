"""What a listing was when a finding was last seen decides what its absence proves; a new name changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from scanner.records import Control, Coverage, Gap, Record, Secret
from tests.sealed_night import (
    ACCOUNT,
    account,
    analyzed,
    denied,
    everything,
    findings,
    key,
    listed,
    role,
    rows,
)

if TYPE_CHECKING:
    from pathlib import Path

RULE = "credential-unused"
REST: list[Record] = [account(), role("deploy"), *everything(without="credentials")]
WEST, EAST = listed("credentials", call="west"), listed("credentials", call="east")
NO_EAST = denied("credentials", call="east")
CUT_EAST = msgspec.structs.replace(NO_EAST, reason="truncated")
NEVER_EAST = msgspec.structs.replace(NO_EAST, reason="unsupported")
ITEM = msgspec.structs.replace(listed("credentials", call="west (file.yml)"), of_item=True)
NO_ITEM = msgspec.structs.replace(denied("credentials", call="west (file.yml)"), of_item=True)
NO_PART = denied("credentials", call="west (tokens)")
A = key("A")


KNOWN = key("K", substitute_id="aws:access-key:deploy/2026")
"""A key whose own id was read, and the same key on a night that could not read it."""
BY_TIME = msgspec.structs.replace(KNOWN, id="aws:access-key:deploy/2026", native_id="?", substitute_id=None)
COPY = Secret(
    id="aws:secret:1", provider="aws", account_id=ACCOUNT, store="lambda-env", name="KEY", credential_id=KNOWN.id
)  # fmt: skip


@pytest.mark.parametrize(
    ("nights", "subject"),
    [
        ([[WEST, KNOWN], [NO_EAST, WEST, BY_TIME], [WEST, KNOWN]], KNOWN.id),
        ([[WEST, NO_EAST, BY_TIME], [WEST, EAST, KNOWN, COPY], [WEST, EAST, KNOWN]], BY_TIME.id),
        ([[WEST, KNOWN], [WEST, BY_TIME], [WEST, BY_TIME], [WEST, KNOWN]], KNOWN.id),
    ],
    ids=["refused for one night", "first allowed on the second night", "refused for two nights"],
)
def test_a_key_is_the_same_finding_whether_or_not_its_own_id_can_be_read(
    tmp_path: Path, nights: list[list[Record]], subject: str
) -> None:
    for number, night in enumerate(nights, 1):
        analyzed(tmp_path, number, [*REST, *night])
        told = rows(tmp_path, number, f"SELECT subject, status FROM findings WHERE rule = '{RULE}'")
        assert told == [(subject, "new" if number == 1 else "open")]
        copied = rows(tmp_path, number, "SELECT credential_id FROM secrets")
        assert copied in ([], [(subject,)])
    gone = rows(
        tmp_path, len(nights), "SELECT id, removed_at FROM population WHERE \"table\" = 'credentials'"
    )
    assert gone == [(subject, None)]


def test_two_keys_that_cannot_be_told_apart_keep_their_own_ids(tmp_path: Path) -> None:
    other = msgspec.structs.replace(KNOWN, id="aws:access-key:L", native_id="L")
    analyzed(tmp_path, 1, [*REST, WEST, KNOWN, other])
    analyzed(tmp_path, 2, [*REST, WEST, NO_EAST, BY_TIME])
    found = rows(tmp_path, 2, "SELECT id FROM credentials")
    assert found == [(BY_TIME.id,)]


@pytest.mark.parametrize(
    ("nights", "status"),
    [
        pytest.param(
            [[WEST, EAST, A], [WEST, NO_EAST, A], [WEST]],
            "unobserved",
            id="refused when last seen, then not requested",
        ),
        pytest.param(
            [[WEST, EAST, A], [WEST, CUT_EAST, A], [WEST]],
            "unobserved",
            id="cut when last seen, then not requested",
        ),
        pytest.param(
            [[WEST, EAST, A], [WEST]], "unobserved", id="complete when last seen, then not requested"
        ),
        pytest.param([[WEST, EAST, A], [WEST, A], [WEST]], "resolved", id="not requested when last seen"),
        pytest.param(
            [[WEST, EAST, A], [WEST, A], [NO_EAST, WEST], [WEST]],
            "resolved",
            id="not requested when last seen, refused in between",
        ),
        pytest.param(
            [[WEST, EAST, A], [WEST, A], [EAST, denied("credentials", call="west")], [WEST]],
            "resolved",
            id="not requested when last seen, complete in another gap, not requested",
        ),
        pytest.param(
            [[WEST, EAST, A], [WEST, NO_EAST, A], [WEST], [WEST, EAST]],
            "resolved",
            id="complete again at last",
        ),
        pytest.param(
            [[WEST, NEVER_EAST, A], [WEST]], "resolved", id="what a provider never shows is not missed"
        ),
        pytest.param([[WEST, NO_ITEM, A], [WEST]], "resolved", id="an item that was refused and is gone"),
        pytest.param([[WEST, NO_PART, A], [WEST]], "unobserved", id="no item, in spite of its name"),
        pytest.param([[WEST, NO_ITEM, A], [WEST, NO_ITEM]], "unobserved", id="an item that is refused again"),
        pytest.param([[WEST, ITEM, A], [WEST]], "unobserved", id="an item that was complete and is missed"),
    ],
)
def test_what_was_requested_when_it_was_last_seen_must_be_complete(
    tmp_path: Path, nights: list[list[Record]], status: str
) -> None:
    for number, records in enumerate(nights, 1):
        analyzed(tmp_path, number, [*REST, *records])
    assert findings(tmp_path, len(nights), RULE)["A"].split(" ")[0] == status
    removed = rows(tmp_path, len(nights), "SELECT removed_at IS NOT NULL FROM population WHERE name = 'A'")
    assert removed == [(status == "resolved",)]


def test_a_target_that_was_lost_whole_was_requested_with_all_its_listings(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [*REST, WEST, EAST, A])
    analyzed(tmp_path, 2, [*REST, WEST, A, denied("*", call="collect")])
    analyzed(tmp_path, 3, [*REST, WEST])
    assert findings(tmp_path, 3, RULE) == {"A": "unobserved after open"}


def test_a_renamed_target_has_the_same_listings(tmp_path: Path) -> None:
    def named(target: str) -> list[Record]:
        return [
            msgspec.structs.replace(one, target=target) if isinstance(one, Coverage | Gap) else one
            for one in [*REST, WEST]
        ]

    analyzed(tmp_path, 1, [*named("acme"), A])
    analyzed(tmp_path, 2, named("acme-inc"))
    assert findings(tmp_path, 2, RULE) == {"A": "resolved after new"}


def test_what_is_in_a_removed_account_is_gone_with_it(tmp_path: Path) -> None:
    place = "aws:account:2"
    two: dict[str, Any] = {"parent_id": ACCOUNT}
    inside: list[Record] = [*everything(place), key("B", account_id=place)]
    base = [*REST, WEST, listed("accounts", call="children", kind="aws-account")]
    analyzed(tmp_path, 1, [*base, account(2, **two), *inside])
    # Not listed, and nobody listed the accounts: it may be there.
    analyzed(tmp_path, 2, [*(one for one in REST if one.id != listed("accounts").id), WEST, A])
    assert findings(tmp_path, 2, RULE)["B"] == "unobserved after new"
    # Listed by its parent, but not read.
    analyzed(tmp_path, 3, [*base, account(2, **two)])
    assert findings(tmp_path, 3, RULE)["B"] == "unobserved after unobserved"
    analyzed(tmp_path, 4, base)
    assert findings(tmp_path, 4, RULE)["B"] == "resolved after unobserved"
    assert rows(tmp_path, 4, "SELECT removed_at IS NOT NULL FROM population WHERE name = 'B'") == [(True,)]
    analyzed(tmp_path, 5, [*base, account(2, **two), *inside])
    assert findings(tmp_path, 5, RULE)["B"] == "reopened after resolved"


def test_a_person_is_no_automation_because_the_answer_that_tells_is_missing(tmp_path: Path) -> None:
    user: dict[str, Any] = {"surface": "human", "owner": None}
    analyzed(tmp_path, 1, [*REST, WEST, role("anna", **user)])
    machine: dict[str, Any] = {"surface": "automation", "owner": None}
    analyzed(
        tmp_path,
        2,
        [*REST, WEST, role("anna", **machine), denied("identities", kind="iam-role", call="report")],
    )
    assert rows(tmp_path, 2, "SELECT surface FROM identities WHERE name = 'anna'") == [("human",)]
    assert findings(tmp_path, 2, "identity-without-owner") == {}
    analyzed(tmp_path, 3, [*REST, WEST, role("anna", **machine)])
    assert rows(tmp_path, 3, "SELECT surface FROM identities WHERE name = 'anna'") == [("automation",)]


def test_a_secret_is_not_new_where_it_is_seen_because_its_own_file_was_not_read(tmp_path: Path) -> None:
    def secret(place: str, fingerprint: str = "f1") -> Record:
        return Secret(
            id=f"aws:secret:{place}",
            provider="aws",
            account_id=ACCOUNT,
            store="ci-file",
            name="TOKEN",
            location=place,
            looks_like="github-token",
            fingerprint=fingerprint,
        )

    rule = ("hard-coded-secret",)
    rest: list[Record] = [account(), *everything(without="secrets")]
    files = [
        listed("secrets", kind="ci-file", call="main"),
        listed("secrets", kind="ci-file", call="include"),
    ]
    refused = denied("secrets", kind="ci-file", call="include")
    analyzed(tmp_path, 1, [*rest, *files, secret("include.yml:3")], enabled=rule)
    assert list(findings(tmp_path, 1, rule[0]).values()) == ["new"]
    analyzed(
        tmp_path,
        2,
        [*rest, files[0], refused, secret("main.yml:9"), secret("main.yml:12", "f2")],
        enabled=rule,
    )
    query = "SELECT subject, status FROM findings WHERE rule = 'hard-coded-secret' ORDER BY 1"
    assert rows(tmp_path, 2, query) == [
        ("aws:secret:include.yml:3", "unobserved"),
        ("aws:secret:main.yml:12", "new"),
    ]
    # It has moved indeed.
    analyzed(tmp_path, 3, [*rest, *files, secret("main.yml:9"), secret("main.yml:12", "f2")], enabled=rule)
    assert rows(tmp_path, 3, query) == [
        ("aws:secret:include.yml:3", "resolved"),
        ("aws:secret:main.yml:12", "open"),
        ("aws:secret:main.yml:9", "new"),
    ]


@pytest.mark.parametrize(
    ("listings", "state"),
    [
        pytest.param([("branch-protection", True), ("ruleset", True)], "evaluated", id="both"),
        pytest.param([("branch-protection", True), ("ruleset", False)], "not-evaluated", id="one refused"),
        pytest.param([(None, True)], "evaluated", id="a listing of every kind"),
        pytest.param([(None, True), ("ruleset", False)], "incomplete", id="a part of one refused"),
        pytest.param([("branch-protection", True)], None, id="one not requested here, but elsewhere"),
    ],
)
def test_a_rule_that_needs_two_kinds_of_a_table_needs_both(
    tmp_path: Path, listings: list[tuple[str | None, bool]], state: str | None
) -> None:
    rows_of = [
        listed("controls", kind=kind, call=str(kind))
        if well
        else denied("controls", kind=kind, call=str(kind))
        for kind, well in listings
    ]
    elsewhere = [
        listed("controls", kind=kind, account_id="aws:account:2") for kind in ("branch-protection", "ruleset")
    ]
    # A target that is lost whole requests nothing that its provider does not have.
    lost = denied("*", account_id="aws:account:3")
    analyzed(tmp_path, 1, [*REST, *rows_of, *elsewhere, lost], enabled=("branch-unprotected",))
    query = f"SELECT status FROM rule_results WHERE rule = 'branch-unprotected' AND account_id = '{ACCOUNT}'"
    assert rows(tmp_path, 1, query) == ([] if state is None else [(state,)])


def test_a_kind_that_a_provider_does_not_have_is_not_needed(tmp_path: Path) -> None:
    lost = denied("*", account_id="aws:account:3")
    analyzed(tmp_path, 1, [*REST, listed("controls", kind="ruleset"), lost], enabled=("branch-unprotected",))
    query = f"SELECT status FROM rule_results WHERE rule = 'branch-unprotected' AND account_id = '{ACCOUNT}'"
    assert rows(tmp_path, 1, query) == [("evaluated",)]


def test_the_ruleset_of_an_organization_is_not_new_in_a_repository_when_the_organization_hides_it(
    tmp_path: Path,
) -> None:
    repository = "aws:account:2"
    places = [account(1, kind="github-organization"), account(2, kind="github-repository", parent_id=ACCOUNT)]

    def ruleset(place: str) -> list[Record]:
        control = Control(
            id=f"{place}/7", provider="aws", account_id=place, stage="source", kind="ruleset", name="baseline",
            enforcement="audited", target="branch", shared_id="7",
        )  # fmt: skip
        return [control, listed("controls", kind="ruleset", account_id=place)]

    copy = ruleset(repository)
    hidden = denied("controls", kind="ruleset")
    for night, own in ((1, ruleset(ACCOUNT)), (2, [hidden]), (3, ruleset(ACCOUNT))):
        analyzed(tmp_path, night, [*places, *copy, *own], enabled=("ruleset-not-enforced",))
    query = "SELECT subject, status FROM findings WHERE rule = 'ruleset-not-enforced'"
    assert [rows(tmp_path, night, query) for night in (1, 2, 3)] == [
        [(f"{ACCOUNT}/7", "new")], [(f"{ACCOUNT}/7", "unobserved")], [(f"{ACCOUNT}/7", "open")],
    ]  # fmt: skip
