"""Lantern Pay's cluster ``lantern-core`` on EKS: what is wrong, and beside each fault something that looks like it and is not.

Two services run here. ``payments/payments-worker`` is delivered by the pipeline of payments-api, whose AWS role is a member of
``system:masters``; its rollout is stuck, and an old replica set still serves. ``settlement/settlement-worker`` is the clean one.
"""

from __future__ import annotations

from sandbox.estate import PROD
from sandbox.kubernetes import company_access, company_guards
from sandbox.kubernetes.bootstrap_policy import add_bootstrap_policy
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.platform_objects import (
    add_namespaces,
    add_scanner,
    add_system_components,
    namespace,
    node,
)
from sandbox.kubernetes.pods import (
    REGISTRY,
    Template,
    digest,
    from_secret,
    irsa,
    irsa_volume,
    pod,
    pod_identity,
)
from sandbox.kubernetes.workloads import cron_job, daemon_set, deployment, stateful_set

NAME = "lantern-core"
ISSUER = "https://oidc.eks.eu-west-1.amazonaws.com/id/9B7E0F2A64C14E0BB1D1C2D3E4F5A6B7"
"""As `sandbox.aws.production_workloads` has it."""
CREATED = 500
"""Age of the cluster, in days."""
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def build(night: int, version: str) -> Cluster:
    """Return the cluster as it is on a night, 1 or 2."""
    cluster = Cluster(NAME, version=version, issuer=ISSUER)
    for number in (11, 12, 13):
        node(cluster, f"ip-10-20-0-{number}.eu-west-1.compute.internal")
    add_namespaces(cluster, CREATED)
    add_bootstrap_policy(cluster, CREATED)
    add_system_components(cluster, CREATED)
    _namespaces(cluster)
    _payments(cluster, night)
    _settlement(cluster)
    _web(cluster)
    _others(cluster)
    company_access.add(cluster, night)
    company_guards.add(cluster)
    add_scanner(cluster, 150)
    return cluster


def role_arn(name: str) -> str:
    """Return the ARN of a role in production."""
    return f"arn:aws:iam::{PROD}:role/{name}"


def _namespaces(cluster: Cluster) -> None:
    for name in ("payments", "settlement", "reports"):
        namespace(
            cluster,
            name,
            owner=name,
            pod_security_enforce="restricted",
            pod_security_enforce_version="latest",
        )
    # Only warns.
    namespace(cluster, "web", pod_security_warn="restricted", pod_security_audit="restricted")
    namespace(cluster, "fraud", pod_security_enforce="baseline")
    for name in ("argocd", "external-secrets", "gitlab-agent", "platform", "support", "backup"):
        namespace(cluster, name, pod_security_enforce="restricted")
    # Node exporters need the host.
    namespace(cluster, "monitoring", pod_security_enforce="privileged")


def _payments(cluster: Cluster, night: int) -> None:
    """A service with Pod Identity, whose new version does not become ready; on the second night somebody repaired it."""
    cluster.add("v1", "ServiceAccount", "worker", "payments", created=110, automountServiceAccountToken=False)
    image = f"{REGISTRY}/payments-worker"
    now, before = (
        Template(
            image=f"{image}:{tag}@{digest(f'payments-worker {tag}')}",
            account="worker",
            env=(
                *pod_identity(),
                from_secret("PSP_KEY", "psp-key", "key"),
                {"name": "QUEUE", "value": "payments"},
            ),
            security=_RESTRICTED,
            labels={"app.kubernetes.io/part-of": "payments"},
        )
        for tag in ("1.8.0", "1.7.3")
    )
    stuck = night == 1
    deployment(
        cluster,
        "payments",
        "payments-worker",
        now,
        replicas=3,
        old=before,
        old_replicas=2 if stuck else 0,
        labels={"app.kubernetes.io/managed-by": "argocd"},
        annotations={
            "argocd.argoproj.io/tracking-id": "payments-worker:apps/Deployment:payments/payments-worker"
        },
    )
    _deny_all(cluster, "payments")
    cluster.add(
        "v1",
        "Secret",
        "psp-key",
        "payments",
        created=90,
        labels={"reconcile.external-secrets.io/managed": "true"},
        type="Opaque",
        data=company_guards.data("payments/psp-key", "key"),
    )


def _settlement(cluster: Cluster) -> None:
    """The clean service: pinned, rolled out, IRSA, no token, restricted."""
    cluster.add(
        "v1",
        "ServiceAccount",
        "worker",
        "settlement",
        created=400,
        annotations={"eks.amazonaws.com/role-arn": role_arn("irsa-settlement")},
        automountServiceAccountToken=False,
    )
    template = Template(
        image=f"{REGISTRY}/settlement-worker@{digest('settlement-worker 4.2.1')}",
        account="worker",
        env=irsa(role_arn("irsa-settlement")),
        volumes=(irsa_volume(),),
        security=_RESTRICTED,
        init_image=f"{REGISTRY}/migrations@{digest('migrations 4.2.1')}",
    )
    deployment(cluster, "settlement", "settlement-worker", template, replicas=2)
    # One tag, pulled on two days: two digests run.
    cluster.add(
        "v1", "ServiceAccount", "cache", "settlement", created=400, automountServiceAccountToken=False
    )
    cache = [
        Template(
            image=f"{REGISTRY}/settlement-cache:stable",
            running=digest(f"settlement-cache {day}"),
            account="cache",
            security=_RESTRICTED,
        )
        for day in ("monday", "tuesday")
    ]
    stateful_set(cluster, "settlement", "settlement-cache", cache)
    # Look-alike: a tag, and one digest.
    index = Template(
        image=f"{REGISTRY}/settlement-index:stable",
        running=digest("settlement-index"),
        account="cache",
        security=_RESTRICTED,
    )
    stateful_set(cluster, "settlement", "settlement-index", [index, index])
    _deny_all(cluster, "settlement")
    cron_job(
        cluster,
        "settlement",
        "nightly-close",
        Template(
            image=f"{REGISTRY}/settlement-close@{digest('settlement-close 1.0')}",
            account="worker",
            security=_RESTRICTED,
        ),
        "0 3 * * *",
    )


def _web(cluster: Cluster) -> None:
    """Everything left as it comes: the default account, tags, no policy."""
    deployment(
        cluster,
        "web",
        "web-frontend",
        Template(image=f"{REGISTRY}/web-frontend:2026.11", pull_secrets=("dockerhub",)),
    )
    cluster.add("v1", "ServiceAccount", "renderer", "web")
    deployment(
        cluster,
        "web",
        "web-renderer",
        Template(
            image=f"{REGISTRY}/web-renderer@{digest('web-renderer 9')}",
            account="renderer",
            env_from=({"secretRef": {"name": "renderer-settings"}},),
            env=({"name": "SENTRY_TOKEN", "value": company_guards.issued("web-renderer sentry")},),
        ),
    )
    for name, kind in (("dockerhub", "kubernetes.io/dockerconfigjson"), ("renderer-settings", "Opaque")):
        key = ".dockerconfigjson" if kind.endswith("json") else "TOKEN"
        cluster.add(
            "v1", "Secret", name, "web", created=420, type=kind, data=company_guards.data(f"web/{name}", key)
        )


def _others(cluster: Cluster) -> None:
    # The role trusts the issuer of a cluster that is gone.
    cluster.add(
        "v1",
        "ServiceAccount",
        "stream",
        "fraud",
        created=450,
        annotations={"eks.amazonaws.com/role-arn": role_arn("irsa-fraud-stream")},
        automountServiceAccountToken=False,
    )
    deployment(
        cluster,
        "fraud",
        "fraud-stream",
        Template(
            image=f"{REGISTRY}/fraud-stream@{digest('fraud-stream 3')}",
            account="stream",
            env=irsa(role_arn("irsa-fraud-stream")),
        ),
        replicas=1,
    )
    # There is no such role.
    cluster.add(
        "v1",
        "ServiceAccount",
        "exporter",
        "reports",
        annotations={"eks.amazonaws.com/role-arn": role_arn("irsa-reports")},
        automountServiceAccountToken=False,
    )
    cron_job(
        cluster,
        "reports",
        "weekly-report",
        Template(image=f"{REGISTRY}/reports@{digest('reports 5')}", account="exporter", security=_RESTRICTED),
        "0 6 * * 1",
    )
    daemon_set(
        cluster,
        "monitoring",
        "node-exporter",
        Template(
            image=f"quay.io/prometheus/node-exporter:v1.10.2@{digest('node-exporter 1.10.2')}",
            account="node-exporter",
            automount=False,
            pod={"hostNetwork": True, "hostPID": True},
            volumes=({"name": "root", "hostPath": {"path": "/", "type": ""}},),
        ),
    )
    # A pod that nothing owns, and one that waits for a node.
    shell = Template(image="docker.io/library/busybox:1.37", running=digest("busybox 1.37"))
    pod(cluster, "support", "debug-shell", shell, created=35)
    pod(
        cluster,
        "web",
        "load-test",
        Template(image="docker.io/grafana/k6:1.3.0"),
        created=0.2,
        phase="Pending",
    )


def _deny_all(cluster: Cluster, name: str) -> None:
    cluster.add(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "default-deny",
        name,
        spec={"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    )
