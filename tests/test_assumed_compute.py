"""A way through compute that could not be listed for one night is no new finding; nothing else is held back with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from scanner.records import Gap, Grant, Link, Record
from tests.sealed_night import ACCOUNT, account, analyzed, denied, everything, findings, listed, role, rows

if TYPE_CHECKING:
    from pathlib import Path

WAY, GRANT = "identity-reaches-admin", "automation-escalation"
FUNCTIONS = listed("identities", call="ListFunctions", kind="lambda-function")
NO_FUNCTIONS = denied("identities", call="ListFunctions", kind="lambda-function")


def grant(name: str, identity: str, **more: object) -> Grant:
    given: dict[str, object] = {"powers": ["change-data"], "level": "write", **more}
    record: dict[str, object] = {
        "id": f"aws:grant:{name}", "provider": "aws", "account_id": ACCOUNT, "resource": "*", "breadth": "account",
        "identity_id": f"aws:iam-role:{identity}", "role": name, **given,
    }  # fmt: skip
    return msgspec.convert(record, Grant)


def way(source: str, target: str, *kinds: str) -> Link:
    return Link(
        id=f"aws:link:{source}:{target}",
        provider="aws",
        account_id=ACCOUNT,
        source_id=f"aws:iam-role:{source}",
        relation="can_become",
        target_id=f"aws:iam-role:{target}",
        assumed_kinds=list(kinds),
        confidence="low" if kinds else "high",
    )


def escalates(name: str, identity: str, *kinds: str) -> Grant:
    confidence = "low" if kinds else "high"
    powers = ["become-other"]
    return grant(
        name, identity, powers=powers, level="escalation", assumed_kinds=list(kinds), confidence=confidence
    )


REST: list[Record] = [
    account(), *everything(), role("ci"), role("boss"), role("tool"), role("second"), role("worker"),
    grant("admin", "boss", powers=["admin"], level="admin"),
]  # fmt: skip
SETTLED: list[Record] = [FUNCTIONS, grant("deploy", "ci"), grant("tools", "tool")]
"""Nobody comes further: no function runs with a strong role."""
KIND = "lambda-function"
GUESSED: list[Record] = [
    NO_FUNCTIONS, escalates("deploy", "ci", KIND), way("ci", "boss", KIND),
    escalates("tools", "tool", KIND), way("tool", "worker", KIND),
]  # fmt: skip
"""Functions are not listed: both are assumed to come to a role, one of them to an administrator."""
REAL: list[Record] = [
    FUNCTIONS, escalates("deploy", "ci"), way("ci", "boss"), escalates("tools", "tool"), way("tool", "worker"),
]  # fmt: skip


def _night(state: Path, number: int, night: list[Record]) -> tuple[dict[str, str], dict[str, str]]:
    """Analyze a night; return the findings of both rules."""
    analyzed(state, number, [*REST, *night], enabled=(WAY, GRANT))
    return findings(state, number, WAY), findings(state, number, GRANT)


def _nights(state: Path, *nights: list[Record]) -> tuple[dict[str, str], dict[str, str]]:
    """Analyze nights; return the findings of both rules on the last one."""
    return [_night(state, number, night) for number, night in enumerate(nights, 1)][-1]


NOTHING: tuple[dict[str, str], dict[str, str]] = ({}, {})
NEW = ({"ci": "new"}, {"tool: tools": "new"})
OPEN = ({"ci": "open after new"}, {"tool: tools": "open after new"})
GONE = ({"ci": "resolved after open"}, {"tool: tools": "resolved after open"})


def test_what_rests_on_a_listing_lost_tonight_is_not_new(tmp_path: Path) -> None:
    """Lost for one night, and again after one that listed it: nothing. Lost for a second night: it is said."""
    for number, (night, expected) in enumerate(
        [(SETTLED, NOTHING), (GUESSED, NOTHING), (SETTLED, NOTHING), (GUESSED, NOTHING), (GUESSED, NEW)], 1
    ):
        assert _night(tmp_path, number, night) == expected, number
        if number == 2:
            assert rows(tmp_path, number, "SELECT call, kind FROM gaps") == [("ListFunctions", KIND)]
            query = f"SELECT rule, status FROM rule_results WHERE rule IN ('{WAY}', '{GRANT}') ORDER BY ALL"
            assert rows(tmp_path, number, query) == [(GRANT, "incomplete"), (WAY, "incomplete")]


def test_what_is_real_comes_with_the_listing_and_stays_open_without_it(tmp_path: Path) -> None:
    """Real when the listing is back; known, it stays open on a night without; resolved, such a night does not reopen it."""
    for number, (night, expected) in enumerate(
        [
            (SETTLED, NOTHING),
            (GUESSED, NOTHING),
            (REAL, NEW),
            (GUESSED, OPEN),
            (SETTLED, GONE),
            (GUESSED, NOTHING),
        ],
        1,
    ):
        assert _night(tmp_path, number, night) == expected, number


def test_what_was_never_listed_is_assumed(tmp_path: Path) -> None:
    assert _nights(tmp_path, GUESSED) == NEW


WEST = msgspec.structs.replace(NO_FUNCTIONS, id="aws:gap:west", region="us-west-1")
NO_PROJECTS = denied("identities", call="ListProjects", kind="codebuild-project")


@pytest.mark.parametrize(
    ("before", "tonight", "told"),
    [
        ([], [way("second", "boss")], ["second"]),
        ([way("ci", "tool")], [way("tool", "second"), way("second", "boss")], ["ci", "second"]),
        ([], [grant("more", "ci")], ["ci"]),
    ],
    ids=["another's sure way", "a sure way beside the assumed one", "a new policy"],
)
def test_what_is_new_beside_it_is_found(
    tmp_path: Path, before: list[Record], tonight: list[Record], told: list[str]
) -> None:
    ways, _ = _nights(tmp_path, [*SETTLED, *before], [*GUESSED, *before, *tonight])
    assert ways == dict.fromkeys(told, "new")


def test_an_identity_that_nobody_judged_yet_is_told(tmp_path: Path) -> None:
    late: list[Record] = [role("late"), escalates("late", "late", KIND), way("late", "boss", KIND)]
    assert _nights(tmp_path, SETTLED, [*GUESSED, *late])[0] == {"late": "new"}


@pytest.mark.parametrize("part", [WEST, denied("identities", call="list identities")], ids=["region", "all"])
def test_what_was_not_listed_before_either_holds_nothing_back(tmp_path: Path, part: Gap) -> None:
    assert _nights(tmp_path, [*SETTLED, part], [*GUESSED, part]) == NEW


def test_each_kind_that_was_assumed_must_have_been_listed(tmp_path: Path) -> None:
    both: list[Record] = [
        NO_PROJECTS,
        *(
            msgspec.structs.replace(one, assumed_kinds=["codebuild-project", KIND])
            if isinstance(one, Grant | Link)
            else one
            for one in GUESSED
        ),
    ]
    listed_before: list[Record] = [
        *SETTLED, listed("identities", call="ListProjects", kind="codebuild-project"),
    ]  # fmt: skip
    assert _nights(tmp_path / "one", [*SETTLED, NO_PROJECTS], both) == NEW
    assert _nights(tmp_path / "both", listed_before, both) == NOTHING


def test_a_listing_that_is_no_longer_requested_holds_nothing_back(tmp_path: Path) -> None:
    not_requested = [one for one in GUESSED if not isinstance(one, Gap)]
    assert _nights(tmp_path, SETTLED, not_requested) == NEW
