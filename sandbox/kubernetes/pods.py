"""Pods with what admission plugins and kubelets add: volumes for tokens, nodes, and status."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from sandbox.estate import PROD, REGION
from sandbox.kit.issued import text_of
from sandbox.kubernetes.cluster import ago

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.kit.http import Json
    from sandbox.kubernetes.cluster import Cluster

REGISTRY = f"{PROD}.dkr.ecr.{REGION}.amazonaws.com"
_TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
"""The letters of generated names. https://pkg.go.dev/k8s.io/apimachinery/pkg/util/rand"""


def digest(name: str) -> str:
    """Return the digest of an image, always the same for one name: ``sha256:...``."""
    return "sha256:" + hashlib.sha256(f"image {name}".encode()).hexdigest()


def suffix(seed: str, length: int) -> str:
    """Return the generated end of a name."""
    return text_of(seed, length, _SAFE)


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """What the pods of a workload have in common."""

    image: str
    """As declared: with a tag, a digest or both."""
    running: str | None = None
    """The digest that runs; None for the declared one, or one that the tag's name gives."""
    account: str = "default"
    automount: bool | None = None
    env: tuple[Json, ...] = ()
    env_from: tuple[Json, ...] = ()
    volumes: tuple[Json, ...] = ()
    pull_secrets: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    security: Json = {}
    """``securityContext`` of the container."""
    pod: Json = {}
    """Further fields of the pod's ``spec``: ``hostNetwork``."""
    init_image: str | None = None

    @property
    def name(self) -> str:
        return self.image.partition("@")[0].rpartition("/")[2].partition(":")[0]

    @property
    def image_id(self) -> str:
        repository = self.image.partition("@")[0]
        if ":" in repository.rpartition("/")[2]:
            repository = repository.rpartition(":")[0]
        return f"{repository}@{self.running or self.image.partition('@')[2] or digest(self.image)}"

    def spec(self) -> Json:
        """Return the ``spec`` of a pod template."""
        container: Json = {
            "name": self.name,
            "image": self.image,
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "imagePullPolicy": "IfNotPresent",
        }
        if self.env:
            container["env"] = list(self.env)
        if self.env_from:
            container["envFrom"] = list(self.env_from)
        if self.security:
            container["securityContext"] = self.security
        if self.volumes:
            container["volumeMounts"] = [
                {"name": one["name"], "mountPath": f"/mnt/{one['name']}"} for one in self.volumes
            ]
        spec: Json = {
            "containers": [container],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": self.account,
            "serviceAccount": self.account,
            "securityContext": {},
            "schedulerName": "default-scheduler",
            **self.pod,
        }
        if self.init_image:
            spec["initContainers"] = [
                {**container, "name": "prepare", "image": self.init_image, "volumeMounts": []}
            ]
        if self.automount is not None:
            spec["automountServiceAccountToken"] = self.automount
        if self.volumes:
            spec["volumes"] = list(self.volumes)
        if self.pull_secrets:
            spec["imagePullSecrets"] = [{"name": one} for one in self.pull_secrets]
        return spec


def from_secret(name: str, secret: str, key: str) -> Json:
    """Return an environment variable that comes from a Secret."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def pod(
    cluster: Cluster,
    namespace: str,
    name: str,
    template: Template,
    *,
    owner: Json | None = None,
    labels: Mapping[str, str] | None = None,
    created: float = 20,
    place: int = 0,
    phase: str = "Running",
) -> Json:
    """Add a pod as its kubelet reports it. ``phase`` Pending is one that has not been started."""
    nodes = cluster.listed("nodes")
    node = nodes[place % len(nodes)]["metadata"]["name"] if nodes else "node-1"
    spec = template.spec()
    account = cluster.named("serviceaccounts", template.account, namespace) or {}
    mounted = template.automount
    if mounted is None:
        mounted = bool(account.get("automountServiceAccountToken", True))
    containers = [*spec.get("initContainers", ()), *spec["containers"]]
    if mounted:
        token = f"kube-api-access-{suffix(name, 5)}"
        spec["volumes"] = [*spec.get("volumes", ()), _token_volume(token)]
        for one in containers:
            one["volumeMounts"] = [
                *one.get("volumeMounts", ()),
                {"name": token, "readOnly": True, "mountPath": _TOKEN_PATH},
            ]
    status: Json = {"phase": phase, "qosClass": "Burstable"}
    if phase == "Pending":
        status["conditions"] = [condition("PodScheduled", "False", "Unschedulable", probed=True)]
    else:
        spec |= {
            "nodeName": node,
            "enableServiceLinks": True,
            "preemptionPolicy": "PreemptLowerPriority",
            "priority": 0,
        }
        running = phase == "Running"
        state: Json = (
            {"running": {"startedAt": ago(created)}}
            if running
            else {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": ago(created), "finishedAt": ago(created)}}
        )  # fmt: skip
        status |= {
            "conditions": [
                condition(kind, "True" if running else "False", None, probed=True)
                for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
            ],
            "hostIP": "10.20.0.11",
            "podIP": "10.20.1.17",
            "podIPs": [{"ip": "10.20.1.17"}],
            "startTime": ago(created),
            "containerStatuses": [
                _container_status(one["name"], one["image"], template.image_id, state, name, ready=running)
                for one in spec["containers"]
            ],
        }
        if template.init_image:
            image_id = Template(image=template.init_image).image_id
            done: Json = {
                "terminated": {"exitCode": 0, "reason": "Completed", "startedAt": ago(created), "finishedAt": ago(created)}
            }  # fmt: skip
            status["initContainerStatuses"] = [
                _container_status("prepare", template.init_image, image_id, done, name, ready=True)
            ]
    return cluster.add(
        "v1",
        "Pod",
        name,
        namespace,
        created=created,
        labels={**template.labels, **(labels or {})},
        annotations=dict(template.annotations) or None,
        owner=owner,
        spec=spec,
        status=status,
    )


def _container_status(name: str, image: str, image_id: str, state: Json, seed: str, *, ready: bool) -> Json:
    return {
        "name": name,
        "state": state,
        "lastState": {},
        "ready": ready,
        "restartCount": 0,
        "image": image.partition("@")[0],
        "imageID": image_id,
        "containerID": f"containerd://{hashlib.sha256(f'{seed} {name}'.encode()).hexdigest()}",
        "started": ready,
    }


def _token_volume(name: str) -> Json:
    """Return the volume that the admission plugin for service accounts adds."""
    return {
        "name": name,
        "projected": {
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {
                    "downwardAPI": {
                        "items": [
                            {
                                "path": "namespace",
                                "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                            }
                        ]
                    }
                },
            ],
            "defaultMode": 420,
        },
    }


def condition(kind: str, status: str, why: str | None, *, probed: bool = False) -> Json:
    """Return a condition of a workload; ``probed`` for one of a pod or job."""
    shown: Json = {"type": kind, "status": status, "lastTransitionTime": ago(3)}
    if probed:
        return {**shown, "lastProbeTime": None, **({"reason": why} if why else {})}
    return {**shown, "lastUpdateTime": ago(3), "reason": why, "message": f"{why} (sandbox)"}


def pod_identity() -> tuple[Json, ...]:
    """Return the environment that EKS Pod Identity adds to a container."""
    return (
        {"name": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "value": "http://169.254.170.23/v1/credentials"},
        {
            "name": "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "value": "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token",
        },
    )


def irsa(role_arn: str) -> tuple[Json, ...]:
    """Return the environment that the webhook for IAM roles for service accounts adds to a container."""
    return (
        {"name": "AWS_ROLE_ARN", "value": role_arn},
        {
            "name": "AWS_WEB_IDENTITY_TOKEN_FILE",
            "value": "/var/run/secrets/eks.amazonaws.com/serviceaccount/token",
        },
    )


def irsa_volume() -> Json:
    """Return the volume of that token: its audience is AWS STS, not the API server."""
    return {
        "name": "aws-iam-token",
        "projected": {
            "sources": [
                {
                    "serviceAccountToken": {
                        "audience": "sts.amazonaws.com",
                        "expirationSeconds": 86400,
                        "path": "token",
                    }
                }
            ],
            "defaultMode": 420,
        },
    }
