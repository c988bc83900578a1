"""A labeled organization of Azure DevOps: what must be recorded of it, and what must not.

The labels follow Microsoft's documentation, and were written before the first run:
https://learn.microsoft.com/azure/devops/pipelines/library/service-endpoints (what each type stores),
https://learn.microsoft.com/azure/devops/pipelines/process/approvals (checks by resource),
https://learn.microsoft.com/azure/devops/pipelines/security/resources (which pipelines may use a resource),
https://learn.microsoft.com/azure/devops/pipelines/process/access-tokens (whose token a job has), and
https://registry.terraform.io/providers/microsoft/azuredevops/latest/docs for the shapes of authorizations and checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox.azure_devops import AzureDevOpsSandbox
from sandbox.azure_devops.access import default_access
from sandbox.azure_devops.doors import DoorEstate
from sandbox.azure_devops.estate import (
    APPROVAL,
    BRANCH_CONTROL,
    LOCK,
    TASK,
    TEMPLATE,
    DevOpsOrganization,
    DevOpsProject,
    ago,
    guid,
    person,
    setting_values,
)
from scanner.records import Account, Control, Deployment, Identity, Link, Secret
from tests.test_azure_devops import collected

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.records import Record

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
SHIP = """\
trigger: [main]
pool: {name: metal}
resources:
  repositories:
    - {repository: shared, type: git, name: library, ref: refs/heads/main}
stages:
  - stage: ship
    jobs:
      - deployment: ship
        environment: live
        strategy:
          runOnce:
            deploy:
              steps:
                - task: AzureCLI@2
                  inputs: {azureSubscription: az-federated, scriptType: bash, inlineScript: az deployment sub create}
                - template: push.yml@shared
"""
PUSH = """\
steps:
  - task: Docker@2
    inputs: {containerRegistry: hub, command: push}
"""
TEST = "trigger: none\npool: {vmImage: ubuntu-latest}\nsteps: [{script: make test}]\n"
DYNAMIC = """\
parameters: [{name: where, type: string}]
steps:
  - task: AzureCLI@2
    inputs: {azureSubscription: "${{ parameters.where }}", scriptType: bash, inlineScript: az group list}
"""
CONNECTIONS: dict[str, tuple[str, str, dict[str, Any], str, bool]] = {
    # name: type, scheme, parameters -> how it signs in, whether a secret is, or may be, stored
    "az-federated": ("azurerm", "WorkloadIdentityFederation", {"serviceprincipalid": guid("a"), "tenantid": TENANT}, "azure:oidc", False),
    "az-secret": ("azurerm", "ServicePrincipal", {"serviceprincipalid": guid("b"), "authenticationType": "spnKey", "serviceprincipalkey": None}, "azure:static", True),
    "az-cert": ("azurerm", "ServicePrincipal", {"serviceprincipalid": guid("c"), "authenticationType": "spnCertificate"}, "azure:static", True),
    "az-agent": ("azurerm", "ManagedServiceIdentity", {"tenantid": TENANT}, "azure:managed", False),
    "az-profile": ("azurerm", "PublishProfile", {"publishProfile": None}, "azure:static", True),
    "az-classic": ("azure", "Certificate", {"certificate": None}, "azure:static", True),
    "aws-key": ("AWS", "UsernamePassword", {"username": "AKIAIOSFODNN7EXAMPLQ", "password": None}, "aws:static", True),
    "aws-oidc": ("AWS", "UsernamePassword", {"useOIDC": "true", "assumeRoleArn": "arn:aws:iam::123456789012:role/ado"}, "aws:oidc", False),
    "gcp": ("GoogleCloudServiceEndpoint", "JWT", {"Issuer": "ci@acme.iam.gserviceaccount.com", "PrivateKey": None}, "gcp:static", True),
    "gh-app": ("github", "InstallationToken", {"IdToken": None}, "github:app", False),
    "gh-oauth": ("github", "OAuth", {"AccessToken": None, "ConfigurationId": guid("cfg")}, "github:static", True),
    "gh-token": ("github", "PersonalAccessToken", {"accessToken": None}, "github:static", True),
    "hub": ("dockerregistry", "UsernamePassword", {"username": "acme", "password": None, "registry": "https://index.docker.io/v1/"}, "registry:static", True),
    "acr": ("dockerregistry", "WorkloadIdentityFederation", {"serviceprincipalid": guid("d"), "loginServer": "acme.azurecr.io"}, "registry:oidc", False),
    "aks": ("kubernetes", "Kubernetes", {"kubeconfig": None}, "kubernetes:static", True),
    "bus": ("AzureServiceBus", "None", {"serviceBusConnectionString": None}, "azure:static", True),
    "nuget": ("externalnugetfeed", "None", {"nugetkey": None}, "nuget:static", True),
    "npm": ("externalnpmregistry", "Token", {"apitoken": None}, "npm:static", True),
    "sonar": ("sonarqube", "UsernamePassword", {"username": "abc", "password": None}, "sonarqube:static", True),
    "ssh": ("ssh", "UsernamePassword", {"username": "root", "password": None}, "host:static", True),
    "hook": ("incomingwebhook", "None", {"webhookname": "start", "secret": None}, "webhook:static", True),
    "other-org": ("azdoapi", "Token", {"apitoken": None}, "azure-devops:static", True),
    "future": ("quantumcloud", "Token", {"apitoken": None}, "unknown:unknown", True),
    "future-azure": ("azurerm", "PasskeyFederation", {}, "unknown:unknown", True),
}  # fmt: skip


def estate() -> DevOpsOrganization:
    """Return the organization: a project with everything, one that shares with it, and a public one."""
    shop = DevOpsProject(id=guid("shop"), name="shop")
    lab = DevOpsProject(id=guid("lab"), name="lab")
    www = DevOpsProject(id=guid("www"), name="www", visibility="public")
    for name, (kind, scheme, parameters, _, _) in CONNECTIONS.items():
        shop.endpoint(name, kind, scheme, parameters, shared_with=lab if name == "sonar" else None)
    shop.endpoint("draft", "kubernetes", "Token", {"apiToken": None}, used=None, isReady=False)
    shop.endpoint(
        "retired", "azurerm", "ServicePrincipal", {"serviceprincipalid": guid("e")}, isDisabled=True
    )
    shop.variable_groups.append(
        {"id": 7, "name": "live", "type": "Vsts", "isShared": False, "createdOn": ago(9), "modifiedOn": ago(2),
         "variables": {"PASSWORD": {"isSecret": True, "value": None}, "REGION": {"value": "westeurope"},
                       "TOKEN": {"value": "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"}}},
    )  # fmt: skip
    shop.variable_groups.append(
        {"id": 8, "name": "vault", "type": "AzureKeyVault", "isShared": True,
         "providerData": {"serviceEndpointId": guid("connection az-secret"), "vault": "kv-shop"},
         "variables": {"db": {"enabled": True, "isSecret": True, "value": None, "expires": ago(-30)}}},
    )  # fmt: skip
    shop.secure_files.append(
        {"id": guid("file"), "name": "release.p12", "createdOn": ago(10), "modifiedOn": ago(10)}
    )
    library = shop.repository("library", **{"push.yml": PUSH})
    code = shop.repository("shop", **{"azure-pipelines.yml": SHIP, "test.yml": TEST, "dynamic.yml": DYNAMIC})
    assert library
    shop.pipeline(1, "ship", code)
    shop.pipeline(2, "test", code, "test.yml", latestCompletedBuild=None)
    shop.pipeline(3, "dynamic", code, "dynamic.yml")
    shop.pipeline(4, "gone", code, "missing.yml")
    shop.pipeline(
        5, "classic", code, queueStatus="disabled", jobAuthorizationScope="projectCollection",
        process={"type": 1, "phases": [{"steps": [
            {"task": {"id": "tg", "definitionType": "metaTask"}, "inputs": {}},
            {"inputs": {"ConnectedServiceName": guid("connection az-classic")}, "enabled": False}]}]},
        variables={"SECRET": {"isSecret": True, "value": None}, "MODE": {"value": "x", "allowOverride": True}},
        variableGroups=[{"id": 8}],
    )  # fmt: skip
    shop.task_groups.append(
        {"id": "TG", "name": "deploy", "tasks": [{"inputs": {"awsCredentials": guid("connection aws-key")}}]}
    )
    live, test = {"id": 11, "name": "live"}, {"id": 12, "name": "test"}
    shop.environments += [live, test]
    approval = {
        "approvers": [person("ann"), person("bob")],
        "minRequiredApprovers": 0,
        "requesterCannotBeApprover": True,
    }
    shop.check(APPROVAL, "environment", "11", approval)
    shop.check(LOCK, "environment", "12", {})
    shop.check(
        APPROVAL,
        "endpoint",
        guid("connection az-secret"),
        {**approval, "requesterCannotBeApprover": False, "minRequiredApprovers": 1},
    )
    branches = {"displayName": "Branch control", "definitionRef": {"id": BRANCH_CONTROL, "name": "evaluatebranchProtection"},
                "inputs": {"allowedBranches": "refs/heads/main", "ensureProtectionOfBranch": "false"}}  # fmt: skip
    shop.check(TASK, "endpoint", guid("connection az-federated"), branches)
    shop.check(
        TEMPLATE,
        "variablegroup",
        "7",
        {
            "extendsChecks": [
                {
                    "repositoryName": "shop/library",
                    "repositoryRef": "refs/heads/main",
                    "templatePath": "base.yml",
                }
            ]
        },
    )
    shop.check(APPROVAL, "endpoint", guid("connection aws-key"), approval, isDisabled=True)
    shop.check(
        "99999999-0000-4000-8000-000000000000",
        "endpoint",
        guid("connection gcp"),
        {},
        type={"id": "99999999-0000-4000-8000-000000000000", "name": "Oracle"},
    )
    shop.check(
        TASK,
        "securefile",
        guid("file"),
        {
            "displayName": "Hours",
            "definitionRef": {"id": "445fde2f-6c39-441c-807f-8a59ff2e075f"},
            "inputs": {},
        },
    )
    shop.check(APPROVAL, "queue", "31", approval)
    shop.check(APPROVAL, "repository", f"{shop.id}.{code['id']}", approval)
    shop.open_to_all("endpoint", guid("connection gcp"), "gcp")
    shop.open_to_all("variablegroup", "8", "vault")
    shop.permit("endpoint", guid("connection az-federated"), 1, 2)
    shop.permit("endpoint", guid("connection az-secret"), 77)
    shop.deployed_to(11, 1, 501, 1, ago_days=3)
    shop.deployed_to(11, 2, 502, 1, ago_days=1, result="failed")
    shop.deployed_to(11, 3, 503, 1, ago_days=0, result=None, finishTime=None)
    shop.approvals.append(
        {"id": guid("ap"), "status": "approved", "pipeline": {"id": "1", "owner": {"id": 501}},
         "steps": [{"status": "approved", "assignedApprover": person("ann"), "actualApprover": person("bob")}]}
    )  # fmt: skip
    shop.builds += [
        {"id": run, "definition": {"id": 1}, "requestedFor": person("eve"), "sourceVersion": "c" * 40, "finishTime": ago(2), "result": "succeeded"}
        for run in (501, 502)
    ]  # fmt: skip
    shop.settings = setting_values(enforceSettableVar=True)
    lab.settings = setting_values(enforceJobAuthScope=True)
    www.settings = setting_values()
    metal = {"id": 3, "name": "metal", "isHosted": False, "poolType": "automation", "createdOn": ago(50)}
    hosted = {
        "id": 4,
        "name": "Azure Pipelines",
        "isHosted": True,
        "poolType": "automation",
        "createdOn": ago(50),
    }
    servers = {"id": 5, "name": "servers", "isHosted": False, "poolType": "deployment", "createdOn": ago(50)}
    shop.queue(31, metal)
    shop.queue(32, hosted)
    shop.deployment_groups.append({"id": 2, "name": "servers", "machineCount": 3, "pool": {"id": 5}})
    organization = DevOpsOrganization(
        projects=[shop, lab, www], pools=[metal, hosted, servers], settings=setting_values()
    )
    organization.group_rules.append(
        {"id": guid("rule"), "group": {"displayName": "crew", "origin": "aad", "originId": guid("crew")},
         "licenseRule": {"accountLicenseType": "stakeholder"}, "projectEntitlements": [], "lastExecuted": "0001-01-01T00:00:00Z"}
    )  # fmt: skip
    organization.access = default_access([(one.id, one.name) for one in organization.projects])
    organization.doors = DoorEstate(projects=4)
    return organization


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    with pytest.MonkeyPatch.context() as patch, AzureDevOpsSandbox(page=50) as sandbox:
        sandbox.organization = estate()
        folder: Path = tmp_path_factory.mktemp("labeled")
        return collected(sandbox, folder, patch)


def identity(records: list[Record], kind: str, name: str) -> Identity:
    (found,) = [row for row in records if isinstance(row, Identity) and (row.kind, row.name) == (kind, name)]
    return found


@pytest.mark.parametrize("name", CONNECTIONS)
def test_how_each_connection_signs_in(records: list[Record], name: str) -> None:
    assert identity(records, "ado-service-connection", name).logins == [CONNECTIONS[name][3]]


@pytest.mark.parametrize("name", CONNECTIONS)
def test_what_each_connection_stores(records: list[Record], name: str) -> None:
    held = [
        row
        for row in records
        if isinstance(row, Secret) and (row.store, row.name) == ("ado-service-connection", name)
    ]
    assert bool(held) is CONNECTIONS[name][4]


def test_connections_that_are_off_or_half_made(records: list[Record]) -> None:
    assert identity(records, "ado-service-connection", "draft").tags["ready"] == "no"
    assert identity(records, "ado-service-connection", "retired").enabled is False
    assert identity(records, "ado-service-connection", "sonar").tags["shared"] == "yes"


USES = {
    ("ship", "az-federated"): True,
    ("ship", "hub"): True,  # through a template of another repository
    ("ship", "az-secret"): False,
    ("test", "az-federated"): False,
    ("classic", "aws-key"): True,  # through a task group
    ("classic", "az-classic"): True,  # a step that is off: a click turns it on
    ("classic", "az-secret"): True,  # reads the vault of a linked variable group
    ("classic", "hub"): False,
}


@pytest.mark.parametrize(("pair", "wanted"), USES.items())
def test_which_pipeline_uses_which_connection(
    records: list[Record], pair: tuple[str, str], wanted: bool
) -> None:
    assert link(records, "uses", *pair) is wanted


def link(records: list[Record], relation: str, one: str, other: str) -> bool:
    source = identity(records, "ado-pipeline", one).id
    target = identity(records, "ado-service-connection", other).id
    return any(
        isinstance(row, Link) and (row.source_id, row.relation, row.target_id) == (source, relation, target)
        for row in records
    )


MAY_BECOME = {
    ("test", "az-federated"): True,  # authorized, and not named
    ("ship", "az-federated"): False,  # uses it
    ("classic", "az-federated"): False,
    ("test", "az-secret"): False,
}


@pytest.mark.parametrize(("pair", "wanted"), MAY_BECOME.items())
def test_which_pipeline_may_use_a_connection_that_it_does_not_name(
    records: list[Record], pair: tuple[str, str], wanted: bool
) -> None:
    assert link(records, "can_become", *pair) is wanted


@pytest.mark.parametrize(("name", "unknown"), [("dynamic", True), ("gone", True), ("ship", False), ("test", False), ("classic", False)])  # fmt: skip
def test_whether_all_that_a_pipeline_uses_is_known(records: list[Record], name: str, unknown: bool) -> None:
    me = identity(records, "ado-pipeline", name).id
    known = {row.id for row in records if isinstance(row, Identity)}
    found = [
        row for row in records if isinstance(row, Link) and row.source_id == me and row.relation == "uses"
    ]
    assert any(row.target_id not in known for row in found) is unknown


CONTROLS: dict[tuple[str, str], str | None] = {
    ("environment-approval", "live"): "enforced",
    ("environment-approval", "test"): "absent",
    ("resource-approval", "az-secret"): "enforced",
    ("resource-approval", "aws-key"): "documented",  # disabled
    ("branch-control", "az-federated"): "enforced",
    ("required-template", "live"): "enforced",  # of the variable group
    ("resource-check", "gcp"): "audited",  # a type that nobody knows
    ("resource-check", "release.p12"): "enforced",
    ("resource-approval", "metal"): "enforced",
    ("resource-approval", "shop"): "enforced",  # of the repository
    ("resource-check", "test"): None,  # a lock is no gate
    ("pipeline-authorization", "gcp"): "absent",
    ("pipeline-authorization", "az-secret"): "enforced",
    ("pipeline-authorization", "vault"): "absent",
    ("pipeline-authorization", "metal"): "enforced",
    ("pipeline-authorization", "Azure Pipelines"): None,
    ("authorized-pipelines", "az-federated"): "enforced",
    ("authorized-pipelines", "gcp"): None,  # open to all
}


@pytest.mark.parametrize(("key", "wanted"), CONTROLS.items())
def test_what_guards_what(records: list[Record], key: tuple[str, str], wanted: str | None) -> None:
    found = {row.enforcement for row in records if isinstance(row, Control) and (row.kind, row.name) == key}
    assert found == ({wanted} if wanted else set())


def test_an_approver_may_be_the_requester_only_where_it_is_allowed(records: list[Record]) -> None:
    bypass = {
        row.name: row.bypass
        for row in records
        if isinstance(row, Control) and row.kind in {"resource-approval", "environment-approval"}
    }
    assert bypass["az-secret"] == ["the requester"]
    assert bypass["live"] == []


SETTINGS = {
    ("job-authorization-scope", "shop"): "absent",
    ("job-authorization-scope", "lab"): "enforced",
    ("settable-variables", "shop"): "enforced",
    ("settable-variables", "lab"): "absent",
}


@pytest.mark.parametrize(("key", "wanted"), SETTINGS.items())
def test_settings_in_force(records: list[Record], key: tuple[str, str], wanted: str) -> None:
    project = f"azure-devops:project:{guid(key[1])}"
    found = {
        row.enforcement
        for row in records
        if isinstance(row, Control) and (row.kind, row.account_id) == (key[0], project)
    }
    assert found == {wanted}


@pytest.mark.parametrize(("pipeline", "service"), [("ship", "project"), ("classic", "collection")])
def test_whose_token_a_job_has(records: list[Record], pipeline: str, service: str) -> None:
    me = identity(records, "ado-pipeline", pipeline).id
    (target,) = [
        row.target_id
        for row in records
        if isinstance(row, Link) and (row.source_id, row.relation) == (me, "runs_as")
    ]
    (shown,) = [row for row in records if isinstance(row, Identity) and row.id == target]
    assert shown.tags["scope"] == service


SECRETS = {
    "PASSWORD": True,
    "TOKEN": True,
    "REGION": False,
    "db": True,
    "release.p12": True,
    "SECRET": True,
    "MODE": False,
}


@pytest.mark.parametrize(("name", "wanted"), SECRETS.items())
def test_which_variables_are_secrets(records: list[Record], name: str, wanted: bool) -> None:
    found = [row for row in records if isinstance(row, Secret) and row.name == name]
    assert bool(found) is wanted
    assert [row.readable for row in found] == ([name == "TOKEN"] if wanted else [])


def test_deployments_are_those_that_ended_with_who_started_and_approved_them(records: list[Record]) -> None:
    found = sorted(
        (str(row.state), row.environment, row.deployed_by, tuple(row.approved_by))
        for row in records
        if isinstance(row, Deployment)
    )
    eve, bob = "eve@lanternpay.example", "bob@lanternpay.example"
    assert found == [("failed", "live", eve, ()), ("succeeded", "live", eve, (bob,))]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("ado-agent-pool", "metal"),
        ("ado-agent-pool", "servers"),
        ("ado-deployment-group", "servers"),
        ("ado-group-rule", "crew"),
    ],
)
def test_machines_and_rules(records: list[Record], kind: str, name: str) -> None:
    shown = identity(records, kind, name)
    assert shown.runner == (None if kind == "ado-group-rule" else "self-hosted")
    assert shown.never_used is (True if kind == "ado-group-rule" else None)


@pytest.mark.parametrize(("name", "visibility"), [("shop", "private"), ("www", "public")])
def test_who_may_read_a_project(records: list[Record], name: str, visibility: str) -> None:
    (shown,) = [
        row for row in records if isinstance(row, Account) and (row.kind, row.name) == ("ado-project", name)
    ]
    assert shown.visibility == visibility


@pytest.mark.parametrize(
    ("name", "enabled", "ran"), [("ship", None, True), ("test", None, False), ("classic", False, True)]
)
def test_pipelines(records: list[Record], name: str, enabled: bool | None, ran: bool) -> None:
    shown = identity(records, "ado-pipeline", name)
    assert shown.enabled is enabled
    assert (shown.last_used_at is not None) is ran
