"""Parts of the HTML report that are computed: names of resources, broken lines, the answer, control aspects, causes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.html.chain import resource_name
from reports.html.delivery import read_delivery
from reports.html.labels import kind_label
from reports.html.matrix import control_aspects, read_matrix
from reports.html.path_picture import text_width, wrap
from scanner.night import open_night
from scanner.plugins import declared_kinds
from tests.synthetic_night import write_night

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("resource", "shown"),
    [
        ("*", "everything in prod"),
        ("arn:aws:dynamodb:eu-west-1:2:table/ledger", "dynamodb: table/ledger"),
        ("arn:aws-cn:s3:::assets/*", "s3: assets/*"),
        ("/subscriptions/19e4", "everything in billing"),
        ("/subscriptions/19e4/resourceGroups/web", "resourceGroups: web in billing"),
        ("/subscriptions/unknown", "unknown"),
        ("lanternpay/web", "lanternpay/web"),
        ("x\u202ey", "x‹U+202E›y"),
    ],
)
def test_resources_have_short_names(resource: str, shown: str) -> None:
    assert resource_name(resource, {"19e4": "billing"}, "prod") == shown


@pytest.mark.parametrize(
    ("kind", "label"),
    [("iam-role", "IAM role"), ("ecs-service", "ECS service"), ("github-workflow", "GitHub workflow"),
     ("ado-service-connection", "Azure DevOps service connection"), ("something-new", "Something new")],
)  # fmt: skip
def test_kinds_are_written_as_their_field_writes_them(kind: str, label: str) -> None:
    assert kind_label(kind) == label


@given(st.text(max_size=200), st.integers(40, 300), st.integers(1, 4))
def test_broken_lines_fit_and_lose_nothing_unsaid(text: str, most: int, lines: int) -> None:
    rows = wrap(text, 12.5, most, lines)
    assert len(rows) <= lines
    assert all(text_width(row, 12.5) <= most or len(row) <= 2 for row in rows)
    whole = "".join(text.split()) == "".join("".join(rows).split())
    assert whole or (rows and rows[-1].endswith("…"))


def test_every_kind_of_control_answers_a_question() -> None:
    declared = declared_kinds().kinds["controls"]
    assert declared == control_aspects().keys()


def test_the_matrix_counts_every_control_once(tmp_path: Path) -> None:
    run_id = write_night(tmp_path)
    with open_night(tmp_path, run_id) as night:
        rows = read_matrix(night)
        counted = sum(cell.total for row in rows for cell in row.cells)
        controls = night.one("SELECT count(*) FROM controls")
        ending = night.one(
            """SELECT count(*) FROM credentials AS c JOIN identities AS i ON i.id = c.identity_id
               WHERE i.surface IN ('automation', 'workload') AND coalesce(c.enabled, true)"""
        )
    assert counted == controls + ending


def test_a_night_without_deliveries_says_that_nothing_was_compared(tmp_path: Path) -> None:
    run_id = write_night(tmp_path, empty=True)
    with open_night(tmp_path, run_id) as night:
        found = read_delivery(night)
    assert (found.pairs, found.answer) == (
        [],
        "No pipeline that deploys a workload was found, so there was nothing to compare.",
    )
