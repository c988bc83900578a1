"""Policies, tokens, extensions, service hooks, audit streams and Advanced Security of Lantern Pay's organization.

https://learn.microsoft.com/rest/api/azure/devops/tokenadmin/personal-access-tokens/list,
https://learn.microsoft.com/rest/api/azure/devops/extensionmanagement/installed-extensions/list,
https://learn.microsoft.com/rest/api/azure/devops/hooks/subscriptions/list,
https://learn.microsoft.com/rest/api/azure/devops/advancedsecurity/alerts/list
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sandbox.azure_devops.estate import ago, guid, person

if TYPE_CHECKING:
    from sandbox.kit.http import Json

PAGE_DATA = "ms.vss-admin-web.organization-policies-data-provider"


class DoorEstate(msgspec.Struct, kw_only=True):
    """The other doors into the organization."""

    policies: dict[str, bool] = {}
    tenant_policies: dict[str, Json] = {}
    tokens: dict[str, list[Json]] = {}
    """By the subject descriptor of a user, with ``/true`` for SSH keys."""
    streams: list[Json] = []
    extensions: list[Json] = []
    hooks: list[Json] = []
    enablement: list[Json] = []
    alerts: dict[str, list[Json]] = {}
    """By the ID of a repository."""
    feeds: list[Json] = []
    feed_permissions: dict[str, list[Json]] = {}
    """By the ID of a feed."""
    projects: int = 0
    """How many there are in all."""

    def shown_policies(self) -> Json:
        """Return the page data of the organization's policies."""
        rows = [
            {
                "policy": {"name": name, "value": value, "effectiveValue": value, "isValueUndefined": False},
                "learnMoreLink": "https://aka.ms/vstspolicyguest",
            }
            for name, value in self.policies.items()
        ]
        half = len(rows) // 2
        groups = {"applicationConnection": rows[:half], "security": rows[half:], "user": []}
        return {"fps": {"dataProviders": {"data": {PAGE_DATA: {"policies": groups}}}}}


def build_doors(repositories: dict[str, tuple[str, str]], projects: int, night: int) -> DoorEstate:
    """Return the doors on a night. ``repositories``: name -> project ID and repository ID."""
    streams = [
        {"id": 1, "consumerType": "Splunk", "status": "disabledBySystem", "statusReason": "unreachable"}
    ]
    if night == 2:
        streams.append({"id": 2, "consumerType": "AzureMonitorLogs", "status": "enabled", "statusReason": ""})
    scanned = {"payments-api": (True, True), "tools": (True, False)}
    return DoorEstate(
        projects=projects,
        policies={
            "Policy.DisallowOAuthAuthentication": False,
            "Policy.DisallowSecureShell": True,
            "Policy.ValidateSshKeyExpiration": True,
            "Policy.AllowAnonymousAccess": True,
            "Policy.DisallowAadGuestUserAccess": True,
            "Policy.EnforceAADConditionalAccess": True,
            "Policy.LogAuditEvents": True,
            "Policy.DisablePATCreation": False,
            "Policy.ArtifactsExternalPackageProtectionToken": False,
        },
        tenant_policies={
            "TenantPolicy.RestrictGlobalPersonalAccessToken": {"value": False, "properties": {}},
            "TenantPolicy.RestrictFullScopePersonalAccessToken": {"value": True, "properties": {}},
            "TenantPolicy.RestrictPersonalAccessTokenLifespan": {
                "value": True,
                "properties": {"MaxPatLifespanInDays": 90},
            },
            "TenantPolicy.EnableLeakedPersonalAccessTokenAutoRevocation": {"value": True, "properties": {}},
        },
        tokens={
            _subject("tom.becker"): [
                _token("full access", "app_token", several=True),
                _token("read code", "vso.code", several=False),
            ],
            f"{_subject('tom.becker')}/true": [_token("laptop", "", several=False)],
        },
        streams=streams,
        feeds=[
            _feed("libraries", [{"name": "npmjs", "protocol": "npm", "upstreamSourceType": "public"}]),
            _feed("releases", [{"name": "libraries", "protocol": "npm", "upstreamSourceType": "internal"}]),
        ],
        extensions=[
            _extension(
                "lantern", "job-watch", "Job watch", ["vso.build"], "ms.azure-pipelines.pipeline-decorator"
            ),
            _extension("acme", "deploy-anything", "Deploy anything", ["vso.code_manage"], "ms.vss-web.hub"),
            _extension("acme", "charts", "Charts", ["vso.work"], "ms.vss-dashboards-web.widget"),
            _extension(
                "ms",
                "feed",
                "Feed",
                ["vso.packaging_manage"],
                "ms.azure-pipelines.pipeline-decorator",
                flags="builtIn, trusted",
            ),
        ],
        hooks=[
            _hook(1, "http://hooks.lanternpay.example/build?key=1"),
            _hook(2, "https://chat.lanternpay.example/build", basicAuthPassword="********"),
        ],
        enablement=[
            {
                "projectId": repositories[name][0],
                "repositoryId": repositories[name][1],
                "secretProtectionFeatures": {"secretProtectionEnabled": on, "blockPushes": push},
                "codeSecurityFeatures": {"codeSecurityEnabled": False},
                "lastChangedDate": ago(40),
            }
            for name, (on, push) in scanned.items()
        ],
        alerts={
            repositories["tools"][1]: [
                {
                    "alertId": 3,
                    "title": "Azure DevOps personal access token",
                    "alertType": "secret",
                    "severity": "critical",
                    "confidence": "high",
                    "state": "active",
                    "firstSeenDate": ago(20),
                    "lastSeenDate": ago(2),
                    "truncatedSecret": "…abcd",
                    "physicalLocations": [
                        {"filePath": "scripts/old.ps1", "versionControl": {"branch": "main"}}
                    ],
                }
            ]
        },
    )


def _subject(name: str) -> str:
    return f"aad.{guid(f'member {name}').replace('-', '')}"


def _token(name: str, scope: str, *, several: bool) -> Json:
    return {
        "authorizationId": guid(f"token {name}"),
        "displayName": name,
        "scope": scope,
        "validFrom": ago(100),
        "validTo": ago(-200),
        "isValid": True,
        "targetAccounts": [guid("organization"), guid("another organization")][: 2 if several else 1],
        "token": None,
    }


def _extension(
    publisher: str, name: str, title: str, scopes: list[str], contribution: str, *, flags: str = ""
) -> Json:
    return {
        "extensionId": name,
        "extensionName": title,
        "publisherId": publisher,
        "publisherName": publisher.title(),
        "version": "1.4.2",
        "flags": flags,
        "scopes": scopes,
        "installState": {"flags": "none", "lastUpdated": ago(70)},
        "contributions": [{"id": f"{publisher}.{name}.one", "type": contribution, "targets": []}],
    }


def _feed(name: str, sources: list[Json]) -> Json:
    return {
        "id": guid(f"feed {name}"),
        "name": name,
        "project": None,
        "upstreamEnabled": True,
        "upstreamSources": [
            {"id": guid(f"source {name} {one['name']}"), "location": "https://registry.npmjs.org/", **one}
            for one in sources
        ],
        "badgesEnabled": False,
        "hideDeletedPackageVersions": True,
    }


def _hook(number: int, url: str, **inputs: str) -> Json:
    return {
        "id": guid(f"hook {number}"),
        "publisherId": "tfs",
        "eventType": "build.complete",
        "consumerId": "webHooks",
        "consumerActionId": "httpRequest",
        "status": "enabled",
        "createdBy": person("maya.lindt"),
        "createdDate": ago(300),
        "publisherInputs": {"projectId": guid("project platform")},
        "consumerInputs": {"url": url, **inputs},
    }
