"""What objects of a cluster become, read from a simulated API server. Manifests are as the products' documentation shows them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import collectors.kubernetes
from collectors.kubernetes.evaluator.ways import rbac_powers
from sandbox.estate import FIRST_NIGHT
from sandbox.kit.trial import FINGERPRINT
from sandbox.kubernetes import open_sandbox
from sandbox.kubernetes.bootstrap_policy import bind, role
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.platform_objects import add_scanner, namespace, node
from scanner.collect.collector import Run
from scanner.records import (
    Control,
    Credential,
    Gap,
    Grant,
    Identity,
    Link,
    Policy,
    Record,
    Rollout,
    Secret,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

D1, D2 = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
POD = {"containers": [{"name": "app", "image": f"registry.example/app:1@{D1}"}]}


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Record]]:
    """Return a function that reads a cluster."""

    def night(cluster: Cluster, **options: Any) -> list[Record]:
        bind(
            cluster,
            "system:service-account-issuer-discovery",
            "ClusterRole system:service-account-issuer-discovery",
            "Group system:serviceaccounts",
        )
        role(cluster, "system:service-account-issuer-discovery", "get url:/.well-known/openid-configuration")
        role(cluster, "system:basic-user", "create selfsubjectaccessreviews in authorization.k8s.io")
        bind(cluster, "system:basic-user", "ClusterRole system:basic-user", "Group system:authenticated")
        role(cluster, "system:discovery", "get url:/api,/api/*,/apis,/apis/*,/version")
        bind(cluster, "system:discovery", "ClusterRole system:discovery", "Group system:authenticated")
        add_scanner(cluster, 100)
        run = Run(as_of=FIRST_NIGHT, fingerprint=FINGERPRINT, cache=tmp_path, stopping=threading.Event())
        with open_sandbox("small") as sandbox:
            sandbox.serve_cluster(cluster)
            for name, value in sandbox.environment().items():
                monkeypatch.setenv(name, value)
            config = collectors.kubernetes.Config.model_validate({**sandbox.section(), **options})
            (target,) = collectors.kubernetes.targets(config, run)
            return list(collectors.kubernetes.collect(target, config, run))

    return night


def empty(*namespaces: str) -> Cluster:
    cluster = Cluster("lab", issuer="https://issuer.example")
    for name in ("kube-system", "sprawlscan", *namespaces):
        namespace(cluster, name)
    return cluster


def account(cluster: Cluster, place: str, name: str, **more: Any) -> None:
    cluster.add("v1", "ServiceAccount", name, place, **more)


def identities(rows: list[Record]) -> dict[str, Identity]:
    return {row.name: row for row in rows if isinstance(row, Identity)}


def controls(rows: list[Record], kind: str) -> dict[str, str]:
    return {row.name: row.enforcement for row in rows if isinstance(row, Control) and row.kind == kind}


def links(rows: list[Record], relation: str) -> set[tuple[str, str]]:
    names = {row.id: row.name for row in rows if isinstance(row, Identity)}
    return {
        (names.get(row.source_id, row.source_id), names.get(row.target_id, row.target_id))
        for row in rows
        if isinstance(row, Link) and row.relation == relation
    }


def gaps(rows: list[Record]) -> list[Gap]:
    return [row for row in rows if isinstance(row, Gap)]


def test_pods_are_grouped_by_who_made_them(read: Callable[..., list[Record]]) -> None:
    cluster = empty("shop")
    account(cluster, "shop", "app")
    template = {"metadata": {}, "spec": {**POD, "serviceAccountName": "app"}}
    rollout = cluster.add(
        "argoproj.io/v1alpha1",
        "Rollout",
        "web",
        "shop",
        spec={"replicas": 1, "template": template},
        status={"phase": "Paused"},
    )
    replicas = cluster.add(
        "apps/v1",
        "ReplicaSet",
        "web-abc",
        "shop",
        owner=rollout,
        spec={"replicas": 1, "template": template},
        status={"replicas": 1},
    )
    bare = cluster.add(
        "apps/v1",
        "ReplicaSet",
        "canary",
        "shop",
        spec={"replicas": 1, "template": template},
        status={"replicas": 1},
    )
    job = cluster.add("batch/v1", "Job", "migrate", "shop", spec={"template": template})
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "etl", "uid": "workflow-uid"},
    }
    for number, owner in enumerate((replicas, bare, job, workflow, workflow)):
        cluster.add(
            "v1",
            "Pod",
            f"p{number}",
            "shop",
            owner=owner,
            spec={**POD, "serviceAccountName": "app"},
            status={"phase": "Running"},
        )
    cluster.add("v1", "Pod", "alone", "shop", spec=POD, status={"phase": "Running"})
    found = {
        row.name: row.kind
        for row in identities(read(cluster)).values()
        if row.surface == "workload" and row.name.startswith("shop/")
    }
    assert found == {
        "shop/web": "argo-rollout", "shop/canary": "replicaset", "shop/migrate": "job", "shop/etl": "custom-workload",
        "shop/alone": "pod",
    }  # fmt: skip


def running(name: str, image_id: str, **more: Any) -> dict[str, Any]:
    return {
        "phase": "Running",
        "containerStatuses": [{"name": name, "image": "x", "imageID": image_id, "ready": True}],
        **more,
    }


def test_what_runs_is_the_digest_of_the_runtime(read: Callable[..., list[Record]]) -> None:
    cluster = empty("shop")
    for name, image, image_id in (
        ("same", f"registry.example/app@{D1}", f"registry.example/app@{D1}"),
        ("pullable", f"registry.example/app@{D1}", f"docker-pullable://registry.example/app@{D1}"),
        ("drifted", f"registry.example/app:1@{D1}", f"registry.example/app@{D2}"),
        ("by-tag", "registry.example/app:1", f"registry.example/app@{D2}"),
        ("local", f"registry.example/app@{D1}", f"docker://{D2}"),
        ("pending", f"registry.example/app@{D1}", ""),
    ):
        cluster.add(
            "v1",
            "Pod",
            name,
            "shop",
            spec={"containers": [{"name": "app", "image": image}]},
            status=running("app", image_id),
        )
    rows = read(cluster)
    names = {row.id: row.name for row in identities(rows).values()}
    found = {
        names[row.workload_id]: (row.declared_digest, row.running_digest, row.pinned)
        for row in rows
        if isinstance(row, Rollout)
    }
    assert found == {
        "shop/same": (D1, D1, True), "shop/pullable": (D1, D1, True), "shop/drifted": (D1, D2, True),
        "shop/by-tag": (None, D2, False), "shop/local": (D1, None, True), "shop/pending": (D1, None, True),
    }  # fmt: skip


def test_finished_pods_serve_nothing(read: Callable[..., list[Record]]) -> None:
    cluster = empty("shop")
    cluster.add("v1", "Pod", "done", "shop", spec=POD, status={"phase": "Succeeded"})
    assert "shop/done" not in identities(read(cluster))


@pytest.mark.parametrize(
    ("of_pod", "of_account", "expected"),
    [
        (None, None, "mounted"),
        (None, False, "off"),
        (True, False, "mounted"),
        (False, None, "off"),
        (False, True, "off"),
    ],
)
def test_a_pod_says_more_than_its_account_about_its_token(
    read: Callable[..., list[Record]], of_pod: bool | None, of_account: bool | None, expected: str
) -> None:
    cluster = empty("shop")
    account(
        cluster, "shop", "app", **({} if of_account is None else {"automountServiceAccountToken": of_account})
    )
    spec = {
        **POD,
        "serviceAccountName": "app",
        **({} if of_pod is None else {"automountServiceAccountToken": of_pod}),
    }
    cluster.add("v1", "Pod", "web", "shop", spec=spec, status={"phase": "Running"})
    assert identities(read(cluster))["shop/web"].tags["api_access"] == expected


def test_a_service_account_presents_its_subject_and_names_its_clouds(
    read: Callable[..., list[Record]],
) -> None:
    cluster = empty("shop")
    account(
        cluster, "shop", "app",
        annotations={
            "eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/shop-app",
            "azure.workload.identity/client-id": "6E1F0B9A-0000-4000-8000-000000000001",
            "iam.gke.io/gcp-service-account": "app@acme-shop.iam.gserviceaccount.com",
        },
    )  # fmt: skip
    account(cluster, "shop", "odd", annotations={"eks.amazonaws.com/role-arn": "not an address"})
    found = identities(read(cluster))
    app = found["shop/app"]
    assert (app.issuer, app.subjects) == ("https://issuer.example", ["system:serviceaccount:shop:app"])
    assert app.tags == {
        "aws_role": "arn:aws:iam::111122223333:role/shop-app",
        "azure_client": "6e1f0b9a-0000-4000-8000-000000000001",
        "google_account": "app@acme-shop.iam.gserviceaccount.com",
    }
    assert found["shop/odd"].tags == {}


def test_secrets_are_listed_without_values_and_name_their_origin(read: Callable[..., list[Record]]) -> None:
    cluster = empty("shop")
    for name, kind in (
        ("db", "Opaque"),
        ("sealed", "Opaque"),
        ("tls", "kubernetes.io/tls"),
        ("pull", "kubernetes.io/dockerconfigjson"),
    ):
        cluster.add("v1", "Secret", name, "shop", type=kind, data={"value": "c2VjcmV0LXZhbHVl"})
    cluster.add(
        "external-secrets.io/v1",
        "SecretStore",
        "aws",
        "shop",
        spec={"provider": {"aws": {"service": "SecretsManager"}}},
    )
    cluster.add(
        "external-secrets.io/v1", "ExternalSecret", "db", "shop",
        spec={"secretStoreRef": {"name": "aws", "kind": "SecretStore"}, "data": [{"remoteRef": {"key": "prod/db"}}]},
    )  # fmt: skip
    cluster.add(
        "bitnami.com/v1alpha1", "SealedSecret", "sealed", "shop", spec={"encryptedData": {"a": "AgB"}}
    )
    cluster.add(
        "cert-manager.io/v1", "Certificate", "web", "shop",
        spec={"secretName": "tls", "issuerRef": {"name": "letsencrypt"}}, status={"notAfter": "2027-01-31T00:00:00Z"},
    )  # fmt: skip
    rows = read(cluster)
    found = {row.name: row for row in rows if isinstance(row, Secret) and row.store == "kubernetes-secret"}
    assert {name: row.managed_by for name, row in found.items() if name.startswith("shop/")} == {
        "shop/db": "secrets-manager:prod/db", "shop/sealed": "sealed-secret", "shop/tls": "cert-manager:letsencrypt",
        "shop/pull": None,
    }  # fmt: skip
    assert found["shop/pull"].looks_like == "registry-credential"
    assert found["shop/db"].looks_like is None
    certificate = next(row for row in rows if isinstance(row, Credential) and row.kind == "certificate")
    assert certificate.expires_at is not None
    assert certificate.expires_at.isoformat() == "2027-01-31T00:00:00+00:00"
    assert "c2VjcmV0LXZhbHVl" not in repr(rows)


def test_without_the_right_secrets_are_known_by_what_refers_to_them(
    read: Callable[..., list[Record]],
) -> None:
    cluster = empty("shop")
    cluster.add("v1", "Secret", "unseen", "shop", type="Opaque", data={"value": "c2VjcmV0"})
    account(cluster, "shop", "app", imagePullSecrets=[{"name": "pull"}])
    container = {**POD["containers"][0], "envFrom": [{"secretRef": {"name": "settings"}}]}
    cluster.add(
        "v1",
        "Pod",
        "web",
        "shop",
        spec={"containers": [container], "volumes": [{"name": "v", "secret": {"secretName": "files"}}]},
        status={"phase": "Running"},
    )
    rows = read(cluster, secrets=False)
    found = {row.name for row in rows if isinstance(row, Secret) and row.store == "kubernetes-secret"}
    assert found == {"shop/pull", "shop/settings", "shop/files"}
    uses = {
        (row.name, row.tags["how"])
        for row in rows
        if isinstance(row, Secret) and row.store == "kubernetes-secret-use"
    }
    assert uses == {("settings", "variable"), ("files", "file")}
    assert {(row.table, row.reason) for row in gaps(rows)} == {
        ("credentials", "unsupported"),
        ("secrets", "unsupported"),
    }


def test_image_policies_count_by_what_they_refuse(read: Callable[..., list[Record]]) -> None:
    cluster = empty("shop")
    verify = {"name": "v", "verifyImages": [{"imageReferences": ["*"], "failureAction": "Enforce"}]}
    audit = {"name": "v", "verifyImages": [{"imageReferences": ["*"], "failureAction": "Audit"}]}
    for name, spec in (
        ("signed", {"rules": [verify]}),
        ("audited", {"rules": [audit]}),
        ("old-style", {"validationFailureAction": "Enforce", "rules": [{"name": "v", "verifyImages": [{}]}]}),
        ("by-default", {"rules": [{"name": "v", "verifyImages": [{}]}]}),
        ("fails-open", {"webhookConfiguration": {"failurePolicy": "Ignore"}, "rules": [verify]}),
        ("background", {"admission": False, "rules": [verify]}),
    ):
        cluster.add("kyverno.io/v1", "ClusterPolicy", name, spec=spec)
    cluster.add("kyverno.io/v1", "ClusterPolicy", "mutates", spec={"rules": [{"name": "m", "mutate": {}}]})
    cluster.add(
        "policy.sigstore.dev/v1beta1", "ClusterImagePolicy", "keyless", spec={"images": [{"glob": "**"}]}
    )
    assert controls(read(cluster), "image-policy") == {
        "signed": "enforced", "audited": "audited", "old-style": "enforced", "by-default": "audited",
        "fails-open": "audited", "background": "audited", "keyless": "absent",
    }  # fmt: skip
    namespace(cluster, "guarded")
    cluster.add("v1", "Namespace", "guarded", labels={"policy.sigstore.dev/include": "true"})
    assert controls(read(cluster), "image-policy")["keyless"] == "enforced"


def test_flux_deploys_as_its_controller_or_as_an_account(read: Callable[..., list[Record]]) -> None:
    cluster = empty("shop", "flux-system")
    account(cluster, "flux-system", "kustomize-controller")
    account(cluster, "flux-system", "helm-controller")
    account(cluster, "shop", "deployer")
    cluster.add("apps/v1", "Deployment", "web", "shop", spec={"template": {"spec": POD}})
    cluster.add(
        "apps/v1",
        "Deployment",
        "db",
        "shop",
        annotations={"meta.helm.sh/release-name": "db", "meta.helm.sh/release-namespace": "shop"},
        spec={"template": {"spec": POD}},
    )
    cluster.add(
        "kustomize.toolkit.fluxcd.io/v1", "Kustomization", "apps", "flux-system",
        spec={"sourceRef": {"kind": "GitRepository", "name": "apps"}},
        status={"inventory": {"entries": [{"id": "shop_web_apps_Deployment", "v": "v1"}]}},
    )  # fmt: skip
    cluster.add(
        "helm.toolkit.fluxcd.io/v2", "HelmRelease", "db", "shop",
        spec={"serviceAccountName": "deployer", "chart": {"spec": {"sourceRef": {"kind": "HelmRepository", "name": "r"}}}},
    )  # fmt: skip
    rows = read(cluster)
    assert {
        (row.name, row.kind) for row in rows if isinstance(row, Identity) and row.kind == "helm-release"
    } == {("shop/db", "helm-release")}
    found = identities(rows)
    assert {found["flux-system/apps"].kind, next(row.kind for row in rows if isinstance(row, Identity) and row.kind == "flux-helm-release")} == {
        "flux-kustomization", "flux-helm-release",
    }  # fmt: skip
    assert ("flux-system/apps", "flux-system/kustomize-controller") in links(rows, "runs_as")
    assert ("shop/db", "shop/deployer") in links(rows, "runs_as")
    assert links(rows, "deploys") == {("flux-system/apps", "shop/web"), ("shop/db", "shop/db")}


def test_a_privileged_pod_holds_its_node_and_a_plain_one_does_not(read: Callable[..., list[Record]]) -> None:
    cluster = empty("shop")
    node(cluster, "n1")
    account(cluster, "shop", "app")
    plain = {**POD, "serviceAccountName": "app", "nodeName": "n1"}
    held = {
        "containers": [{"name": "app", "image": "a", "securityContext": {"privileged": True}}],
        "nodeName": "n1",
    }
    mounts = {**POD, "nodeName": "n1", "volumes": [{"name": "v", "hostPath": {"path": "/var/lib/kubelet"}}]}
    logs = {**POD, "nodeName": "n1", "volumes": [{"name": "v", "hostPath": {"path": "/var/log/app"}}]}
    for name, spec in (("plain", plain), ("held", held), ("mounts", mounts), ("logs", logs)):
        cluster.add("v1", "Pod", name, "shop", spec=spec, status={"phase": "Running"})
    found = links(read(cluster), "can_become")
    assert {("shop/held", "n1"), ("shop/mounts", "n1"), ("n1", "shop/app")} <= found
    assert not {("shop/plain", "n1"), ("shop/logs", "n1")} & found


def test_missing_custom_resources_are_no_gap(read: Callable[..., list[Record]]) -> None:
    assert gaps(read(empty())) == []


def test_the_platform_is_told_where_it_was_given_more(read: Callable[..., list[Record]]) -> None:
    cluster = empty("shop")
    for name in ("metrics-server", "tiller", "balancer"):
        cloud = (
            {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/lb"} if name == "balancer" else {}
        )
        account(cluster, "kube-system", name, annotations=cloud)
    account(cluster, "shop", "default")
    account(cluster, "shop", "app")
    role(cluster, "reader", "get,list pods")
    role(cluster, "owner", "* * in *")
    bind(cluster, "reader", "ClusterRole reader", "ServiceAccount kube-system/metrics-server")
    bind(cluster, "owner", "ClusterRole owner", "ServiceAccount kube-system/tiller")
    found = identities(read(cluster))
    assert {name for name, row in found.items() if row.managed_by == "provider" and row.kind == "service-account"} == {
        "kube-system/default", "kube-system/metrics-server", "shop/default", "sprawlscan/default",
    }  # fmt: skip


def test_subjects_that_a_cloud_knows_are_joined_to_it(read: Callable[..., list[Record]]) -> None:
    cluster = empty("shop")
    role(cluster, "reader", "get,list pods")
    group, person = "6E1F0B9A-0000-4000-8000-000000000001", "6e1f0b9a-0000-4000-8000-000000000002"
    robot = "deployer@acme-prod.iam.gserviceaccount.com"
    named = (
        f"Group {group}",
        f"User {person}",
        f"User {robot}",
        "User anna@acme.example",
        "Group developers",
    )
    bind(cluster, "reader", "ClusterRole reader", *named)
    rows = read(cluster)
    assert ("entra:principal:6e1f0b9a-0000-4000-8000-000000000001", group) in links(rows, "member_of")
    assert {pair for pair in links(rows, "can_become") if pair[1] in {person, robot, "anna@acme.example"}} == {
        (f"entra:principal:{person}", person), (robot, robot),
    }  # fmt: skip


def test_a_stored_night_evaluates_to_what_the_night_yielded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(as_of=FIRST_NIGHT, fingerprint=FINGERPRINT, cache=tmp_path, stopping=threading.Event())
    with open_sandbox("company") as sandbox:
        for name, value in sandbox.environment().items():
            monkeypatch.setenv(name, value)
        config = collectors.kubernetes.Config.model_validate(sandbox.section())
        (target,) = collectors.kubernetes.targets(config, run)
        rows = list(collectors.kubernetes.collect(target, config, run))

    def results(given: list[Record]) -> dict[str, Record]:
        ways = {way.id for way in rbac_powers().ways}
        return {
            row.id: row
            for row in given
            if isinstance(row, Grant)
            or (isinstance(row, Link) and row.relation == "can_become" and row.evidence in ways)
        }

    stored = sorted(rows, key=lambda row: row.id)
    policies = [row for row in stored if isinstance(row, Policy)]
    again = list(collectors.kubernetes.evaluate(policies, stored, FIRST_NIGHT))
    assert len(results(again)) > 200
    assert results(again) == results(rows)
    # Without a role, nobody has what it gave; what others have is the same.
    gone = [row for row in policies if row.name != "platform:token-broker"]
    less = results(list(collectors.kubernetes.evaluate(gone, stored, FIRST_NIGHT)))
    assert {
        row.why for number, row in results(again).items() if number not in less and isinstance(row, Link)
    } == {"ClusterRoleBinding platform:token-broker allows create serviceaccounts/token in the whole cluster"}


def test_an_exception_bypasses_the_policy_that_it_names(read: Callable[..., list[Record]]) -> None:
    cluster = empty("shop")
    for name in ("digests", "other"):
        rules = [{"name": "v", "validate": {"failureAction": "Enforce"}}]
        cluster.add("kyverno.io/v1", "ClusterPolicy", name, spec={"rules": rules})
    lifted = [{"policyName": "digests", "ruleNames": ["v"]}]
    cluster.add("kyverno.io/v2", "PolicyException", "legacy", "shop", spec={"exceptions": lifted})
    found = {
        row.name: row.bypass
        for row in read(cluster)
        if isinstance(row, Control) and row.kind == "admission-policy"
    }
    assert found == {"digests": ["PolicyException shop/legacy"], "other": []}
