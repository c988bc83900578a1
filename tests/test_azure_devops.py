"""The Azure DevOps collector against its sandbox, and its classes of connections against the published types."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import collectors.azure_devops
from collectors.azure_devops.connections import classify_connection
from sandbox.azure_devops import AzureDevOpsSandbox
from sandbox.azure_devops.estate import guid, setting_values
from sandbox.entra import EntraSandbox
from sandbox.estate import FIRST_NIGHT
from scanner.collect.collector import Run
from scanner.records import Control, Gap, Identity, Link, Secret
from scanner.secrets.detectors import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from scanner.records import Record


def collected(
    sandbox: AzureDevOpsSandbox, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> list[Record]:
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    config = collectors.azure_devops.Config.model_validate(
        {**sandbox.section(), "seconds_between_requests": 0, **options}
    )
    run = Run(as_of=FIRST_NIGHT, fingerprint=Fingerprint(b"k" * 32), cache=folder, stopping=threading.Event())
    return [
        row
        for target in collectors.azure_devops.targets(config, run)
        for row in collectors.azure_devops.collect(target, config, run)
    ]


def connection(records: Iterable[Record], name: str) -> Identity:
    return next(
        row
        for row in records
        if isinstance(row, Identity) and row.kind == "ado-service-connection" and row.name == name
    )


# Types and schemes: https://learn.microsoft.com/azure/devops/pipelines/library/service-endpoints and the resources of
# https://registry.terraform.io/providers/microsoft/azuredevops/latest/docs
@pytest.mark.parametrize(
    ("kind", "authorization", "stores"),
    [
        ("azurerm", {"scheme": "WorkloadIdentityFederation"}, False),
        ("azurerm", {"scheme": "ManagedServiceIdentity"}, False),
        ("azurerm", {"scheme": "ServicePrincipal", "parameters": {"authenticationType": "spnKey"}}, True),
        ("azurerm", {"scheme": "PublishProfile"}, True),
        ("dockerregistry", {"scheme": "UsernamePassword"}, True),
        ("dockerregistry", {"scheme": "WorkloadIdentityFederation"}, False),
        ("aws", {"scheme": "UsernamePassword", "parameters": {"username": "AKIAX"}}, True),
        ("aws", {"scheme": "UsernamePassword", "parameters": {"useOIDC": "true"}}, False),
        ("AzureServiceBus", {"scheme": "None"}, True),
        ("github", {"scheme": "InstallationToken"}, False),
        ("github", {"scheme": "PersonalAccessToken"}, True),
        ("GoogleCloudServiceEndpoint", {"scheme": "JWT"}, True),
        ("externalnugetfeed", {"scheme": "None", "parameters": {"nugetkey": None}}, True),
        ("azurerm", {"scheme": "SomethingNew"}, None),
        ("lantern-internal", {"scheme": "Token"}, None),
        ("azurerm", None, None),
    ],
)
def test_what_a_connection_stores_is_known_by_type_and_scheme_or_unknown(
    kind: str, authorization: dict[str, Any] | None, stores: bool | None
) -> None:
    assert classify_connection(kind, authorization).stores_secret is stores


def test_a_connection_that_cannot_be_evaluated_is_never_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch)
    held = {
        row.name: row for row in records if isinstance(row, Secret) and row.store == "ado-service-connection"
    }
    assert {"mystery", "hidden"} <= held.keys()
    assert held["mystery"].looks_like is None
    assert held["mystery"].tags["how"] == "unknown"
    assert not {"azure-payments", "azure-agent", "github-app"} & held.keys()


def test_a_reader_sees_no_sign_in_and_the_night_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox(reader=True) as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch)
    logins = {
        login
        for row in records
        if isinstance(row, Identity) and row.kind == "ado-service-connection"
        for login in row.logins
    }
    assert logins == {"unknown:unknown"}
    told = [row for row in records if isinstance(row, Gap) and "authorization" in row.call]
    assert {row.kind for row in told} == {"ado-service-connection"}
    assert len(told) == len(sandbox.organization.projects)


def test_a_connection_that_is_not_ready_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with AzureDevOpsSandbox() as sandbox:
        sandbox.organization.projects[0].endpoint(
            "half-made", "kubernetes", "Token", {"apiToken": None}, used=None, isReady=False
        )
        records = collected(sandbox, tmp_path, monkeypatch)
    assert connection(records, "half-made").tags["ready"] == "no"


def test_a_shared_connection_comes_once_with_its_last_use_in_any_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        platform, payments = sandbox.organization.projects[:2]
        number = guid("connection registry-push")
        platform.history[number], payments.history[number] = [], platform.history[number]
        records = collected(sandbox, tmp_path, monkeypatch)
    shared = [row for row in records if isinstance(row, Identity) and row.name == "registry-push"]
    assert len(shared) == 1
    assert shared[0].last_used_at is not None
    assert (FIRST_NIGHT - shared[0].last_used_at).days == 1


def test_a_pipeline_leads_to_its_connection_and_the_connection_to_its_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch)
    links = {(row.source_id, row.relation, row.target_id) for row in records if isinstance(row, Link)}
    payments = guid("project payments")
    azure = connection(records, "azure-payments")
    assert (f"azure-devops:pipeline:{payments}/101", "uses", azure.id) in links
    static = connection(records, "azure-platform")
    released = {target for source, relation, target in links if ":release:" in source and relation == "uses"}
    assert released == {static.id}
    classic = {target for source, relation, target in links if source.endswith("/203") and relation == "uses"}
    assert classic == {connection(records, "aws-legacy").id}
    assert {target for source, relation, target in links if source == static.id and relation == "runs_as"}


def test_secrets_of_a_variable_group_reach_the_pipelines_that_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch)
    deploy = next(row for row in records if isinstance(row, Identity) and row.name == "payments-api deploy")
    assert {"DB_PASSWORD", "STRIPE_KEY"} <= set(deploy.secrets)
    stripe = next(row for row in records if isinstance(row, Secret) and row.name == "STRIPE_KEY")
    assert stripe.readable
    assert stripe.fingerprint


@pytest.mark.parametrize(
    ("organization", "project", "enforcement"),
    [(True, False, "enforced"), (False, True, "enforced"), (False, False, "absent")],
)
def test_a_setting_is_in_force_where_the_organization_or_the_project_has_it_on(
    organization: bool, project: bool, enforcement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        sandbox.organization.settings = setting_values(enforceJobAuthScope=organization)
        for one in sandbox.organization.projects:
            one.settings = setting_values(enforceJobAuthScope=project)
        records = collected(sandbox, tmp_path, monkeypatch)
    scopes = [row for row in records if isinstance(row, Control) and row.kind == "job-authorization-scope"]
    assert [row.enforcement for row in scopes] == [enforcement] * len(sandbox.organization.projects)


def test_where_the_organizations_settings_are_unread_a_project_that_is_off_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        sandbox.fail("POST /_apis/Contribution/HierarchyQuery", 403)
        records = collected(sandbox, tmp_path, monkeypatch)
    scopes = {
        row.account_id: row.enforcement
        for row in records
        if isinstance(row, Control) and row.kind == "job-authorization-scope"
    }
    assert set(scopes.values()) == {"enforced"}
    assert f"azure-devops:project:{guid('project platform')}" not in scopes


def test_a_wrong_token_is_a_sign_in_page_and_one_gap_for_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        monkeypatch.setenv("WRONG", "not-the-token")
        records = collected(sandbox, tmp_path, monkeypatch, token="${env:WRONG}")
    (gap,) = records
    assert isinstance(gap, Gap)
    assert (gap.table, gap.reason) == ("*", "denied")


def test_an_application_signs_in_at_entra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EntraSandbox() as entra, AzureDevOpsSandbox() as sandbox:
        for name, value in entra.environment().items():
            monkeypatch.setenv(name, value)
        options = {
            name: value
            for name, value in entra.section().items()
            if name in {"tenant", "client_id", "client_secret", "authority", "ca_bundle"}
        }
        records = collected(sandbox, tmp_path, monkeypatch, token=None, **options)
        asked = [call.headers.get("authorization", "") for call in sandbox.log]
    # The sandbox knows tokens only: what counts is that a bearer token of Entra ID was sent, and nothing else.
    assert asked
    assert all(value.startswith("Bearer eyJ0eXAi") for value in asked)
    assert len(records) == 1


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"organizations": []}, "organizations"),
        ({"organizations": ["o"]}, "set tenant"),
        ({"organizations": ["o"], "token": "${env:T}", "client_id": guid("x")}, "not both"),
        ({"organizations": ["o"], "token": "secret"}, "must be"),
    ],
)
def test_a_section_that_cannot_work_says_what_to_set(section: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        collectors.azure_devops.Config.model_validate(section)
