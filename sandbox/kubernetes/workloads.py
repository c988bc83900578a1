"""Workloads with everything that their controllers add: replica sets, jobs, pods, and status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.kubernetes.cluster import ago, uid
from sandbox.kubernetes.pods import Template, condition, pod, suffix

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox.kit.http import Json
    from sandbox.kubernetes.cluster import Cluster


def deployment(
    cluster: Cluster,
    namespace: str,
    name: str,
    template: Template,
    *,
    replicas: int = 2,
    old: Template | None = None,
    old_replicas: int = 0,
    created: float = 200,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    paused: bool = False,
) -> Json:
    """Add a Deployment with its replica set and pods. With ``old``, another replica set still has ``old_replicas`` pods:
    a rollout that is stuck.
    """
    selector = {"app.kubernetes.io/name": name}
    stuck = bool(old_replicas)
    new_replicas = replicas - old_replicas if stuck else replicas
    revision = 7 if old else 3
    status: Json = {
        "observedGeneration": revision,
        "replicas": replicas,
        "updatedReplicas": new_replicas,
        "readyReplicas": replicas,
        "availableReplicas": replicas,
        "conditions": [
            condition("Available", "True", "MinimumReplicasAvailable"),
            condition("Progressing", "False", "ProgressDeadlineExceeded")
            if stuck and not paused
            else condition("Progressing", "True", "NewReplicaSetAvailable"),
        ],
    }
    spec: Json = {
        "replicas": replicas,
        "selector": {"matchLabels": selector},
        "template": {"metadata": _pod_metadata(template, selector), "spec": template.spec()},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
    }
    if paused:
        spec["paused"] = True
    made = cluster.add(
        "apps/v1",
        "Deployment",
        name,
        namespace,
        created=created,
        labels={**selector, **(labels or {})},
        annotations={"deployment.kubernetes.io/revision": str(revision), **(annotations or {})},
        metadata={"generation": revision},
        spec=spec,
        status=status,
    )
    _replica_set(
        cluster, made, template, selector, replicas=new_replicas, revision=revision, age=3 if old else 40
    )
    if old is not None:
        _replica_set(cluster, made, old, selector, replicas=old_replicas, revision=revision - 1, age=60)
    return made


def _replica_set(
    cluster: Cluster,
    owner: Json,
    template: Template,
    selector: Mapping[str, str],
    *,
    replicas: int,
    revision: int,
    age: float,
) -> None:
    namespace, name = owner["metadata"]["namespace"], owner["metadata"]["name"]
    pod_hash = suffix(f"{namespace}/{name} {template.image} {revision}", 10)
    labels = {**selector, "pod-template-hash": pod_hash}
    made = cluster.add(
        "apps/v1",
        "ReplicaSet",
        f"{name}-{pod_hash}",
        namespace,
        created=age,
        labels=labels,
        annotations={
            "deployment.kubernetes.io/desired-replicas": str(owner["spec"]["replicas"]),
            "deployment.kubernetes.io/revision": str(revision),
        },
        owner=owner,
        spec={
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": _pod_metadata(template, labels), "spec": template.spec()},
        },
        status={
            "replicas": replicas,
            **(
                {
                    "fullyLabeledReplicas": replicas,
                    "readyReplicas": replicas,
                    "availableReplicas": replicas,
                }
                if replicas
                else {}
            ),
            "observedGeneration": 1,
        },
    )
    for number in range(replicas):
        full = f"{made['metadata']['name']}-{suffix(f'{namespace}/{pod_hash}/{number}', 5)}"
        pod(cluster, namespace, full, template, owner=made, labels=labels, created=age, place=number)


def stateful_set(
    cluster: Cluster,
    namespace: str,
    name: str,
    templates: Sequence[Template],
    *,
    created: float = 200,
    kept_old: bool = False,
) -> Json:
    """Add a StatefulSet with one pod for each template; the first template is the declared one."""
    selector = {"app.kubernetes.io/name": name}
    replicas = len(templates)
    revisions = [f"{name}-{suffix(f'{namespace}/{name} {number}', 10)}" for number in (1, 2)]
    status: Json = {
        "observedGeneration": 2,
        "replicas": replicas,
        "readyReplicas": replicas,
        "availableReplicas": replicas,
        "currentReplicas": replicas,
        "updatedReplicas": 0 if kept_old else replicas,
        "currentRevision": revisions[0],
        "updateRevision": revisions[1 if kept_old else 0],
        "collisionCount": 0,
    }
    made = cluster.add(
        "apps/v1",
        "StatefulSet",
        name,
        namespace,
        created=created,
        labels=selector,
        metadata={"generation": 2},
        spec={
            "replicas": replicas,
            "selector": {"matchLabels": selector},
            "serviceName": name,
            "podManagementPolicy": "OrderedReady",
            "updateStrategy": {"type": "OnDelete"} if kept_old else {"type": "RollingUpdate"},
            "template": {
                "metadata": _pod_metadata(templates[0], selector),
                "spec": templates[0].spec(),
            },
        },
        status=status,
    )
    for number, template in enumerate(templates):
        labels = {
            **selector,
            "statefulset.kubernetes.io/pod-name": f"{name}-{number}",
            "controller-revision-hash": revisions[0],
        }
        pod(
            cluster,
            namespace,
            f"{name}-{number}",
            template,
            owner=made,
            labels=labels,
            created=20 - number,
            place=number,
        )
    return made


def daemon_set(
    cluster: Cluster,
    namespace: str,
    name: str,
    template: Template,
    *,
    created: float = 300,
    labels: Mapping[str, str] | None = None,
) -> Json:
    """Add a DaemonSet with a pod on every node."""
    selector = {"app.kubernetes.io/name": name}
    nodes = len(cluster.listed("nodes")) or 1
    made = cluster.add(
        "apps/v1",
        "DaemonSet",
        name,
        namespace,
        created=created,
        labels={**selector, **(labels or {})},
        annotations={"deprecated.daemonset.template.generation": "2"},
        metadata={"generation": 2},
        spec={
            "selector": {"matchLabels": selector},
            "template": {"metadata": _pod_metadata(template, selector), "spec": template.spec()},
            "updateStrategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0},
            },
            "revisionHistoryLimit": 10,
        },
        status={
            "currentNumberScheduled": nodes,
            "numberMisscheduled": 0,
            "desiredNumberScheduled": nodes,
            "numberReady": nodes,
            "observedGeneration": 2,
            "updatedNumberScheduled": nodes,
            "numberAvailable": nodes,
        },
    )
    for number in range(nodes):
        full = f"{name}-{suffix(f'{namespace}/{name}/{number}', 5)}"
        labels = {**selector, "controller-revision-hash": suffix(name, 10), "pod-template-generation": "2"}
        pod(cluster, namespace, full, template, owner=made, labels=labels, created=30, place=number)
    return made


def cron_job(
    cluster: Cluster, namespace: str, name: str, template: Template, schedule: str, *, created: float = 200
) -> None:
    """Add a CronJob, its last Job, and the Job's finished pod."""
    spec = {**template.spec(), "restartPolicy": "OnFailure"}
    made = cluster.add(
        "batch/v1",
        "CronJob",
        name,
        namespace,
        created=created,
        spec={
            "schedule": schedule,
            "concurrencyPolicy": "Forbid",
            "suspend": False,
            "jobTemplate": {"metadata": {}, "spec": {"template": {"metadata": {}, "spec": spec}}},
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 1,
        },
        status={"lastScheduleTime": ago(0.1), "lastSuccessfulTime": ago(0.09)},
    )
    called = f"{name}-29402880"
    labels = {"batch.kubernetes.io/job-name": called, "job-name": called}
    job = cluster.add(
        "batch/v1",
        "Job",
        called,
        namespace,
        created=0.1,
        labels=labels,
        owner=made,
        spec={
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 6,
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": uid(called)}},
            "template": {"metadata": {"labels": labels}, "spec": spec},
            "completionMode": "NonIndexed",
            "suspend": False,
        },
        status={
            "conditions": [condition("Complete", "True", "CompletionsReached", probed=True)],
            "startTime": ago(0.1),
            "completionTime": ago(0.09),
            "succeeded": 1,
            "uncountedTerminatedPods": {},
            "ready": 0,
        },
    )
    pod(
        cluster,
        namespace,
        f"{called}-{suffix(called, 5)}",
        template,
        owner=job,
        labels=labels,
        created=0.1,
        phase="Succeeded",
    )


def _pod_metadata(template: Template, labels: Mapping[str, str]) -> Json:
    shown: Json = {"labels": {**template.labels, **labels}}
    return {**shown, "annotations": dict(template.annotations)} if template.annotations else shown
