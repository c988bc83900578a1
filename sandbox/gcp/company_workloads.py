"""What runs in Lantern Pay's projects, and as which account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.gcp.organization import SCOPE, ago, hexadecimal, number
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
