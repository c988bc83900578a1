"""Who may do what in Lantern Pay's cluster: the bindings that are wrong, and those that only look so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from sandbox.estate import PROD
from sandbox.kubernetes.authorization import RBAC
from sandbox.kubernetes.bootstrap_policy import bind, role
from sandbox.kubernetes.company_guards import data
from sandbox.kubernetes.pods import Template, digest
from sandbox.kubernetes.workloads import deployment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.kubernetes.cluster import Cluster

LAST_USED = "kubernetes.io/legacy-token-last-used"


def add(cluster: Cluster, night: int) -> None:
    """Add accounts, roles, bindings and token Secrets."""
    _deployers(cluster)
    _powerful(cluster)
    _harmless(cluster)
    _left_over(cluster)
    _tokens(cluster)
    if night == 2:
        # Somebody made the help desk administrator, for a day.
        bind(
            cluster,
            "helpdesk-incident-4711",
            "ClusterRole cluster-admin",
            "Group helpdesk",
            created=-0.5,
        )


def account(cluster: Cluster, place: str, *, created: float = 200, **body: Any) -> str:
    """Add a service account, ``NAMESPACE/NAME``, and return it as a subject."""
    namespace, _, name = place.partition("/")
    cluster.add("v1", "ServiceAccount", name, namespace, created=created, **body)
    return f"ServiceAccount {place}"


def _deployers(cluster: Cluster) -> None:
    """Pipelines: GitHub Actions through its AWS role, the GitLab agent, Argo CD."""
    roles = [
        {
            "rolearn": f"arn:aws:iam::{PROD}:role/lantern-core-node",
            "username": "system:node:{{EC2PrivateDNSName}}",
            "groups": ["system:bootstrappers", "system:nodes"],
        },
        {
            "rolearn": f"arn:aws:iam::{PROD}:role/deploy-payments",
            "username": "deploy-payments:{{SessionName}}",
            "groups": ["system:masters"],
        },
        {
            "rolearn": f"arn:aws:iam::{PROD}:role/deploy-web",
            "username": "deploy-web:{{SessionName}}",
            "groups": ["web-deployers"],
        },
    ]
    cluster.add(
        "v1",
        "ConfigMap",
        "aws-auth",
        "kube-system",
        created=480,
        data={"mapRoles": yaml.safe_dump(roles, sort_keys=False)},
    )
    role(
        cluster,
        "web-deployer",
        "get,list,watch,patch,update deployments in apps\nread pods,pods/log",
        "web",
    )
    bind(cluster, "web-deployers", "Role web-deployer", "Group web-deployers", namespace="web")
    agent = account(cluster, "gitlab-agent/gitlab-agent", created=260)
    bind(cluster, "gitlab-agent-cluster-admin", "ClusterRole cluster-admin", agent, created=260)
    deployment(
        cluster,
        "gitlab-agent",
        "gitlab-agent",
        Template(
            image=f"registry.gitlab.com/gitlab-org/cluster-integration/gitlab-agent/agentk:v18.5.0@{digest('agentk')}",
            account="gitlab-agent",
        ),
        labels={"app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "gitlab-agent-2.20.0"},
        replicas=1,
    )
    # As installed by its manifests.
    controller = account(cluster, "argocd/argocd-application-controller", created=300)
    role(
        cluster,
        "argocd-application-controller",
        "* * in *\n* url:*",
        labels={"app.kubernetes.io/part-of": "argocd"},
    )
    bind(cluster, "argocd-application-controller", "ClusterRole argocd-application-controller", controller)
    deployment(
        cluster,
        "argocd",
        "argocd-application-controller",
        Template(
            image=f"quay.io/argoproj/argocd:v3.2.0@{digest('argocd 3.2.0')}",
            account="argocd-application-controller",
        ),
        labels={"app.kubernetes.io/part-of": "argocd"},
        replicas=1,
    )
    # Look-alike: deploys one namespace, and cannot read its secrets.
    tight = account(cluster, "settlement/deployer", automountServiceAccountToken=False)
    role(cluster, "deployer", "get,patch deployments@settlement-worker in apps", "settlement")
    bind(cluster, "deployer", "Role deployer", tight, namespace="settlement")


def _powerful(cluster: Cluster) -> None:
    """Each has one power that leads on."""
    for place, lines in {
        "monitoring/prometheus": "get nodes/proxy,nodes/metrics\nread pods,services,endpoints,nodes\nget url:/metrics",
        "platform/tenant-operator": f"bind,escalate,read,create,update clusterroles,roles in {RBAC}",
        "platform/token-broker": "create serviceaccounts/token",
        "platform/csr-approver": (
            "read certificatesigningrequests in certificates.k8s.io\n"
            "update certificatesigningrequests/approval in certificates.k8s.io\n"
            "approve signers@kubernetes.io/kube-apiserver-client in certificates.k8s.io\n"
            "create certificatesigningrequests in certificates.k8s.io"
        ),
        "support/helpdesk": "impersonate users,groups",
        "backup/backup": "list,get secrets,configmaps",
        "support/live-debug": "get,list pods\nget,create pods/exec",
        "platform/injector": "create,update,patch mutatingwebhookconfigurations in admissionregistration.k8s.io",
        "platform/namespace-labeller": "read,patch namespaces",
    }.items():
        subject = account(cluster, place)
        name = place.replace("/", ":")
        role(cluster, name, lines)
        bind(cluster, name, f"ClusterRole {name}", subject)
    # Everyone who can sign in reads everything but secrets.
    bind(cluster, "read-for-all", "ClusterRole view", "Group system:authenticated")
    # The account of every pod that names none.
    bind(cluster, "default-edit", "ClusterRole edit", "ServiceAccount web/default", namespace="web")


def _harmless(cluster: Cluster) -> None:
    """Look-alikes: the same words, narrowed or reading only."""
    for place, lines in {
        "monitoring/node-exporter": "get nodes/metrics,nodes/stats",
        "platform/role-auditor": f"read clusterroles,clusterrolebindings,roles,rolebindings in {RBAC}",
        "platform/serving-approver": (
            "read certificatesigningrequests in certificates.k8s.io\n"
            "update certificatesigningrequests/approval in certificates.k8s.io\n"
            "approve signers@kubernetes.io/kubelet-serving in certificates.k8s.io"
        ),
        "platform/webhook-auditor": "read mutatingwebhookconfigurations,validatingwebhookconfigurations in admissionregistration.k8s.io",
        "support/log-reader": "read pods,pods/log",
        "external-secrets/review": "create tokenreviews in authentication.k8s.io\ncreate subjectaccessreviews in authorization.k8s.io",
    }.items():
        subject = account(cluster, place, automountServiceAccountToken=False)
        name = place.replace("/", ":")
        role(cluster, name, lines)
        bind(cluster, name, f"ClusterRole {name}", subject)
    # One secret by its name, in one namespace.
    reader = account(cluster, "backup/verifier", automountServiceAccountToken=False)
    role(cluster, "read-backup-key", "get secrets@backup-key", "backup")
    bind(cluster, "read-backup-key", "Role read-backup-key", reader, namespace="backup")
    # A cluster role with cluster-wide words, bound in one namespace: it reads there.
    watcher = account(cluster, "reports/watcher", automountServiceAccountToken=False)
    bind(cluster, "watcher", "ClusterRole view", watcher, namespace="reports")
    bind(
        cluster, "payments-developers", "ClusterRole view", "Group payments-developers", namespace="payments"
    )
    # A powerful role that nobody is bound to.
    role(cluster, "unbound-impersonator", "impersonate users,groups,serviceaccounts")


def _left_over(cluster: Cluster) -> None:
    """Bindings that point nowhere."""
    bind(
        cluster,
        "old-deployer",
        "ClusterRole edit",
        "ServiceAccount payments/old-deployer",
        namespace="payments",
    )
    bind(cluster, "cdn-purge", "Role cdn-purge", "ServiceAccount web/renderer", namespace="web")


def _tokens(cluster: Cluster) -> None:
    """Static tokens of service accounts: one in use, one forgotten, one never used."""
    role(cluster, "ci-deployer", "get,list,watch,create,update,patch deployments in apps", "payments")
    for place, created in (("payments/ci-deployer", 610), ("web/old-bot", 900), ("reports/pusher", 380)):
        account(cluster, place, created=created, automountServiceAccountToken=False)
    bind(
        cluster,
        "ci-deployer",
        "Role ci-deployer",
        "ServiceAccount payments/ci-deployer",
        namespace="payments",
    )
    tokens(
        cluster,
        (
            ("payments/ci-deployer", "ci-deployer-token", 610, {LAST_USED: "2026-11-21"}),
            ("web/old-bot", "old-bot-token", 900, {LAST_USED: "2026-02-03"}),
            ("reports/pusher", "pusher-token", 380, {}),
        ),
    )
    # Named like one, and none.
    for place in ("payments/api-token", "backup/backup-key"):
        namespace, _, name = place.partition("/")
        held = data(place, "key")
        # What `kubectl apply` leaves behind: the value once more, in the metadata.
        applied = json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": held})
        cluster.add(
            "v1",
            "Secret",
            name,
            namespace,
            created=70,
            annotations={"kubectl.kubernetes.io/last-applied-configuration": applied},
            type="Opaque",
            data=held,
        )


def tokens(cluster: Cluster, given: Iterable[tuple[str, str, float, dict[str, str]]]) -> None:
    """Add Secrets with static tokens: account, name, age in days, labels."""
    for place, name, created, labels in given:
        namespace, _, called = place.partition("/")
        held = cluster.named("serviceaccounts", called, namespace)
        assert held is not None
        cluster.add(
            "v1",
            "Secret",
            name,
            namespace,
            created=created,
            labels=labels,
            annotations={
                "kubernetes.io/service-account.name": called,
                "kubernetes.io/service-account.uid": held["metadata"]["uid"],
            },
            type="kubernetes.io/service-account-token",
            data=data(f"{namespace}/{name}", "token", "ca.crt", "namespace"),
        )
