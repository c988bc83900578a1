"""The workloads of a cluster: which pods belong to which controller, what they run, and as whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from collectors.kubernetes.evaluator.ways import is_platform_namespace
from collectors.kubernetes.pod_spec import (
    SecretUse,
    access_tags,
    deliverer_of,
    provider_classes,
    secrets_used,
)
from collectors.kubernetes.records import digest_of, link
from collectors.kubernetes.scope import workload_id
from scanner.records import Identity, Rollout, Secret, record_id
from scanner.secrets.detectors import inspect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from collectors.kubernetes.facts import Controller, Metadata, Pod, PodSpec
    from collectors.kubernetes.known import KnownAccounts, Namespaces
    from collectors.kubernetes.scope import KubeScope
    from scanner.records import Record

HELM = "meta.helm.sh/release-name"
"""https://helm.sh/docs/topics/charts_hooks/ : Helm annotates what it installs."""
_HELM_NAMESPACE = "meta.helm.sh/release-namespace"
_LISTED = frozenset(("CronJob", "DaemonSet", "Deployment", "Job", "ReplicaSet", "Rollout", "StatefulSet"))
"""Controllers that are listed themselves."""
_ENDED = frozenset(("Succeeded", "Failed"))


class Running(msgspec.Struct, kw_only=True):
    """What runs of one container of a workload."""

    declared: set[str]
    digests: dict[str | None, int]
    """Pods by the digest that runs; None where the runtime does not say."""
    since: datetime | None = None


class Workload(msgspec.Struct, kw_only=True):
    """A controller, or a pod without one."""

    id: str
    namespace: str
    declared: dict[str, str]
    """Images by container."""
    state: str | None
    containers: dict[str, Running] = msgspec.field(default_factory=dict)


class ClusterWorkloads:
    """What the lists of controllers and pods say, joined."""

    def __init__(
        self, held: Namespaces, accounts: KnownAccounts, classes: dict[tuple[str, str], str]
    ) -> None:
        """``classes`` tell by namespace and name what a SecretProviderClass mounts."""
        self._held = held
        self._accounts = accounts
        self._roots: dict[str, Workload] = {}
        """Workloads by the ``uid`` of their controller."""
        self._owner: dict[str, str] = {}
        """The controller of a ReplicaSet or Job, by ``uid``."""
        self._classes: dict[tuple[str, str], str] = classes
        self.references: set[SecretUse] = set()
        """Secrets that something refers to."""
        self.nodes: dict[str, set[str]] = {}
        """Ids of service accounts by the node that runs them."""
        self.privileged: dict[str, tuple[str, set[str]]] = {}
        """Workloads that hold their node, by id: why, and which nodes."""
        self.platform: set[str] = set()
        """Ids of workloads in the platform's own namespaces."""
        self._named: dict[tuple[str, str], str] = {}
        self._releases: dict[str, list[str]] = {}
        self._runs_as: dict[str, str] = {}

    def named(self, kind: str, name: str) -> str | None:
        """Return the id of a workload by kind and ``NAMESPACE/NAME``."""
        return self._named.get((kind, name))

    def released(self, release: str) -> list[str]:
        """Return the ids of the workloads of a release of Helm, by ``NAMESPACE/NAME``."""
        return self._releases.get(release, [])

    def helm_releases(self, scope: KubeScope) -> Iterator[Record]:
        """Yield each release of Helm, which runs as the service accounts of its workloads."""
        for release, workloads in sorted(self._releases.items()):
            namespace, _, name = release.partition("/")
            owner, source = self._held.owner(namespace)
            platform = is_platform_namespace(namespace)
            me = record_id("kubernetes", "helm-release", f"{scope.cluster}/{release}")
            yield Identity(
                id=me,
                **scope.own(),
                surface="workload",
                kind="helm-release",
                native_id=f"{scope.cluster}/{release}",
                name=release,
                address=scope.address(namespace, "helm-release", name),
                owner=owner,
                owner_source=source,
                environment=self._held.environment(namespace),
                managed_by="provider" if platform else None,
                tags={"platform": "yes"} if platform else {},
            )
            for account in sorted({self._runs_as[one] for one in workloads if one in self._runs_as}):
                yield link(
                    scope, me, "runs_as", account, evidence=HELM, why="one of its workloads runs as it"
                )

    def controller(
        self, scope: KubeScope, kind: str, item: Controller, state: str | None
    ) -> Iterator[Record]:
        """Yield a controller as a workload."""
        metadata = item.metadata
        yield from self._workload(scope, kind, metadata, item.spec.pods, state=state)

    def owned(self, scope: KubeScope, kind: str, item: Controller, state: str | None) -> Iterator[Record]:
        """Take note of a ReplicaSet's or Job's controller; without one, yield it as a workload."""
        owner = item.metadata.owner
        if owner is not None and owner.kind in _LISTED:
            self._owner[item.metadata.uid] = owner.uid
            return
        if kind == "replicaset" and not item.spec.replicas and not item.status.replicas:
            return
        yield from self._workload(scope, kind, item.metadata, item.spec.pods, state=state)

    def pod(self, scope: KubeScope, pod: Pod) -> Iterator[Record]:
        """Count a pod for its workload; yield it, or its unknown controller, if it is the first of it."""
        metadata, spec = pod.metadata, pod.spec
        if pod.status.phase in _ENDED:
            return
        owner = metadata.owner
        if owner is not None and owner.kind == "Node":
            owner = None  # A static pod.
        root = metadata.uid if owner is None else self._owner.get(owner.uid, owner.uid)
        if root not in self._roots:
            if owner is not None and owner.kind in _LISTED:
                return  # Its controller was not read, or is newer than the list of controllers.
            if owner is None:
                yield from self._workload(scope, "pod", metadata, spec, state=None)
            else:
                named = msgspec.structs.replace(metadata, uid=owner.uid, name=owner.name)
                yield from self._workload(
                    scope, "custom-workload", named, spec, state=None, owner_kind=owner.kind
                )
        workload = self._roots[root]
        if spec.node_name:
            account = self._accounts.of(scope, metadata.namespace, spec.account)
            self.nodes.setdefault(spec.node_name, set()).add(account)
            if workload.id in self.privileged:
                self.privileged[workload.id][1].add(spec.node_name)
        if metadata.deletion_timestamp is None:
            _count(workload, pod)

    def _workload(
        self,
        scope: KubeScope,
        kind: str,
        metadata: Metadata,
        spec: PodSpec | None,
        *,
        state: str | None,
        owner_kind: str = "",
    ) -> Iterator[Record]:
        me = workload_id(kind, metadata.uid)
        namespace = metadata.namespace
        containers = spec.serving if spec is not None else []
        self._roots[metadata.uid] = Workload(
            id=me,
            namespace=namespace,
            declared={one.name: one.image for one in containers},
            state=state,
        )
        owner, source = self._held.owner(namespace, metadata.labels, metadata.annotations)
        environment = self._held.environment(namespace, metadata.labels)
        account = self._accounts.of(scope, namespace, spec.account) if spec is not None else None
        tags = access_tags(spec, self._accounts.automount.get(account or "")) if spec is not None else {}
        delivers = next((word for one in containers if (word := deliverer_of(one.image))), None)
        if delivers:
            tags["delivers"] = delivers
        if tags.get("node_access"):
            self.privileged[me] = (tags["node_access"], set())
        annotations = metadata.annotations or {}
        release = annotations.get(HELM)
        if release:
            release = f"{annotations.get(_HELM_NAMESPACE) or namespace}/{release}"
            self._releases.setdefault(release, []).append(me)
        self._named[kind, f"{namespace}/{metadata.name}"] = me
        platform = is_platform_namespace(namespace)
        if platform:
            self.platform.add(me)
        yield Identity(
            id=me,
            **scope.own(),
            surface="workload",
            kind=kind,
            native_id=metadata.uid,
            name=f"{namespace}/{metadata.name}",
            address=scope.address(namespace, kind, metadata.name),
            created_at=metadata.creation_timestamp,
            owner=owner,
            owner_source=source,
            environment=environment,
            managed_by="provider" if platform else None,
            tags={
                **tags,
                **({"helm_release": release} if release else {}),
                **({"owner_kind": owner_kind} if owner_kind else {}),
                **({"platform": "yes"} if platform else {}),
            },
        )
        if spec is None or account is None:
            return
        self._runs_as[me] = account
        yield link(
            scope, me, "runs_as", account, evidence="spec.serviceAccountName",
            why=f"its pods have the service account {namespace}/{spec.account}",
        )  # fmt: skip
        yield from self._secrets(scope, me, namespace, spec, environment)

    def _secrets(
        self, scope: KubeScope, me: str, namespace: str, spec: PodSpec, environment: str | None
    ) -> Iterator[Record]:
        """Yield the Secrets that a workload gets, and the secrets among its plain variables."""
        for use in secrets_used(namespace, spec):
            self.references.add(use)
            yield Secret(
                id=record_id("kubernetes", "secret-use", digest_of(me, use.name, use.how)),
                **scope.own(),
                store="kubernetes-secret-use",
                name=use.name,
                holder_id=me,
                environment=environment,
                readable=False,
                managed_by="kubernetes-secret",
                location=f"{namespace}/{use.name}",
                tags={"how": use.how},
            )
        for name in provider_classes(spec):
            yield Secret(
                id=record_id("kubernetes", "secret-use", digest_of(me, name, "mounted from a store")),
                **scope.own(),
                store="kubernetes-secret-use",
                name=name,
                holder_id=me,
                environment=environment,
                readable=False,
                managed_by=self._classes.get((namespace, name), "secrets-store"),
                location=f"{namespace}/{name}",
                tags={"how": "mounted from a store"},
            )
        for container in (*(spec.containers or ()), *(spec.init_containers or ())):
            for variable in container.env or ():
                seen = (
                    inspect(variable.name, variable.value, scope.run.fingerprint) if variable.value else None
                )
                if seen is None:
                    continue
                yield Secret(
                    id=record_id("kubernetes", "env", digest_of(me, container.name, variable.name)),
                    **scope.own(),
                    store="kubernetes-env",
                    name=variable.name,
                    holder_id=me,
                    environment=environment,
                    readable=True,
                    looks_like=seen.looks_like,
                    recognized_by=seen.recognized_by,
                    length=seen.length,
                    fingerprint=seen.fingerprint,
                    credential_id=_key(seen.key_id),
                    encrypted=False,
                    location=f"{namespace}/{container.name}",
                )

    def rollouts(self, scope: KubeScope) -> Iterator[Record]:
        """Yield declared and running images of every container of every workload."""
        for uid, workload in self._roots.items():
            for container, image in sorted(workload.declared.items()):
                declared = image.partition("@")[2] or None
                found = workload.containers.get(container)
                digests: dict[str | None, int] = (found.digests if found is not None else {}) or {None: 0}
                for digest in sorted(digests, key=lambda one: one or ""):
                    yield Rollout(
                        id=record_id("kubernetes", "rollout", f"{uid}/{container}/{digest or 'unknown'}"),
                        **scope.own(),
                        workload_id=workload.id,
                        declared=image or None,
                        declared_digest=declared,
                        running_digest=digest,
                        pinned=declared is not None if image else None,
                        since=found.since if found is not None else None,
                        state=workload.state,
                        replicas=digests[digest] if found is not None else None,
                    )


def _count(workload: Workload, pod: Pod) -> None:
    told = (*(pod.status.container_statuses or ()), *(pod.status.init_container_statuses or ()))
    statuses = {status.name: status for status in told}
    for container in pod.spec.serving:
        # What an admission webhook added, such as a mesh's proxy, is in no template.
        workload.declared.setdefault(container.name, container.image)
        found = workload.containers.get(container.name)
        if found is None:
            found = workload.containers[container.name] = Running(declared=set(), digests={})
        status = statuses.get(container.name)
        digest = _digest(status.image_id) if status is not None else None
        if status is None or not status.image_id:
            continue  # Not started: nothing runs that could differ.
        found.digests[digest] = found.digests.get(digest, 0) + 1
        started = pod.status.start_time
        if started is not None and (found.since is None or started < found.since):
            found.since = started


def _key(key_id: str | None) -> str | None:
    """Return the id of an access key of AWS, if a value is or contains one."""
    return record_id("aws", "access-key", key_id) if key_id and key_id.startswith("AKIA") else None


def _digest(image_id: str) -> str | None:
    """Return the digest of ``registry/name@sha256:...``; None for the id of a local image."""
    _, at, digest = image_id.partition("@")
    return digest if at and digest.startswith("sha256:") else None
