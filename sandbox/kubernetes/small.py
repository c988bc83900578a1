"""A cluster with a few items for every list, read in a second."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sandbox.kubernetes import company, company_access, company_guards
from sandbox.kubernetes.authorization import ALL_AUTHENTICATED
from sandbox.kubernetes.bootstrap_policy import bind, role
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.platform_objects import add_scanner, namespace, node
from sandbox.kubernetes.pods import REGISTRY, Template, digest
from sandbox.kubernetes.resource_types import ALL
from sandbox.kubernetes.workloads import cron_job, daemon_set, deployment, stateful_set

if TYPE_CHECKING:
    from sandbox.kit.http import Json


def build(_night: int, version: str) -> Cluster:
    """Return the cluster, which is the same every night."""
    cluster = Cluster("lantern-small", version=version, issuer=company.ISSUER)
    for number in (1, 2, 3, 4):
        node(cluster, f"node-{number}")
    for name in ("kube-system", "payments", "web", "platform"):
        namespace(cluster, name, pod_security_enforce="baseline")
    _own_access(cluster)
    _workloads(cluster)
    for place in ("payments/deployer", "web/deployer"):
        subject = company_access.account(cluster, place)
        where = place.partition("/")[0]
        role(cluster, "deployer", "write deployments in apps", where)
        bind(cluster, "deployer", "Role deployer", subject, namespace=where)
    for name in ("token-broker", "helpdesk"):
        subject = company_access.account(cluster, f"platform/{name}")
        role(cluster, name, "create serviceaccounts/token")
        bind(cluster, name, f"ClusterRole {name}", subject)
    _secrets(cluster)
    _without_controller(cluster)
    company_guards.add(_with_namespaces(cluster))
    _custom(cluster)
    add_scanner(cluster, 100)
    return cluster


def _with_namespaces(cluster: Cluster) -> Cluster:
    for name in ("argocd", "external-secrets", "settlement", "reports", "fraud", "support"):
        namespace(cluster, name)
    return cluster


def _own_access(cluster: Cluster) -> None:
    everyone = f"Group {ALL_AUTHENTICATED}"
    for name, lines, subject in (
        ("system:basic-user", "create selfsubjectaccessreviews in authorization.k8s.io", everyone),
        ("system:discovery", "get url:/api,/api/*,/apis,/apis/*,/version", everyone),
        (
            "system:service-account-issuer-discovery",
            "get url:/.well-known/openid-configuration",
            "Group system:serviceaccounts",
        ),
    ):
        given: Json = {"labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}
        role(cluster, name, lines, **given)
        bind(cluster, name, f"ClusterRole {name}", subject, **given)


def _workloads(cluster: Cluster) -> None:
    for name in ("api", "worker"):
        cluster.add(
            "v1",
            "ServiceAccount",
            name,
            "payments",
            annotations={"eks.amazonaws.com/role-arn": company.role_arn(f"irsa-{name}")},
            imagePullSecrets=[{"name": "registry"}],
        )
        now, before = (
            Template(image=f"{REGISTRY}/{name}:{tag}@{digest(f'{name} {tag}')}", account=name)
            for tag in ("2", "1")
        )
        deployment(cluster, "payments", name, now, replicas=2, old=before, old_replicas=1)
        stateful_set(cluster, "web", f"{name}-cache", [now, before])
        daemon_set(
            cluster, "platform", f"{name}-agent", Template(image=f"{REGISTRY}/agent:1", automount=False)
        )
        cron_job(cluster, "payments", f"{name}-close", now, "0 3 * * *")
        cluster.add(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            f"deny-{name}",
            "payments",
            spec={"podSelector": {}, "policyTypes": ["Ingress"]},
        )


def _without_controller(cluster: Cluster) -> None:
    for name in ("migration.v2", "backfill.v2"):
        spec = {**Template(image=f"{REGISTRY}/{name}:1").spec(), "restartPolicy": "Never"}
        cluster.add("batch/v1", "Job", name, "payments", spec={"template": {"metadata": {}, "spec": spec}})
        cluster.add(
            "apps/v1",
            "ReplicaSet",
            f"{name}-canary",
            "payments",
            spec={
                "replicas": 1,
                "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
            },
            status={"replicas": 1, "observedGeneration": 1},
        )


def _secrets(cluster: Cluster) -> None:
    company_access.tokens(
        cluster,
        (
            (
                "payments/deployer",
                "deployer-token",
                400,
                {"kubernetes.io/legacy-token-last-used": "2026-11-20"},
            ),
        ),
    )
    for name in ("registry", "database", "psp-key"):
        held = company_guards.data(f"small/{name}", "key")
        applied = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"data": held})}
        cluster.add("v1", "Secret", name, "payments", annotations=applied, type="Opaque", data=held)
    cluster.add(
        "v1",
        "ConfigMap",
        "aws-auth",
        "kube-system",
        data={"mapRoles": '- rolearn: "arn:aws:iam::200000000002:role/deploy"\n  username: deploy\n  groups: ["system:masters"]\n'},
    )  # fmt: skip


def _custom(cluster: Cluster) -> None:
    """Add two objects of each custom resource that has none, with as little as its definition allows."""
    for one in ALL:
        if one.custom and one in _served(cluster, one.group):
            for number in range(len(cluster.listed(one.key)), 2):
                name, place = f"{one.kind.lower()}-{number}", "payments" if one.namespaced else ""
                cluster.add(one.api_version, one.kind, name, place, spec=_SPECS.get(one.kind, {}))


def _served(cluster: Cluster, group: str) -> tuple[object, ...]:
    cluster.custom_groups.add(group)
    return cluster.types()


_SPECS: dict[str, Json] = {
    "Policy": {"rules": [{"name": "digest", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]}, "validate": {"failureAction": "Audit", "message": "pin", "pattern": {}}}]},
    "ValidatingPolicy": {"validationActions": ["Audit"], "validations": [{"expression": "true"}], "matchConstraints": {}},
    "ImageValidatingPolicy": {"validationActions": ["Deny"], "matchImageReferences": [{"glob": "ghcr.io/*"}], "validations": []},
    "K8sRequiredLabels": {"enforcementAction": "dryrun", "match": {"kinds": [{"apiGroups": [""], "kinds": ["Namespace"]}]}},
    "ClusterExternalSecret": {"externalSecretSpec": {"secretStoreRef": {"name": "aws-secrets", "kind": "ClusterSecretStore"}, "data": []}},
    "Certificate": {"secretName": "tls", "issuerRef": {"name": "issuer-0", "kind": "Issuer"}, "dnsNames": ["pay.lanternpay.example"]},
    "Issuer": {"selfSigned": {}},
    "ClusterIssuer": {"acme": {"server": "https://acme-v02.api.letsencrypt.org/directory", "privateKeySecretRef": {"name": "acme"}}},
    "ApplicationSet": {"generators": [{"pullRequest": {"github": {"owner": "lanternpay", "repo": "web-frontend"}}}], "template": {}},
    "Rollout": {"replicas": 1, "selector": {"matchLabels": {"app": "rollout"}}, "template": {"spec": {"containers": [{"name": "main", "image": "ghcr.io/lanternpay/rollout:1"}]}}},
    "Kustomization": {"interval": "10m", "path": "./deploy", "prune": True, "sourceRef": {"kind": "GitRepository", "name": "platform"}},
    "HelmRelease": {"interval": "10m", "chart": {"spec": {"chart": "redis", "sourceRef": {"kind": "HelmRepository", "name": "bitnami"}}}},
    "ClusterImagePolicy": {"mode": "warn", "images": [{"glob": "ghcr.io/lanternpay/**"}], "authorities": []},
    "AutoscalingRunnerSet": {"githubConfigUrl": "https://github.com/lanternpay", "githubConfigSecret": "runner", "template": {"spec": {"serviceAccountName": "api", "containers": []}}},
    "SealedSecret": {"encryptedData": {"key": "AgB" + company_guards.issued("small sealed")}, "template": {}},
    "SecretStore": {"provider": {"fake": {"data": []}}},
    "SecretProviderClass": {"provider": "azure", "parameters": {"keyvaultName": "kv-payments"}},
}  # fmt: skip
