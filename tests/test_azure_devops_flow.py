"""What is delivered through Azure DevOps: task groups, classic releases, and answers that are not as documented."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

import collectors.azure_devops
from collectors.azure_devops.designer import designer_steps
from collectors.azure_devops.facts import TaskGroups
from collectors.azure_devops.sign_ins import entra_subject
from sandbox.azure_devops import AzureDevOpsSandbox
from sandbox.azure_devops.estate import guid
from scanner.collect.answers import read_json
from scanner.records import Control, Coverage, Deployment, Gap, Identity, Link
from tests.test_azure_devops import collected, connection

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.records import Record

ENDPOINTS = "GET /{project}/_apis/serviceendpoint/endpoints"
DEFINITIONS = "GET /{project}/_apis/build/definitions"


def test_the_subject_of_the_entra_issuer_is_made_of_ids() -> None:
    # The middle part is in Microsoft's own examples: the application ID of Azure DevOps.
    # https://learn.microsoft.com/azure/devops/pipelines/release/azure-rm-endpoint
    tenant = "72f988bf-86f1-41af-91ab-2d7cd011db47"
    assert (
        entra_subject(tenant, "o", "c")
        == "/eid1/c/pub/t/v4j5cvGGr0GRqy180BHbRw/a/rISbSSETf0KqFyZ8ppdXmA/sc/o/c"
    )


def uses(number: str, **inputs: str) -> dict[str, Any]:
    return {"task": {"id": number, "definitionType": "metaTask"}, "inputs": inputs}


def test_task_groups_are_taken_apart_to_the_end() -> None:
    groups = TaskGroups(
        steps={"outer": [uses("INNER")], "inner": [{"inputs": {"a": "1"}}], "circle": [uses("circle")]}
    )
    found = designer_steps([uses("outer", b="2"), {"inputs": {"c": "3"}}], groups)
    assert [one for one in found.inputs if one] == [{"b": "2"}, {"a": "1"}, {"c": "3"}]
    assert found.unknown is None
    assert designer_steps([uses("gone")], groups).unknown == "the task group gone"
    assert designer_steps([uses("circle")], groups).unknown is not None


def classic(sandbox: AzureDevOpsSandbox, number: int, steps: list[dict[str, Any]], **more: Any) -> str:
    platform = sandbox.organization.projects[0]
    repository = platform.repositories[0]
    platform.pipeline(
        number, f"classic {number}", repository, process={"type": 1, "phases": [{"steps": steps}]}, **more
    )
    return f"azure-devops:pipeline:{platform.id}/{number}"


def links(records: list[Record], source: str, relation: str = "uses") -> set[str]:
    return {
        row.target_id
        for row in records
        if isinstance(row, Link) and (row.source_id, row.relation) == (source, relation)
    }


def test_a_classic_pipeline_uses_the_connection_of_its_task_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        number = guid("connection aws-legacy")
        sandbox.organization.projects[0].task_groups.append(
            {"id": "tg-1", "name": "upload", "tasks": [{"inputs": {"awsCredentials": number}}]}
        )
        known = classic(
            sandbox, 801, [uses("TG-1")], variables={"target": {"value": "s3", "allowOverride": True}}
        )
        unknown = classic(sandbox, 802, [uses("tg-9")])
        records = collected(sandbox, tmp_path, monkeypatch)
    assert links(records, known) == {f"azure-devops:connection:{number}"}
    assert links(records, unknown) == {unknown.replace(":pipeline:", ":unknown-connections:")}
    settable = {row.id: row.tags.get("settable_variables") for row in records if isinstance(row, Identity)}
    assert (settable[known], settable[unknown]) == ("target", None)


def test_where_task_groups_are_refused_what_classic_pipelines_use_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        sandbox.revoke("vso.taskgroups_read")
        records = collected(sandbox, tmp_path, monkeypatch)
    lost = {(row.table, row.kind) for row in records if isinstance(row, Gap) and "taskgroups" in row.call}
    assert lost == {("links", "ado-task-group"), ("links", "ado-pipeline"), ("links", "ado-release")}


def test_a_classic_release_says_what_it_deploys_and_which_gates_are_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = {"tasks": [{"name": "Query alerts", "enabled": True}]}
    with AzureDevOpsSandbox() as sandbox:
        release = sandbox.organization.projects[0].releases[0]
        azure = guid("connection azure-platform")
        test, production, europe = release["environments"]
        test["deployPhases"] = [
            {"workflowTasks": [{"inputs": {"ConnectedServiceName": azure, "WebAppName": "billing"}}]}
        ]
        production["deployPhases"] = [
            {
                "workflowTasks": [
                    {"inputs": {"azureSubscription": azure, "appType": "functionApp", "appName": "jobs"}}
                ]
            }
        ]
        europe["deployPhases"] = [
            {
                "workflowTasks": [
                    {"inputs": {"azureSubscription": azure, "appName": "$(name)"}},
                    {"inputs": {"appName": "no connection"}},
                ]
            }
        ]
        for stage, on in ((production, True), (europe, False)):
            stage["preDeploymentGates"] = {"gates": [gate], "gatesOptions": {"isEnabled": on}}
        test["preDeploymentGates"] = {"gates": [], "gatesOptions": {"isEnabled": True}}
        records = collected(sandbox, tmp_path, monkeypatch)
    me = next(row.id for row in records if isinstance(row, Identity) and row.kind == "ado-release")
    assert links(records, me, "deploys") == {"azure:webapp-name:billing", "azure:functionapp-name:jobs"}
    gates = {
        row.target: row.enforcement
        for row in records
        if isinstance(row, Control) and row.kind == "release-gate"
    }
    assert gates == {"production": "enforced", "production-eu": "documented"}


def test_who_started_and_who_approved_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with AzureDevOpsSandbox() as sandbox:
        sandbox.organization.projects[1].builds.pop()
        records = collected(sandbox, tmp_path, monkeypatch)
    found = {
        row.id.rpartition("/")[2]: (row.deployed_by, row.approved_by, row.environment)
        for row in records
        if isinstance(row, Deployment)
    }
    tom, nina = "tom.becker@lanternpay.example", "nina.roth@lanternpay.example"
    # The environment's own records name the run: 901 and 902. The latter is older than what is listed, so that who
    # asked for it is unknown.
    assert found == {
        "511": (tom, [tom], "production"),
        "510": (None, [tom], "production"),
        "771": (tom, [nina], "production-eu"),
    }


# Answers that are not as documented


@pytest.mark.parametrize(
    ("trouble", "reasons"),
    [
        (203, {"denied"}),
        ("html", {"denied", "malformed"}),
        ("looping-next", {"malformed"}),
        ("malformed", {"malformed"}),
    ],
)
def test_a_bad_answer_to_one_list_is_a_gap_and_never_an_empty_list(
    trouble: int | str, reasons: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        sandbox.fail(DEFINITIONS, trouble)
        records = collected(sandbox, tmp_path, monkeypatch, retries=0)
    told = {
        row.reason
        for row in records
        if isinstance(row, Gap) and row.call == DEFINITIONS and row.kind == "ado-pipeline"
    }
    assert told
    assert told <= reasons
    assert not [
        row
        for row in records
        if isinstance(row, Coverage) and row.call == DEFINITIONS and row.kind == "ado-pipeline"
    ]


def test_a_delayed_answer_is_taken_and_the_next_request_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        sandbox.fail("GET /_apis/projects", "asks-to-wait", 1)
        started = time.monotonic()
        records = collected(sandbox, tmp_path, monkeypatch)
    assert time.monotonic() - started >= 1
    assert connection(records, "azure-payments")


def test_a_byte_order_mark_is_no_part_of_the_answer() -> None:
    assert read_json(b'\xef\xbb\xbf{"value": []}') == {"value": []}


# Azure DevOps Server


def test_on_a_server_the_token_is_sent_to_the_server_only() -> None:
    section = {
        "organizations": ["DefaultCollection"],
        "token": "${env:T}",
        "base_url": "https://devops.example/tfs",
    }
    config = collectors.azure_devops.Config.model_validate(section)
    addresses = {value for name, value in config.model_dump().items() if name.endswith("_url")}
    assert addresses == {"https://devops.example/tfs"}
    cloud = collectors.azure_devops.Config.model_validate({**section, "base_url": "https://dev.azure.com"})
    assert cloud.release_url == "https://vsrm.dev.azure.com"


def test_a_server_is_read_with_a_token_and_what_only_the_cloud_has_is_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        hosts = {name: None for name in sandbox.section() if name.endswith("_url")}
        base = sandbox.section()["base_url"]
        records = collected(sandbox, tmp_path, monkeypatch, **dict.fromkeys(hosts, base))
        asked = {call.path.split("/")[1] for call in sandbox.log}
    assert asked == {"main"}
    assert connection(records, "azure-payments")
    assert {row.table for row in records if isinstance(row, Gap) and "/_apis/userentitlements" in row.call}
