"""Facts of a tenant, labeled from Microsoft's documentation before the collector saw it, and what came out."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

import collectors.azure
from sandbox.azure import AzureSandbox
from sandbox.entra.estate import GITHUB, TENANT
from sandbox.estate import FIRST_NIGHT
from scanner.collect.collector import Run
from scanner.records import Account, Control, Credential, Grant, Identity, Link, Trust
from scanner.secrets.detectors import Fingerprint
from tests import labeled_azure_estate as estate
from tests.labeled_azure_estate import who

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.records import Record


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Record]]:
    with pytest.MonkeyPatch.context() as patched, AzureSandbox(page=100) as sandbox:
        sandbox.tenant = estate.build()
        for name, value in sandbox.environment().items():
            patched.setenv(name, value)
        config = collectors.azure.Config.model_validate(sandbox.section())
        run = Run(
            as_of=FIRST_NIGHT, fingerprint=Fingerprint(b"k" * 32), cache=tmp_path_factory.mktemp("cache"),
            stopping=threading.Event(),
        )  # fmt: skip
        (target,) = collectors.azure.targets(config, run)
        yield list(collectors.azure.collect(target, config, run))


GAINS = {"admin", "grant-access", "become-other", "read-secrets", "change-delivery", "deploy", "change-data"}
# principal: powers that it must have, powers that it must not have
POWERS: dict[str, tuple[set[str], set[str]]] = {
    "vm-operator": ({"become-other", "change-data"}, {"admin", "grant-access", "change-delivery"}),
    "vm-login": ({"become-other"}, {"admin", "grant-access", "read-secrets"}),
    "assigner": (set(), GAINS - {"change-data"}),
    "web": ({"become-other", "deploy", "read-secrets"}, {"admin", "grant-access"}),
    "federator": ({"become-other"}, {"admin", "read-secrets"}),
    "kv-admin-policies": ({"read-secrets", "grant-access"}, {"admin", "become-other"}),
    "kv-admin-roles": ({"change-data"}, {"read-secrets", "grant-access", "become-other"}),
    "kv-user-roles": ({"read-secrets"}, {"change-data", "grant-access"}),
    "kv-user-policies": (set(), {"read-secrets"}),
    "kv-reader": ({"read"}, GAINS),
    "pusher": ({"change-delivery"}, {"become-other", "grant-access", "read-secrets"}),
    "puller": (set(), GAINS),
    "pusher-abac": (set(), {"change-delivery"}),
    "keys-on": ({"read-secrets", "change-data"}, {"grant-access", "become-other"}),
    "keys-off": (set(), {"read-secrets", "change-data"}),
    "blobs": ({"change-data", "read-data"}, {"grant-access", "become-other"}),
    "job-starter": (set(), {"become-other", "grant-access", "read-secrets"}),
    "runbook-author": ({"become-other"}, {"admin", "grant-access"}),
    "aks-admin-open": ({"become-other"}, {"admin"}),
    "aks-admin-closed": (set(), {"become-other", "read-secrets"}),
    "aks-user-open": ({"read-secrets"}, {"admin"}),
    "aks-user-closed": (set(), {"read-secrets", "become-other"}),
    "flow-operator": (set(), {"become-other", "deploy", "read-secrets"}),
    "flow-author": ({"become-other", "deploy"}, {"admin", "grant-access"}),
    "delegate-reader": ({"read"}, GAINS),
    "delegate-most": ({"grant-access"}, {"admin"}),
    "delegate-owner": ({"grant-access"}, set()),
    "root": ({"grant-access"}, {"admin", "become-other", "read-secrets"}),
    "owner-denied": ({"read"}, GAINS),
    "owner-watched": ({"admin"}, set()),
    "owner-excluded": ({"admin"}, set()),
    "owner-lab": ({"read"}, GAINS),
    "owner-group": ({"admin", "grant-access"}, set()),
    "contributor-landing": ({"become-other", "deploy", "read-secrets"}, {"admin"}),
    "reader": ({"read"}, GAINS | {"read-data"}),
    "monitor": ({"read"}, GAINS),
    "policy-author": ({"grant-access", "become-other"}, {"admin", "read-secrets"}),
    "deployer": (set(), GAINS),
    "decoy": ({"read"}, GAINS),
    "agent": ({"read"}, GAINS),
    "policy-holder": ({"read-secrets", "change-data"}, {"admin", "grant-access"}),
    "policy-lister": ({"read"}, GAINS),
}
# principal: names of resources whose identity it can become; nothing else
BECOMES: dict[str, set[str]] = {
    "vm-operator": {"vm"},
    "vm-login": {"vm"},
    "assigner": set(),
    "web": {"site", "func"},
    "assigner-and-web": {"site", "func", "uami-app"},
    "federator": {"uami-app"},
    "job-starter": set(),
    "runbook-author": {"runbooks"},
    "aks-admin-open": {"open"},
    "aks-admin-closed": set(),
    "flow-operator": set(),
    "flow-author": {"flow"},
    "owner-denied": set(),
    "owner-lab": set(),
    "contributor-dev": {"vm-dev"},
    "delegate-reader": set(),
    "reader": set(),
    "policy-author": {"repairs"},
    "eligible-group": set(),
    "pusher": set(),
    "keys-on": set(),
}
# name and kind of the control: enforcement
CONTROLS: dict[tuple[str, str], str] = {
    ("kv-old", "key-vault-rbac"): "absent",
    ("kv-new", "key-vault-rbac"): "enforced",
    ("kv-old", "key-vault-firewall"): "absent",
    ("kv-new", "key-vault-firewall"): "enforced",
    ("open", "storage-shared-key-off"): "absent",
    ("closed", "storage-shared-key-off"): "enforced",
    ("images", "registry-admin-user-off"): "absent",
    ("sql", "local-auth-off"): "absent",
    ("cache", "local-auth-off"): "enforced",
    ("ai", "local-auth-off"): "absent",
    ("open", "aks-local-accounts"): "absent",
    ("closed", "aks-local-accounts"): "enforced",
    ("open", "aks-entra-sign-in"): "absent",
    ("denies", "policy-assignment"): "enforced",
    ("watches", "policy-assignment"): "audited",
    ("default", "policy-assignment"): "audited",
    ("off", "policy-assignment"): "absent",
    ("initiative", "policy-assignment"): "enforced",
    ("weakened", "policy-assignment"): "audited",
    ("locked", "deny-assignment"): "enforced",
    ("watched", "deny-assignment"): "audited",
}


def held(records: list[Record], name: str) -> list[Grant]:
    return [
        row for row in records if isinstance(row, Grant) and row.identity_id == f"entra:principal:{who(name)}"
    ]


@pytest.mark.parametrize("name", POWERS)
def test_what_a_principal_may_do(records: list[Record], name: str) -> None:
    grants = [row for row in held(records, name) if "eligible" not in row.id]
    assert grants
    powers = {power for row in grants for power in row.powers}
    must, must_not = POWERS[name]
    assert must <= powers
    assert not must_not & powers


@pytest.mark.parametrize("name", BECOMES)
def test_whom_a_principal_can_become(records: list[Record], name: str) -> None:
    names = {row.id: row.name for row in records if isinstance(row, Identity)}
    found = {
        names[row.target_id]
        for row in records
        if isinstance(row, Link)
        and row.relation == "can_become"
        and row.source_id == f"entra:principal:{who(name)}"
    }
    assert found == BECOMES[name]


@pytest.mark.parametrize("key", CONTROLS)
def test_how_a_control_is_enforced(records: list[Record], key: tuple[str, str]) -> None:
    found = [row.enforcement for row in records if isinstance(row, Control) and (row.name, row.kind) == key]
    assert found == [CONTROLS[key]]


def test_who_lies_within_whose_reach(records: list[Record]) -> None:
    """A role at a management group reaches the subscriptions below it, and no other."""
    names = {row.id: row.name for row in records if isinstance(row, Identity)}
    reached = {
        names[row.target_id]
        for row in records
        if isinstance(row, Link)
        and row.relation == "can_become"
        and row.source_id == f"entra:principal:{who('contributor-landing')}"
    }
    assert {
        "vm",
        "vm-data",
        "vm-dev",
        "site",
        "func",
        "runbooks",
        "flow",
        "uami-app",
        "uami-data",
        "open",
    } <= reached
    assert not {"vm-lab", "vm-bare", "plain"} & reached


def test_conditions_eligibility_and_time(records: list[Record]) -> None:
    (blobs,) = held(records, "blobs")
    assert blobs.conditional is False, "the condition names reading, and writing stays free"
    (most,) = held(records, "delegate-most")
    assert most.conditional is False, "all but three roles is no limit"
    eligible = [row for row in held(records, "eligible-owner") if "eligible" in row.id]
    assert [(row.level, row.conditional) for row in eligible] == [("admin", True)]
    assert [row.account_id for row in held(records, "eligible-group")] == ["azure:management-group:landing"]
    active = [row for row in held(records, "eligible-owner") if "eligible" not in row.id]
    assert [row.expires_at is not None for row in active] == [True]
    activation = {
        (row.account_id.split(":")[1], row.enforcement)
        for row in records
        if isinstance(row, Control) and row.kind == "role-activation"
    }
    assert activation == {("subscription", "audited"), ("management-group", "absent")}


def test_credentials_are_where_they_work(records: list[Record]) -> None:
    found = {(row.kind, row.name): row for row in records if isinstance(row, Credential)}
    assert set(found) == {
        ("aks-admin-certificate", "open cluster administrator"),
        ("function-host-key", "func host keys"),
        ("registry-admin-user", "images admin user"),
        ("storage-account-key", "open key1"),
        ("storage-account-key", "open key2"),
    }
    assert found["storage-account-key", "open key1"].rotated_at is not None
    assert found["storage-account-key", "open key2"].rotated_at is None


def test_who_runs_as_whom(records: list[Record]) -> None:
    names = {row.id: row.name for row in records if isinstance(row, Identity)}
    runs = {
        (names[row.source_id], names.get(row.target_id, row.target_id))
        for row in records
        if isinstance(row, Link) and row.relation == "runs_as"
    }
    assert {
        ("site", "uami-app"),
        ("site", f"entra:principal:{who('of site')}"),
        ("uami-app", f"entra:principal:{who('of uami-app')}"),
        ("vm", f"entra:principal:{who('of vm')}"),
        ("repairs", f"entra:principal:{who('of repairs')}"),
    } <= runs
    assert not {"vm-bare", "plain"} & {source for source, _ in runs}


def test_whom_identities_trust(records: list[Record]) -> None:
    trusts = {row.issuer: row for row in records if isinstance(row, Trust) and "uami-app" in row.identity_id}
    assert {issuer: row.exposure for issuer, row in trusts.items()} == {
        estate.ISSUER: "exact",
        GITHUB: "exact",
        next(issuer for issuer in trusts if "login.microsoftonline" in issuer): "another-tenant",
    }
    accounts = [row for row in records if isinstance(row, Identity) and row.kind == "aks-service-account"]
    assert [(row.name, row.issuer, row.subjects) for row in accounts] == [
        ("shop/cart", estate.ISSUER, ["system:serviceaccount:shop:cart"])
    ]


def test_partners_and_places(records: list[Record]) -> None:
    partners = {
        row.name: row for row in records if isinstance(row, Identity) and row.kind == "lighthouse-principal"
    }
    assert set(partners) == {"team of Partner", "lead of Partner"}
    grants = {
        row.identity_id: row for row in records if isinstance(row, Grant) and "Lighthouse" in (row.via or "")
    }
    team, lead = (grants[partners[name].id] for name in ("team of Partner", "lead of Partner"))
    assert (team.level, team.breadth, team.conditional) == ("escalation", "group", False)
    assert lead.conditional is True
    reached = {
        row.target_id.rpartition("/")[2]
        for row in records
        if isinstance(row, Link) and row.relation == "can_become" and row.source_id == team.identity_id
    }
    assert reached == {"vm-dev"}
    assert not any(isinstance(row, Link) and row.source_id == lead.identity_id for row in records)
    parents = {row.name: row.parent_id for row in records if isinstance(row, Account)}
    assert parents["prod"] == "azure:management-group:landing"
    assert parents["hub"] == f"azure:management-group:{TENANT}"
    breadth = {row.resource: row.breadth for row in records if isinstance(row, Grant)}
    assert (breadth["/"], breadth[estate.P], breadth[estate.APP]) == ("organization", "account", "group")
