"""How Lantern Pay's workloads are delivered on Google Cloud, and which keys and secrets lie there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.gcp.company_workloads import REGION
from sandbox.gcp.organization import ago, etag, hexadecimal, number

if TYPE_CHECKING:
    from sandbox.gcp.company_projects import Projects
    from sandbox.gcp.organization import GoogleOrganization, GoogleProject
    from sandbox.kit.http import Json


def delivery(out: GoogleOrganization, at: Projects) -> None:
    """Add triggers, repositories of images, targets with and without an approval, and what admits images."""
    home = at.build
    out.compute_default(home)
    out.signed_in(home.compute, 2)
    out.grant(home, "roles/cloudbuild.builds.builder", f"serviceAccount:{home.compute}")
    deployer = out.account(home, "cloud-deploy", shown="Cloud Deploy")
    out.signed_in(deployer, 3)
    out.grant(home, "roles/clouddeploy.jobRunner", f"serviceAccount:{deployer}")
    for name, approved, more in (
        ("nightly-images", False, {}),
        ("release", True, {"serviceAccount": f"projects/{home.id}/serviceAccounts/{deployer}"}),
    ):
        trigger = number(name, 12)
        path = f"projects/{home.id}/locations/{REGION}/triggers/{trigger}"
        out.asset(
            home,
            "cloudbuild.googleapis.com/BuildTrigger",
            path,
            {
                "id": trigger,
                "name": name,
                "resourceName": path,
                "description": f"Builds {name}",
                "createTime": ago(350),
                "filename": "cloudbuild.yaml",
                "github": {"owner": "lanternpay", "name": "data-jobs", "push": {"branch": "^main$"}},
                **({"approvalConfig": {"approvalRequired": True}} if approved else {}),
                **more,
            },
        )
    for name, immutable in (("apps", False), ("models", True)):
        path = f"projects/{home.id}/locations/{REGION}/repositories/{name}"
        out.asset(
            home,
            "artifactregistry.googleapis.com/Repository",
            path,
            {
                "name": path,
                "format": "DOCKER",
                "mode": "STANDARD_REPOSITORY",
                "description": f"Images of {name}",
                "createTime": ago(700),
                "updateTime": ago(1),
                "sizeBytes": "123456789",
                "dockerConfig": {"immutableTags": immutable},
            },
        )
    for name, approved in (("shop-production", True), ("lab-production", False)):
        path = f"projects/{home.id}/locations/{REGION}/targets/{name}"
        out.asset(
            home,
            "clouddeploy.googleapis.com/Target",
            path,
            {
                "name": path,
                "targetId": name,
                "uid": hexadecimal(name, 32),
                "description": f"Deploys to {name}",
                "createTime": ago(300),
                "updateTime": ago(30),
                "etag": etag(name),
                "run": {"location": f"projects/lantern-shop/locations/{REGION}"},
                "executionConfigs": [{"usages": ["RENDER", "DEPLOY"], "serviceAccount": deployer}],
                **({"requireApproval": True} if approved else {}),
            },
        )
    path = f"projects/{home.id}/locations/{REGION}/deliveryPipelines/shop"
    out.asset(
        home,
        "clouddeploy.googleapis.com/DeliveryPipeline",
        path,
        {
            "name": path,
            "uid": hexadecimal("shop", 32),
            "createTime": ago(300),
            "updateTime": ago(30),
            "etag": etag("shop"),
            "serialPipeline": {"stages": [{"targetId": "lab-production"}, {"targetId": "shop-production"}]},
        },
    )
    _admission(out, at)


def _admission(out: GoogleOrganization, at: Projects) -> None:
    attestor = f"projects/{at.build.id}/attestors/built-by-us"
    note = f"projects/{at.build.id}/notes/built-by-us"
    out.asset(
        at.build,
        "binaryauthorization.googleapis.com/Attestor",
        attestor,
        {"name": attestor, "updateTime": ago(200), "userOwnedGrafeasNote": {"noteReference": note}},
    )
    for home, rule in (
        (
            at.shop,
            {
                "evaluationMode": "REQUIRE_ATTESTATION",
                "enforcementMode": "ENFORCED_BLOCK_AND_AUDIT_LOG",
                "requireAttestationsBy": [attestor],
            },
        ),
        (at.lab, {"evaluationMode": "ALWAYS_ALLOW", "enforcementMode": "ENFORCED_BLOCK_AND_AUDIT_LOG"}),
    ):
        name = f"projects/{home.id}/policy"
        out.asset(
            home,
            "binaryauthorization.googleapis.com/Policy",
            name,
            {
                "name": name,
                "updateTime": ago(200),
                "globalPolicyEvaluationMode": "ENABLE",
                "defaultAdmissionRule": rule,
            },
        )


def stores(out: GoogleOrganization, at: Projects) -> None:
    """Add secrets, API keys, HMAC keys, and what the recommender says."""
    _secret(
        out,
        at.shop,
        "psp-key",
        made=40,
        rotation={"rotationPeriod": "7776000s", "nextRotationTime": ago(-50)},
    )
    _secret(out, at.data, "partner-password", made=800)
    out.grant_on(
        at.shop,
        "secretmanager.googleapis.com/Secret",
        f"projects/{at.shop.number}/secrets/psp-key",
        "roles/secretmanager.secretAccessor",
        f"serviceAccount:{at.shop.email('run-basket')}",
    )
    for name, more in (
        ("support agent", {"serviceAccountEmail": at.lab.email("support-agent")}),
        ("demo page", {}),
        (
            "map of the shop",
            {
                "restrictions": {
                    "apiTargets": [{"service": "maps-backend.googleapis.com"}],
                    "browserKeyRestrictions": {"allowedReferrers": ["https://shop.lanternpay.example/*"]},
                }
            },
        ),
    ):
        uid = hexadecimal(name, 32)
        path = f"projects/{at.lab.number}/locations/global/keys/{uid}"
        out.asset(
            at.lab,
            "apikeys.googleapis.com/Key",
            path,
            {
                "name": path,
                "uid": uid,
                "displayName": name,
                "createTime": ago(480),
                "updateTime": ago(480),
                "etag": etag(name),
                **more,
            },
            version="v2",
        )
    for email, state in (
        (at.data.email("nightly-export"), "ACTIVE"),
        (at.data.email("reporting"), "INACTIVE"),
    ):
        access = f"GOOG1E{hexadecimal(email, 55).upper()}"
        out.listed.setdefault((at.data.id, "hmacKeys"), []).append(
            {
                "kind": "storage#hmacKeyMetadata",
                "id": f"{at.data.id}/{access}",
                "selfLink": f"https://www.googleapis.com/storage/v1/projects/{at.data.id}/hmacKeys/{access}",
                "accessId": access,
                "projectId": at.data.id,
                "serviceAccountEmail": email,
                "state": state,
                "timeCreated": ago(620),
                "updated": ago(620),
                "etag": etag(access),
            }
        )
    recommender = "google.iam.policy.Recommender"
    member = f"serviceAccount:{at.lab.compute}"
    out.listed.setdefault((at.lab.id, "recommendations"), []).append(
        {
            "name": f"projects/{at.lab.number}/locations/global/recommenders/{recommender}/recommendations/{hexadecimal('lab', 32)}",
            "description": "This role has not been used during the observation window.",
            "lastRefreshTime": ago(1),
            "priority": "P1",
            "recommenderSubtype": "REPLACE_ROLE",
            "stateInfo": {"state": "ACTIVE"},
            "etag": etag(recommender),
            "targetResources": [f"//cloudresourcemanager.googleapis.com/projects/{at.lab.number}"],
            "content": {
                "overview": {
                    "member": member,
                    "resource": f"//cloudresourcemanager.googleapis.com/projects/{at.lab.number}",
                    "removedRole": "roles/editor",
                    "addedRoles": ["roles/logging.logWriter"],
                }
            },
        }
    )


def _secret(
    out: GoogleOrganization, home: GoogleProject, name: str, *, made: float, rotation: Json | None = None
) -> None:
    path = f"projects/{home.number}/secrets/{name}"
    data: Json = {
        "name": path,
        "createTime": ago(made),
        "replication": {"automatic": {}},
        "labels": {"owner": "data" if home.id == "lantern-data" else "web"},
        "etag": etag(name),
    }
    if rotation is not None:
        data["rotation"] = rotation
    out.asset(home, "secretmanager.googleapis.com/Secret", path, data)
    version = f"{path}/versions/1"
    out.asset(
        home,
        "secretmanager.googleapis.com/SecretVersion",
        version,
        {
            "name": version,
            "createTime": ago(made),
            "state": "ENABLED",
            "replicationStatus": {"automatic": {}},
        },
    )
