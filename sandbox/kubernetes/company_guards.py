"""Where the cluster's secrets come from, what delivers to it, and which policies stand before it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from sandbox.kit.issued import ISSUED, secret_value
from sandbox.kubernetes.cluster import ago

if TYPE_CHECKING:
    from sandbox.kit.http import Json
    from sandbox.kubernetes.cluster import Cluster

ADMISSION = "admissionregistration.k8s.io/v1"
_PODS = [
    {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["pods"],
        "scope": "*",
    }
]


def issued(name: str) -> str:
    """Return a secret value that no record may show."""
    return secret_value(f"kubernetes {name}", 40)


def data(name: str, *keys: str) -> dict[str, str]:
    """Return the ``data`` of a Secret: base64 of values that no record may show."""
    found = {}
    for key in keys:
        encoded = base64.b64encode(issued(f"{name} {key}").encode()).decode()
        found[key] = encoded
        ISSUED.add(encoded)
    return found


def add(cluster: Cluster) -> None:
    """Add stores, deliveries and policies."""
    _stores(cluster)
    _deliveries(cluster)
    _kyverno(cluster)
    _admission_policies(cluster)
    _webhooks(cluster)


def _aws_store(**more: object) -> Json:
    provider = {
        "aws": {
            "service": "SecretsManager",
            "region": "eu-west-1",
            "auth": {
                "jwt": {"serviceAccountRef": {"name": "external-secrets", "namespace": "external-secrets"}}
            },
        }
    }
    return {"provider": provider, **more}


def _stores(cluster: Cluster) -> None:
    cluster.add(
        "v1",
        "ServiceAccount",
        "external-secrets",
        "external-secrets",
        annotations={"eks.amazonaws.com/role-arn": "arn:aws:iam::200000000002:role/irsa-shared"},
    )
    ready: Json = {
        "capabilities": "ReadWrite",
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Valid",
                "message": "store validated",
                "lastTransitionTime": ago(20),
            }
        ],
    }
    version = "external-secrets.io/v1"
    # Every namespace may ask it for everything that its role reads.
    cluster.add(version, "ClusterSecretStore", "aws-secrets", spec=_aws_store(), status=ready)
    cluster.add(
        version,
        "ClusterSecretStore",
        "aws-secrets-payments",
        spec=_aws_store(conditions=[{"namespaces": ["payments"]}]),
        status=ready,
    )
    # Signs in with a static key that is a Secret of the namespace.
    static = {
        "provider": {
            "aws": {
                "service": "SecretsManager",
                "region": "eu-west-1",
                "auth": {
                    "secretRef": {
                        "accessKeyIDSecretRef": {"name": "aws-key", "key": "id"},
                        "secretAccessKeySecretRef": {"name": "aws-key", "key": "secret"},
                    }
                },
            }
        }
    }
    cluster.add(version, "SecretStore", "aws-static", "web", spec=static, status=ready)
    cluster.add(
        "v1", "Secret", "aws-key", "web", created=640, type="Opaque", data=data("web/aws-key", "id", "secret")
    )
    for name, namespace, store, kind, key, target in (
        (
            "psp-key",
            "payments",
            "aws-secrets-payments",
            "ClusterSecretStore",
            "prod/payments/stripe",
            "psp-key",
        ),
        ("renderer", "web", "aws-static", "SecretStore", "prod/web/renderer", "renderer-settings"),
        ("database", "settlement", "aws-secrets", "ClusterSecretStore", "prod/ledger/database", "database"),
    ):
        cluster.add(
            version,
            "ExternalSecret",
            name,
            namespace,
            created=90,
            spec={
                "refreshInterval": "1h0m0s",
                "refreshPolicy": "Periodic",
                "secretStoreRef": {"name": store, "kind": kind},
                "target": {"name": target, "creationPolicy": "Owner", "deletionPolicy": "Retain"},
                "data": [{"secretKey": "key", "remoteRef": {"key": key, "conversionStrategy": "Default", "decodingStrategy": "None"}}],
            },
            status={
                "binding": {"name": target},
                "conditions": [
                    {"type": "Ready", "status": "True", "reason": "SecretSynced", "message": "secret synced", "lastTransitionTime": ago(1)}
                ],
                "refreshTime": ago(0.02),
                "syncedResourceVersion": "1-aa",
            },
        )  # fmt: skip
    cluster.add(
        "v1",
        "Secret",
        "database",
        "settlement",
        created=90,
        type="Opaque",
        data=data("settlement/database", "key"),
    )
    cluster.add(
        "bitnami.com/v1alpha1",
        "SealedSecret",
        "smtp",
        "reports",
        spec={
            "encryptedData": {"password": "AgBx" + issued("sealed smtp")},
            "template": {"metadata": {"name": "smtp", "namespace": "reports"}},
        },
    )
    cluster.add(
        "secrets-store.csi.x-k8s.io/v1",
        "SecretProviderClass",
        "fraud-keys",
        "fraud",
        spec={
            "provider": "aws",
            "parameters": {"objects": '- objectName: "prod/fraud/keys"\n  objectType: "secretsmanager"\n'},
        },
    )


def _deliveries(cluster: Cluster) -> None:
    argo = "argoproj.io/v1alpha1"
    cluster.add(
        argo,
        "AppProject",
        "default",
        "argocd",
        spec={
            "sourceRepos": ["*"],
            "destinations": [{"server": "*", "namespace": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
        },
    )
    cluster.add(
        argo,
        "AppProject",
        "payments",
        "argocd",
        spec={
            "sourceRepos": ["https://github.com/lanternpay/payments-api"],
            "destinations": [{"server": "https://kubernetes.default.svc", "namespace": "payments"}],
            "clusterResourceWhitelist": [],
            "namespaceResourceWhitelist": [{"group": "apps", "kind": "Deployment"}],
        },
    )
    payments, web = (f"https://github.com/lanternpay/{name}" for name in ("payments-api", "web-frontend"))
    for name, project, namespace, workload, repository, status in (
        ("payments-worker", "payments", "payments", "payments-worker", payments, "Synced"),
        ("web", "default", "web", "web-frontend", web, "OutOfSync"),
    ):
        cluster.add(
            argo,
            "Application",
            name,
            "argocd",
            spec={
                "project": project,
                "source": {"repoURL": repository, "path": "deploy", "targetRevision": "main"},
                "destination": {"server": "https://kubernetes.default.svc", "namespace": namespace},
                "syncPolicy": {"automated": {"prune": True, "selfHeal": True}},
            },
            status={
                "sync": {"status": status, "revision": "9f8e7d6c5b4a39281706f5e4d3c2b1a0ffeeddcc"},
                "health": {"status": "Degraded" if name == "payments-worker" else "Healthy"},
                "summary": {"images": []},
                "resources": [
                    {
                        "group": "apps",
                        "version": "v1",
                        "kind": "Deployment",
                        "namespace": namespace,
                        "name": workload,
                        "status": status,
                    }
                ],
            },
        )


def _kyverno(cluster: Cluster) -> None:
    for name, action, exclude in (
        ("require-image-digest", "Audit", []),
        ("disallow-privileged", "Enforce", ["kube-system", "monitoring"]),
    ):
        match: Json = {"any": [{"resources": {"kinds": ["Pod"]}}]}
        rule: Json = {
            "name": name,
            "match": match,
            "validate": {
                "failureAction": action,
                "message": f"{name} (sandbox)",
                "pattern": {"spec": {"containers": [{"image": "*@*"}]}},
            },
        }
        if exclude:
            rule["exclude"] = {"any": [{"resources": {"namespaces": exclude}}]}
        cluster.add(
            "kyverno.io/v1",
            "ClusterPolicy",
            name,
            spec={
                "admission": True,
                "background": True,
                "emitWarning": False,
                "rules": [rule],
                "validationFailureAction": "Audit",
            },
            status={
                "conditions": [
                    {
                        "type": "Ready",
                        "status": "True",
                        "reason": "Succeeded",
                        "message": "Ready",
                        "lastTransitionTime": ago(100),
                    }
                ]
            },
        )
    cluster.add(
        "kyverno.io/v2",
        "PolicyException",
        "debug-2026",
        "support",
        spec={
            "exceptions": [{"policyName": "disallow-privileged", "ruleNames": ["disallow-privileged"]}],
            "match": {"any": [{"resources": {"kinds": ["Pod"], "namespaces": ["support"]}}]},
        },
    )


def _admission_policies(cluster: Cluster) -> None:
    for name, expression, actions in (
        ("no-host-network", "!has(object.spec.hostNetwork) || !object.spec.hostNetwork", None),
        ("no-latest-tag", "object.spec.containers.all(c, !c.image.endsWith(':latest'))", ["Audit", "Warn"]),
        (
            "no-host-path",
            "!has(object.spec.volumes) || object.spec.volumes.all(v, !has(v.hostPath))",
            ["Deny"],
        ),
    ):
        cluster.add(
            ADMISSION,
            "ValidatingAdmissionPolicy",
            name,
            spec={
                "failurePolicy": "Fail",
                "matchConstraints": {
                    "matchPolicy": "Equivalent",
                    "namespaceSelector": {},
                    "objectSelector": {},
                    "resourceRules": _PODS,
                },
                "validations": [{"expression": expression}],
            },
            status={"observedGeneration": 1, "typeChecking": {}},
        )
        if actions is not None:
            cluster.add(
                ADMISSION,
                "ValidatingAdmissionPolicyBinding",
                name,
                spec={
                    "policyName": name,
                    "validationActions": actions,
                    "matchResources": {
                        "matchPolicy": "Equivalent",
                        "namespaceSelector": {
                            "matchExpressions": [
                                {
                                    "key": "kubernetes.io/metadata.name",
                                    "operator": "NotIn",
                                    "values": ["kube-system", "monitoring"],
                                }
                            ]
                        },
                        "objectSelector": {},
                    },
                },
            )


def _webhooks(cluster: Cluster) -> None:
    for name, failure in (
        ("image-signatures", "Ignore"),
        ("kyverno-resource-validating-webhook-cfg", "Fail"),
    ):
        cluster.add(
            ADMISSION,
            "ValidatingWebhookConfiguration",
            name,
            webhooks=[
                {
                    "name": f"{name.partition('-')[0]}.lanternpay.example",
                    "admissionReviewVersions": ["v1"],
                    "clientConfig": {
                        "service": {"namespace": "platform", "name": name, "path": "/validate", "port": 443}
                    },
                    "failurePolicy": failure,
                    "matchPolicy": "Equivalent",
                    "namespaceSelector": {},
                    "objectSelector": {},
                    "rules": _PODS,
                    "sideEffects": "None",
                    "timeoutSeconds": 10,
                }
            ],
        )
