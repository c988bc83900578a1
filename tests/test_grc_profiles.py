"""The files for ServiceNow, Archer, Vanta and SailPoint, and what an import of the whole state would delete."""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scanner.night import open_night
from scanner.plugins import report_names
from scanner.records import Grant
from tests.sealed_night import account, analyzed, denied, everything, key, listed, role, run_of

if TYPE_CHECKING:
    from scanner.records import Record

PROFILES = ("servicenow", "archer", "vanta", "sailpoint")
OPTIONS: dict[str, dict[str, str]] = {
    "vanta": {
        "identities_resource": "res-identities",
        "findings_resource": "res-findings",
        "external_url": "https://reports.example/",
    }
}
GOLDEN = Path(__file__).parent / "data" / "grc"


def grant(identity: str, name: str) -> Grant:
    return Grant(
        id=f"aws:grant:{identity}:{name}", provider="aws", account_id="aws:account:1", identity_id=f"aws:iam-role:{identity}",
        role=name, resource="*", breadth="account", powers=["admin"], level="admin", via="managed", actions=["*"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three nights: on the second everything is listed; on the third credentials, grants and identities are denied in
    account 1, where one role is still seen, and the key of account 2 is gone for certain.
    """
    folder = tmp_path_factory.mktemp("grc")
    second = [
        account(2, name="=cmd"),
        role("other", account_id="aws:account:2"),
        *everything("aws:account:2"),
    ]
    used = key("C", identity_id="aws:iam-role:other", account_id="aws:account:2")
    whole: list[Record] = [
        account(), role("deploy"), role("lost", owner=None), role("bare"), key("A"), key("B", unused_days=1),
        grant("deploy", "AdministratorAccess"), grant("lost", "PowerUser"), *everything(),
    ]  # fmt: skip
    for night in (1, 2):
        analyzed(folder, night, whole, [*second, used])
    dark: list[Record] = [
        account(), role("deploy"), denied("identities", call="iam:ListRoles"), denied("credentials", call="iam:ListAccessKeys"),
        denied("grants", call="iam:ListAttachedRolePolicies"),
        *(listed(table) for table in ("accounts", "secrets", "trusts", "links")),
    ]  # fmt: skip
    analyzed(folder, 3, dark, second)
    return folder


def written(state: Path, night: int, profile: str, out: Path) -> dict[str, str]:
    out.mkdir(parents=True, exist_ok=True)
    module = importlib.import_module(f"reports.{profile}")
    with open_night(state, run_of(night)) as opened:
        if hasattr(module, "Config"):
            paths = module.write(opened, out, module.Config(**OPTIONS.get(profile, {})))
        else:
            paths = module.write(opened, out)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in paths)
    return {path.name: path.read_bytes().decode() for path in paths}


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("profile", PROFILES)
def test_the_files_are_as_before(profile: str, state: Path, tmp_path: Path) -> None:
    """Columns never move: an import maps them by name and place. UPDATE_GOLDENS=1 writes the files again."""
    assert profile in report_names()
    found = written(state, 3, profile, tmp_path)
    for name, text in found.items():
        path = GOLDEN / name
        if os.environ.get("UPDATE_GOLDENS"):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text.encode())
        assert text == path.read_bytes().decode(), name
    assert found == written(state, 3, profile, tmp_path / "again")


def identities(profile: str, files: dict[str, str]) -> dict[str, Any]:
    """Return the observed flag by identity."""
    match profile:
        case "vanta":
            rows = json.loads(files["vanta-identities.json"])["resources"]
            return {one["uniqueId"]: one["customProperties"]["observed"] for one in rows}
        case "servicenow":
            return {one["correlation_id"]: one["u_observed"] == "true" for one in table(files["servicenow-identities.csv"])}  # fmt: skip
        case "archer":
            return {one["Identity ID"]: one["Observed"] == "true" for one in table(files["archer-identities.csv"])}  # fmt: skip
        case _:
            return {one["id"]: one["observed"] == "true" for one in table(files["sailpoint-accounts.csv"])}


@pytest.mark.parametrize("profile", PROFILES)
def test_an_import_of_the_whole_state_deletes_no_identity_that_was_not_looked_at(
    profile: str, state: Path, tmp_path: Path
) -> None:
    before = identities(profile, written(state, 2, profile, tmp_path / "2"))
    after = identities(profile, written(state, 3, profile, tmp_path / "3"))
    assert set(before.values()) == {True}
    assert after == {
        "aws:iam-role:deploy": True, "aws:iam-role:other": True, "aws:iam-role:lost": False, "aws:iam-role:bare": False,
    }  # fmt: skip
    assert set(after) == set(before)


def findings(profile: str, files: dict[str, str]) -> dict[str, tuple[str, Any]]:
    """Return status and observed flag by finding."""
    match profile:
        case "vanta":
            rows = json.loads(files["vanta-findings.json"])["resources"]
            return {one["uniqueId"]: (one["customProperties"]["status"], one["customProperties"]["observed"]) for one in rows}  # fmt: skip
        case "servicenow":
            return {one["correlation_id"]: (one["u_status"], one["u_observed"] == "true") for one in table(files["servicenow-findings.csv"])}  # fmt: skip
        case _:
            return {one["Finding ID"]: (one["Status"], one["Observed"] == "true") for one in table(files["archer-findings.csv"])}  # fmt: skip


@pytest.mark.parametrize("profile", ["servicenow", "archer", "vanta"])
def test_an_import_of_the_whole_state_closes_only_what_is_resolved(
    profile: str, state: Path, tmp_path: Path
) -> None:
    before = findings(profile, written(state, 2, profile, tmp_path / "2"))
    after = findings(profile, written(state, 3, profile, tmp_path / "3"))
    with open_night(state, run_of(3)) as night:
        statuses = dict(night.rows("SELECT id, status FROM findings"))
    resolved = {uid for uid, status in statuses.items() if status == "resolved"}
    lost = {uid for uid, status in statuses.items() if status == "unobserved"}
    assert resolved
    assert lost
    if profile == "vanta":  # what is missing is deleted
        assert set(before) - set(after) == resolved
    else:
        assert set(before) <= set(after)
        assert {uid for uid, (status, _) in after.items() if status == "resolved"} == resolved
    assert {after[uid] for uid in lost} == {("unobserved", False)}


def test_servicenow_ends_a_record_only_when_it_is_resolved(state: Path, tmp_path: Path) -> None:
    rows = table(written(state, 3, "servicenow", tmp_path)["servicenow-findings.csv"])
    assert {(one["u_status"] == "resolved", one["active"]) for one in rows} == {(True, "false"), (False, "true")}  # fmt: skip
    assert next(iter(rows[0])) == "correlation_id"
    assert all(len(one["short_description"]) <= 160 and one["priority"] in "12345" for one in rows)
    volatile = {"run_id", "as_of", "last_seen_at", "age_days"}
    assert not volatile & set(rows[0])


def test_servicenow_splits_large_files_and_loses_no_row(state: Path, tmp_path: Path) -> None:
    module = importlib.import_module("reports.servicenow")
    with open_night(state, run_of(3)) as night:
        paths = module.write(night, tmp_path, module.Config(max_rows=2))
        whole = night.one("SELECT count(*) FROM findings")
    parts = [table(path.read_bytes().decode()) for path in paths if "findings" in path.name]
    assert all(len(part) <= 2 for part in parts)
    assert sum(map(len, parts)) == whole
    assert len({one["correlation_id"] for part in parts for one in part}) == whole


def test_archers_references_resolve(state: Path, tmp_path: Path) -> None:
    files = {name: table(text) for name, text in written(state, 3, "archer", tmp_path).items()}
    accounts = {one["Account ID"] for one in files["archer-accounts.csv"]}
    known = {one["Identity ID"] for one in files["archer-identities.csv"]}
    for one in files["archer-findings.csv"]:
        assert one["Account ID"] in accounts
        assert not one["Identity ID"] or one["Identity ID"] in known
    assert {one["Account ID"] for one in files["archer-identities.csv"]} <= accounts


def test_vantas_properties_are_of_the_types_that_it_takes(state: Path, tmp_path: Path) -> None:
    for text in written(state, 3, "vanta", tmp_path).values():
        body = json.loads(text)
        assert set(body) == {"resourceId", "resources"}
        properties = {tuple(one["customProperties"]) for one in body["resources"]}
        assert len(properties) == 1, "each resource has all properties of the schema"
        for one in body["resources"]:
            assert set(one) == {"displayName", "uniqueId", "externalUrl", "customProperties"}
            assert one["externalUrl"].startswith("https://")
            assert {type(value) for value in one["customProperties"].values()} <= {str, bool}


def test_sailpoints_rows_of_an_account_stay_together(state: Path, tmp_path: Path) -> None:
    files = {name: table(text) for name, text in written(state, 3, "sailpoint", tmp_path).items()}
    rows = files["sailpoint-accounts.csv"]
    order = [one["id"] for one in rows]
    assert order == sorted(order)
    groups = {one["groups"] for one in rows if one["groups"]}
    assert groups == {one["id"] for one in files["sailpoint-entitlements.csv"]}
    lost = {one["id"]: one["observed"] for one in files["sailpoint-entitlements.csv"]}
    assert lost["aws:account:1/PowerUser"] == "false"
    module = importlib.import_module("reports.sailpoint")
    with open_night(state, run_of(3)) as night:
        paths = module.write(night, tmp_path, module.Config(max_lines=3))
    parts = [table(path.read_bytes().decode()) for path in paths if "accounts" in path.name]
    assert [one for part in parts for one in part] == rows
    assert all(1 <= len(part) <= 2 for part in parts)


@pytest.mark.parametrize("profile", ["servicenow", "archer", "sailpoint"])
def test_no_cell_is_computed(profile: str, state: Path, tmp_path: Path) -> None:
    cells = [cell for text in written(state, 3, profile, tmp_path).values() for one in table(text) for cell in one.values()]  # fmt: skip
    assert "'=cmd" in cells or profile == "archer"
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@")) or cell == "NULL"]
