"""Deployments, StatefulSets, DaemonSets, CronJobs, Jobs and Argo Rollouts: what is declared, and how far it is.

https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status,
https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#rolling-updates,
https://argo-rollouts.readthedocs.io/en/stable/features/specification/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.kubernetes.calls import APPS, ARGO, BATCH, Resource
from collectors.kubernetes.facts import Controller
from scanner.collect.listings import with_coverage

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.kubernetes.estate import ClusterWorkloads
    from collectors.kubernetes.scope import KubeScope
    from scanner.records import Record

CONTROLLERS: tuple[tuple[Resource, str], ...] = (
    (APPS["deployments"], "deployment"),
    (APPS["statefulsets"], "statefulset"),
    (APPS["daemonsets"], "daemonset"),
    (BATCH["cronjobs"], "cronjob"),
    (ARGO["rollouts"], "argo-rollout"),
)


def controllers(scope: KubeScope, estate: ClusterWorkloads) -> Generator[Record, None, bool]:
    """Yield workloads by their controllers, and take note of which controller made which. Return whether all were read."""
    whole = True
    for resource, kind in CONTROLLERS:
        whole &= yield from scope.listed(
            resource,
            lambda item, kind=kind: estate.controller(scope, kind, item, state_of(kind, item)),  # type: ignore[misc]
            table="identities",
            kind=kind,
            fills=("links/runs_as",),
            loses=(
                "identities/helm-release",
                "rollouts",
                "secrets/kubernetes-env",
                "secrets/kubernetes-secret-use",
            ),
            shape=Controller,
        )
    whole &= yield from _owned(scope, estate, APPS["replicasets"], "replicaset")
    whole &= yield from _owned(scope, estate, BATCH["jobs"], "job")
    return whole


def _owned(
    scope: KubeScope, estate: ClusterWorkloads, resource: Resource, kind: str
) -> Generator[Record, None, bool]:
    """Read ReplicaSets or Jobs. Those of another controller only lead from their pods to it."""
    return (
        yield from scope.listed(
            resource,
            lambda item: estate.owned(scope, kind, item, state_of(kind, item)),
            table="identities",
            kind=kind,
            fills=("links/runs_as",),
            loses=(
                "identities/helm-release",
                "rollouts",
                "secrets/kubernetes-env",
                "secrets/kubernetes-secret-use",
            ),
            shape=Controller,
        )
    )


def state_of(kind: str, item: Controller) -> str | None:
    """Return whether all replicas are new: complete, progressing, paused, held or stalled; None where nothing says so."""
    spec, status = item.spec, item.status
    generation = item.metadata.generation
    observed = status.observed_generation
    if (
        observed is not None
        and generation is not None
        and str(observed).isdigit()
        and int(observed) < generation
    ):
        return "progressing"
    match kind:
        case "deployment":
            if observed is None:
                return None
            wanted = 1 if spec.replicas is None else spec.replicas
            if (status.updated_replicas or 0) >= wanted and (status.replicas or 0) <= wanted:
                return "complete" if (status.available_replicas or 0) >= wanted else "progressing"
            if spec.paused:
                return "paused"
            late = any(one.reason == "ProgressDeadlineExceeded" for one in status.conditions or ())
            return "stalled" if late else "progressing"
        case "statefulset":
            if status.update_revision is None:
                return None
            if status.current_revision == status.update_revision:
                return "complete"
            kept = spec.update_strategy is not None and spec.update_strategy.keeps_old
            return "held" if kept else "progressing"
        case "daemonset":
            if status.desired_number_scheduled is None:
                return None
            if (status.updated_number_scheduled or 0) >= status.desired_number_scheduled:
                return "complete"
            kept = spec.update_strategy is not None and spec.update_strategy.keeps_old
            return "held" if kept else "progressing"
        case "argo-rollout":
            phases = {
                "Healthy": "complete",
                "Paused": "paused",
                "Progressing": "progressing",
                "Degraded": "stalled",
            }
            return phases.get(status.phase or "")
        case _:
            return None


def running(scope: KubeScope, estate: ClusterWorkloads) -> Iterator[Record]:
    """Yield declared and running images of each workload. All lists must have been read: a part says nothing of the rest."""
    request = scope.request("rollouts", "GET /api/v1/pods", needs="list pods")
    yield from with_coverage(estate.rollouts(scope), request)


def releases(scope: KubeScope, estate: ClusterWorkloads) -> Iterator[Record]:
    """Yield the releases of Helm, as what pipelines deploy. All controllers must have been read.

    https://helm.sh/docs/howto/charts_tips_and_tricks/ : Helm annotates the objects that it installs.
    """
    path = APPS["deployments"].path()
    request = scope.request("identities", f"GET {path}", kind="helm-release", needs="list deployments.apps")
    yield from with_coverage(estate.helm_releases(scope), request)
