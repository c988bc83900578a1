"""What is in Lantern Pay's tenant: what is wrong, and beside each fault something that looks like it and is not."""

from __future__ import annotations

from typing import Any

from sandbox.entra.company_policies import other_tenants, workload_policies
from sandbox.entra.devops_applications import devops_applications
from sandbox.entra.estate import (
    APPLICATION_ADMINISTRATOR,
    DIRECTORY_READERS,
    GITHUB,
    GLOBAL_ADMINISTRATOR,
    GRAPH,
    GRAPH_ROLES,
    LEGACY_CONSENT,
    MICROSOFT_TENANT,
    PARTNER,
    PASSWORD_ADMINISTRATOR,
    PRIVILEGED_ROLE_ADMINISTRATOR,
    SCANNER,
    DirectoryTenant,
    ago,
    audit,
    certificate,
    federated,
    guid,
    password,
    role,
)

CUSTOM_ROLE = guid("role Application Credential Operator")
HELP_ROLE = guid("role Ticket Reader")
BLUEPRINT: dict[str, Any] = {"@odata.type": "#microsoft.graph.agentIdentityBlueprintPrincipal"}
GITHUB_ORG = "repo:lanternpay"


def build(night: int) -> DirectoryTenant:
    """Return the tenant as it is on a night, 1 or 2."""
    tenant = DirectoryTenant()
    maya, tom, nina = (tenant.user(name) for name in ("maya.lindt", "tom.becker", "nina.roth"))
    _microsoft(tenant)
    _federation(tenant, maya, night)
    _secrets(tenant, maya, tom)
    _outsiders(tenant)
    _agents(tenant, nina)
    _roles(tenant, maya, tom, nina)
    _groups(tenant, maya, nina)
    _settings(tenant)
    other_tenants(tenant)
    workload_policies(tenant)
    return tenant


def _microsoft(tenant: DirectoryTenant) -> None:
    """Add Microsoft's own applications, which every tenant has."""
    tenant.service_principal(
        "Microsoft Graph",
        app_id=GRAPH,
        appOwnerOrganizationId=MICROSOFT_TENANT,
        appRoles=[
            {
                "id": number,
                "value": name,
                "displayName": name,
                "allowedMemberTypes": ["Application"],
                "isEnabled": True,
            }
            for name, number in GRAPH_ROLES.items()
        ],
    )
    # No role for applications: nobody is asked who holds one.
    tenant.service_principal(
        "Microsoft Office Licensing",
        appOwnerOrganizationId=MICROSOFT_TENANT,
        appRoles=[
            {
                "id": guid("licensing user"),
                "value": "User",
                "displayName": "User",
                "allowedMemberTypes": ["User"],
                "isEnabled": True,
            }
        ],
    )
    tenant.application("sprawlscan", owners=())
    assert tenant.service_principals[-1]["appId"] == SCANNER
    tenant.permit(guid("sp sprawlscan"), "Application.Read.All")
    tenant.permit(guid("sp sprawlscan"), "Directory.Read.All")


def _federation(tenant: DirectoryTenant, maya: str, night: int) -> None:
    exact = f"{GITHUB_ORG}@7001001/checkout@5012:environment:production"
    # Sound: federated alone, exact, by immutable IDs, owned.
    tenant.application(
        "lantern-deploy",
        federated=(federated("github-production", GITHUB, exact),),
        owners=(maya,),
    )
    # The conversion was never finished: the secret still works.
    left = (password("before federation", made=400, ends=-300),)
    tenant.application(
        "lantern-deploy-ledger",
        passwords=left if night == 1 else (),
        federated=(
            federated("github-ledger", GITHUB, f"{GITHUB_ORG}@7001001/mobile-app@5006:ref:refs/heads/main"),
        ),
        owners=(maya,),
    )
    # Look-alike: the secret beside federation ended.
    tenant.application(
        "lantern-deploy-web",
        passwords=(password("old", made=600, ends=20),),
        federated=(
            federated("github-web", GITHUB, f"{GITHUB_ORG}@7001001/checkout@5012:ref:refs/heads/main"),
        ),
    )
    # Every repository of the organization, and every pull request of one.
    tenant.application(
        "lantern-preview",
        federated=(
            federated(
                "any-repository", GITHUB, None, "claims['sub'] matches 'repo:lanternpay/*:ref:refs/heads/*'"
            ),
            federated("pull-requests", GITHUB, f"{GITHUB_ORG}/web-frontend:pull_request"),
        ),
    )
    # The owner is not complete: lanternpay-evil matches, too.
    tenant.application(
        "lantern-docs",
        federated=(federated("open-owner", GITHUB, None, "claims['sub'] matches 'repo:lanternpay*'"),),
    )
    # Two applications trust the same subject.
    shared = f"{GITHUB_ORG}@7001001/checkout@5012:ref:refs/heads/release"
    for name in ("fraud-train", "fraud-score"):
        tenant.application(name, federated=(federated(f"github-{name}", GITHUB, shared),))
    devops_applications(tenant, maya)
    # Another tenant's identity may sign in as this one.
    tenant.application(
        "partner-bridge",
        federated=(
            federated(
                "partner", f"https://login.microsoftonline.com/{PARTNER}/v2.0", guid("partner identity")
            ),
        ),
    )
    # The system-assigned identity of a web app.
    tenant.service_principal("payments-api", servicePrincipalType="ManagedIdentity")
    # A user-assigned managed identity, federated with one service account of a cluster.
    tenant.service_principal(
        "id-payments",
        servicePrincipalType="ManagedIdentity",
        federatedIdentityCredentials=[
            federated(
                "aks-payments",
                f"https://westeurope.oic.prod-aks.azure.com/{guid('tenant')}/{guid('cluster')}/",
                "system:serviceaccount:payments:payments-api",
            )
        ],
    )


def _secrets(tenant: DirectoryTenant, maya: str, tom: str) -> None:
    # Administrator of the tenant, by a secret that is valid for ten years; a person owns it.
    terraform = tenant.application(
        "terraform-azure",
        passwords=(password("terraform", made=500, ends=-3150),),
        owners=(tom,),
    )
    tenant.permit(terraform, "AppRoleAssignment.ReadWrite.All")
    # Look-alike: a secret of ninety days, in use.
    tenant.application(
        "wiki-sync",
        passwords=(password("wiki 2026-10", made=40, ends=-50),),
        owners=(maya,),
    )
    tenant.permit(guid("sp wiki-sync"), "Sites.Selected")
    # Three live secrets; two are a rotation. One ends in ten days.
    tenant.application(
        "metrics-push",
        passwords=tuple(password(f"metrics {number}", made=60, ends=-90 - number) for number in (1, 2, 3)),
        owners=(maya,),
    )
    tenant.application(
        "invoice-sync",
        passwords=(password("invoice old", made=150, ends=-10), password("invoice new", made=5, ends=-170)),
        owners=(maya,),
    )
    # Who added a secret, as long as the audit log reaches back; an attempt that failed says nothing.
    wiki = next(one for one in tenant.applications if one["displayName"] == "wiki-sync")
    tenant.audits += [
        audit(
            "maya.lindt@lanternpay.example",
            guid("application invoice-sync"),
            tenant.applications[-1]["passwordCredentials"][1],
            5,
        ),
        audit("nobody@lanternpay.example", wiki["id"], wiki["passwordCredentials"][0], 40, result="failure"),
    ]
    # ID Protection takes one for compromised; of another the risk was dismissed.
    tenant.at_risk("metrics-push", "atRisk", "high")
    tenant.at_risk("invoice-sync", "dismissed", "none")
    # Disabled: its secret cannot be used.
    tenant.application(
        "old-ledger", passwords=(password("ledger", made=900, ends=-900),), accountEnabled=False
    )
    # Azure DevOps made it its own owner.
    tenant.application("build-connection", owners=(guid("sp build-connection"),))
    # A secret on the service principal, which the application's page does not show.
    tenant.application(
        "hr-connector",
        passwordCredentials=[password("added by hand", made=90, ends=-90)],
    )
    # Look-alike: the certificate with which single sign-on by SAML is signed.
    tenant.service_principal(
        "Salesforce",
        appOwnerOrganizationId=guid("salesforce tenant"),
        preferredSingleSignOnMode="saml",
        keyCredentials=[certificate("Microsoft Azure Federated SSO Certificate", made=300, ends=-795)],
        signInAudience="AzureADMultipleOrgs",
    )
    # A certificate that ended, and one that was not used for long.
    tenant.application(
        "report-mailer",
        keys=(certificate("report-mailer", made=380, ends=15),),
    )
    tenant.application(
        "sap-export",
        keys=(certificate("sap-export", made=300, ends=-65),),
    )
    # Registered, never used: no service principal.
    tenant.application("prototype", service_principal=False)
    tenant.application_sign_ins += [
        _used("terraform-azure", 1),
        _used("wiki-sync", 2),
        _used("lantern-deploy", 1),
        _used("sap-export", 190),
    ]
    tenant.credential_sign_ins += [
        _key_used("terraform", "terraform-azure", "secret", 1),
        _key_used("wiki 2026-10", "wiki-sync", "secret", 2),
        _key_used("sap-export", "sap-export", "certificate", 190),
    ]


def _used(name: str, days: float) -> dict[str, object]:
    shown = {"lastSignInDateTime": ago(days), "lastSignInRequestId": guid(f"request {name}")}
    return {
        "id": guid(f"activity {name}"),
        "appId": guid(f"app {name}"),
        "lastSignInActivity": shown,
        "applicationAuthenticationClientSignInActivity": shown,
    }


def _key_used(key: str, name: str, kind: str, days: float) -> dict[str, object]:
    return {
        "id": guid(f"key activity {key}"),
        "keyId": guid(f"{kind} {key}"),
        "appId": guid(f"app {name}"),
        "keyType": "clientSecret" if kind == "secret" else "certificate",
        "credentialOrigin": "application",
        "signInActivity": {"lastSignInDateTime": ago(days)},
    }


def _outsiders(tenant: DirectoryTenant) -> None:
    # A vendor's application that can make itself administrator.
    backup = tenant.service_principal(
        "Umbra Backup",
        appOwnerOrganizationId=guid("umbra tenant"),
        signInAudience="AzureADMultipleOrgs",
    )
    tenant.permit(backup, "RoleManagement.ReadWrite.Directory")
    # Look-alike: a vendor's application that reads the user's own profile.
    survey = tenant.service_principal(
        "Survey Bird",
        appOwnerOrganizationId=guid("survey tenant"),
        signInAudience="AzureADMultipleOrgs",
    )
    tenant.consent(survey, "openid profile User.Read")
    # A vendor without a verified publisher that reads files, and one with.
    for name, publisher in (("Diagram Wizard", None), ("Contract Signer", "Signer Corp.")):
        vendor = tenant.service_principal(
            name,
            appOwnerOrganizationId=guid(f"{name} tenant"),
            signInAudience="AzureADMultipleOrgs",
            verifiedPublisher={
                "displayName": publisher,
                "verifiedPublisherId": "1" if publisher else None,
                "addedDateTime": None,
            },
        )
        tenant.consent(vendor, "Files.Read.All", user=guid("user nina.roth"))
    # Everybody's mail, in everybody's name.
    mail = tenant.service_principal(
        "Mail Merge Pro",
        appOwnerOrganizationId=guid("mail tenant"),
        signInAudience="AzureADandPersonalMicrosoftAccount",
    )
    tenant.consent(mail, "Mail.ReadWrite Mail.Send offline_access")


def _agents(tenant: DirectoryTenant, nina: str) -> None:
    blueprint = tenant.application(
        "support-agent blueprint",
        passwords=(password("blueprint", made=30, ends=-60),),
        owners=(nina,),
        **BLUEPRINT,
    )
    tenant.permit(blueprint, "Mail.Send")
    # Look-alike: a blueprint that signs in by federation.
    tenant.application(
        "report-agent blueprint",
        federated=(
            federated(
                "agent-runtime",
                f"https://westeurope.oic.prod-aks.azure.com/{guid('tenant')}/{guid('cluster')}/",
                "system:serviceaccount:agents:report",
            ),
        ),
        owners=(nina,),
        **BLUEPRINT,
    )
    # A vendor's blueprint: its credentials are the vendor's.
    tenant.service_principal(
        "vendor-agent blueprint", appOwnerOrganizationId=guid("agent vendor tenant"), **BLUEPRINT
    )
    # An application that makes more agents of the first blueprint.
    factory = tenant.application("agent-factory", owners=(nina,))
    tenant.blueprints += [
        {"id": guid(f"sp {name} blueprint"), "managerApplications": managers, "sponsors": [nina]}
        for name, managers in (
            ("support-agent", [guid("app agent-factory")]),
            ("report-agent", []),
            ("vendor-agent", []),
        )
    ]
    assert factory
    for name, parent, sponsors in (
        ("support-agent", guid("app support-agent blueprint"), [nina]),
        ("report-agent", guid("app report-agent blueprint"), [nina]),
        ("vendor-agent", guid("app vendor-agent blueprint"), [nina]),
        ("lost-agent", guid("app deleted blueprint"), []),
    ):
        number = tenant.service_principal(name, servicePrincipalType="ServiceIdentity")
        tenant.agents.append({"id": number, "agentIdentityBlueprintId": parent, "sponsors": sponsors})
        tenant.inherited[number] = []
    agent = guid("sp support-agent")
    tenant.inherited[agent] = [
        {
            "id": f"inherited-{guid('support-agent Mail.Send')}",
            "appRoleId": GRAPH_ROLES["Mail.Send"],
            "creationTimestamp": ago(30),
            "principalId": blueprint,
            "principalType": "ServicePrincipal",
            "resourceId": guid("sp Microsoft Graph"),
            "resourceDisplayName": "Microsoft Graph",
        }
    ]
    tenant.inherited_consents[agent] = [
        {
            "id": "inherited-consent",
            "clientId": blueprint,
            "consentType": "AllPrincipals",
            "principalId": None,
            "resourceId": guid("sp Microsoft Graph"),
            "scope": "Files.Read.All",
        }
    ]
    # The second one's agent was deleted.
    tenant.agent_users += [
        {
            "@odata.type": "#microsoft.graph.agentUser",
            "id": guid(f"agent user {name}"),
            "displayName": name,
            "identityParentId": parent,
            "accountEnabled": True,
        }
        for name, parent in (("Support Agent", agent), ("Forgotten Agent", guid("sp deleted agent")))
    ]


def _roles(tenant: DirectoryTenant, maya: str, tom: str, nina: str) -> None:
    tenant.role_definitions += [
        role(
            GLOBAL_ADMINISTRATOR, "Global Administrator", ["microsoft.directory/*/allTasks"], privileged=True
        ),
        role(
            APPLICATION_ADMINISTRATOR,
            "Application Administrator",
            ["microsoft.directory/applications/credentials/update"],
            privileged=True,
        ),
        role(
            PRIVILEGED_ROLE_ADMINISTRATOR,
            "Privileged Role Administrator",
            ["microsoft.directory/roleAssignments/allProperties/allTasks"],
            privileged=True,
        ),
        role(
            PASSWORD_ADMINISTRATOR,
            "Password Administrator",
            ["microsoft.directory/users/password/update"],
            privileged=True,
        ),
        role(DIRECTORY_READERS, "Directory Readers", ["microsoft.directory/users/standard/read"]),
        role(
            CUSTOM_ROLE,
            "Application Credential Operator",
            [
                "microsoft.directory/applications/credentials/update",
                "microsoft.directory/applications/standard/read",
            ],
            built_in=False,
        ),
        role(
            HELP_ROLE,
            "Ticket Reader",
            ["microsoft.office365.supportTickets/allEntities/read"],
            built_in=False,
        ),
    ]
    # Always administrator; and one who may activate the role, which is as it should be.
    tenant.assign(maya, GLOBAL_ADMINISTRATOR)
    tenant.role_eligibilities.append(
        {
            "id": f"eligible-{guid('tom global')}",
            "principalId": tom,
            "roleDefinitionId": GLOBAL_ADMINISTRATOR,
            "directoryScopeId": "/",
            "memberType": "Direct",
            "startDateTime": ago(100),
            "endDateTime": None,
        }
    )
    # Activated until this evening.
    tenant.assign(nina, APPLICATION_ADMINISTRATOR, until=ago(-0.5))
    # A pipeline's identity may add a credential to any application; another only to one.
    tenant.assign(guid("sp lantern-pipelines"), CUSTOM_ROLE)
    tenant.assign(guid("sp lantern-pipelines-new"), CUSTOM_ROLE, scope=f"/{guid('application wiki-sync')}")
    readers = tenant.group("directory readers", guid("sp wiki-sync"), nina)
    tenant.assign(readers, DIRECTORY_READERS)


def _groups(tenant: DirectoryTenant, maya: str, nina: str) -> None:
    jan, pia, omar, lea = (tenant.user(name) for name in ("jan.meer", "pia.wolf", "omar.said", "lea.brandt"))
    # The group's owner adds itself, and assigns any role. Nobody is in it; one person may activate membership, which is as it
    # should be, and one is in it until tomorrow.
    roles = tenant.group("role administrators", lea, owners=(jan,), role_assignable=True)
    tenant.assign(roles, PRIVILEGED_ROLE_ADMINISTRATOR)
    tenant.schedule(roles, omar)
    tenant.schedule(roles, lea, until=ago(-1))
    # Look-alikes: the owner of a group that reads, the owner who is an administrator anyway, and one that holds no role.
    readers = tenant.group("report readers", owners=(pia,), role_assignable=True)
    tenant.assign(readers, DIRECTORY_READERS)
    helpers = tenant.group("application helpers", owners=(maya,), role_assignable=True)
    tenant.assign(helpers, CUSTOM_ROLE, until=ago(-30))
    tenant.group("future use", owners=(pia,), role_assignable=True)
    # A role over one application that is an administrator's, and over one that is not.
    tenant.assign(pia, CUSTOM_ROLE, scope=f"/{guid('application terraform-azure')}")
    tenant.assign(lea, CUSTOM_ROLE, scope=f"/{guid('application wiki-sync')}")
    # Over a few users only.
    tenant.assign(nina, PASSWORD_ADMINISTRATOR, scope=tenant.administrative_unit("Warehouse"))
    # A service principal in a group within a group.
    inner = tenant.group("deployers", guid("sp lantern-deploy"))
    tenant.group("cloud contributors", inner)


def _settings(tenant: DirectoryTenant) -> None:
    tenant.authorization_policy = {
        "id": "authorizationPolicy",
        "displayName": "Authorization Policy",
        "allowInvitesFrom": "everyone",
        "guestUserRoleId": "10dae51f-b6af-4016-8d66-8c2a99b929b3",
        "defaultUserRolePermissions": {
            "allowedToCreateApps": True,
            "allowedToCreateSecurityGroups": True,
            "permissionGrantPoliciesAssigned": [LEGACY_CONSENT],
        },
    }
    tenant.credential_policy = {
        "id": "00000000-0000-0000-0000-000000000000",
        "displayName": "Default app management tenant policy",
        "isEnabled": True,
        "applicationRestrictions": {
            "passwordCredentials": [],
            "keyCredentials": [
                {
                    "restrictionType": "asymmetricKeyLifetime",
                    "state": "enabled",
                    "maxLifetime": "P365D",
                    "restrictForAppsCreatedAfterDateTime": ago(900),
                }
            ],
        },
        "servicePrincipalRestrictions": {"passwordCredentials": [], "keyCredentials": []},
    }
