"""What protection of a branch demands: the parameters of rules and protections, and which of them applies.

https://docs.github.com/en/rest/repos/rules#get-rules-for-a-branch
https://docs.github.com/en/graphql/reference/objects#branchprotectionrule
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sandbox.github.organization import (
    GitHubRepository,
    Organization,
    Protection,
    Repositories,
    Ruleset,
    User,
)
from sandbox.github.server import GitHubSandbox
from scanner.records import Control
from tests.github_night import collected, config, of
from tests.nights import run

if TYPE_CHECKING:
    from pathlib import Path

OLD = datetime(2025, 1, 1, tzinfo=UTC)


def _ruleset(number: int, **given: object) -> Ruleset:
    return Ruleset(id=number, name=f"r{number}", created_at=OLD, updated_at=OLD, **given)  # type: ignore[arg-type]


def _controls(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    protections: tuple[Protection, ...] = (),
    rulesets: tuple[Ruleset, ...] = (),
) -> dict[str, Control]:
    organization = Organization(
        id=1,
        login="acme",
        name="Acme",
        created_at=OLD,
        updated_at=OLD,
        users=(User(id=1, login="ann", created_at=OLD, role="admin"),),
        repositories=Repositories.of(
            [
                GitHubRepository(
                    id=11,
                    name="app",
                    created_at=OLD,
                    pushed_at=OLD,
                    files={"README.md": "x"},
                    protections=protections,
                    rulesets=rulesets,
                )
            ]
        ),
    )
    with GitHubSandbox(organization=organization) as sandbox:
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
    return {
        row.id.rpartition("/")[2]: row
        for row in of(records, Control)
        if row.kind in {"branch-protection", "protected-branch", "ruleset"}
    }


@pytest.mark.parametrize(
    ("given", "approvals", "ends", "target"),
    [
        ({"approvals": 0}, 0, None, "branch"),
        ({"approvals": 1}, 1, True, "branch"),
        ({"approvals": 2, "dismiss_stale": False}, 2, False, "branch"),
        ({"approvals": None, "status_checks": ("test",), "rules": ()}, 0, None, "branch"),
        ({"approvals": None, "rules": ("merge_queue",)}, 0, None, "branch"),
        ({"approvals": None, "rules": ("update",)}, None, None, "branch"),
        ({"approvals": None, "rules": ("deletion",)}, 0, None, "branch-other"),
        ({"approvals": 1, "refs": ("refs/heads/release",)}, 0, None, "branch-other"),
    ],
)
def test_a_ruleset_by_its_parameters(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    given: dict[str, object],
    approvals: int | None,
    ends: bool | None,
    target: str,
) -> None:
    found = _controls(monkeypatch, tmp_path, rulesets=(_ruleset(5, **given),))["5"]
    assert (found.approvals, found.approvals_end, found.target) == (approvals, ends, target)


def test_a_repository_with_more_rulesets_than_a_page_says_the_same_by_rest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    many = tuple(_ruleset(number, approvals=number - 5) for number in range(5, 12))
    found = _controls(monkeypatch, tmp_path, rulesets=many)
    assert {number: row.approvals for number, row in found.items()} == {
        str(number): number - 5 for number in range(5, 12)
    }


def test_only_one_protection_applies_to_a_branch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The rule with the branch's exact name comes first, whenever it was made."""
    found = _controls(
        monkeypatch,
        tmp_path,
        protections=(
            Protection(id=7, pattern="*", approvals=2),
            Protection(id=9, pattern="main", approvals=0, status_checks=("test",)),
        ),
    )
    assert (found["9"].kind, found["9"].approvals) == ("branch-protection", 0)
    assert found["7"].kind == "protected-branch"


def test_of_two_patterns_the_older_applies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = _controls(
        monkeypatch,
        tmp_path,
        protections=(
            Protection(id=9, pattern="ma*", approvals=2),
            Protection(id=7, pattern="*", approvals=1),
        ),
    )
    assert (found["7"].kind, found["9"].kind) == ("branch-protection", "protected-branch")


def test_restricted_pushes_are_no_approval(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = _controls(
        monkeypatch, tmp_path, protections=(Protection(id=7, approvals=0, push_users=("ann",)),)
    )
    assert (found["7"].kind, found["7"].approvals, found["7"].restricted) == ("branch-protection", 0, True)
