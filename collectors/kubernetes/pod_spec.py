"""What a pod's specification says of its access: tokens, its node, and the Secrets that it gets.

https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/,
https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.kubernetes.facts import Container, PodSpec, Volume

CSI = "secrets-store.csi.k8s.io"
_NODE_FOLDERS = (
    "/",
    "/etc",
    "/root",
    "/home",
    "/proc",
    "/run",
    "/var",
    "/var/run",
    "/var/lib",
    "/var/lib/kubelet",
)
"""Folders of a node that hold its credentials or the sockets of its runtime, or contain such folders."""
_NODE_FILES = (
    "/var/lib/kubelet/",
    "/etc/kubernetes",
    "/run/containerd",
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/var/run/containerd",
    "/var/run/crio",
)

_NODE_CAPABILITIES = frozenset(("ALL", "BPF", "DAC_READ_SEARCH", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO"))
"""Capabilities with which a process leaves its container. https://man7.org/linux/man-pages/man7/capabilities.7.html"""
_WITH_PROCESSES = "SYS_PTRACE"
"""It leads to the node where a pod sees the node's processes."""

_DELIVERERS = {
    "actions-runner": "github-runner",
    "agentk": "gitlab-agent",
    "argocd": "argo-cd",
    "gitlab-runner": "gitlab-runner",
    "helm-controller": "flux",
    "kustomize-controller": "flux",
    "source-controller": "flux",
}
"""What delivers from inside a cluster, by the last part of its image's name."""


def deliverer_of(image: str) -> str | None:
    """Return what an image is if it delivers: a runner, an agent, Argo CD or Flux."""
    return _DELIVERERS.get(image.partition("@")[0].rpartition("/")[2].partition(":")[0])


class SecretUse(msgspec.Struct, frozen=True):
    """A Secret that something refers to."""

    namespace: str
    name: str
    how: str
    """variable, file, pull-secret."""


def secrets_used(namespace: str, spec: PodSpec) -> Iterator[SecretUse]:
    """Yield the Secrets that a pod gets, each way of getting it once."""
    found: dict[SecretUse, None] = {}

    def add(name: str | None, how: str) -> None:
        if name:
            found[SecretUse(namespace, name, how)] = None

    for container in (*(spec.containers or ()), *(spec.init_containers or ())):
        for variable in container.env or ():
            source = variable.value_from.secret_key_ref if variable.value_from is not None else None
            add(source.name if source is not None else None, "variable")
        for every in container.env_from or ():
            add(every.secret_ref.name if every.secret_ref is not None else None, "variable")
    for volume in spec.volumes or ():
        add(volume.secret.secret_name if volume.secret is not None else None, "file")
        for part in (volume.projected.sources or ()) if volume.projected is not None else ():
            add(part.secret.name if part.secret is not None else None, "file")
    for pull in spec.image_pull_secrets or ():
        add(pull.name, "pull-secret")
    return iter(found)


def provider_classes(spec: PodSpec) -> Iterator[str]:
    """Yield the SecretProviderClasses that a pod mounts."""
    for volume in spec.volumes or ():
        if volume.csi is not None and volume.csi.driver == CSI:
            name = (volume.csi.volume_attributes or {}).get("secretProviderClass")
            if name:
                yield name


def access_tags(spec: PodSpec, account_mounts: bool | None) -> dict[str, str]:
    """Return what a pod has of the API and of its node, as tags. ``account_mounts`` is what its service account says."""
    mounts = spec.automount_service_account_token
    if mounts is None:
        mounts = account_mounts is not False
    tags = {"api_access": "mounted" if mounts else "off"}
    audiences = sorted(
        {
            part.service_account_token.audience
            for volume in spec.volumes or ()
            for part in ((volume.projected.sources or ()) if volume.projected is not None else ())
            if part.service_account_token is not None and part.service_account_token.audience
        }
    )
    if audiences:
        tags["audiences"] = ", ".join(audiences)[:200]
    if spec.host_network:
        tags["host_network"] = "yes"
    node = _node_access(spec)
    if node:
        tags["node_access"] = node
    return tags


def _node_access(spec: PodSpec) -> str | None:
    """Return by what a pod holds its node; None if it does not."""
    for container in (*(spec.containers or ()), *(spec.init_containers or ())):
        if container.security_context is not None and container.security_context.privileged:
            return f"container {container.name} is privileged"
        strong = _capability(container, sees_processes=bool(spec.host_pid))
        if strong is not None:
            return f"container {container.name} has the capability {strong}"
    for volume in spec.volumes or ():
        folder = _folder(volume)
        if folder is not None:
            return f"it mounts {folder} of its node"
    return None


def _capability(container: Container, *, sees_processes: bool) -> str | None:
    security = container.security_context
    added = (
        (security.capabilities.add or ())
        if security is not None and security.capabilities is not None
        else ()
    )
    for name in sorted(one.upper().removeprefix("CAP_") for one in added):
        if name in _NODE_CAPABILITIES or (name == _WITH_PROCESSES and sees_processes):
            return name
    return None


def _folder(volume: Volume) -> str | None:
    if volume.host_path is None:
        return None
    path = volume.host_path.path.rstrip("/") or "/"
    return path if path in _NODE_FOLDERS or path.startswith(_NODE_FILES) else None
