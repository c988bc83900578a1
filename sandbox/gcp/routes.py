"""The calls that the make-believe Google Cloud answers, and the permission of each.

A path names its API first: ``/iam/v1/...`` is ``https://iam.googleapis.com/v1/...``. Clients that know one host for all
may leave that part out.
https://docs.cloud.google.com/iam/docs/permissions-reference
"""

from __future__ import annotations

import msgspec

from sandbox.kit.routes import RouteTable

ASSET_TYPES = (
    "aiplatform.googleapis.com/ReasoningEngine",
    "apikeys.googleapis.com/Key",
    "artifactregistry.googleapis.com/Repository",
    "binaryauthorization.googleapis.com/Attestor",
    "binaryauthorization.googleapis.com/Policy",
    "cloudbuild.googleapis.com/BuildTrigger",
    "clouddeploy.googleapis.com/DeliveryPipeline",
    "clouddeploy.googleapis.com/Target",
    "cloudfunctions.googleapis.com/CloudFunction",
    "cloudfunctions.googleapis.com/Function",
    "cloudresourcemanager.googleapis.com/Folder",
    "cloudresourcemanager.googleapis.com/Organization",
    "cloudresourcemanager.googleapis.com/Project",
    "composer.googleapis.com/Environment",
    "compute.googleapis.com/Instance",
    "container.googleapis.com/Cluster",
    "iam.googleapis.com/PolicyBinding",
    "iam.googleapis.com/PrincipalAccessBoundaryPolicy",
    "iam.googleapis.com/Role",
    "iam.googleapis.com/ServiceAccount",
    "iam.googleapis.com/ServiceAccountKey",
    "iam.googleapis.com/WorkloadIdentityPool",
    "iam.googleapis.com/WorkloadIdentityPoolProvider",
    "orgpolicy.googleapis.com/Policy",
    "run.googleapis.com/Job",
    "run.googleapis.com/Service",
    "secretmanager.googleapis.com/Secret",
    "secretmanager.googleapis.com/SecretVersion",
)
"""The types of this inventory: any other is INVALID_ARGUMENT. https://docs.cloud.google.com/asset-inventory/docs/asset-types"""
GRPC = "google.iam.admin.v1.IAM"
_SCOPES = ("organizations/{organization}", "folders/{folder}", "projects/{project}")
_REGIONAL = "projects/{project}/locations/{location}"
_USE = "/policyanalyzer/v1/projects/{project}/locations/global/activityTypes/{activityType}/activities:query"


class GoogleRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One call."""

    template: str
    needs: str
    """The permission."""
    answer: str
    """The method of the sandbox that answers it, or the type of the assets that it lists."""
    at: str = ""
    """Where the items of a list stand."""
    largest: int = 1000
    """The most items of a page."""
    post: bool = False


def _per_scope(ending: str, needs: str, answer: str, at: str, largest: int) -> list[GoogleRoute]:
    return [
        GoogleRoute(
            template=f"/cloudasset/v1/{scope}{ending}", needs=needs, answer=answer, at=at, largest=largest
        )
        for scope in _SCOPES
    ]


def _resources(template: str, kind: str, needs: str, at: str, largest: int = 1000) -> GoogleRoute:
    return GoogleRoute(template=template, needs=needs, answer=kind, at=at, largest=largest)


ROUTES: tuple[GoogleRoute, ...] = (
    *_per_scope("/assets", "cloudasset.assets.listResource", "assets", "assets", 1000),
    *_per_scope(
        ":searchAllIamPolicies", "cloudasset.assets.searchAllIamPolicies", "policies", "results", 500
    ),
    *_per_scope(":searchAllResources", "cloudasset.assets.searchAllResources", "search", "results", 500),
    GoogleRoute(
        template="/cloudresourcemanager/v3/organizations/{organization}",
        needs="resourcemanager.organizations.get",
        answer="organization_itself",
    ),
    GoogleRoute(
        template="/cloudresourcemanager/v3/projects/{project}",
        needs="resourcemanager.projects.get",
        answer="project_itself",
    ),
    GoogleRoute(
        template="/cloudresourcemanager/v3/folders/{folder}",
        needs="resourcemanager.folders.get",
        answer="folder_itself",
    ),
    GoogleRoute(
        template="/cloudresourcemanager/v3/projects:search",
        needs="resourcemanager.projects.get",
        answer="projects",
        at="projects",
    ),
    GoogleRoute(
        template="/cloudresourcemanager/v3/projects/{project}:getIamPolicy",
        needs="resourcemanager.projects.getIamPolicy",
        answer="project_policy",
        post=True,
    ),
    GoogleRoute(
        template="/iam/v1/projects/{project}/serviceAccounts",
        needs="iam.serviceAccounts.list",
        answer="accounts",
        at="accounts",
        largest=100,
    ),
    GoogleRoute(
        template="/iam/v1/projects/{project}/serviceAccounts/{account}/keys",
        needs="iam.serviceAccountKeys.list",
        answer="keys",
    ),
    GoogleRoute(
        template="/iam/v1/projects/{project}/serviceAccounts/{account}:getIamPolicy",
        needs="iam.serviceAccounts.getIamPolicy",
        answer="account_policy",
        post=True,
    ),
    GoogleRoute(template="/iam/v1/roles", needs="iam.roles.list", answer="roles", at="roles"),
    GoogleRoute(
        template="/iam/v1/projects/{project}/roles", needs="iam.roles.list", answer="roles", at="roles"
    ),
    GoogleRoute(
        template="/iam/v1/organizations/{organization}/roles",
        needs="iam.roles.list",
        answer="roles",
        at="roles",
    ),
    GoogleRoute(
        template="/iam/v1/projects/{project}/locations/global/workloadIdentityPools",
        needs="iam.googleapis.com/workloadIdentityPools.list",
        answer="pools",
        at="workloadIdentityPools",
    ),
    GoogleRoute(
        template="/iam/v1/projects/{project}/locations/global/workloadIdentityPools/{pool}/providers",
        needs="iam.googleapis.com/workloadIdentityPoolProviders.list",
        answer="providers",
        at="workloadIdentityPoolProviders",
        largest=100,
    ),
    GoogleRoute(
        template="/iam/v2/policies/{attachmentPoint}/denypolicies",
        needs="iam.denypolicies.list",
        answer="denies",
        at="policies",
    ),
    GoogleRoute(
        template="/iam/v2/policies/{attachmentPoint}/denypolicies/{policy}",
        needs="iam.denypolicies.get",
        answer="deny",
    ),
    *(
        GoogleRoute(
            template=_USE.replace("{activityType}", kind),
            needs=f"policyanalyzer.{kind.replace('Authentication', 'AuthenticationActivities')}.query",
            answer="sign_ins",
            at="activities",
        )
        for kind in ("serviceAccountLastAuthentication", "serviceAccountKeyLastAuthentication")
    ),
    GoogleRoute(
        template="/recommender/v1/projects/{project}/locations/global/recommenders/google.iam.policy.Recommender/recommendations",
        needs="recommender.iamPolicyRecommendations.list",
        answer="recommendations",
        at="recommendations",
    ),
    GoogleRoute(
        template="/storage/storage/v1/projects/{project}/hmacKeys",
        needs="storage.hmacKeys.list",
        answer="hmacKeys",
        at="items",
        largest=250,
    ),
    GoogleRoute(
        template="/workflows/v1/projects/{project}/locations/-/workflows",
        needs="workflows.workflows.list",
        answer="workflows",
        at="workflows",
    ),
    # What the inventory lists too, by the API of each service.
    _resources(f"/apikeys/v2/{_REGIONAL}/keys", "apikeys.googleapis.com/Key", "apikeys.keys.list", "keys", 300),
    _resources(
        f"/artifactregistry/v1/{_REGIONAL}/repositories",
        "artifactregistry.googleapis.com/Repository",
        "artifactregistry.repositories.list",
        "repositories",
    ),
    _resources(
        f"/cloudbuild/v1/{_REGIONAL}/triggers",
        "cloudbuild.googleapis.com/BuildTrigger",
        "cloudbuild.builds.list",
        "triggers",
    ),
    _resources(
        f"/clouddeploy/v1/{_REGIONAL}/targets",
        "clouddeploy.googleapis.com/Target",
        "clouddeploy.targets.list",
        "targets",
    ),
    _resources(
        f"/container/v1/{_REGIONAL}/clusters",
        "container.googleapis.com/Cluster",
        "container.clusters.list",
        "clusters",
    ),
    _resources(
        f"/cloudfunctions/v2/{_REGIONAL}/functions",
        "cloudfunctions.googleapis.com/Function",
        "cloudfunctions.functions.list",
        "functions",
    ),
    _resources(
        "/secretmanager/v1/projects/{project}/secrets",
        "secretmanager.googleapis.com/Secret",
        "secretmanager.secrets.list",
        "secrets",
    ),
    _resources(
        "/orgpolicy/v2/projects/{project}/policies", "orgpolicy.googleapis.com/Policy", "orgpolicy.policies.list", "policies"
    ),
    _resources(
        "/iam/v3/organizations/{organization}/locations/global/principalAccessBoundaryPolicies",
        "iam.googleapis.com/PrincipalAccessBoundaryPolicy",
        "iam.principalaccessboundarypolicies.list",
        "principalAccessBoundaryPolicies",
    ),
)  # fmt: skip
METHODS = {
    "ListRoles": ("roles", "iam.roles.list"),
    "ListServiceAccounts": ("accounts", "iam.serviceAccounts.list"),
    "ListServiceAccountKeys": ("keys", "iam.serviceAccountKeys.list"),
    "GetIamPolicy": ("account_policy", "iam.serviceAccounts.getIamPolicy"),
}
"""Methods of the gRPC API: what answers each, and its permission."""
_PAGES = {"ListRoles": ("roles", 1000), "ListServiceAccounts": ("accounts", 100)}
RPCS = {
    f"/{GRPC}/{method}": GoogleRoute(
        template=f"{GRPC}/{method}",
        needs=needs,
        answer=answer,
        at=_PAGES.get(method, ("", 0))[0],
        largest=_PAGES.get(method, ("", 0))[1],
        post=True,
    )
    for method, (answer, needs) in METHODS.items()
}
KEYS_NEED = "cloudasset.assets.exportIamServiceAccountKeys"
PERMISSIONS = tuple(sorted({KEYS_NEED, *(route.needs for route in (*ROUTES, *RPCS.values()))}))


def _without_api(template: str) -> str:
    return "/" + template.split("/", 2)[2]


TABLE = RouteTable(
    ("POST" if route.post else "GET", template, route)
    for shorten in (False, True)
    for route in ROUTES
    for template in ((_without_api(route.template) if shorten else route.template),)
)
