"""What rules about pipeline definitions say: short, with the line, and the one thing to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from scanner.analyze.weaknesses import define_weak_identities
from scanner.parquet import write_table
from scanner.records import Identity, Weakness
from scanner.tables import Tables

if TYPE_CHECKING:
    from pathlib import Path

FILE = ".github/workflows/deploy.yml"


def pipeline(**changes: Any) -> Identity:
    return msgspec.structs.replace(
        Identity(
            id="p", provider="github", account_id="a", surface="automation", kind="github-workflow", native_id="1",
            name="Deploy", address=f"acme/app/{FILE}", location=f"{FILE}:1",
        ),
        **changes,
    )  # fmt: skip


def weakness(line: int | None, what: str, fix: str = "Do it.", **changes: Any) -> Weakness:
    return msgspec.structs.replace(
        Weakness(
            id=f"{line} {what} {sorted(changes.items())}", provider="github", account_id="a", subject_id="p",
            code="unpinned-uses", severity="low", what=what, fix=fix, path=FILE, line=line,
        ),
        **changes,
    )  # fmt: skip


def found(
    tmp_path: Path, weaknesses: list[Weakness], identity: Identity | None = None
) -> list[dict[str, Any]]:
    write_table(tmp_path / "weaknesses.parquet", Weakness, weaknesses)
    write_table(tmp_path / "identities.parquet", Identity, [identity or pipeline()])
    tables = Tables([tmp_path])
    try:
        tables.view("weaknesses", Weakness, [tmp_path / "weaknesses.parquet"])
        tables.view("identities", Identity, [tmp_path / "identities.parquet"])
        define_weak_identities(tables)
        return list(tables.dicts("SELECT * FROM weak_identities(['unpinned-uses', 'archived-uses'])"))
    finally:
        tables.close()


def test_one_weakness_says_its_line_and_what_to_do(tmp_path: Path) -> None:
    fix = "Pin x/y to the full commit. Then watch it."
    given = weakness(35, "x/y@v2 is pinned to a tag", fix, severity="medium", job="deploy")
    assert found(tmp_path, [given]) == [
        {
            "subject": "p",
            "detail": "line 35: x/y@v2 is pinned to a tag (job deploy)",
            "severity": "medium",
            "fix": fix,
            "confidence": "high",
            "codes": "unpinned-uses",
            "lines": f"{FILE}:35",
        }
    ]


def test_the_worst_severity_counts_and_different_fixes_leave_it_to_the_rule(tmp_path: Path) -> None:
    [row] = found(
        tmp_path,
        [
            weakness(9, "b", "Do B."),
            weakness(18, "a", "Do A.", severity="high", confidence="low"),
            weakness(7, "b", "Do B.", code="archived-uses"),
        ],
    )
    assert row["detail"] == "line 7, line 9: b; line 18: a"
    assert (row["severity"], row["fix"], row["codes"]) == ("high", None, "archived-uses, unpinned-uses")
    assert row["confidence"] == "high"


def test_confidence_is_low_when_no_weakness_is_certain(tmp_path: Path) -> None:
    [row] = found(tmp_path, [weakness(9, "b", confidence="low"), weakness(18, "a", confidence="low")])
    assert row["confidence"] == "low"


def test_another_file_keeps_its_path(tmp_path: Path) -> None:
    [row] = found(
        tmp_path, [weakness(4, "a", path="templates/deploy.yml"), weakness(4, "b", path=f"{FILE}.old")]
    )
    assert row["detail"] == f"{FILE}.old:4: b; templates/deploy.yml:4: a"


def test_many_weaknesses_are_counted(tmp_path: Path) -> None:
    [row] = found(tmp_path, [weakness(line, f"a{line}") for line in range(1, 9)])
    assert row["detail"] == "line 1: a1; line 2: a2; line 3: a3; line 4: a4; line 5: a5; and 3 more"
    assert row["lines"].count(FILE) == 8


@pytest.mark.parametrize(
    "what", ["reads LEGACY_TOKEN, SONAR_TOKEN", "job a. B is odd", "[high] a. Do it. (job x)", "it's (odd)"]
)
def test_text_is_kept_as_it_is(tmp_path: Path, what: str) -> None:
    [row] = found(tmp_path, [weakness(1, what)])
    assert (row["detail"], row["fix"]) == (f"line 1: {what}", "Do it.")


@pytest.mark.parametrize(
    ("path", "line", "said"),
    [
        (FILE, None, f"{FILE}: a"),
        ("templates/x.yml", None, "templates/x.yml: a"),
        (None, None, "unpinned-uses: a"),
    ],
)
def test_an_unknown_line_or_file_is_said_as_far_as_it_is_known(
    tmp_path: Path, path: str | None, line: int | None, said: str
) -> None:
    [row] = found(tmp_path, [weakness(line, "a", path=path)])
    assert row["detail"] == said


@pytest.mark.parametrize(
    ("given", "identity"),
    [
        (weakness(1, "a", code="template-injection"), pipeline()),
        (weakness(1, "a"), pipeline(enabled=False)),
        (weakness(1, "a"), pipeline(id="another")),
    ],
)
def test_what_is_no_weakness_of_a_pipeline_in_use_is_left_out(
    tmp_path: Path, given: Weakness, identity: Identity
) -> None:
    assert found(tmp_path, [given], identity) == []


def test_a_pipeline_of_unknown_place_shows_the_path(tmp_path: Path) -> None:
    [row] = found(tmp_path, [weakness(3, "a")], pipeline(location=None, enabled=None))
    assert row["detail"] == f"{FILE}:3: a"
