"""What rules about pipeline definitions say: short, with the line, and the one thing to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from scanner.analyze.defects import define_defects
from scanner.night import Tables
from scanner.records import Control, Identity
from scanner.snapshot import write_table

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


def problem(place: str, detail: str | None, kind: str = "unpinned-uses", **changes: Any) -> Control:
    return msgspec.structs.replace(
        Control(
            id=f"{place} {kind} {detail}", provider="github", account_id="a", stage="build", kind=kind, name=place,
            enforcement="absent", target="p", detail=detail,
        ),
        **changes,
    )  # fmt: skip


def found(tmp_path: Path, controls: list[Control], identity: Identity | None = None) -> list[dict[str, Any]]:
    write_table(tmp_path / "controls.parquet", Control, controls)
    write_table(tmp_path / "identities.parquet", Identity, [identity or pipeline()])
    tables = Tables([tmp_path])
    try:
        tables.view("controls", Control, [tmp_path / "controls.parquet"])
        tables.view("identities", Identity, [tmp_path / "identities.parquet"])
        define_defects(tables)
        return list(tables.dicts("SELECT * FROM defects(['unpinned-uses', 'archived-uses'])"))
    finally:
        tables.close()


def test_one_problem_says_its_line_and_what_to_do(tmp_path: Path) -> None:
    text = "[medium] x/y@v2 is pinned to a tag (job deploy). Pin x/y to the full commit. Then watch it."
    assert found(tmp_path, [problem(f"{FILE}:35", text)]) == [
        {
            "subject": "p",
            "detail": "line 35: x/y@v2 is pinned to a tag (job deploy)",
            "severity": "medium",
            "fix": "Pin x/y to the full commit. Then watch it.",
            "kinds": "unpinned-uses",
            "lines": f"{FILE}:35",
        }
    ]


def test_the_worst_severity_counts_and_different_fixes_leave_it_to_the_rule(tmp_path: Path) -> None:
    [row] = found(
        tmp_path,
        [
            problem(f"{FILE}:9", "[low] b. Do B."),
            problem(f"{FILE}:18", "[high] a. Do A."),
            problem(f"{FILE}:7", "[low] b. Do B.", kind="archived-uses"),
        ],
    )
    assert row["detail"] == "line 7, line 9: b; line 18: a"
    assert (row["severity"], row["fix"], row["kinds"]) == ("high", None, "archived-uses, unpinned-uses")


def test_another_file_keeps_its_path(tmp_path: Path) -> None:
    [row] = found(
        tmp_path, [problem("templates/deploy.yml:4", "[low] a"), problem(f"{FILE}.old:4", "[low] b")]
    )
    assert row["detail"] == f"{FILE}.old:4: b; templates/deploy.yml:4: a"


def test_many_problems_are_counted(tmp_path: Path) -> None:
    [row] = found(tmp_path, [problem(f"{FILE}:{line}", f"[low] a{line}") for line in range(1, 9)])
    assert row["detail"] == "line 1: a1; line 2: a2; line 3: a3; line 4: a4; line 5: a5; and 3 more"
    assert row["lines"].count(FILE) == 8


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        (None, "unpinned-uses"),
        ("no severity", "no severity"),
        ("[low] reads LEGACY_TOKEN, SONAR_TOKEN.", "reads LEGACY_TOKEN, SONAR_TOKEN"),
        ("[low] job a. b is odd", "job a. b is odd"),
    ],
)
def test_what_is_written_otherwise_is_kept_whole(tmp_path: Path, detail: str | None, said: str) -> None:
    [row] = found(tmp_path, [problem(f"{FILE}:1", detail)])
    assert (row["detail"], row["fix"]) == (f"line 1: {said}", None)


@pytest.mark.parametrize(
    ("control", "identity"),
    [
        (problem(f"{FILE}:1", "[low] a", kind="template-injection"), pipeline()),
        (problem(f"{FILE}:1", "[low] a", enforcement="documented"), pipeline()),
        (problem(f"{FILE}:1", "[low] a"), pipeline(enabled=False)),
        (problem(f"{FILE}:1", "[low] a"), pipeline(id="another")),
    ],
)
def test_what_is_no_problem_of_a_pipeline_in_use_is_left_out(
    tmp_path: Path, control: Control, identity: Identity
) -> None:
    assert found(tmp_path, [control], identity) == []


def test_a_pipeline_of_unknown_place_shows_the_path(tmp_path: Path) -> None:
    [row] = found(tmp_path, [problem(f"{FILE}:3", "[low] a")], pipeline(location=None, enabled=None))
    assert row["detail"] == f"{FILE}:3: a"
