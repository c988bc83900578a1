"""A tenant whose facts were written down from Microsoft's documentation before the collector had seen it."""

from __future__ import annotations

from typing import Any

from sandbox.entra.estate import (
    GITHUB,
    GLOBAL_ADMINISTRATOR,
    GRAPH,
    MICROSOFT_TENANT,
    TENANT,
    DirectoryTenant,
    ago,
    certificate,
    federated,
    guid,
    password,
    role,
)

TEMPLATES = {
    "Global Administrator": (GLOBAL_ADMINISTRATOR, ["microsoft.directory/roleAssignments/allProperties/allTasks"]),
    "Privileged Authentication Administrator": (
        "7be44c8a-adaf-4e2a-84d6-ab2649e08a13",
        ["microsoft.directory/users/password/update", "microsoft.directory/users/authenticationMethods/create"],
    ),
    "Cloud Application Administrator": (
        "158c047a-c907-4556-b7ef-446551a6b5f7",
        [
            "microsoft.directory/applications/credentials/update",
            "microsoft.directory/servicePrincipals/appRoleAssignedTo/update",
            "microsoft.directory/servicePrincipals/managePermissionGrantsForAll.microsoft-application-admin",
        ],
    ),
    "Helpdesk Administrator": (
        "729827e3-9c14-49f7-bb1b-9608f156bbb8",
        ["microsoft.directory/users/password/update", "microsoft.directory/bitlockerKeys/key/read"],
    ),
    "User Administrator": (
        "fe930be7-5e62-47db-91af-98c3a49a38b1",
        ["microsoft.directory/users/password/update", "microsoft.directory/groups/members/update"],
    ),
    "Global Reader": (
        "f2ef992c-3afb-46b9-b7cf-a126ee74c451",
        ["microsoft.directory/applications/allProperties/read", "microsoft.directory/roleAssignments/allProperties/read"],
    ),
    "Secret Rotator": ("", ["microsoft.directory/applications.myOrganization/credentials/update"]),
    "App Reader": ("", ["microsoft.directory/applications/standard/read"]),
    "App Assigner": ("", ["microsoft.directory/servicePrincipals/appRoleAssignedTo/update"]),
    "Consent Manager": ("", ["microsoft.directory/servicePrincipals/managePermissionGrantsForAll.microsoft-company-admin"]),
}  # fmt: skip
PERMISSIONS = (
    "RoleManagement.ReadWrite.Directory", "RoleManagement.Read.Directory", "AppRoleAssignment.ReadWrite.All",
    "Application.ReadWrite.All", "Application.ReadWrite.OwnedBy", "UserAuthMethod-TAP.ReadWrite.All", "Directory.Read.All",
    "Directory.ReadWrite.All", "Group.ReadWrite.All", "Mail.Send", "BitlockerKey.Read.All", "Application.Read.All",
    "Policy.Read.All", "Policy.ReadWrite.PermissionGrant", "Sites.Selected",
)  # fmt: skip
SHARED = "repo:northwind@81/shop@82:environment:live"


def build() -> DirectoryTenant:
    """Return the tenant."""
    tenant = DirectoryTenant()
    _apis(tenant)
    _people(tenant)
    _permissions(tenant)
    _credentials(tenant)
    _federation(tenant)
    _agents(tenant)
    _vendors(tenant)
    _policies(tenant)
    return tenant


def _role(name: str) -> str:
    return TEMPLATES[name][0] or guid(f"role {name}")


def _apis(tenant: DirectoryTenant) -> None:
    for name, app_id, owner, roles in (
        ("Microsoft Graph", GRAPH, MICROSOFT_TENANT, PERMISSIONS),
        ("Orders API", None, TENANT, ("Orders.Write", "RoleManagement.ReadWrite.Directory")),
    ):
        tenant.service_principal(
            name,
            app_id=app_id,
            appOwnerOrganizationId=owner,
            appRoles=[
                {
                    "id": guid(f"{name} {one}"),
                    "value": one,
                    "displayName": one,
                    "allowedMemberTypes": ["Application"],
                }
                for one in roles
            ],
        )
    for name, (template, actions) in TEMPLATES.items():
        number = template or guid(f"role {name}")
        tenant.role_definitions.append(role(number, name, actions, built_in=bool(template)))


def _permit(tenant: DirectoryTenant, client: str, *roles: str, api: str = "Microsoft Graph") -> None:
    for one in roles:
        zero = one == "default"
        tenant.app_roles.append(
            {
                "id": f"role-{guid(f'{client} {one} {api}')}",
                "appRoleId": "00000000-0000-0000-0000-000000000000" if zero else guid(f"{api} {one}"),
                "creationTimestamp": ago(100),
                "principalId": client,
                "principalType": "ServicePrincipal",
                "resourceId": guid(f"sp {api}"),
                "resourceDisplayName": api,
            }
        )


def _people(tenant: DirectoryTenant) -> None:
    ana, ben, cho, dee, eli, hal, ivy, jon, kim = (
        tenant.user(name)
        for name in ("ana.a", "ben.b", "cho.c", "dee.d", "eli.e", "hal.h", "ivy.i", "jon.j", "kim.k")
    )
    gus = tenant.user("gus.g", enabled=False)
    tenant.assign(ana, GLOBAL_ADMINISTRATOR)
    tenant.assign(gus, GLOBAL_ADMINISTRATOR)
    tenant.assign(ben, _role("Privileged Authentication Administrator"))
    tenant.assign(cho, _role("Cloud Application Administrator"), until=ago(-0.1))
    tenant.assign(dee, _role("Helpdesk Administrator"))
    tenant.role_eligibilities.append(
        {
            "id": "eligible-eli",
            "principalId": eli,
            "roleDefinitionId": GLOBAL_ADMINISTRATOR,
            "directoryScopeId": "/",
            "memberType": "Direct",
            "startDateTime": ago(10),
            "endDateTime": ago(-300),
        }
    )
    operators = tenant.group("operators", ivy, owners=(hal,), role_assignable=True)
    tenant.assign(operators, _role("User Administrator"))
    tenant.schedule(operators, jon, "owner")
    auditors = tenant.group("auditors", owners=(hal,), role_assignable=True)
    tenant.assign(auditors, _role("Global Reader"))
    rotator, auditor, assigner, consenter = (
        tenant.application(name, owners=(ana,)) for name in ("rotator", "auditor", "assigner", "consenter")
    )
    tenant.assign(rotator, _role("Secret Rotator"))
    tenant.assign(auditor, _role("App Reader"))
    tenant.assign(assigner, _role("App Assigner"))
    tenant.assign(consenter, _role("Consent Manager"))
    payroll = tenant.application("payroll", owners=(kim,))
    _permit(tenant, payroll, "Group.ReadWrite.All")
    menu = tenant.application("menu", owners=(kim,))
    _permit(tenant, menu, "Sites.Selected")
    tenant.assign(ivy, _role("Secret Rotator"), scope=f"/{guid('application payroll')}")
    tenant.assign(ivy, _role("App Reader"), scope=f"/{guid('application rotator')}")
    tenant.assign(jon, _role("Helpdesk Administrator"), scope=tenant.administrative_unit("Stores"))


def _permissions(tenant: DirectoryTenant) -> None:
    ana = guid("user ana.a")
    for name, roles in (
        ("graph-admin", ("RoleManagement.ReadWrite.Directory",)),
        ("granter", ("AppRoleAssignment.ReadWrite.All",)),
        ("app-writer", ("Application.ReadWrite.All",)),
        ("owned-writer", ("Application.ReadWrite.OwnedBy",)),
        ("tap-issuer", ("UserAuthMethod-TAP.ReadWrite.All",)),
        ("consent-writer", ("Policy.ReadWrite.PermissionGrant",)),
        ("reader", ("Directory.Read.All", "RoleManagement.Read.Directory")),
        ("disk-keys", ("BitlockerKey.Read.All",)),
        ("mailer", ("Mail.Send",)),
    ):
        _permit(tenant, tenant.application(name, owners=(ana,)), *roles)
    orders = tenant.application("order-taker", owners=(ana,))
    _permit(tenant, orders, "Orders.Write", "RoleManagement.ReadWrite.Directory", "default", api="Orders API")
    function = tenant.service_principal("id-function", servicePrincipalType="ManagedIdentity")
    _permit(tenant, function, "Application.ReadWrite.All")
    stopped = tenant.application("stopped-admin", owners=(ana,), accountEnabled=False)
    _permit(tenant, stopped, "RoleManagement.ReadWrite.Directory")


def _credentials(tenant: DirectoryTenant) -> None:
    ana = guid("user ana.a")
    tenant.application("legacy", passwords=(password("two years", made=100, ends=-630),), owners=(ana,))
    tenant.application("modern", passwords=(password("ninety days", made=10, ends=-80),), owners=(ana,))
    tenant.application("forgotten", passwords=(password("ended", made=500, ends=30),), owners=(ana,))
    tenant.application(
        "hidden", passwordCredentials=[password("on the principal", made=20, ends=-100)], owners=(ana,)
    )
    symmetric = {**certificate("token encryption", made=5, ends=-300), "type": "Symmetric", "usage": "Sign"}
    tenant.application("symmetric", keys=(symmetric,), owners=(ana,))
    tenant.application("signer", keys=(certificate("signer", made=10, ends=-160),), owners=(ana,))
    tenant.service_principal(
        "Expenses SAML",
        appOwnerOrganizationId=guid("expenses tenant"),
        preferredSingleSignOnMode="saml",
        keyCredentials=[certificate("SAML signing", made=10, ends=-1000)],
    )
    tenant.application(
        "four-secrets",
        passwords=tuple(password(f"copy {number}", made=9, ends=-100) for number in range(4)),
        owners=(ana,),
    )
    tenant.application("selfish", owners=(guid("sp selfish"),))
    tenant.application("unborn", service_principal=False)


def _federation(tenant: DirectoryTenant) -> None:
    ana = guid("user ana.a")
    aks = f"https://westeurope.oic.prod-aks.azure.com/{TENANT}/{guid('aks')}/"
    for name, issuer, subject, expression in (
        ("gh-exact", GITHUB, "repo:northwind@81/web@83:environment:prod", None),
        ("gh-names", GITHUB, "repo:northwind/web:environment:prod", None),
        ("gh-pull", GITHUB, "repo:northwind@81/web@83:pull_request", None),
        ("gh-org", GITHUB, None, "claims['sub'] matches 'repo:northwind/*'"),
        ("gh-prefix", GITHUB, None, "claims['sub'] matches 'repo:north*'"),
        ("gh-repo-prefix", GITHUB, None, "claims['sub'] matches 'repo:northwind/app-*'"),
        ("gh-any-ref", GITHUB, None, "claims['sub'] matches 'repo:northwind/web:ref:*'"),
        ("gh-eq", GITHUB, None, "claims['sub'] eq 'repo:northwind@81/web@83:environment:prod2'"),
        ("gh-odd", GITHUB, None, "claims['sub'] like 'repo:northwind/web'"),
        ("gl-exact", "https://gitlab.com", "project_path:northwind/web:ref_type:branch:ref:main", None),
        ("gl-group", "https://gitlab.com", None, "claims['sub'] matches 'project_path:northwind/*'"),
        ("tf-apply", "https://app.terraform.io", "organization:nw:project:p:workspace:w:run_phase:apply", None),
        ("tf-any", "https://app.terraform.io", None, "claims['sub'] matches 'organization:nw:project:p:workspace:w:run_phase:*'"),
        ("aks-exact", aks, "system:serviceaccount:shop:cart", None),
        ("aks-default", aks, "system:serviceaccount:default:default", None),
        ("own-identity", f"https://login.microsoftonline.com/{TENANT}/v2.0", guid("sp id-function"), None),
        ("other-tenant", f"https://login.microsoftonline.com/{guid('elsewhere')}/v2.0", guid("x"), None),
        ("ado-old", f"https://vstoken.dev.azure.com/{guid('org')}", "sc://northwind/web/prod", None),
        ("plain-http", "http://issuer.northwind.example", "build", None),
        ("twin-one", GITHUB, SHARED, None),
        ("twin-two", GITHUB, SHARED, None),
    ):  # fmt: skip
        tenant.application(name, federated=(federated(name, issuer, subject, expression),), owners=(ana,))
    tenant.application(
        "half-done",
        federated=(federated("half-done", GITHUB, "repo:northwind@81/half@90:environment:prod"),),
        passwords=(password("left over", made=50, ends=-100),),
        owners=(ana,),
    )
    odd = federated("odd-audience", GITHUB, "repo:northwind@81/odd@91:environment:prod")
    tenant.application(
        "odd-audience", federated=({**odd, "audiences": ["https://northwind.example"]},), owners=(ana,)
    )
    tenant.service_principal(
        "id-shop",
        servicePrincipalType="ManagedIdentity",
        federatedIdentityCredentials=[federated("id-shop", aks, "system:serviceaccount:shop:pay")],
    )
    tenant.application(
        "open-portal",
        audience="AzureADMultipleOrgs",
        federated=(federated("open-portal", GITHUB, "repo:northwind@81/portal@92:environment:prod"),),
        owners=(ana,),
    )


def _agents(tenant: DirectoryTenant) -> None:
    ana = guid("user ana.a")
    blueprint: dict[str, Any] = {"@odata.type": "#microsoft.graph.agentIdentityBlueprintPrincipal"}
    principal = tenant.application(
        "chat blueprint", passwords=(password("chat", made=5, ends=-60),), owners=(ana,), **blueprint
    )
    _permit(tenant, principal, "Directory.Read.All")
    tenant.blueprints.append({"id": principal, "managerApplications": [], "sponsors": [ana]})
    for name, parent, sponsors in (
        ("chat-agent", "chat blueprint", [ana]),
        ("lone-agent", "chat blueprint", []),
        ("stray-agent", "deleted blueprint", [ana]),
    ):
        number = tenant.service_principal(name, servicePrincipalType="ServiceIdentity")
        tenant.agents.append(
            {"id": number, "agentIdentityBlueprintId": guid(f"app {parent}"), "sponsors": sponsors}
        )
        tenant.inherited[number] = []
    chat = guid("sp chat-agent")
    tenant.inherited[chat] = [
        {
            "id": "inherited-chat",
            "appRoleId": guid("Microsoft Graph Group.ReadWrite.All"),
            "creationTimestamp": ago(5),
            "principalId": principal,
            "principalType": "ServicePrincipal",
            "resourceId": guid("sp Microsoft Graph"),
            "resourceDisplayName": "Microsoft Graph",
        }
    ]
    for name, parent in (("Chat User", chat), ("Ghost User", guid("sp gone"))):
        tenant.agent_users.append(
            {
                "@odata.type": "#microsoft.graph.agentUser",
                "id": guid(name),
                "displayName": name,
                "identityParentId": parent,
                "accountEnabled": True,
            }
        )


def _vendors(tenant: DirectoryTenant) -> None:
    def vendor(name: str, *, publisher: str | None = None, home: str | None = None, **more: Any) -> str:
        return tenant.service_principal(
            name,
            appOwnerOrganizationId=home or guid(f"{name} home"),
            signInAudience="AzureADMultipleOrgs",
            verifiedPublisher={
                "displayName": publisher,
                "verifiedPublisherId": publisher,
                "addedDateTime": None,
            },
            **more,
        )

    ana = guid("user ana.a")
    _permit(tenant, vendor("Vendor Sync", publisher="Vendor"), "Directory.ReadWrite.All")
    _permit(tenant, vendor("Vendor Off", accountEnabled=False), "RoleManagement.ReadWrite.Directory")
    _permit(tenant, vendor("Microsoft Thing", home=MICROSOFT_TENANT), "RoleManagement.ReadWrite.Directory")
    tenant.consent(vendor("Mail Reader", publisher="Mail Inc."), "Mail.Read offline_access")
    tenant.consent(vendor("Login Only"), "openid profile User.Read")
    tenant.consent(vendor("Do Anything"), "Directory.AccessAsUser.All")
    tenant.consent(vendor("File Grabber"), "Files.ReadWrite.All", user=ana)
    tenant.consent(vendor("File Signer", publisher="Signer"), "Files.ReadWrite.All", user=ana)


def _policies(tenant: DirectoryTenant) -> None:
    tenant.authorization_policy = {
        "id": "authorizationPolicy",
        "allowInvitesFrom": "adminsAndGuestInviters",
        "guestUserRoleId": "a0b1b346-4d3e-4e8b-98f8-753987be4970",
        "defaultUserRolePermissions": {
            "allowedToCreateApps": False,
            "permissionGrantPoliciesAssigned": ["ManagePermissionGrantsForSelf.microsoft-user-default-low"],
        },
    }
    lifetime = {"restrictionType": "passwordLifetime", "state": "enabled", "maxLifetime": "P180D"}
    tenant.credential_policy = {
        "id": "0",
        "isEnabled": True,
        "applicationRestrictions": {"passwordCredentials": [lifetime], "keyCredentials": []},
    }
    tenant.domains = [
        {"id": "northwind.example", "authenticationType": "Federated", "isVerified": True},
        {"id": "old.example", "authenticationType": "Federated", "isVerified": False},
    ]
    tenant.federations = {
        "northwind.example": [
            {
                "id": guid("fed"),
                "issuerUri": "http://sts.northwind.example",
                "federatedIdpMfaBehavior": "enforceMfaByFederatedIdp",
            }
        ]
    }
    tenant.cross_tenant_default = {"inboundTrust": {"isMfaAccepted": True}}
    tenant.conditional_access = [
        {
            "id": guid("ca"),
            "displayName": "Block risky workloads",
            "state": "enabledForReportingButNotEnforced",
            "conditions": {
                "clientApplications": {"includeServicePrincipals": ["ServicePrincipalsInMyTenant"]},
                "servicePrincipalRiskLevels": ["high"],
            },
            "grantControls": {"operator": "OR", "builtInControls": ["block"]},
        }
    ]
