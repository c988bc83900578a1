"""Argo CD applications and Flux reconciliations: what they deploy, from where, and as whom.

https://argo-cd.readthedocs.io/en/stable/operator-manual/application.yaml,
https://argo-cd.readthedocs.io/en/stable/operator-manual/project.yaml,
https://fluxcd.io/flux/components/kustomize/kustomizations/, https://fluxcd.io/flux/components/helm/helmreleases/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.kubernetes.calls import ARGO, FLUX_HELM, FLUX_KUSTOMIZE
from collectors.kubernetes.records import control, link
from scanner.records import Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.kubernetes.estate import ClusterWorkloads
    from collectors.kubernetes.known import KnownAccounts, Namespaces
    from collectors.kubernetes.scope import KubeScope
    from scanner.records import Record

_CONTROLLER = "argocd-application-controller"
"""The service account of Argo CD's controller in each of its ways to be installed."""
_FLUX = {"flux-kustomization": "kustomize-controller", "flux-helm-release": "helm-controller"}
_KINDS = {
    "Deployment": "deployment",
    "StatefulSet": "statefulset",
    "DaemonSet": "daemonset",
    "CronJob": "cronjob",
    "Rollout": "argo-rollout",
}
_IN_CLUSTER = "https://kubernetes.default.svc"


def delivery(
    scope: KubeScope, held: Namespaces, known: KnownAccounts, estate: ClusterWorkloads
) -> Iterator[Record]:
    """Yield what deploys from git, and the workloads that it deploys."""
    yield from scope.listed(
        ARGO["applications"], lambda item: _application(scope, held, known, estate, item),
        table="identities", kind="argo-application", fills=("links/runs_as", "links/deploys"),
    )  # fmt: skip
    yield from scope.listed(
        ARGO["appprojects"],
        lambda item: _project(scope, item),
        table="controls",
        kind="argo-project-destinations",
    )
    for resource, kind in (
        (FLUX_KUSTOMIZE["kustomizations"], "flux-kustomization"),
        (FLUX_HELM["helmreleases"], "flux-helm-release"),
    ):
        yield from scope.listed(
            resource, lambda item, kind=kind: _flux(scope, held, known, estate, item=item, kind=kind),  # type: ignore[misc]
            table="identities", kind=kind, fills=("links/runs_as", "links/deploys"),
        )  # fmt: skip


def _identity(scope: KubeScope, held: Namespaces, kind: str, item: Any, tags: dict[str, str]) -> Identity:
    metadata = item["metadata"]
    namespace, name = str(metadata["namespace"]), str(metadata["name"])
    labels = {str(key): str(value) for key, value in (metadata.get("labels") or {}).items()}
    owner, source = held.owner(namespace, labels)
    return Identity(
        id=record_id("kubernetes", kind, str(metadata["uid"])),
        **scope.own(),
        surface="automation",
        kind=kind,
        native_id=str(metadata["uid"]),
        name=f"{namespace}/{name}",
        address=scope.address(namespace, kind, name),
        enabled=item["spec"].get("suspend") is not True,
        owner=owner,
        owner_source=source,
        environment=held.environment(namespace, labels),
        tags={key: value for key, value in tags.items() if value},
    )


def _application(
    scope: KubeScope, held: Namespaces, known: KnownAccounts, estate: ClusterWorkloads, item: Any
) -> Iterator[Record]:
    spec, status = item["spec"], item.get("status") or {}
    sources = [spec.get("source") or {}, *(spec.get("sources") or ())]
    first: Any = next((one for one in sources if one.get("repoURL")), {})
    destination = spec.get("destination") or {}
    tags = {
        "repository": str(first.get("repoURL") or "").rpartition("@")[2],
        "revision": str(first.get("targetRevision") or ""),
        "project": str(spec.get("project") or ""),
        "sync": str((status.get("sync") or {}).get("status") or ""),
        "automated": "yes" if (spec.get("syncPolicy") or {}).get("automated") is not None else "no",
    }
    me = _identity(scope, held, "argo-application", item, tags)
    yield me
    namespace = str(item["metadata"]["namespace"])
    account = known.ids.get((namespace, _CONTROLLER))
    here = destination.get("server") in {None, _IN_CLUSTER} and destination.get("name") in {
        None,
        "in-cluster",
        "",
    }
    if account is not None and here:
        yield link(
            scope,
            me.id,
            "runs_as",
            account,
            evidence="spec.destination",
            why="Argo CD's controller deploys it",
        )
    if here:
        for part in status.get("resources") or ():
            place = str(part.get("namespace") or destination.get("namespace") or "")
            yield from _deploys(
                scope, estate, me.id, str(part.get("kind") or ""), place, str(part.get("name") or "")
            )


def _deploys(scope: KubeScope, estate: ClusterWorkloads, me: str, kind: str, *names: str) -> Iterator[Record]:
    workload = estate.named(_KINDS.get(kind, ""), "/".join(names))
    if workload is not None:
        yield link(scope, me, "deploys", workload, evidence="status", why="its status lists the workload")


def _project(scope: KubeScope, item: Any) -> Iterator[Record]:
    spec = item["spec"]
    anywhere = any(
        str(one.get("namespace") or "") == "*" and str(one.get("server") or one.get("name") or "") == "*"
        for one in spec.get("destinations") or ()
    )
    any_source = "*" in (spec.get("sourceRepos") or ())
    any_kind = any(
        one.get("group") == "*" and one.get("kind") == "*"
        for one in spec.get("clusterResourceWhitelist") or ()
    )
    wide = [
        text
        for text, holds in (
            ("from any repository", any_source),
            ("to any namespace of any cluster", anywhere),
            ("with any cluster-wide object", any_kind),
        )
        if holds
    ]
    metadata = item["metadata"]
    yield control(
        scope,
        "argo-project-destinations",
        str(metadata["uid"]),
        f"{metadata['namespace']}/{metadata['name']}",
        enforcement="absent" if anywhere or any_source else "enforced",
        detail=f"It deploys {', '.join(wide)}" if wide else "Repositories and destinations are named",
        stage="deploy",
    )


def _flux(
    scope: KubeScope,
    held: Namespaces,
    known: KnownAccounts,
    estate: ClusterWorkloads,
    *,
    item: Any,
    kind: str,
) -> Iterator[Record]:
    spec, status, metadata = item["spec"], item.get("status") or {}, item["metadata"]
    reference = spec.get("sourceRef") or ((spec.get("chart") or {}).get("spec") or {}).get("sourceRef") or {}
    tags = {
        "source": "/".join(str(reference.get(key) or "") for key in ("kind", "name")).strip("/"),
        "revision": str(status.get("lastAppliedRevision") or ""),
        "service_account": str(spec.get("serviceAccountName") or ""),
    }
    me = _identity(scope, held, kind, item, tags)
    yield me
    if spec.get("kubeConfig"):
        return  # It deploys to another cluster.
    namespace = str(metadata["namespace"])
    own = spec.get("serviceAccountName")
    account = known.of(scope, namespace, str(own)) if own else known.ids.get(("flux-system", _FLUX[kind]))
    if account is not None:
        why = "it is applied as this service account" if own else "it is applied as Flux's controller"
        yield link(scope, me.id, "runs_as", account, evidence="spec.serviceAccountName", why=why)
    for entry in (status.get("inventory") or {}).get("entries") or ():
        parts = str(entry.get("id") or "").split("_")
        if len(parts) == 4:
            yield from _deploys(scope, estate, me.id, parts[3], parts[0], parts[1])
    if kind == "flux-helm-release":
        target = str(spec.get("targetNamespace") or namespace)
        release = str(spec.get("releaseName") or metadata["name"])
        for workload in estate.released(f"{target}/{release}"):
            yield link(
                scope,
                me.id,
                "deploys",
                workload,
                evidence="meta.helm.sh/release-name",
                why="Helm installed it",
            )
