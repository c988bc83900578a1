"""The whole way: two nights of the demo, and every line of sandbox/planted.yaml as it must come out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.aws.keys import key_id
from sandbox.estate import FIRST_NIGHT, SECOND_NIGHT
from scanner.night import Night
from scanner.snapshot import run_id_of
from scanner.yaml_data import read_yaml

if TYPE_CHECKING:
    from tests.conftest import Demo

PLANTED: dict[str, Any] = read_yaml(Path(__file__).parents[1] / "sandbox/planted.yaml")
RUNS = {1: run_id_of(FIRST_NIGHT), 2: run_id_of(SECOND_NIGHT)}


def lines(part: str) -> list[Any]:
    return [
        pytest.param(provider, fact, night, id=f"{fact['id']}-{night}")
        for provider, section in PLANTED.items()
        for fact in section[part]
        for night in fact.get("nights", (1, 2))
    ]


@pytest.fixture(scope="session")
def nights(demo: Demo) -> dict[int, Night]:
    return {number: Night(demo.folder, run) for number, run in RUNS.items()}


def subjects(night: Night, provider: str, fact: dict[str, Any]) -> dict[str, str]:
    """Return the findings of a rule on the subject that a line names: finding id -> status."""
    query = """
        SELECT f.id, f.status, f.subject, f.subject_name, f.subject_kind, f.detail, i.address, i.name,
               a.name, a.address, a.native_id, f.resource, f.identity_id
        FROM findings f LEFT JOIN identities i ON i.id = f.identity_id LEFT JOIN accounts a ON a.id = f.account_id
        WHERE f.rule = $rule AND f.subject_table = $table
    """
    found: dict[str, str] = {}
    for row in night.rows(query, {"rule": fact["rule"], "table": fact["table"]}):
        key, status, subject, name, kind, detail, address, identity, *place = row
        texts = " ".join(str(part) for part in (subject, name, address, identity, detail, *place[3:]) if part)
        if provider != "aws" and "account" in fact and not _in_account(fact["account"], place, subject):
            continue
        if provider == "aws" and fact["account"] not in f"{subject} {place} {texts}":
            continue
        if "key" in fact:
            owner = fact["address"].rsplit("/", 1)[-1]
            if key_id(fact["account"], owner, fact["key"]) not in subject:
                continue
        elif "number" in fact:
            if fact["number"] not in subject:
                continue
        else:
            if "address" in fact and fact["address"].removesuffix("_BERLIN") not in texts:
                continue
            if "name" in fact and fact["name"] not in texts:
                continue
        if (
            "kind" in fact
            and fact["table"] in ("credentials", "identities", "controls")
            and kind != fact["kind"]
        ):
            continue
        found[key] = status
    return found


def test_a_comparison_over_three_systems_is_complete(nights: dict[int, Night]) -> None:
    """The pipeline of Azure DevOps signs in to an application of Entra ID that is Contributor in Azure; its web app reads blobs."""
    rows = list(
        nights[1].rows(
            "SELECT workload_id, excess, complete FROM excess WHERE pipeline_name LIKE '%refunds-api deploy'"
        )
    )
    assert [(workload.rpartition("/")[2], complete) for workload, _, complete in rows] == [
        ("refunds-api", True)
    ]
    # It can run code as the web app, whose identity it deploys, and read its settings.
    assert {"become-other", "read-secrets", "change-data"} <= set(rows[0][1])
    assert "admin" not in rows[0][1]


def _in_account(wanted: str, place: list[Any], subject: str) -> bool:
    """Whether the finding is in the account of a line; what an organization defines may show in its repositories."""
    return (
        any(str(part) == wanted or str(part).startswith(f"{wanted}/") for part in place) or wanted in subject
    )


FOUND = {"new", "open", "reopened", "unobserved", "excepted"}


@pytest.mark.parametrize(("provider", "fact", "night"), lines("planted"))
def test_what_is_planted_is_found(
    nights: dict[int, Night], provider: str, fact: dict[str, Any], night: int
) -> None:
    found = subjects(nights[night], provider, fact)
    assert FOUND & set(found.values()), fact["what"]


@pytest.mark.parametrize(("provider", "fact", "night"), lines("look_alikes"))
def test_a_look_alike_gives_nothing(
    nights: dict[int, Night], provider: str, fact: dict[str, Any], night: int
) -> None:
    found = subjects(nights[night], provider, fact)
    assert not FOUND & set(found.values()), fact["why"]


def test_the_second_night_remembers_the_first(demo: Demo) -> None:
    assert len(list((demo.folder / "cache").glob("github-*.sqlite"))) == 1


@pytest.mark.parametrize(
    ("provider", "change"),
    [
        pytest.param(provider, change, id=change["id"])
        for provider, section in PLANTED.items()
        for change in section.get("changes", ())
    ],
)
def test_the_second_night_tells_what_changed(
    nights: dict[int, Night], provider: str, change: dict[str, Any]
) -> None:
    fact = next(fact for fact in PLANTED[provider]["planted"] if fact["id"] == change["id"])
    assert change["status"] in subjects(nights[2], provider, fact).values(), change["what"]


@pytest.mark.parametrize(
    ("provider", "gap"),
    [
        pytest.param(provider, gap, id=f"{provider}-{number}")
        for provider, section in PLANTED.items()
        for number, gap in enumerate(section.get("gaps", ()))
        if "person's token" not in gap["what"]  # the demo signs in as an App
    ],
)
def test_what_cannot_be_seen_is_a_gap(nights: dict[int, Night], provider: str, gap: dict[str, Any]) -> None:
    for night in gap.get("nights", (1, 2)):
        query = """
            SELECT count(*) FROM gaps g LEFT JOIN accounts a ON a.id = g.account_id
            WHERE g.reason = $reason AND ($table IS NULL OR g."table" = $table) AND ($kind IS NULL OR g.kind = $kind)
              AND ($action IS NULL OR contains(g.needs, $action) OR g.call = $action) AND ($account IN (a.address, a.name, a.native_id) OR contains(g.account_id, $account))
        """
        given = {key: gap.get(key) for key in ("reason", "table", "kind", "account", "action")}
        assert nights[night].one(query, given), gap["what"]
