"""What runs in Lantern Pay's projects and as which account, how it is delivered, and which keys and secrets lie there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.gcp.organization import SCOPE, ago, etag, hexadecimal, number
from sandbox.kit.issued import secret_value

if TYPE_CHECKING:
    from sandbox.gcp.company_projects import Projects
    from sandbox.gcp.organization import GoogleOrganization, GoogleProject
    from sandbox.kit.http import Json

REGION = "europe-west1"
SERVICE = "run.googleapis.com/Service"


def workloads(out: GoogleOrganization, at: Projects) -> None:
    """Add Cloud Run, Functions, Compute Engine, GKE, Composer, Workflows and an agent."""
    _cloud_run(out, at)
    _functions(out, at)
    _machines(out, at)
    _cluster(out, at.lab)
    composer = f"projects/{at.lab.id}/locations/{REGION}/environments/experiments"
    out.asset(
        at.lab,
        "composer.googleapis.com/Environment",
        composer,
        {
            "name": composer,
            "uuid": "d5e9f8c2-5e3a-4b5c-9f4a-7c8b9d0e1f23",
            "state": "RUNNING",
            "createTime": ago(300),
            "updateTime": ago(20),
            "config": {
                "dagGcsPrefix": "gs://europe-west1-experiments-bucket/dags",
                "environmentSize": "ENVIRONMENT_SIZE_SMALL",
                "nodeConfig": {"serviceAccount": at.lab.compute},
                "softwareConfig": {"imageVersion": "composer-3-airflow-2.10.5"},
            },
        },
    )
    engine = f"projects/{at.lab.id}/locations/{REGION}/reasoningEngines/{number('support', 19)}"
    out.asset(
        at.lab,
        "aiplatform.googleapis.com/ReasoningEngine",
        engine,
        {
            "name": engine,
            "displayName": "support",
            "description": "Answers tickets",
            "createTime": ago(60),
            "updateTime": ago(5),
            "spec": {"agentFramework": "google-adk", "serviceAccount": at.lab.email("support-agent")},
        },
    )
    for name, account in (("month-end", at.data.email("orchestrator")), ("cleanup", at.data.compute)):
        out.listed.setdefault((at.data.id, "workflows"), []).append(
            {
                "name": f"projects/{at.data.id}/locations/{REGION}/workflows/{name}",
                "description": f"Runs {name}",
                "state": "ACTIVE",
                "revisionId": "000001-a4d",
                "createTime": ago(250),
                "updateTime": ago(40),
                "revisionCreateTime": ago(40),
                "serviceAccount": f"projects/{at.data.id}/serviceAccounts/{account}",
                "callLogLevel": "LOG_ERRORS_ONLY",
            }
        )


def _cloud_run(out: GoogleOrganization, at: Projects) -> None:
    """Three services and a job: Cloud Asset Inventory shows some in the older shape and some in the newer one."""
    home = at.shop
    name = f"projects/{home.id}/locations/{REGION}/services/basket"
    out.asset(
        home,
        SERVICE,
        name,
        {
            "apiVersion": "serving.knative.dev/v1",
            "kind": "Service",
            "metadata": {
                "name": "basket",
                "namespace": home.number,
                "uid": "e6f0a9d3-6f4b-4c6d-8a5b-8d9c0e1f2a34",
                "generation": 41,
                "creationTimestamp": ago(500),
                "labels": {"cloud.googleapis.com/location": REGION, "owner": "web"},
                "annotations": {
                    "run.googleapis.com/ingress": "all",
                    "serving.knative.dev/creator": f"ben.lindqvist@{out.domain}",
                    "serving.knative.dev/lastModifier": home.email("deploy-basket"),
                },
            },
            "spec": {
                "template": {
                    "metadata": {"name": "basket-00041-xyz"},
                    "spec": {
                        "containerConcurrency": 80,
                        "timeoutSeconds": 300,
                        "serviceAccountName": home.email("run-basket"),
                        "containers": [
                            {
                                "image": f"{REGION}-docker.pkg.dev/lantern-build/apps/basket@sha256:{hexadecimal('basket', 64)}",
                                "env": [
                                    {"name": "LOG_LEVEL", "value": "info"},
                                    {
                                        "name": "PSP_KEY",
                                        "valueFrom": {"secretKeyRef": {"name": "psp-key", "key": "latest"}},
                                    },
                                ],
                            }
                        ],
                    },
                },
                "traffic": [{"percent": 100, "latestRevision": True}],
            },
            "status": {
                "observedGeneration": 41,
                "latestReadyRevisionName": "basket-00041-xyz",
                "latestCreatedRevisionName": "basket-00041-xyz",
                "url": "https://basket-abcdefghij-ew.a.run.app",
                "traffic": [{"percent": 100, "revisionName": "basket-00041-xyz", "latestRevision": True}],
            },
        },
    )
    out.grant_on(home, SERVICE, name, "roles/run.invoker", "allUsers")
    image = f"{REGION}-docker.pkg.dev/lantern-build/apps/rates:main"
    _service(out, home, "rates", image, serviceAccount=home.email("run-rates"))
    token = secret_value("gcp/exports", 36, "ghp_")
    # No account is named: it runs as the default account of Compute Engine, which is Editor.
    _service(
        out,
        at.data,
        "exports",
        image.replace("rates", "exports"),
        env=[{"name": "GITHUB_TOKEN", "value": token}, {"name": "BATCH_SIZE", "value": "500"}],
    )
    name = f"projects/{at.data.id}/locations/{REGION}/jobs/reconcile"
    out.asset(
        at.data,
        "run.googleapis.com/Job",
        name,
        {
            "apiVersion": "run.googleapis.com/v1",
            "kind": "Job",
            "metadata": {"name": "reconcile", "namespace": at.data.number, "creationTimestamp": ago(120)},
            "spec": {
                "template": {
                    "spec": {
                        "taskCount": 1,
                        "template": {
                            "spec": {
                                "serviceAccountName": at.data.email("reporting"),
                                "containers": [
                                    {"image": f"{REGION}-docker.pkg.dev/lantern-build/apps/reconcile:main"}
                                ],
                            }
                        },
                    }
                }
            },
        },
    )


def _service(
    out: GoogleOrganization,
    home: GoogleProject,
    name: str,
    image: str,
    env: list[Json] | None = None,
    **template: Any,
) -> None:
    path = f"projects/{home.id}/locations/{REGION}/services/{name}"
    container: Json = {"image": image, "env": env or [{"name": "LOG_LEVEL", "value": "info"}]}
    revision = f"projects/{home.id}/locations/{REGION}/services/{name}/revisions/{name}-00007-abc"
    out.asset(
        home,
        SERVICE,
        path,
        {
            "name": path,
            "uid": hexadecimal(name, 32),
            "generation": "7",
            "labels": {"owner": "data" if home.id == "lantern-data" else "web"},
            "createTime": ago(400),
            "updateTime": ago(8),
            "creator": f"maya.ops@{out.domain}",
            "lastModifier": f"maya.ops@{out.domain}",
            "ingress": "INGRESS_TRAFFIC_INTERNAL_ONLY",
            "launchStage": "GA",
            "template": {"containers": [container], **template},
            "traffic": [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}],
            "latestReadyRevision": revision,
            "latestCreatedRevision": revision,
            "uri": f"https://{name}-klmnopqrst-ew.a.run.app",
        },
        version="v2",
    )


def _functions(out: GoogleOrganization, at: Projects) -> None:
    name = f"projects/{at.lab.id}/locations/{REGION}/functions/thumbnails"
    out.asset(
        at.lab,
        "cloudfunctions.googleapis.com/Function",
        name,
        {
            "name": name,
            "environment": "GEN_2",
            "state": "ACTIVE",
            "createTime": ago(280),
            "updateTime": ago(70),
            "labels": {"owner": "data"},
            "buildConfig": {"runtime": "python312", "entryPoint": "main"},
            "serviceConfig": {
                "service": f"projects/{at.lab.id}/locations/{REGION}/services/thumbnails",
                "serviceAccountEmail": at.lab.compute,
                "environmentVariables": {"LOG_LEVEL": "info"},
                "ingressSettings": "ALLOW_INTERNAL_ONLY",
            },
        },
        version="v2",
    )
    name = f"projects/{at.data.id}/locations/{REGION}/functions/notify"
    out.asset(
        at.data,
        "cloudfunctions.googleapis.com/CloudFunction",
        name,
        {
            "name": name,
            "status": "ACTIVE",
            "runtime": "python310",
            "entryPoint": "notify",
            "updateTime": ago(500),
            "versionId": "12",
            "serviceAccountEmail": at.data.email("reporting"),
            "environmentVariables": {"CHANNEL": "reports"},
            "httpsTrigger": {"url": f"https://{REGION}-lantern-data.cloudfunctions.net/notify"},
        },
    )


def _machines(out: GoogleOrganization, at: Projects) -> None:
    """A machine of the default account with every scope, one that may only write logs, and one without an account."""
    writing = ["https://www.googleapis.com/auth/logging.write"]
    for name, accounts in (
        ("bastion", [{"email": at.lab.compute, "scopes": [SCOPE]}]),
        ("collector", [{"email": at.lab.compute, "scopes": writing}]),
        ("proxy", []),
    ):
        path = f"projects/{at.lab.id}/zones/{REGION}-b/instances/{name}"
        data: Json = {
            "id": number(name, 19),
            "kind": "compute#instance",
            "name": name,
            "status": "RUNNING",
            "creationTimestamp": ago(330),
            "machineType": f"https://www.googleapis.com/compute/v1/projects/{at.lab.id}/zones/{REGION}-b/machineTypes/e2-small",
            "selfLink": f"https://www.googleapis.com/compute/v1/{path}",
            "zone": f"https://www.googleapis.com/compute/v1/projects/{at.lab.id}/zones/{REGION}-b",
            "labels": {"owner": "data"},
            "metadata": {"items": [{"key": "enable-oslogin", "value": "TRUE"}]},
        }
        if accounts:
            data["serviceAccounts"] = accounts
        out.asset(at.lab, "compute.googleapis.com/Instance", path, data)


def _cluster(out: GoogleOrganization, home: GoogleProject) -> None:
    """A cluster with workload identity, one of whose node pools shows the node's own account to every pod."""
    path = f"projects/{home.id}/locations/{REGION}/clusters/lab"
    node = {"serviceAccount": home.email("gke-nodes"), "oauthScopes": [SCOPE], "machineType": "e2-standard-4"}
    out.asset(
        home,
        "container.googleapis.com/Cluster",
        path,
        {
            "name": "lab",
            "id": hexadecimal("lab", 64),
            "location": REGION,
            "status": "RUNNING",
            "createTime": ago(420),
            "currentMasterVersion": "1.34.2-gke.100",
            "endpoint": "10.20.0.2",
            "selfLink": f"https://container.googleapis.com/v1/{path}",
            "workloadIdentityConfig": {"workloadPool": f"{home.id}.svc.id.goog"},
            "legacyAbac": {"enabled": False},
            "masterAuth": {
                "clientCertificateConfig": {"issueClientCertificate": False},
                "clusterCaCertificate": "LS0tLS1CRUdJTg==",
            },
            "binaryAuthorization": {"evaluationMode": "DISABLED"},
            "anonymousAuthenticationConfig": {"mode": "ENABLED"},
            "rbacBindingConfig": {
                "enableInsecureBindingSystemUnauthenticated": False,
                "enableInsecureBindingSystemAuthenticated": True,
            },
            "resourceLabels": {"owner": "data"},
            "nodePools": [
                {"name": "pods", "config": {**node, "workloadMetadataConfig": {"mode": "GKE_METADATA"}}},
                {"name": "old", "config": {**node, "workloadMetadataConfig": {"mode": "GCE_METADATA"}}},
            ],
        },
    )


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
