"""The parts of objects that are read: names are the API's. What is not named here is never decoded.

https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time
from typing import Any

import msgspec


class _Object(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    """Fields of an object; others are skipped."""


class OwnerReference(_Object, frozen=True, kw_only=True, gc=False):
    """Who made an object."""

    kind: str
    name: str
    uid: str
    controller: bool | None = None


class Metadata(_Object, frozen=True, kw_only=True, gc=False):
    """Of every object."""

    name: str
    uid: str
    namespace: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    generation: int | None = None

    @property
    def owner(self) -> OwnerReference | None:
        """The controller."""
        return next((one for one in self.owner_references or () if one.controller), None)


class NamedReference(_Object, frozen=True, kw_only=True, gc=False):
    """A reference by name."""

    name: str = ""
    key: str = ""


class ValueSource(_Object, frozen=True, kw_only=True, gc=False):
    """Where a variable comes from."""

    secret_key_ref: NamedReference | None = None


class EnvironmentVariable(_Object, frozen=True, kw_only=True, gc=False):
    """One variable of a container."""

    name: str
    value: str | None = None
    value_from: ValueSource | None = None


class EnvironmentSource(_Object, frozen=True, kw_only=True, gc=False):
    """All keys of a Secret as variables."""

    secret_ref: NamedReference | None = None


class Capabilities(_Object, frozen=True, kw_only=True, gc=False):
    """Parts of the rights of root."""

    add: list[str] | None = None


class ContainerSecurity(_Object, frozen=True, kw_only=True, gc=False):
    """What a container may do on its node."""

    privileged: bool | None = None
    capabilities: Capabilities | None = None


class Container(_Object, frozen=True, kw_only=True, gc=False):
    """One container of a pod."""

    name: str
    image: str = ""
    env: list[EnvironmentVariable] | None = None
    env_from: list[EnvironmentSource] | None = None
    security_context: ContainerSecurity | None = None
    restart_policy: str | None = None


class SecretVolume(_Object, frozen=True, kw_only=True, gc=False):
    """A Secret as files."""

    secret_name: str | None = None


class TokenProjection(_Object, frozen=True, kw_only=True, gc=False):
    """A token of the service account as a file."""

    audience: str | None = None
    expiration_seconds: int | None = None


class Projection(_Object, frozen=True, kw_only=True, gc=False):
    """A part of a projected volume."""

    service_account_token: TokenProjection | None = None
    secret: NamedReference | None = None


class ProjectedVolume(_Object, frozen=True, kw_only=True, gc=False):
    """A volume of several sources."""

    sources: list[Projection] | None = None


class HostPath(_Object, frozen=True, kw_only=True, gc=False):
    """A folder of the node."""

    path: str = ""


class CsiVolume(_Object, frozen=True, kw_only=True, gc=False):
    """A volume of a driver."""

    driver: str = ""
    volume_attributes: dict[str, str] | None = None


class Volume(_Object, frozen=True, kw_only=True, gc=False):
    """One volume of a pod."""

    name: str = ""
    secret: SecretVolume | None = None
    projected: ProjectedVolume | None = None
    host_path: HostPath | None = None
    csi: CsiVolume | None = None


class PodSpec(_Object, frozen=True, kw_only=True, gc=False):
    """What a pod runs."""

    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    volumes: list[Volume] | None = None
    image_pull_secrets: list[NamedReference] | None = None
    service_account_name: str | None = None
    automount_service_account_token: bool | None = None
    host_network: bool | None = None
    host_pid: bool | None = msgspec.field(default=None, name="hostPID")
    node_name: str | None = None

    @property
    def account(self) -> str:
        """The name of its service account."""
        return self.service_account_name or "default"

    @property
    def serving(self) -> list[Container]:
        """The containers that run as long as the pod does: those, and sidecars.

        https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
        """
        sidecars = [one for one in self.init_containers or () if one.restart_policy == "Always"]
        return [*(self.containers or ()), *sidecars]


class ContainerStatus(_Object, frozen=True, kw_only=True, gc=False):
    """What the runtime says of a container."""

    name: str
    image: str = ""
    image_id: str = msgspec.field(default="", name="imageID")
    ready: bool | None = None


class PodStatus(_Object, frozen=True, kw_only=True, gc=False):
    """How a pod is."""

    phase: str = ""
    start_time: datetime | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None


class Pod(_Object, frozen=True, kw_only=True, gc=False):
    """A pod."""

    metadata: Metadata
    spec: PodSpec
    status: PodStatus = PodStatus()


class PodTemplate(_Object, frozen=True, kw_only=True, gc=False):
    """The pods that a controller makes."""

    metadata: dict[str, Any] | None = None
    spec: PodSpec | None = None


class RollingUpdate(_Object, frozen=True, kw_only=True, gc=False):
    """How far pods are replaced."""

    partition: int | None = None


class Strategy(_Object, frozen=True, kw_only=True, gc=False):
    """How pods are replaced."""

    type: str = ""
    rolling_update: RollingUpdate | None = None

    @property
    def keeps_old(self) -> bool:
        """Whether old pods are kept on purpose."""
        part = self.rolling_update.partition if self.rolling_update is not None else None
        return self.type == "OnDelete" or bool(part)


class JobTemplate(_Object, frozen=True, kw_only=True, gc=False):
    """The jobs of a CronJob."""

    spec: ControllerSpec | None = None


class ControllerSpec(_Object, frozen=True, kw_only=True, gc=False):
    """What a controller keeps running."""

    replicas: int | None = None
    paused: bool | None = None
    suspend: bool | None = None
    template: PodTemplate | None = None
    job_template: JobTemplate | None = None
    update_strategy: Strategy | None = None

    @property
    def pods(self) -> PodSpec | None:
        """The specification of its pods."""
        if self.template is not None:
            return self.template.spec
        inner = self.job_template.spec if self.job_template is not None else None
        return inner.template.spec if inner is not None and inner.template is not None else None


class RolloutCondition(_Object, frozen=True, kw_only=True, gc=False):
    """One thing that a controller says of itself."""

    type: str = ""
    status: str = ""
    reason: str | None = None


class ControllerStatus(_Object, frozen=True, kw_only=True, gc=False):
    """How far a controller is: one class for every kind of controller."""

    observed_generation: int | str | None = None
    replicas: int | None = None
    ready_replicas: int | None = None
    updated_replicas: int | None = None
    available_replicas: int | None = None
    unavailable_replicas: int | None = None
    current_revision: str | None = None
    update_revision: str | None = None
    desired_number_scheduled: int | None = None
    updated_number_scheduled: int | None = None
    number_available: int | None = None
    active: Any = None
    conditions: list[RolloutCondition] | None = None
    phase: str | None = None


class Controller(_Object, frozen=True, kw_only=True, gc=False):
    """A Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob or Rollout."""

    metadata: Metadata
    spec: ControllerSpec = ControllerSpec()
    status: ControllerStatus = ControllerStatus()


class ServiceAccount(_Object, frozen=True, kw_only=True, gc=False):
    """A service account."""

    metadata: Metadata
    secrets: list[NamedReference] | None = None
    image_pull_secrets: list[NamedReference] | None = None
    automount_service_account_token: bool | None = None
