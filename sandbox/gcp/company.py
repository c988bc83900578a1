"""Lantern Pay on Google Cloud: its projects, service accounts, keys, federation, and who may do what.

What is wrong with it on purpose, and what only looks wrong, is listed under ``gcp`` in ``sandbox/planted.yaml``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.estate import GITHUB_ORG, GITHUB_ORG_ID, GOOGLE_DOMAIN, GOOGLE_ORGANIZATION
from sandbox.gcp.company_delivery import delivery, stores
from sandbox.gcp.company_projects import Projects
from sandbox.gcp.company_workloads import workloads
from sandbox.gcp.organization import GITHUB, GoogleOrganization, ago
from sandbox.gcp.roles import predefined

if TYPE_CHECKING:
    from sandbox.kit.http import Json

PRODUCTION = "710000000001"
DEVELOPMENT = "710000000002"
GITLAB = "https://gitlab.com"
"""The issuer of gitlab.com."""


def build(night: int = 1) -> GoogleOrganization:
    """Return the organization as it is on the first or the second night."""
    out = GoogleOrganization(number=GOOGLE_ORGANIZATION, domain=GOOGLE_DOMAIN, roles=predefined())
    production = out.folder(PRODUCTION, "production")
    development = out.folder(DEVELOPMENT, "development")
    prod = {"env": "prod", "owner": "platform"}
    at = Projects(
        shop=out.project("lantern-shop", "720000000001", production, labels={"env": "prod", "owner": "web"}),
        data=out.project("lantern-data", "720000000002", production, labels={"env": "prod", "owner": "data"}),
        build=out.project("lantern-build", "720000000003", production, labels=prod),
        lab=out.project("lantern-lab", "720000000004", development, labels={"env": "dev", "owner": "data"}),
        sec=out.project("lantern-sec", "720000000005", labels=prod),
    )
    out.project("lantern-old-reports", "720000000006", development, state="DELETE_REQUESTED")
    _people(out, at)
    _shop(out, at)
    _data(out, at, night)
    _build(out, at, night)
    _lab(out, at)
    _security(out, at)
    _limits(out, at)
    workloads(out, at)
    delivery(out, at)
    stores(out, at)
    return out


def _people(out: GoogleOrganization, at: Projects) -> None:
    organization = f"organizations/{out.number}"
    out.grant(organization, "roles/resourcemanager.organizationAdmin", f"group:gcp-admins@{out.domain}")
    out.grant(organization, "roles/browser", f"domain:{out.domain}")
    out.grant(at.shop, "roles/viewer", f"group:web@{out.domain}")
    # A person who owns production day and night; and one whose grant ended.
    out.grant(at.data, "roles/owner", f"user:marta.silva@{out.domain}")
    out.grant(
        at.shop,
        "roles/owner",
        f"user:ben.lindqvist@{out.domain}",
        condition=("until the migration was done", f"request.time < timestamp('{ago(30)}')"),
    )
    out.grant(at.lab, "roles/viewer", f"deleted:user:lena.left@{out.domain}?uid=123456789012345678901")


def _shop(out: GoogleOrganization, at: Projects) -> None:
    """Cloud Run service basket: its account reads one secret; its pipeline may deploy anything as anyone."""
    run = out.account(at.shop, "run-basket", shown="basket at run time")
    out.signed_in(run, 1)
    deploy = out.account(at.shop, "deploy-basket", shown="pipeline of basket")
    out.signed_in(deploy, 2)
    out.grant(at.shop, "roles/run.admin", f"serviceAccount:{deploy}")
    out.grant(at.shop, "roles/iam.serviceAccountUser", f"serviceAccount:{deploy}")
    out.grant(at.shop, "roles/secretmanager.secretAccessor", f"serviceAccount:{deploy}")
    # Look-alike: one account, one service, one act.
    narrow = out.account(at.shop, "deploy-rates", shown="pipeline of rates")
    out.signed_in(narrow, 3)
    rates = out.account(at.shop, "run-rates", shown="rates at run time")
    out.signed_in(rates, 1)
    out.grant(rates, "roles/iam.serviceAccountUser", f"serviceAccount:{narrow}")
    out.grant_on(
        at.shop,
        "run.googleapis.com/Service",
        f"projects/{at.shop.id}/locations/europe-west1/services/rates",
        "roles/run.developer",
        f"serviceAccount:{narrow}",
    )
    # The wrong way round: the default account, without Editor here.
    out.compute_default(at.shop)
    out.signed_in(at.shop.compute, 4)


def _data(out: GoogleOrganization, at: Projects, night: int) -> None:
    """Static keys of every age, an HMAC key, and a chain of impersonation that ends at an owner."""
    export = out.account(at.data, "nightly-export", shown="nightly export")
    old = out.key(export, "github", made=460)
    out.signed_in(export, 1)
    out.signed_in(export, 1, key=old)
    out.grant(at.data, "roles/bigquery.dataEditor", f"serviceAccount:{export}")
    out.grant(at.data, "roles/storage.objectUser", f"serviceAccount:{export}")
    # Uploaded, and not seen once in 400 days.
    partner = out.account(at.data, "partner-feed", shown="feed for a partner")
    out.key(partner, "uploaded", made=900, keyOrigin="USER_PROVIDED")
    out.signed_in(partner, None)
    out.grant(at.data, "roles/bigquery.dataViewer", f"serviceAccount:{partner}")
    # Not used for 200 days, by key and by account.
    stale = out.account(at.data, "warehouse-sync", shown="warehouse sync")
    out.signed_in(stale, 200)
    out.signed_in(stale, 200, key=out.key(stale, "laptop", made=380))
    out.grant(at.data, "roles/bigquery.dataViewer", f"serviceAccount:{stale}")
    # Look-alikes: a key that ends soon and is used; one that is disabled; one that is young.
    fresh = out.account(at.data, "reporting", shown="reporting")
    out.signed_in(fresh, 1)
    out.signed_in(fresh, 1, key=out.key(fresh, "rotated", made=20, ends=-70))
    out.key(
        fresh,
        "before",
        made=500,
        disabled=True,
        disableReason="SERVICE_ACCOUNT_KEY_DISABLE_REASON_USER_INITIATED",
    )
    out.grant(at.data, "roles/bigquery.dataViewer", f"serviceAccount:{fresh}")
    # Google found it in a public repository.
    leaked = out.account(at.data, "notebook", shown="notebook")
    out.signed_in(leaked, 40)
    out.key(
        leaked, "exposed", made=90, disabled=True, disableReason="SERVICE_ACCOUNT_KEY_DISABLE_REASON_EXPOSED"
    )
    out.grant(at.data, "roles/bigquery.jobUser", f"serviceAccount:{leaked}")
    if night > 1:
        out.key(fresh, "hotfix", made=-0.5)
    # orchestrator may become releaser, which may become the owner of the project.
    first = out.account(at.data, "orchestrator", shown="orchestrator")
    second = out.account(at.data, "releaser", shown="releaser")
    owner = out.account(at.data, "terraform", shown="terraform")
    for one in (first, second, owner):
        out.signed_in(one, 2)
    out.grant(second, "roles/iam.serviceAccountTokenCreator", f"serviceAccount:{first}")
    out.grant(owner, "roles/iam.serviceAccountTokenCreator", f"serviceAccount:{second}")
    out.grant(at.data, "roles/owner", f"serviceAccount:{owner}")
    # Look-alike: an identity token of the owner opens no API of Google's.
    prober = out.account(at.data, "prober", shown="prober")
    out.signed_in(prober, 1)
    out.grant(owner, "roles/iam.serviceAccountOpenIdTokenCreator", f"serviceAccount:{prober}")
    # Runs the exports service, which names no account of its own.
    out.compute_default(at.data)
    out.signed_in(at.data.compute, 1)
    out.grant(at.data, "roles/editor", f"serviceAccount:{at.data.compute}")


def _build(out: GoogleOrganization, at: Projects, night: int) -> None:
    """Workload identity federation: exact, by names, for everyone, for another system, and switched off."""
    github: Json = {"oidc": {"issuerUri": GITHUB, "allowedAudiences": []}}
    mapping = {
        "google.subject": "assertion.sub",
        "attribute.repository_id": "assertion.repository_id",
        "attribute.repository": "assertion.repository",
    }
    exact = out.pool(at.build, "github", shown="GitHub Actions")
    out.provider(
        at.build,
        exact,
        GITHUB_ORG,
        mapping=mapping,
        condition=f"assertion.repository_owner_id == '{GITHUB_ORG_ID}' && assertion.environment == 'production'",
        **github,
    )
    for name, repository in (("deploy-basket", 5018), ("deploy-rates", 5019)):
        member = f"principalSet://iam.googleapis.com/{exact}/attribute.repository_id/{repository}"
        out.grant(at.shop.email(name), "roles/iam.workloadIdentityUser", member)
    # Anybody's repository on GitHub: no condition, and every identity of the pool.
    weak = out.pool(at.build, "preview", shown="previews")
    out.provider(at.build, weak, "any-github", mapping=mapping, **github)
    preview = out.account(at.build, "preview", shown="previews")
    out.signed_in(preview, 9)
    out.grant(preview, "roles/iam.workloadIdentityUser", f"principalSet://iam.googleapis.com/{weak}/*")
    out.grant(at.build, "roles/artifactregistry.writer", f"serviceAccount:{preview}")
    # By the name of the repository alone: whoever gets the name gets in.
    renamed = out.pool(at.build, "mirror", shown="mirrors")
    out.provider(
        at.build,
        renamed,
        "by-name",
        mapping=mapping,
        condition=f"assertion.repository_owner == '{GITHUB_ORG}'",
        **github,
    )
    mirror = out.account(at.build, "mirror", shown="mirror of images")
    out.signed_in(mirror, 3)
    by_name = f"principalSet://iam.googleapis.com/{renamed}/attribute.repository/{GITHUB_ORG}/data-jobs"
    out.grant(mirror, "roles/iam.workloadIdentityUser", by_name)
    out.grant(at.build, "roles/artifactregistry.reader", f"serviceAccount:{mirror}")
    # GitLab: the project by its number, and protected branches.
    gitlab = out.pool(at.build, "gitlab", shown="GitLab CI")
    out.provider(
        at.build,
        gitlab,
        "lantern",
        mapping={"google.subject": "assertion.sub", "attribute.project_id": "assertion.project_id"},
        condition="assertion.namespace_id == '8001' && assertion.ref_protected == 'true'",
        oidc={"issuerUri": GITLAB, "allowedAudiences": ["https://gitlab.com"]},
    )
    risk = out.account(at.build, "publish-risk", shown="publishes the risk model")
    out.signed_in(risk, 2)
    out.grant(
        risk,
        "roles/iam.workloadIdentityUser",
        f"principalSet://iam.googleapis.com/{gitlab}/attribute.project_id/9001",
    )
    out.grant_on(
        at.build,
        "artifactregistry.googleapis.com/Repository",
        f"projects/{at.build.id}/locations/europe-west1/repositories/models",
        "roles/artifactregistry.writer",
        f"serviceAccount:{risk}",
    )
    # Look-alike: as open as `preview`, but the pool is disabled.
    off = out.pool(at.build, "circleci", shown="the old builds", disabled=True)
    out.provider(at.build, off, "any", oidc={"issuerUri": GITHUB})
    gone = out.account(at.build, "old-builds", shown="the old builds", disabled=True)
    out.grant(gone, "roles/iam.workloadIdentityUser", f"principalSet://iam.googleapis.com/{off}/*")
    out.grant(at.build, "roles/artifactregistry.reader", f"serviceAccount:{gone}")
    if night > 1:
        out.grant(
            at.build, "roles/owner", f"serviceAccount:{out.account(at.build, 'hotfix', shown='hotfix')}"
        )


def _lab(out: GoogleOrganization, at: Projects) -> None:
    """Development: the default account is Editor, an API key acts as an account."""
    out.compute_default(at.lab)
    out.signed_in(at.lab.compute, 1)
    out.grant(at.lab, "roles/editor", f"serviceAccount:{at.lab.compute}")
    agent = out.account(at.lab, "support-agent", shown="support agent")
    out.signed_in(agent, 3)
    out.grant(at.lab, "roles/bigquery.dataViewer", f"serviceAccount:{agent}")
    nodes = out.account(at.lab, "gke-nodes", shown="nodes of the cluster")
    out.signed_in(nodes, 1)
    out.grant(at.lab, "roles/container.defaultNodeServiceAccount", f"serviceAccount:{nodes}")
    cart = out.account(at.lab, "cart", shown="pods of cart")
    out.signed_in(cart, 1)
    out.grant(cart, "roles/iam.workloadIdentityUser", f"serviceAccount:{at.lab.id}.svc.id.goog[shop/cart]")
    out.grant(at.lab, "roles/storage.objectViewer", f"serviceAccount:{cart}")
    # Every service account of the folder, those to come as well.
    out.grant(
        at.lab,
        "roles/iam.serviceAccountTokenCreator",
        f"principalSet://cloudresourcemanager.googleapis.com/folders/{DEVELOPMENT}/type/ServiceAccount",
    )
    out.custom_role(
        at.lab, "labReader", "bigquery.tables.getData", "bigquery.tables.list", "storage.objects.get"
    )
    out.grant(at.lab, f"projects/{at.lab.id}/roles/labReader", f"group:research@{out.domain}")
    out.grant_on(
        at.lab,
        "storage.googleapis.com/Bucket",
        "lantern-lab-datasets",
        "roles/storage.objectViewer",
        "allUsers",
    )


def _security(out: GoogleOrganization, at: Projects) -> None:
    """The scanner's own account, and one that may grant anything but is held back by a deny policy."""
    organization = f"organizations/{out.number}"
    scanner = out.account(at.sec, "sprawlscan", shown="inventory of identities")
    out.signed_in(scanner, 1)
    role = out.custom_role(
        organization,
        "identityInventory",
        "cloudasset.assets.exportIamServiceAccountKeys",
        "cloudasset.assets.listResource",
        "cloudasset.assets.searchAllIamPolicies",
        "iam.denypolicies.get",
        "iam.denypolicies.list",
        "iam.roles.list",
    )
    out.grant(organization, role, f"serviceAccount:{scanner}")
    granter = out.account(at.sec, "access-broker", shown="access broker")
    out.signed_in(granter, 1)
    out.grant(at.sec, "roles/resourcemanager.projectIamAdmin", f"serviceAccount:{granter}")
    # Look-alike: the same role, and a deny policy against it.
    held = out.account(at.build, "access-janitor", shown="access janitor")
    out.signed_in(held, 1)
    out.grant(at.build, "roles/resourcemanager.projectIamAdmin", f"serviceAccount:{held}")


def _limits(out: GoogleOrganization, at: Projects) -> None:
    """Deny policies, a principal access boundary, and organization policies in both families of names."""
    organization = f"organizations/{out.number}"
    janitor = at.build.email("access-janitor")
    out.deny(
        f"projects/{at.build.id}",
        "no-policy-changes",
        {
            "deniedPrincipals": [f"principal://iam.googleapis.com/projects/-/serviceAccounts/{janitor}"],
            "deniedPermissions": ["cloudresourcemanager.googleapis.com/projects.setIamPolicy"],
        },
    )
    out.deny(
        organization,
        "no-keys",
        {
            "deniedPrincipals": ["principalSet://goog/public:all"],
            "exceptionPrincipals": [f"principalSet://goog/group/gcp-admins@{out.domain}"],
            "deniedPermissions": ["iam.googleapis.com/serviceAccountKeys.create"],
        },
    )
    boundary = f"{organization}/locations/global/principalAccessBoundaryPolicies/development-only"
    out.below_organization(
        "iam.googleapis.com/PrincipalAccessBoundaryPolicy",
        boundary,
        {
            "name": boundary,
            "uid": "b3c7d6a0-3c1e-4f3a-9d2e-5a6f7b8c9d01",
            "displayName": "development only",
            "createTime": ago(150),
            "updateTime": ago(150),
            "details": {
                "rules": [
                    {
                        "description": "the folder of development",
                        "resources": [f"//cloudresourcemanager.googleapis.com/folders/{DEVELOPMENT}"],
                        "effect": "ALLOW",
                    }
                ],
                "enforcementVersion": "3",
            },
        },
        version="v3",
    )
    binding = f"folders/{DEVELOPMENT}/locations/global/policyBindings/development"
    out.below_organization(
        "iam.googleapis.com/PolicyBinding",
        binding,
        {
            "name": binding,
            "uid": "c4d8e7b1-4d2f-4a4b-8e3f-6b7a8c9d0e12",
            "displayName": "development",
            "target": {"principalSet": f"//cloudresourcemanager.googleapis.com/folders/{DEVELOPMENT}"},
            "policyKind": "PRINCIPAL_ACCESS_BOUNDARY",
            "policy": boundary,
            "policyUid": "b3c7d6a0-3c1e-4f3a-9d2e-5a6f7b8c9d01",
            "createTime": ago(150),
            "updateTime": ago(150),
        },
        version="v3",
    )
    out.constraint(organization, "iam.managed.disableServiceAccountKeyCreation", enforce=True, dry_run=True)
    out.constraint(at.shop, "iam.disableServiceAccountKeyCreation", enforce=True)
    out.constraint(organization, "iam.automaticIamGrantsForDefaultServiceAccounts", enforce=False)
