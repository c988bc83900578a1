"""Microsoft's own examples, labeled before the collectors had seen them, and what is made of each."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from collectors._microsoft.federated import trust_of
from collectors.azure.evaluator.conditions import ASSIGN, Sure, condition
from collectors.azure.evaluator.roles import allowed, role_of
from collectors.entra.powers import GRAPH, of_permission
from sandbox.azure import AzureSandbox
from sandbox.azure.company import build as azure_company
from sandbox.azure.tenant import PROD, AzureTenant, guid
from sandbox.entra.estate import TENANT
from sandbox.kit.issued import secret_value
from scanner.policies import canonical_document, policy_record
from scanner.records import (
    Control,
    Credential,
    Gap,
    Grant,
    Identity,
    Link,
    Secret,
    Trust,
    level_of,
)
from scanner.yaml_data import read_yaml
from tests.test_azure import collected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.records import Record

R = TypeVar("R")

EXAMPLES: dict[str, list[dict[str, Any]]] = read_yaml(
    Path(__file__).parent / "data" / "microsoft_examples.yaml"
)
SURE = {"no": Sure.NO, "maybe": Sure.MAYBE, "yes": Sure.YES}


def cases(part: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in EXAMPLES[part]]


@pytest.mark.parametrize("case", cases("roles"))
def test_what_a_built_in_role_amounts_to(case: dict[str, Any]) -> None:
    element = {
        "actions": case.get("actions", []),
        "notActions": case.get("not_actions", []),
        "dataActions": case.get("data", []),
        "notDataActions": [],
    }
    powers = set(allowed(role_of(json.dumps({"permissions": [element]}))).powers)
    assert set(case["has"]) <= powers
    assert not set(case["lacks"]) & powers


def bound() -> Iterator[Any]:
    """Yield each condition with an action, the role that is assigned by it, and how sure it is."""
    for case in EXAMPLES["conditions"]:
        for role, sure in case.get("assigns", {}).items():
            yield pytest.param(case["text"], ASSIGN, role, sure, id=f"{case['name']}-{role[:8]}-{sure}")
        for action, sure in case.get("data", {}).items():
            yield pytest.param(
                case["text"], action, None, sure, id=f"{case['name']}-{action.rpartition('/')[2]}-{sure}"
            )


@pytest.mark.parametrize(("text", "action", "role", "sure"), bound())
def test_what_a_condition_lets_through(text: str, action: str, role: str | None, sure: str) -> None:
    found = condition(text).allows(action, role.lower() if role else None, data=action != ASSIGN)
    assert found is SURE[sure]


@pytest.mark.parametrize("case", cases("trusts"))
def test_how_wide_a_federated_credential_is(case: dict[str, Any]) -> None:
    document: dict[str, Any] = {"issuer": case["issuer"], "audiences": ["api://AzureADTokenExchange"]}
    if "expression" in case:
        document["claimsMatchingExpression"] = {"languageVersion": 1, "value": case["expression"]}
    else:
        document["subject"] = case["subject"]
    policy = policy_record(
        provider="entra", account_id="t", kind="federated-credential", native_id="n", name="n",
        document=canonical_document(document), attached_to=["i"],
    )  # fmt: skip
    assert trust_of(policy, TENANT).exposure == case["exposure"]


@pytest.mark.parametrize("case", cases("permissions"))
def test_what_a_permission_of_graph_amounts_to(case: dict[str, Any]) -> None:
    assert level_of(of_permission(GRAPH, case["name"]).powers) == case["level"]


# Examples of the API specifications (https://github.com/Azure/azure-rest-api-specs), as Resource Graph and Resource Manager return
# them; names of subscriptions and tenants are the sandbox's.
GROUP = f"/subscriptions/{PROD}/resourceGroups/rg"
CONTRIBUTOR_ROLE = "b24988ac-6180-42a0-ab88-20f7382dd24c"
MAINTAINER = "a3bb8764-cb92-4276-9d2a-ca1e895e55ea"


def documented() -> AzureTenant:
    """Return a tenant with the objects of the examples."""
    whole = azure_company(1)
    tenant = AzureTenant(
        resourcecontainers=whole.resourcecontainers,
        authorizationresources=[
            row for row in whole.authorizationresources if row["type"].endswith("roledefinitions")
        ],
    )
    tenant.resource(
        "Microsoft.ContainerService/managedClusters", "clustername1", "rg",
        tags={"archv2": "", "tier": "production"},
        properties={"servicePrincipalProfile": {"clientId": guid("documented cluster")}, "enableRBAC": False},
    )  # fmt: skip
    tenant.resource(
        "Microsoft.ContainerService/managedClusters", "clustername2", "rg",
        identity={"type": "SystemAssigned", "principalId": guid("documented identity"), "tenantId": TENANT},
        properties={"servicePrincipalProfile": {"clientId": "msi"}, "disableLocalAccounts": True, "aadProfile": {"managed": True}},
    )  # fmt: skip
    secret = "AccountKey=" + secret_value("documented/key", 86) + "=="
    tenant.resource(
        "Microsoft.App/containerApps", "testcontainerApp0", "rg",
        properties={
            "configuration": {"secrets": [{"name": "registry-password"}], "registries": [
                {"server": "contoso.azurecr.io", "username": "contoso", "passwordSecretRef": "registry-password"}]},
            "template": {
                "containers": [{"image": "repo/testcontainerApp0:v4", "name": "testcontainerApp0"}],
                "initContainers": [{"image": "repo/testcontainerApp0:v4", "name": "testinitcontainerApp0", "env": [
                    {"name": "STORAGE", "value": f"DefaultEndpointsProtocol=https;AccountName=contoso;{secret}"}]}],
            },
        },
    )  # fmt: skip
    registry = tenant.resource(
        "Microsoft.ContainerRegistry/registries", "myRegistry", "rg", properties={"adminUserEnabled": False}
    )
    tenant.add(f"{registry}/scopeMaps", {
        "name": "myScopeMap", "type": "Microsoft.ContainerRegistry/registries/scopeMaps", "id": f"{registry}/scopeMaps/myScopeMap",
        "properties": {"type": "IsUserDefined", "actions": ["repositories/myrepository/contentWrite", "repositories/myrepository/delete"],
                       "creationDate": "2017-03-01T23:14:37.0707808Z", "provisioningState": "Succeeded"}})  # fmt: skip
    tenant.add(f"{registry}/tokens", {
        "id": f"{registry}/tokens/myToken", "name": "myToken", "type": "Microsoft.ContainerRegistry/registries/tokens",
        "properties": {"creationDate": "2017-03-01T23:14:37.0707808Z", "scopeMapId": f"{registry}/scopeMaps/myScopeMap",
                       "provisioningState": "Succeeded", "status": "enabled"}})  # fmt: skip
    automation = tenant.resource("Microsoft.Automation/automationAccounts", "myAutomationAccount33", "rg")
    tenant.add(f"{automation}/webhooks", {
        "id": f"{automation}/webhooks/TestWebhook", "name": "TestWebhook",
        "properties": {"isEnabled": True, "expiryTime": "2018-03-29T22:18:13.7002872+00:00", "runbook": {"name": "TestRunbook"},
                       "lastInvokedTime": None, "runOn": None, "parameters": None, "uri": None, "lastModifiedBy": "",
                       "creationTime": "2017-03-29T22:18:14.6651862+00:00", "lastModifiedTime": "2017-03-29T22:18:14.6651862+00:00"}})  # fmt: skip
    tenant.resource("Microsoft.Storage/storageAccounts", "contosostorage", "rg", properties={
        "allowSharedKeyAccess": None, "sasPolicy": None, "creationTime": "2024-02-19T14:39:30.437545+00:00",
        "keyCreationTime": {"key1": "2024-02-19T14:39:30.625055Z", "key2": None}})  # fmt: skip
    identity = tenant.resource("Microsoft.ManagedIdentity/userAssignedIdentities", "identityName", "rg", properties={
        "clientId": guid("documented client"), "principalId": guid("documented principal")})  # fmt: skip
    for name, expression in (
        ("ficResourceName", "claims['sub'] matches system:serviceaccount:ns:*"),
        ("quoted", "claims['sub'] matches 'repo:contoso/*:ref:refs/heads/main'"),
    ):
        tenant.add(f"{identity}/federatedIdentityCredentials", {
            "id": f"{identity}/federatedIdentityCredentials/{name}", "name": name,
            "properties": {"issuer": "https://token.actions.githubusercontent.com", "audiences": ["api://AzureADTokenExchange"],
                           "claimsMatchingExpression": {"languageVersion": 1, "value": expression}},
            "type": "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"})  # fmt: skip
    subscription = f"/subscriptions/{PROD}"
    tenant.add(f"{subscription}/providers/Microsoft.Authorization/roleEligibilityScheduleInstances", {
        "properties": {
            "scope": subscription, "roleDefinitionId": f"{subscription}/providers/Microsoft.Authorization/roleDefinitions/{CONTRIBUTOR_ROLE}",
            "principalId": MAINTAINER, "principalType": "User", "status": "Provisioned", "startDateTime": "2020-09-10T00:32:36.86Z",
            "endDateTime": "2021-09-10T00:31:41.477Z", "memberType": "Direct", "createdOn": "2020-09-10T00:32:36.86Z",
            "condition": "@Resource[Microsoft.Storage/storageAccounts/blobServices/containers:ContainerName] StringEqualsIgnoreCase 'foo_storage_container'",
            "conditionVersion": "1.0"},
        "name": "21e4b59a-0499-4fe0-a3c3-43a3055b773a",
        "id": f"{subscription}/providers/Microsoft.Authorization/RoleEligibilityScheduleInstances/21e4b59a-0499-4fe0-a3c3-43a3055b773a",
        "type": "Microsoft.Authorization/RoleEligibilityScheduleInstances"})  # fmt: skip
    tenant.activation(
        subscription, CONTRIBUTOR_ROLE, approvers=("2385b0f3-5fa9-43cf-8ca4-b01dc97298cd", "2f4913c9-d15b-406a-9946-1d66a28f2690"),
        asked=("MultiFactorAuthentication", "Justification", "Ticketing"),
    )  # fmt: skip
    tenant.add(f"{subscription}/providers/Microsoft.Authorization/denyAssignments", {
        "properties": {
            "denyAssignmentName": "Deny assignment name", "description": "Deny assignment description",
            "permissions": [{"actions": ["action"], "notActions": [], "dataActions": [], "notDataActions": []}],
            "scope": GROUP, "doNotApplyToChildScopes": False, "principals": [{"id": "principalId1", "type": "principalType1"}],
            "excludePrincipals": [{"id": "principalId2", "type": "principalType2"}], "isSystemProtected": True},
        "id": f"{GROUP}/providers/Microsoft.Authorization/denyAssignments/denyAssignmentId",
        "type": "Microsoft.Authorization/denyAssignments", "name": "denyAssignmentId"})  # fmt: skip
    offer = f"{subscription}/providers/Microsoft.ManagedServices/registrationDefinitions/offer"
    tenant.managedserviceresources += [
        {"id": offer, "name": "offer", "type": "microsoft.managedservices/registrationdefinitions", "properties": {
            "managedByTenantId": guid("documented partner"), "managedByTenantName": "Relecloud", "authorizations": [
                {"principalId": "0afd8497-7bff-4873-a7ff-b19a6b7b332c", "principalIdDisplayName": "Tier 2 Support",
                 "roleDefinitionId": "acdd72a7-3385-48ef-bd42-f606fba81ae7"},
                {"principalId": "9fe47fff-5655-4779-b726-2cf02b07c7c7", "principalIdDisplayName": "Service Automation Account",
                 "roleDefinitionId": CONTRIBUTOR_ROLE},
                {"principalId": "3ae47fff-5655-4779-b726-2cf02b05c7c4", "principalIdDisplayName": "Policy Automation Account",
                 "roleDefinitionId": "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
                 "delegatedRoleDefinitionIds": ["acdd72a7-3385-48ef-bd42-f606fba81ae7"]}]}},
        {"id": f"{subscription}/providers/Microsoft.ManagedServices/registrationAssignments/one", "name": "one",
         "type": "microsoft.managedservices/registrationassignments", "properties": {"registrationDefinitionId": offer}},
    ]  # fmt: skip
    return tenant


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """What the Azure collector makes of the examples."""
    with pytest.MonkeyPatch.context() as patched, AzureSandbox(page=100) as sandbox:
        sandbox.tenant = documented()
        return collected(sandbox, tmp_path_factory.mktemp("documented"), patched)


def of(records: list[Record], record: type[R], /, **fields: str) -> R:
    """Return the one record of a class with these fields."""
    (found,) = (
        row
        for row in records
        if isinstance(row, record) and all(getattr(row, key) == value for key, value in fields.items())
    )
    return found


def test_the_examples_are_read_without_a_gap(records: list[Record]) -> None:
    assert [row for row in records if isinstance(row, Gap)] == []


def test_a_cluster_signs_in_as_an_application_or_as_a_managed_identity(records: list[Record]) -> None:
    first, second = (of(records, Identity, name=f"clustername{number}") for number in (1, 2))
    targets = {
        (row.source_id, row.target_id)
        for row in records
        if isinstance(row, Link) and row.relation == "runs_as"
    }
    assert (first.id, f"entra:application:{guid('documented cluster')}") in targets
    assert {target for source, target in targets if source == second.id} == {
        f"entra:principal:{guid('documented identity')}"
    }


def test_what_a_cluster_of_old_defaults_leaves_open(records: list[Record]) -> None:
    controls = {(row.kind, row.name): row.enforcement for row in records if isinstance(row, Control)}
    for kind in ("aks-local-accounts", "aks-entra-sign-in", "aks-run-command-off", "aks-workload-identity"):
        assert controls[kind, "clustername1"] == "absent"
    assert controls["aks-local-accounts", "clustername2"] == "enforced"


def test_secrets_of_a_container_app_are_found_in_init_containers_as_well(records: list[Record]) -> None:
    plain = of(records, Secret, store="containerapp-env")
    assert (plain.name, plain.readable) == ("STORAGE", True)
    assert of(records, Secret, store="containerapp-secret").tags == {"registry": "contoso.azurecr.io"}


def test_a_registry_token_has_what_its_scope_map_gives(records: list[Record]) -> None:
    token = of(records, Identity, kind="registry-token")
    grant = of(records, Grant, identity_id=token.id)
    assert set(grant.powers) == {"change-delivery", "change-data"}
    assert [row for row in records if isinstance(row, Credential) and row.identity_id == token.id] == []


def test_a_webhook_that_ended_was_never_seen_invoked_by_us(records: list[Record]) -> None:
    hook = of(records, Credential, kind="automation-webhook")
    assert hook.expires_at == datetime(2018, 3, 29, 22, 18, 13, 700287, tzinfo=UTC)
    assert (hook.last_used_at, hook.enabled) == (None, True)


def test_shared_keys_work_where_nothing_is_said_and_an_age_may_be_unknown(records: list[Record]) -> None:
    assert of(records, Control, kind="storage-shared-key-off").enforcement == "absent"
    keys = {
        row.name: row.rotated_at
        for row in records
        if isinstance(row, Credential) and row.kind == "storage-account-key"
    }
    assert keys == {
        "contosostorage key1": datetime(2024, 2, 19, 14, 39, 30, 625055, tzinfo=UTC),
        "contosostorage key2": None,
    }


def test_a_flexible_credential_of_a_managed_identity_is_read(records: list[Record]) -> None:
    assert sorted(row.exposure for row in records if isinstance(row, Trust) and row.kind == "oidc") == [
        "organization",
        "unknown",
    ]


def test_an_eligibility_that_ended_is_conditional_and_says_when(records: list[Record]) -> None:
    grant = of(records, Grant, identity_id=f"entra:principal:{MAINTAINER}")
    assert grant.conditional
    assert grant.expires_at == datetime(2021, 9, 10, 0, 31, 41, 477000, tzinfo=UTC)


def test_activation_that_groups_approve_is_enforced(records: list[Record]) -> None:
    control = of(records, Control, kind="role-activation")
    assert control.enforcement == "enforced"
    assert len(control.approvers) == 2


def test_a_deny_assignment_of_an_older_version_has_no_effect_that_is_known(records: list[Record]) -> None:
    # Protected by the system: Azure enforces those that it makes itself.
    assert of(records, Control, kind="deny-assignment").enforcement == "enforced"


@pytest.mark.parametrize(
    ("who", "level", "conditional"),
    [
        ("Tier 2 Support of Relecloud", "read", False),
        ("Service Automation Account of Relecloud", "escalation", False),
        # It hands out Reader, and to managed identities only: nothing else of the role applies.
        ("Policy Automation Account of Relecloud", "read", True),
    ],
)
def test_what_a_partner_may_do(records: list[Record], who: str, level: str, conditional: bool) -> None:
    partner = of(records, Identity, name=who)
    grant = of(records, Grant, identity_id=partner.id)
    assert (grant.level, grant.conditional) == (level, conditional)
