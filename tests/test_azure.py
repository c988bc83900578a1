"""The Azure collector against its sandbox, and its evaluator against the published built-in roles."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import collectors.azure
from collectors.azure.evaluator import allowed, applies, conditional, deny_of
from sandbox.azure import AzureSandbox
from sandbox.azure.company import EVERYONE, PROD, element, guid
from sandbox.entra.estate import guid as entra
from sandbox.estate import FIRST_NIGHT
from scanner.collect.collector import Run
from scanner.records import Account, Coverage, Credential, Gap, Grant, Identity, Link, Policy
from scanner.secrets.detectors import Fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.records import Record


def collected(
    sandbox: AzureSandbox, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> list[Record]:
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    config = collectors.azure.Config.model_validate({**sandbox.section(), **options})
    run = Run(as_of=FIRST_NIGHT, fingerprint=Fingerprint(b"k" * 32), cache=folder, stopping=threading.Event())
    return [
        row
        for target in collectors.azure.targets(config, run)
        for row in collectors.azure.collect(target, config, run)
    ]


# Permission elements as published in https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
@pytest.mark.parametrize(
    ("permissions", "has", "lacks"),
    [
        ([element(["*"])], {"admin", "become-other", "read-secrets"}, set()),
        (
            [element(["*"], ["Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"])],
            {"become-other", "read-secrets", "deploy"},
            {"admin"},
        ),
        ([element(["*/read"])], {"read"}, {"read-secrets", "read-data", "change-data"}),
        (
            [element(["*/read", "Microsoft.Authorization/*", "Microsoft.Support/*"])],
            {"grant-access"},
            {"admin", "become-other"},
        ),
        (
            [element(["Microsoft.Resources/deployments/*"])],
            set(),
            {"deploy", "change-data", "admin", "grant-access"},
        ),
        (
            [element([], data=["Microsoft.KeyVault/vaults/secrets/getSecret/action"])],
            {"read-secrets"},
            {"change-data"},
        ),
        ([element([], data=["*"])], {"read-secrets", "read-data"}, {"admin"}),
        ([element(["Microsoft.ManagedIdentity/userAssignedIdentities/*"])], {"become-other"}, {"admin"}),
        ([element(["microsoft.web/sites/*"])], {"become-other", "deploy"}, {"grant-access"}),
        # What one element cuts, another gives back.
        (
            [
                element(["*"], ["Microsoft.Authorization/*"]),
                element(["Microsoft.Authorization/roleAssignments/write"]),
            ],
            {"grant-access"},
            {"admin"},
        ),
    ],
)
def test_what_a_role_amounts_to_by_its_actions(
    permissions: list[dict[str, Any]], has: set[str], lacks: set[str]
) -> None:
    powers = set(allowed(permissions).powers)
    assert has <= powers
    assert not lacks & powers


def denied(**more: Any) -> dict[str, Any]:
    return {
        "scope": "/subscriptions/s/resourceGroups/g",
        "principals": [{"id": EVERYONE}],
        "excludePrincipals": [{"id": "boss"}],
        "permissions": [{"actions": ["*"], "notActions": ["*/read"], "dataActions": []}],
        "denyAssignmentEffect": "enforced",
        **more,
    }


@pytest.mark.parametrize(
    ("change", "scope", "principal", "subtracts"),
    [
        ({}, "/subscriptions/S/resourcegroups/G/providers/x", "someone", True),
        ({}, "/subscriptions/s/resourceGroups/other", "someone", False),
        ({}, "/subscriptions/s", "someone", False),
        ({}, "/subscriptions/s/resourceGroups/g", "boss", False),
        (
            {"doNotApplyToChildScopes": True},
            "/subscriptions/s/resourceGroups/g/providers/x",
            "someone",
            False,
        ),
        ({"denyAssignmentEffect": "audit"}, "/subscriptions/s/resourceGroups/g", "someone", False),
        (
            {"condition": "@Resource[x] StringEquals 'y'"},
            "/subscriptions/s/resourceGroups/g",
            "someone",
            False,
        ),
        ({"denyAssignmentEffect": None}, "/subscriptions/s/resourceGroups/g", "someone", False),
        (
            {"denyAssignmentEffect": None, "isSystemProtected": True},
            "/subscriptions/s/resourceGroups/g",
            "someone",
            True,
        ),
    ],
)
def test_which_deny_assignments_subtract(
    change: dict[str, Any], scope: str, principal: str, subtracts: bool
) -> None:
    deny = deny_of(denied(**change))
    held = [deny] if deny is not None and applies(deny, scope, principal) else []
    assert ("admin" in allowed([element(["*"])], held).powers) is not subtracts


# https://learn.microsoft.com/azure/role-based-access-control/conditions-format
@pytest.mark.parametrize(
    ("condition", "actions", "binds"),
    [
        (None, ["Microsoft.Authorization/roleAssignments/write"], False),
        (
            "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR (x))",
            ["Microsoft.Authorization/roleAssignments/write"],
            True,
        ),
        (
            "((!(ActionMatches{'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read'})) OR (x))",
            ["Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write"],
            False,
        ),
        ("@Resource[HasObotoken] boolequals true", ["*"], True),
    ],
)
def test_a_condition_binds_only_what_it_names(condition: str | None, actions: list[str], binds: bool) -> None:
    assert conditional(condition, actions, []) is binds


def test_what_was_stored_is_evaluated_to_what_the_night_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureSandbox() as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch)
    policies = [row for row in records if isinstance(row, Policy)]
    grants = {
        row.id: row
        for row in records
        if isinstance(row, Grant) and row.id.startswith("azure:role-assignment:")
    }
    again = {row.id: row for row in collectors.azure.evaluate(policies, records, FIRST_NIGHT)}
    assert again == grants


def test_every_subscription_has_its_own_coverage_and_its_own_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = "POST /providers/Microsoft.ResourceGraph/resources roleassignments"
    with AzureSandbox() as sandbox:
        whole = collected(sandbox, tmp_path / "whole", monkeypatch)
        sandbox.fail(call, 403)
        lost = collected(sandbox, tmp_path / "lost", monkeypatch)
    accounts = {row.id for row in whole if isinstance(row, Account)}
    assert {row.account_id for row in whole if isinstance(row, Coverage) and row.call == call} == accounts
    assert {row.account_id for row in lost if isinstance(row, Gap) and row.call == call} == accounts


def test_a_page_that_fails_keeps_what_came_and_tells_every_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = "POST /providers/Microsoft.ResourceGraph/resources roleassignments"
    with AzureSandbox(page=3) as sandbox:
        sandbox.fail(call, 500, from_request=2)
        records = collected(sandbox, tmp_path, monkeypatch, retries=0)
    assert len([row for row in records if isinstance(row, Grant) and "role-assignment" in row.id]) == 3
    assert len({row.account_id for row in records if isinstance(row, Gap) and row.call == call}) == 5


def test_a_workload_leads_to_its_identity_and_that_to_its_principal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureSandbox() as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch)
    links = {(row.source_id, row.target_id) for row in records if isinstance(row, Link)}
    by_name = {row.name: row for row in records if isinstance(row, Identity)}
    api, export, identity = by_name["payments-api"], by_name["ledger-export"], by_name["id-payments"]
    assert (api.id, f"entra:principal:{guid('principal payments-api')}") in links
    assert (export.id, identity.id) in links
    assert (identity.id, f"entra:principal:{entra('sp id-payments')}") in links
    assert (api.kind, export.kind) == ("webapp", "functionapp")
    assert "static-site" not in by_name


def test_an_eligible_role_is_conditional_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with AzureSandbox() as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch)
    (grant,) = [row for row in records if isinstance(row, Grant) and "eligible-role" in row.id]
    assert (grant.role, grant.level, grant.conditional) == ("Owner", "admin", True)
    assert grant.expires_at is not None
    assert grant.account_id == f"azure:subscription:{PROD}"


def test_keys_that_cannot_be_used_are_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with AzureSandbox() as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch)
    assert {row.name for row in records if isinstance(row, Credential)} == {
        "lanternexports key1",
        "lanternexports key2",
        "lanternimages admin user",
    }


@pytest.mark.parametrize(
    ("tags", "owner"), [({"owner": "TBD", "Team": " ledger "}, "ledger"), ({"owner": "n/a"}, None)]
)
def test_a_tag_that_says_nothing_is_no_owner(
    tags: dict[str, str], owner: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureSandbox() as sandbox:
        next(row for row in sandbox.tenant.resources if row["name"] == "payments-api")["tags"] = tags
        records = collected(sandbox, tmp_path, monkeypatch)
    api = next(row for row in records if isinstance(row, Identity) and row.name == "payments-api")
    assert api.owner == owner
