"""Lantern Pay's Azure DevOps organization, as the REST API 7.1 writes it.

https://learn.microsoft.com/rest/api/azure/devops/serviceendpoint/endpoints/get-endpoints, .../distributedtask/variablegroups,
.../build/definitions, .../release/definitions, .../approvalsandchecks/check-configurations, .../policy/configurations
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from sandbox.entra.estate import devops_guid
from sandbox.estate import FIRST_NIGHT
from sandbox.kit.issued import secret_value

if TYPE_CHECKING:
    from sandbox.kit.http import Json

ORGANIZATION = "lanternpay"
TOKEN = secret_value("azure-devops/scanner", 84)
REVIEWERS = "fa4e907d-c16b-4a4c-9dfa-4906e5d171dd"
APPROVAL = "8c6f20a7-a545-4486-9777-f762fafe0d4d"
TASK = "fe1de3ee-a436-41b4-bb20-f6eb4cb879a7"
TEMPLATE = "4020e66e-b0f3-47e1-bc88-48f3cc59b5f3"
LOCK = "2ef31ad6-baa0-403a-8b45-2cbc9b4e5563"
BRANCH_CONTROL = "86b05a0c-73e6-4f7d-b3cf-e38f3b39a75b"


def guid(name: str) -> str:
    """Return the GUID of an object, always the same for one name."""
    return devops_guid(name)


def ago(days: float) -> str:
    """Return a time so many days before the first night, as Azure DevOps writes it."""
    return (FIRST_NIGHT - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def person(name: str) -> Json:
    """Return an IdentityRef."""
    return {
        "id": guid(f"user {name}"),
        "displayName": name.replace(".", " ").title(),
        "uniqueName": f"{name}@lanternpay.example",
    }


class DevOpsProject(msgspec.Struct, kw_only=True):
    """What one project holds, by the lists of the API."""

    id: str
    name: str
    visibility: str = "private"
    endpoints: list[Json] = []
    history: dict[str, list[Json]] = {}
    variable_groups: list[Json] = []
    secure_files: list[Json] = []
    definitions: list[Json] = []
    releases: list[Json] = []
    task_groups: list[Json] = []
    approvals: list[Json] = []
    builds: list[Json] = []
    deployments: list[Json] = []
    authorized: list[Json] = []
    environments: list[Json] = []
    deployed: dict[str, list[Json]] = {}
    """ID of an environment -> its deployment records, newest first."""
    queues: list[Json] = []
    deployment_groups: list[Json] = []
    permissions: dict[str, list[int]] = {}
    """Type and ID of a resource, as in ``endpoint/GUID`` -> the pipelines that may use it."""
    commits: dict[str, str] = {}
    """Repository ID -> the commit of its default branch."""
    checks: list[Json] = []
    repositories: list[Json] = []
    policies: list[Json] = []
    files: dict[str, str] = {}
    """Repository ID and path -> text."""
    settings: Json = {}

    @property
    def shown(self) -> Json:
        """The project as a list shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "state": "wellFormed",
            "visibility": self.visibility,
            "lastUpdateTime": ago(30),
        }

    def endpoint(
        self,
        name: str,
        kind: str,
        scheme: str,
        parameters: Json | None = None,
        *,
        used: float | None = 1,
        made: float = 400,
        shared_with: DevOpsProject | None = None,
        **more: object,
    ) -> str:
        """Add a service connection, and return its ID."""
        number = guid(f"connection {name}")
        projects = [self, *([shared_with] if shared_with else [])]
        shown: Json = {
            "id": number,
            "name": name,
            "type": kind,
            "url": "https://example.com/",
            "authorization": {"scheme": scheme, "parameters": parameters or {}},
            "data": {},
            "isShared": shared_with is not None,
            "isReady": True,
            "isDisabled": False,
            "owner": "library",
            "createdBy": person("maya.lindt"),
            "creationDate": ago(made),
            "modificationDate": ago(made),
            "serviceEndpointProjectReferences": [
                {"projectReference": {"id": one.id, "name": one.name}, "name": name} for one in projects
            ],
            **more,
        }
        for one in projects:
            one.endpoints.append(shown)
            one.history[number] = []
        if used is not None:
            self.history[number] = [
                {
                    "endpointId": number,
                    "data": {
                        "id": 11,
                        "planType": "Build",
                        "startTime": ago(used),
                        "finishTime": ago(used),
                        "result": "succeeded",
                    },
                }
            ]
        return number

    def open_to_all(self, kind: str, number: str, name: str) -> None:
        """Let every pipeline of the project use a resource."""
        self.authorized.append({"type": kind, "id": number, "name": name, "authorized": True})

    def check(self, kind: str, resource: str, number: str, settings: Json, **more: object) -> None:
        """Put a check on a resource."""
        self.checks.append(
            {
                "id": len(self.checks) + int(guid(self.name)[:6], 16),
                "type": {"id": kind, "name": "check"},
                "resource": {"type": resource, "id": number},
                "settings": settings,
                "isDisabled": False,
                "timeout": 43200,
                **more,
            }
        )

    def queue(self, number: int, pool: Json) -> None:
        """Let the project use a pool of agents."""
        shown = {key: pool[key] for key in ("id", "name", "isHosted", "poolType") if key in pool}
        self.queues.append({"id": number, "name": pool["name"], "projectId": self.id, "pool": shown})

    def permit(self, kind: str, number: str, *pipelines: int) -> None:
        """Let pipelines use a resource that is not open to all."""
        self.permissions[f"{kind}/{number}"] = list(pipelines)

    def deployed_to(
        self, environment: int, record: int, run: int, definition: int, *, ago_days: float, **more: object
    ) -> None:
        """Record a deployment to an environment."""
        self.deployed.setdefault(str(environment), []).append(
            {
                "id": record,
                "environmentId": environment,
                "requestIdentifier": guid(f"request {record}"),
                "definition": {"id": definition, "name": f"pipeline {definition}"},
                "owner": {"id": run, "name": f"20261120.{run}"},
                "planType": "Build",
                "planId": guid(f"plan {run}"),
                "stageName": "deploy",
                "jobName": "deploy",
                "stageAttempt": 1,
                "jobAttempt": 1,
                "queueTime": ago(ago_days),
                "startTime": ago(ago_days),
                "finishTime": ago(ago_days),
                "result": "succeeded",
                **more,
            }
        )

    def repository(self, name: str, **files: str) -> Json:
        """Add a repository with files on its default branch."""
        number = guid(f"repository {name}")
        shown = {
            "id": number,
            "name": name,
            "defaultBranch": "refs/heads/main",
            "isDisabled": False,
            "webUrl": f"https://dev.azure.com/{ORGANIZATION}/{self.name}/_git/{name}",
            "project": {"id": self.id, "name": self.name},
        }
        self.repositories.append(shown)
        for path, text in files.items():
            self.files[f"{number}/{path}"] = text
        return shown

    def pipeline(
        self, number: int, name: str, repository: Json, path: str = "azure-pipelines.yml", **more: object
    ) -> None:
        """Add a YAML pipeline."""
        self.definitions.append(
            {
                "id": number,
                "name": name,
                "queueStatus": "enabled",
                "createdDate": ago(300),
                "authoredBy": person("tom.becker"),
                "jobAuthorizationScope": "project",
                "process": {"type": 2, "yamlFilename": path},
                "repository": {
                    "id": repository["id"],
                    "type": "TfsGit",
                    "name": repository["name"],
                    "defaultBranch": repository["defaultBranch"],
                },
                "variables": {},
                "variableGroups": [],
                "latestCompletedBuild": {"id": 9, "finishTime": ago(1)},
                **more,
            }
        )


class DevOpsOrganization(msgspec.Struct, kw_only=True):
    """The organization."""

    projects: list[DevOpsProject]
    pools: list[Json] = []
    elastic_pools: list[Json] = []
    principals: list[Json] = []
    members: list[Json] = []
    settings: Json = {}
    group_rules: list[Json] = []
    events: list[Json] = []
    """Of the audit log, oldest first."""
    access: Any = None
    """A `sandbox.azure_devops.access.AccessEstate`."""
    doors: Any = None
    """A `sandbox.azure_devops.doors.DoorEstate`."""


def setting_values(**on: bool) -> Json:
    """Return pipeline settings, off but for those given."""
    names = (
        "enforceJobAuthScope",
        "enforceJobAuthScopeForReleases",
        "enforceReferencedRepoScopedToken",
        "enforceSettableVar",
        "statusBadgesArePrivate",
        "buildsEnabledForForks",
        "enforceNoAccessToSecretsFromForks",
    )
    return {name: on.get(name, False) for name in names}
