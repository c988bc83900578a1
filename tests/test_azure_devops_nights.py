"""What a later night reads of a large organization of Azure DevOps, what it carries forward, and that it says so."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import collectors.azure_devops
from sandbox.azure_devops import AzureDevOpsSandbox
from sandbox.azure_devops.estate import guid
from sandbox.estate import FIRST_NIGHT
from scanner.collect.collector import Run
from scanner.records import Control, Coverage, Gap, Identity
from scanner.secrets.detectors import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from scanner.records import Record

HISTORY = "GET /{project}/_apis/serviceendpoint/{id}/executionhistory"
CHECKS = "POST /{project}/_apis/pipelines/checks/queryconfigurations"
ITEM = "GET /{project}/_apis/git/repositories/{repository}/items"
ENDPOINTS = "GET /{project}/_apis/serviceendpoint/endpoints"
RECORDS = "GET /{project}/_apis/pipelines/environments/{id}/environmentdeploymentrecords"


class Nights:
    """Nights of one organization, each with the requests that it sent."""

    def __init__(self, sandbox: AzureDevOpsSandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.calls: Counter[str] = Counter()

    def night(self, number: int, **options: Any) -> list[Record]:
        """Return the records of a night, so many days after the first."""
        self.sandbox.calls.clear()
        config = collectors.azure_devops.Config.model_validate(
            {**self.sandbox.section(), "seconds_between_requests": 0, "rotate_above": 1, **options}
        )
        run = Run(
            as_of=FIRST_NIGHT + timedelta(days=number),
            fingerprint=Fingerprint(b"k" * 32),
            cache=self.folder,
            stopping=threading.Event(),
        )
        records = [
            row
            for target in collectors.azure_devops.targets(config, run)
            for row in collectors.azure_devops.collect(target, config, run)
        ]
        self.calls = Counter(self.sandbox.calls)
        return records


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nights]:
    with AzureDevOpsSandbox(page=50) as sandbox:
        for name, value in sandbox.environment().items():
            monkeypatch.setenv(name, value)
        yield Nights(sandbox, tmp_path)


def facts(records: Iterable[Record]) -> dict[str, Record]:
    return {f"{type(row).__name__} {row.id}": row for row in records if not isinstance(row, Coverage | Gap)}


def carried(records: Iterable[Record], table: str, kind: str | None = None) -> set[Any]:
    """Return the nights that a table's coverage names."""
    return {
        row.carried_from
        for row in records
        if isinstance(row, Coverage) and row.table == table and kind in {None, row.kind}
    }


def test_a_quiet_night_has_the_same_records_from_fewer_requests_and_says_which_are_older(
    nights: Nights,
) -> None:
    first, before = nights.night(0), nights.calls
    second = nights.night(1)
    assert facts(second).keys() == facts(first).keys()
    assert {key for key, row in facts(second).items() if row != facts(first)[key]} == set()
    assert nights.calls[HISTORY] < before[HISTORY] / 2
    assert nights.calls[ITEM] == 0
    # The lists of what holds credentials are read every night.
    assert nights.calls[ENDPOINTS] == before[ENDPOINTS]
    assert carried(second, "secrets", "ado-variable-group") == {None}
    older = carried(second, "identities", "last-use") | carried(second, "controls", "resource-approval")
    assert older == {None, FIRST_NIGHT} or older == {FIRST_NIGHT}
    (told,) = [row for row in second if isinstance(row, Gap) and row.kind == "carried-forward"]
    assert f"{FIRST_NIGHT:%Y-%m-%d}" in (told.detail or "")
    assert not any(isinstance(row, Gap) and row.kind == "carried-forward" for row in first)


def test_a_small_organization_is_read_in_full_every_night(nights: Nights) -> None:
    nights.night(0, rotate_above=50)
    before = nights.calls
    second = nights.night(1, rotate_above=50)
    assert nights.calls == before
    assert not any(isinstance(row, Coverage) and row.carried_from for row in second)


def test_everything_is_read_again_within_the_days_of_the_rotation(nights: Nights) -> None:
    nights.sandbox.revoke("vso.auditlog")
    nights.night(0)
    asked: Counter[str] = Counter()
    for number in range(1, 8):
        records = nights.night(number)
        asked += nights.calls
        oldest = min(
            (row.carried_from for row in records if isinstance(row, Coverage) and row.carried_from),
            default=FIRST_NIGHT + timedelta(days=number),
        )
        assert (FIRST_NIGHT + timedelta(days=number) - oldest).days < 28
    assert asked[CHECKS] >= len(nights.sandbox.organization.projects)


def test_a_permission_that_changed_has_its_project_read_again(nights: Nights) -> None:
    nights.night(0)
    payments = next(one for one in nights.sandbox.organization.projects if one.name == "payments")
    # A check is removed, and somebody is given a right: the list of permissions says that something happened.
    payments.checks.clear()
    access = nights.sandbox.organization.access
    access.allow("ServiceEndpoints", f"endpoints/{payments.id}", access.user("somebody"), 1)
    second = nights.night(1)
    assert not [
        row
        for row in second
        if isinstance(row, Control) and row.kind == "resource-approval" and row.name == "azure-payments"
    ]


def test_a_connection_is_asked_for_its_use_again_when_something_ran(nights: Nights) -> None:
    nights.night(0, rotation_days=1000)
    nights.night(1, rotation_days=1000)
    assert nights.calls[HISTORY] == 0
    platform = nights.sandbox.organization.projects[0]
    later = f"{FIRST_NIGHT + timedelta(days=1, hours=3):%Y-%m-%dT%H:%M:%SZ}"
    platform.definitions[0]["latestCompletedBuild"] = {"id": 77, "finishTime": later}
    platform.history[guid("connection aws-legacy")] = [
        {"endpointId": guid("connection aws-legacy"), "data": {"startTime": later, "finishTime": later}}
    ]
    # The rotation of what ran comes sooner: after one day here.
    third = nights.night(2, rotation_days=1)
    used = [row.last_used_at for row in third if isinstance(row, Identity) and row.name == "aws-legacy"]
    assert used == [FIRST_NIGHT + timedelta(days=1, hours=3)]


def test_a_file_is_read_again_when_its_branch_moved(nights: Nights) -> None:
    nights.night(0)
    nights.night(1)
    assert nights.calls[ITEM] == 0
    payments = next(one for one in nights.sandbox.organization.projects if one.name == "payments")
    number = str(payments.repositories[0]["id"])
    payments.commits[number] = "f" * 40
    payments.files[f"{number}/azure-pipelines.yml"] = "steps: [{script: make}]\n"
    third = nights.night(2)
    # Two pipelines have their files in this repository.
    assert nights.calls[ITEM] == 2
    pipeline = f"azure-devops:pipeline:{payments.id}/101"
    assert not [
        row
        for row in third
        if getattr(row, "source_id", "") == pipeline and row.id.find("uses-connection") > 0
    ]


def test_a_pipeline_that_ran_is_shown_with_its_run_though_its_file_was_not_read_again(nights: Nights) -> None:
    nights.night(0)
    payments = next(one for one in nights.sandbox.organization.projects if one.name == "payments")
    deploy = next(one for one in payments.definitions if one["name"] == "payments-api deploy")
    deploy["latestCompletedBuild"] = {"id": 78, "finishTime": "2026-11-23T01:00:00Z"}
    second = nights.night(1)
    assert nights.calls[ITEM] == 0
    (shown,) = [row for row in second if isinstance(row, Identity) and row.name == "payments-api deploy"]
    assert shown.last_used_at is not None
    assert f"{shown.last_used_at:%Y-%m-%d}" == "2026-11-23"


def test_what_was_refused_is_asked_again_the_next_night(nights: Nights) -> None:
    nights.sandbox.revoke("vso.code")
    first = nights.night(0)
    assert any(isinstance(row, Gap) and row.kind == "ado-repository" for row in first)
    nights.sandbox.restore()
    second = nights.night(1)
    assert not any(isinstance(row, Gap) and row.kind == "ado-repository" for row in second)


def test_the_audit_log_names_the_projects_to_read_again_and_the_connections_that_were_used(
    nights: Nights,
) -> None:
    nights.night(0)
    payments = next(one for one in nights.sandbox.organization.projects if one.name == "payments")
    payments.checks.clear()
    used = guid("connection azure-platform")
    at = f"{FIRST_NIGHT + timedelta(hours=20):%Y-%m-%dT%H:%M:%SZ}"
    nights.sandbox.organization.events += [
        {"actionId": "CheckConfiguration.Deleted", "projectId": payments.id, "timestamp": at, "data": {}},
        {
            "actionId": "Library.ServiceConnectionExecuted",
            "projectId": nights.sandbox.organization.projects[0].id,
            "timestamp": at,
            "data": {"ConnectionId": used, "ConnectionName": "azure-platform"},
        },
    ]
    second = nights.night(1)
    assert not [
        row
        for row in second
        if isinstance(row, Control) and row.kind == "resource-approval" and row.name == "azure-payments"
    ]
    (shown,) = [row for row in second if isinstance(row, Identity) and row.native_id == used]
    assert shown.last_used_at == FIRST_NIGHT + timedelta(hours=20)
    # And it is not forgotten when the log says nothing of it any more.
    nights.sandbox.organization.events.clear()
    (shown,) = [row for row in nights.night(2) if isinstance(row, Identity) and row.native_id == used]
    assert shown.last_used_at == FIRST_NIGHT + timedelta(hours=20)


def test_a_large_organization_is_asked_for_authorized_pipelines_by_and_by(nights: Nights) -> None:
    call = "GET /{project}/_apis/pipelines/pipelinepermissions/{type}/{id}"
    first = nights.night(0, authorizations_a_night=3)
    assert nights.calls[call] == 3
    assert any(isinstance(row, Gap) and row.kind == "authorized-pipelines" for row in first)
    known = {row.id for row in first if isinstance(row, Control) and row.kind == "authorized-pipelines"}
    second = nights.night(1, authorizations_a_night=3)
    both = {row.id for row in second if isinstance(row, Control) and row.kind == "authorized-pipelines"}
    assert known < both
