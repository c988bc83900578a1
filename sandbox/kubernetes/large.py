"""A cluster of any size, for load tests. Pods of one deployment share most of what describes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.kubernetes.bootstrap_policy import add_bootstrap_policy, bind, role
from sandbox.kubernetes.cluster import Cluster, uid
from sandbox.kubernetes.platform_objects import add_namespaces, add_scanner, namespace, node
from sandbox.kubernetes.pods import REGISTRY, Template, digest, suffix
from sandbox.kubernetes.resource_types import NEW
from sandbox.kubernetes.workloads import deployment

if TYPE_CHECKING:
    from sandbox.kit.http import Json

PODS_EACH = 20
DEPLOYMENTS_EACH = 10
_FIELDS = 160
"""How many fields a pod's ``managedFields`` name: they are half of what a server sends."""


def build(pods: int) -> Cluster:
    """Return a cluster of so many pods."""
    cluster = Cluster("lantern-large", version=NEW, issuer="https://oidc.example/large")
    for number in range(50):
        node(cluster, f"node-{number}")
    add_namespaces(cluster, 500)
    add_bootstrap_policy(cluster, 500)
    fields: Json = {f"f:field-{number:03}": {".": {}, "f:value": {}} for number in range(_FIELDS)}
    for number in range(pods // PODS_EACH):
        place, name = f"team-{number // DEPLOYMENTS_EACH}", f"service-{number}"
        if number % DEPLOYMENTS_EACH == 0:
            namespace(cluster, place, pod_security_enforce="restricted")
        cluster.add("v1", "ServiceAccount", name, place, automountServiceAccountToken=False)
        role(cluster, name, "get configmaps", place)
        bind(cluster, name, f"Role {name}", f"ServiceAccount {place}/{name}", namespace=place)
        cluster.add("v1", "Secret", name, place, type="Opaque", data={})
        template = Template(image=f"{REGISTRY}/{name}:1@{digest(name)}", account=name)
        deployment(cluster, place, name, template, replicas=1)
        first = cluster.newest("pods")
        managed = [{**first["metadata"]["managedFields"][0], "fieldsV1": fields}]
        cluster.copy(
            first,
            (
                {**first["metadata"], "name": full, "uid": uid(f"{place}/{full}"), "managedFields": managed}
                for full in (f"{first['metadata']['name'][:-5]}{suffix(f'{name} {copy}', 5)}" for copy in range(PODS_EACH))
            ),
        )  # fmt: skip
    add_scanner(cluster, 100)
    return cluster
