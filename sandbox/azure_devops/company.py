"""What is in Lantern Pay's organization: what is wrong, and beside each fault something that looks like it and is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.azure_devops.access import default_access, plant
from sandbox.azure_devops.azure_connections import REFUNDS, project_for_tests, refunds
from sandbox.azure_devops.doors import build_doors
from sandbox.azure_devops.estate import (
    APPROVAL,
    BRANCH_CONTROL,
    LOCK,
    REVIEWERS,
    TASK,
    TEMPLATE,
    DevOpsOrganization,
    DevOpsProject,
    ago,
    guid,
    person,
    setting_values,
)
from sandbox.entra import estate as entra
from sandbox.kit.issued import secret_value

if TYPE_CHECKING:
    from sandbox.kit.http import Json

DEPLOY = """\
trigger: [main]
pool: {vmImage: ubuntu-24.04}
variables:
  - group: payments-production
stages:
  - stage: deploy
    jobs:
      - deployment: payments
        environment: production
        strategy:
          runOnce:
            deploy:
              steps:
                - task: AzureWebApp@1
                  inputs:
                    azureSubscription: azure-payments
                    appName: payments-api
"""
BUILD = """\
trigger: [main]
pool: {vmImage: ubuntu-24.04}
steps:
  - task: Docker@2
    inputs:
      containerRegistry: registry-push
      command: buildAndPush
"""
PREVIEW = """\
pr: [main]
pool: {name: build-farm}
steps:
  - task: AzureCLI@2
    inputs:
      azureSubscription: azure-preview
      scriptType: bash
      inlineScript: az group list
"""


def build(night: int) -> DevOpsOrganization:
    """Return the organization as it is on a night, 1 or 2."""
    platform = DevOpsProject(id=guid("project platform"), name="platform")
    payments = DevOpsProject(id=guid("project payments"), name="payments")
    site = DevOpsProject(id=guid("project open-site"), name="open-site", visibility="public")
    _connections(platform, payments, site, night)
    test = project_for_tests(platform, payments)
    refunds(payments)
    _library(payments, platform)
    _pipelines(payments, platform)
    _releases(platform)
    _history(payments, platform)
    _repositories(payments, platform, site)
    payments.settings = setting_values(enforceJobAuthScope=True, enforceNoAccessToSecretsFromForks=True)
    # Off here, and on in the organization: in force all the same.
    platform.settings = setting_values(buildsEnabledForForks=True)
    site.settings = setting_values(enforceJobAuthScope=True, enforceSettableVar=True)
    organization = DevOpsOrganization(
        projects=[platform, payments, site, test],
        settings=setting_values(enforceJobAuthScope=True),
    )
    _machines(organization)
    _queues(organization, platform, payments)
    _authorizations(platform, payments)
    _people(organization)
    organization.access = default_access([(one.id, one.name) for one in organization.projects])
    held = {
        str(row["name"]): (one.id, str(row["id"]))
        for one in organization.projects
        for row in one.repositories
    }
    organization.doors = build_doors(held, len(organization.projects), night)
    plant(organization.access, organization.doors, {one.name: one.id for one in organization.projects})
    return organization


def _connections(platform: DevOpsProject, payments: DevOpsProject, site: DevOpsProject, night: int) -> None:
    # Sound: federated, for named pipelines, with an approval and branch control.
    number = payments.endpoint(
        "azure-payments",
        "azurerm",
        "WorkloadIdentityFederation",
        {
            "tenantid": entra.TENANT,
            "serviceprincipalid": entra.guid("app lantern-pipelines-new"),
            "workloadIdentityFederationIssuer": entra.DEVOPS_ISSUER,
            "workloadIdentityFederationSubject": entra.connection_subject("azure-payments"),
        },
        data={
            "environment": "AzureCloud",
            "scopeLevel": "Subscription",
            "subscriptionId": guid("subscription"),
        },
    )
    payments.check(
        APPROVAL,
        "endpoint",
        number,
        {
            "approvers": [person("nina.roth"), person("maya.lindt")],
            "minRequiredApprovers": 1,
            "requesterCannotBeApprover": True,
        },
    )
    payments.check(
        TASK,
        "endpoint",
        number,
        {
            "displayName": "Branch control",
            "definitionRef": {"id": BRANCH_CONTROL, "name": "evaluatebranchProtection"},
            "inputs": {"allowedBranches": "refs/heads/main", "ensureProtectionOfBranch": "true"},
        },
    )
    # A secret that federation would replace, and any pipeline of the project may use it.
    if night == 1:
        number = platform.endpoint(
            "azure-platform",
            "azurerm",
            "ServicePrincipal",
            {
                "tenantid": entra.TENANT,
                "serviceprincipalid": entra.guid("app terraform-azure"),
                "authenticationType": "spnKey",
                "serviceprincipalkey": None,
            },
        )
    else:
        number = platform.endpoint(
            "azure-platform",
            "azurerm",
            "WorkloadIdentityFederation",
            {
                "tenantid": entra.TENANT,
                "serviceprincipalid": entra.guid("app terraform-azure"),
                "workloadIdentityFederationIssuer": entra.DEVOPS_ISSUER,
                "workloadIdentityFederationSubject": entra.connection_subject("azure-platform"),
            },
        )
    platform.open_to_all("endpoint", number, "azure-platform")
    # The legacy issuer.
    platform.endpoint(
        "azure-preview",
        "azurerm",
        "WorkloadIdentityFederation",
        {
            "tenantid": entra.TENANT,
            "serviceprincipalid": entra.guid("app lantern-pipelines"),
            "workloadIdentityFederationIssuer": entra.DEVOPS_OLD_ISSUER,
            "workloadIdentityFederationSubject": "sc://lanternpay/platform/azure-preview",
        },
    )
    # A key of AWS, last used half a year ago; and a push token shared by two projects.
    platform.endpoint(
        "aws-legacy",
        "aws",
        "UsernamePassword",
        {"username": "AKIA" + "LEGACY234567WXYZ", "password": None},
        used=250,
    )
    platform.endpoint(
        "registry-push",
        "dockerregistry",
        "UsernamePassword",
        {"username": "pusher", "password": None, "registry": "registry.lanternpay.example"},
        shared_with=payments,
    )
    # A person's token, and beside it an installed application.
    platform.endpoint("github-tom", "github", "Token", {"AccessToken": None}, used=3)
    platform.endpoint("github-app", "github", "InstallationToken", {"IdToken": None}, used=3)
    # Of a type that nobody knows; and one whose sign-in the scanner may not see.
    platform.endpoint("mystery", "lantern-internal", "Token", {"apitoken": None})
    site.endpoint("hidden", "kubernetes", "Token", {"apiToken": None})
    del site.endpoints[-1]["authorization"]
    # The agent's own identity.
    platform.endpoint("azure-agent", "azurerm", "ManagedServiceIdentity", {"tenantid": entra.TENANT})


def _library(payments: DevOpsProject, platform: DevOpsProject) -> None:
    payments.variable_groups += [
        _group(
            31,
            "payments-production",
            {
                "DB_PASSWORD": {"isSecret": True, "value": None},
                "REGION": {"value": "westeurope"},
                # In clear.
                "STRIPE_KEY": {"value": "sk_live_" + secret_value("azure-devops/stripe", 24)},
            },
        ),
        {
            **_group(
                32,
                "payments-vault",
                {"api-key": {"enabled": True, "isSecret": True, "value": None, "expires": ago(-60)}},
            ),
            "type": "AzureKeyVault",
            "providerData": {
                "serviceEndpointId": guid("connection azure-payments"),
                "vault": "kv-payments",
                "lastRefreshedOn": ago(3),
            },
        },
    ]
    platform.variable_groups.append(_group(41, "tools", {"SONAR_TOKEN": {"isSecret": True, "value": None}}))
    platform.open_to_all("variablegroup", "41", "tools")
    platform.secure_files.append(
        {
            "id": guid("file signing.pfx"),
            "name": "signing.pfx",
            "createdBy": person("tom.becker"),
            "createdOn": ago(800),
            "modifiedOn": ago(800),
        }
    )


def _group(number: int, name: str, variables: Json) -> Json:
    return {
        "id": number,
        "name": name,
        "type": "Vsts",
        "variables": variables,
        "isShared": False,
        "createdBy": person("maya.lindt"),
        "createdOn": ago(500),
        "modifiedOn": ago(200),
        "variableGroupProjectReferences": [],
    }


def _pipelines(payments: DevOpsProject, platform: DevOpsProject) -> None:
    api = payments.repository("payments-api", **{"azure-pipelines.yml": DEPLOY, "refunds.yml": REFUNDS})
    payments.pipeline(102, "refunds-api deploy", api, "refunds.yml")
    payments.pipeline(101, "payments-api deploy", api)
    tools = platform.repository("tools", **{"azure-pipelines.yml": BUILD, "preview.yml": PREVIEW})
    platform.pipeline(201, "tools build", tools)
    platform.pipeline(202, "tools preview", tools, "preview.yml")
    # From the designer: it names connections by ID, holds a plain secret, and nobody ran it for a year.
    platform.pipeline(
        203,
        "nightly export",
        tools,
        process={
            "type": 1,
            "phases": [
                {
                    "steps": [
                        {
                            "inputs": {
                                "awsCredentials": guid("connection aws-legacy"),
                                "regionName": "eu-west-1",
                            }
                        }
                    ]
                }
            ],
        },
        variables={
            "EXPORT_TOKEN": {"value": "glpat-" + secret_value("azure-devops/export", 20)},
            "target": {"value": "s3", "allowOverride": True},
        },
        latestCompletedBuild={"id": 3, "finishTime": ago(380)},
        jobAuthorizationScope="projectCollection",
    )
    # Its YAML is on GitHub, and its file is gone.
    platform.pipeline(204, "docs", tools)
    platform.definitions[-1]["repository"] = {
        "id": "lanternpay/docs",
        "type": "GitHub",
        "name": "lanternpay/docs",
    }
    payments.environments += [{"id": 1, "name": "production"}, {"id": 2, "name": "staging"}]
    payments.check(
        APPROVAL,
        "environment",
        "1",
        {"approvers": [person("tom.becker")], "minRequiredApprovers": 1, "requesterCannotBeApprover": False},
    )
    payments.check(LOCK, "environment", "2", {})
    payments.check(
        TASK,
        "environment",
        "2",
        {
            "displayName": "Business hours",
            "definitionRef": {"id": "445fde2f-6c39-441c-807f-8a59ff2e075f", "name": "evaluateBusinessHours"},
            "inputs": {},
        },
    )
    platform.environments.append({"id": 5, "name": "production"})
    platform.check(
        TEMPLATE,
        "environment",
        "5",
        {
            "extendsChecks": [
                {
                    "repositoryType": "git",
                    "repositoryName": "platform/templates",
                    "repositoryRef": "refs/heads/main",
                    "templatePath": "deploy.yml",
                }
            ]
        },
    )


def _history(payments: DevOpsProject, platform: DevOpsProject) -> None:
    def approval(run: int, definition: int, *people: str) -> Json:
        return {
            "id": guid(f"approval {run}"),
            "status": "approved",
            "createdOn": ago(2),
            "minRequiredApprovers": 1,
            "pipeline": {"id": str(definition), "name": "x", "owner": {"id": run, "name": f"20261120.{run}"}},
            "steps": [
                {"status": "approved", "assignedApprover": person(one), "actualApprover": person(one)}
                for one in people
            ],
        }

    def build(run: int, definition: int, who: str) -> Json:
        return {
            "id": run,
            "definition": {"id": definition},
            "requestedFor": person(who),
            "requestedBy": person(who),
            "sourceVersion": guid(f"commit {run}").replace("-", "") + "00000000",
            "queueTime": ago(2),
            "startTime": ago(2),
            "finishTime": ago(2),
            "result": "succeeded",
            "status": "completed",
        }

    # Started and approved by one person; beside it one that somebody else approved.
    payments.approvals += [approval(901, 101, "tom.becker"), approval(902, 101, "tom.becker")]
    payments.builds += [build(901, 101, "tom.becker"), build(902, 101, "maya.lindt")]
    platform.deployments.append(
        {
            "id": 771,
            "releaseDefinition": {"id": 7},
            "release": {"id": 71, "name": "Release-71"},
            "releaseEnvironment": {"id": 3, "name": "production-eu"},
            "requestedFor": person("tom.becker"),
            "requestedBy": person("tom.becker"),
            "startedOn": ago(12),
            "completedOn": ago(12),
            "deploymentStatus": "succeeded",
            "operationStatus": "Approved",
            "preDeployApprovals": [
                {"isAutomated": False, "status": "approved", "approvedBy": person("nina.roth")}
            ],
        }
    )


def _gates(*, on: bool) -> Json:
    return {
        "gates": [{"tasks": [{"name": "Query Azure Monitor alerts", "enabled": True, "inputs": {}}]}],
        "gatesOptions": {"isEnabled": on, "timeout": 1440, "samplingInterval": 15},
    }


def _releases(platform: DevOpsProject) -> None:
    def stage(number: int, name: str, people: list[Json], *, oneself: bool) -> Json:
        approvals: list[Json] = [{"approver": one, "isAutomated": False, "rank": 1} for one in people]
        return {
            "id": number,
            "name": name,
            "rank": number,
            "variables": {},
            "variableGroups": [41] if number == 1 else [],
            "deployPhases": [
                {
                    "workflowTasks": [
                        {
                            "name": "Deploy",
                            "inputs": {"ConnectedServiceName": guid("connection azure-platform")},
                        }
                    ]
                }
            ],
            "preDeployApprovals": {
                "approvals": approvals or [{"isAutomated": True, "rank": 1}],
                "approvalOptions": {"requiredApproverCount": 1, "releaseCreatorCanBeApprover": oneself},
            },
        }

    platform.releases.append(
        {
            "id": 7,
            "name": "billing release",
            "isDisabled": False,
            "createdBy": person("tom.becker"),
            "createdOn": ago(900),
            "variables": {"DEPLOY_KEY": {"isSecret": True, "value": None}},
            "variableGroups": [],
            "lastRelease": {"id": 71, "name": "Release-71", "createdOn": ago(12)},
            "environments": [
                stage(1, "test", [], oneself=False),
                # Gates that somebody turned off.
                {**stage(2, "production", [], oneself=False), "preDeploymentGates": _gates(on=False)},
                {
                    **stage(3, "production-eu", [person("nina.roth")], oneself=False),
                    "preDeploymentGates": _gates(on=True),
                },
            ],
        }
    )


def _repositories(payments: DevOpsProject, platform: DevOpsProject, site: DevOpsProject) -> None:
    site.repository("site")

    def reviewers(repository: str, *, blocking: bool, oneself: bool) -> Json:
        return {
            "id": int(guid(repository)[:4], 16),
            "type": {"id": REVIEWERS, "displayName": "Minimum number of reviewers"},
            "isEnabled": True,
            "isBlocking": blocking,
            "isDeleted": False,
            "settings": {
                "minimumApproverCount": 2,
                "creatorVoteCounts": oneself,
                "resetOnSourcePush": False,
                "blockLastPusherVote": oneself,
                "scope": [
                    {
                        "repositoryId": guid(f"repository {repository}"),
                        "refName": "refs/heads/main",
                        "matchKind": "Exact",
                    }
                ],
            },
        }

    payments.policies.append(reviewers("payments-api", blocking=True, oneself=False))
    # Only audited.
    platform.policies.append(reviewers("tools", blocking=False, oneself=True))


def _machines(organization: DevOpsOrganization) -> None:
    organization.pools += [
        {
            "id": 9,
            "name": "build-farm",
            "isHosted": False,
            "poolType": "automation",
            "autoProvision": True,
            "createdOn": ago(400),
            "owner": person("maya.lindt"),
        },
        {
            "id": 10,
            "name": "clean-farm",
            "isHosted": False,
            "poolType": "automation",
            "createdOn": ago(90),
            "owner": person("maya.lindt"),
        },
        {
            "id": 1,
            "name": "Azure Pipelines",
            "isHosted": True,
            "poolType": "automation",
            "createdOn": ago(900),
        },
    ]
    scale_set = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets"
    organization.elastic_pools += [
        {"poolId": 9, "azureId": f"{scale_set}/build-farm", "recycleAfterEachUse": False, "maxCapacity": 4},
        {"poolId": 10, "azureId": f"{scale_set}/clean-farm", "recycleAfterEachUse": True, "maxCapacity": 4},
    ]


def _queues(organization: DevOpsOrganization, platform: DevOpsProject, payments: DevOpsProject) -> None:
    farm, clean, hosted = organization.pools[:3]
    # The farm is open to every pipeline of the project; beside it one for named pipelines from protected branches, and Microsoft's.
    platform.queue(91, farm)
    platform.open_to_all("queue", "91", "build-farm")
    platform.queue(92, clean)
    platform.check(
        TASK,
        "queue",
        "92",
        {
            "displayName": "Branch control",
            "definitionRef": {"id": BRANCH_CONTROL, "name": "evaluatebranchProtection"},
            "inputs": {"allowedBranches": "refs/heads/main", "ensureProtectionOfBranch": "true"},
        },
    )
    platform.queue(93, hosted)
    platform.open_to_all("queue", "93", "Azure Pipelines")
    organization.pools.append(
        {
            "id": 20,
            "name": "billing-servers",
            "isHosted": False,
            "poolType": "deployment",
            "createdOn": ago(900),
            "owner": person("tom.becker"),
        }
    )
    platform.deployment_groups.append(
        {"id": 6, "name": "billing-servers", "machineCount": 2, "pool": {"id": 20, "name": "billing-servers"}}
    )
    # A check on a repository guards the pipelines that check it out.
    payments.check(
        APPROVAL,
        "repository",
        f"{payments.id}.{payments.repositories[0]['id']}",
        {
            "approvers": [person("nina.roth")],
            "minRequiredApprovers": 1,
            "requesterCannotBeApprover": True,
        },
    )


def _authorizations(platform: DevOpsProject, payments: DevOpsProject) -> None:
    payments.permit("endpoint", guid("connection azure-payments"), 101)
    payments.permit("environment", "1", 101)
    payments.permit("variablegroup", "31", 101)
    # What builds pull requests may use the key of AWS, which it does not name; beside it the pipeline that uses the key.
    platform.permit("endpoint", guid("connection aws-legacy"), 202, 203)
    platform.permit("endpoint", guid("connection registry-push"), 201)
    payments.deployed_to(1, 511, 901, 101, ago_days=2)
    payments.deployed_to(1, 510, 902, 101, ago_days=2)


def _people(organization: DevOpsOrganization) -> None:
    organization.principals.append(
        {
            "descriptor": "aadsp.TGFudGVybi1waXBlbGluZXM",
            "displayName": "lantern-pipelines",
            "applicationId": entra.guid("app lantern-pipelines"),
            "originId": entra.guid("sp lantern-pipelines"),
            "origin": "aad",
            "subjectKind": "servicePrincipal",
        }
    )

    def member(name: str, seen: str, status: str = "active") -> Json:
        return {
            "id": guid(f"member {name}"),
            "user": {
                "displayName": name.replace(".", " ").title(),
                "principalName": f"{name}@lanternpay.example",
                "origin": "aad",
                "subjectKind": "user",
                "descriptor": f"aad.{guid(f'member {name}').replace('-', '')}",
            },
            "accessLevel": {"accountLicenseType": "express", "licenseDisplayName": "Basic", "status": status},
            "lastAccessedDate": seen,
            "dateCreated": ago(700),
        }

    organization.group_rules += [
        {
            "id": guid("rule developers"),
            "group": {
                "displayName": "developers",
                "origin": "aad",
                "originId": entra.guid("group developers"),
                "descriptor": "aadgp.ZGV2ZWxvcGVycw",
            },
            "licenseRule": {"accountLicenseType": "express", "licenseDisplayName": "Basic"},
            "projectEntitlements": [
                {
                    "group": {"groupType": "projectContributor", "displayName": "Contributors"},
                    "projectRef": {"id": guid("project payments"), "name": "payments"},
                }
            ],
            "lastExecuted": ago(1),
            "status": "applied",
        }
    ]
    organization.members += [
        member("maya.lindt", ago(1)),
        member("tom.becker", ago(2)),
        member("old.contractor", ago(260)),
        member("never.came", "0001-01-01T00:00:00Z"),
    ]
