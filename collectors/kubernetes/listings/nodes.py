"""Nodes, and what whoever holds one becomes.

A node may have tokens of the service accounts that run on it, and read the Secrets of their pods:
https://kubernetes.io/docs/reference/access-authn-authz/node/ . A pod holds its node if it is privileged or mounts the folders of
its kubelet: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.kubernetes.calls import CORE
from collectors.kubernetes.records import link
from scanner.records import Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.kubernetes.estate import ClusterWorkloads
    from collectors.kubernetes.scope import KubeScope
    from scanner.records import Record

MOST = 50
"""Nodes of one workload of which it is told that it holds them; they are alike."""


def nodes(scope: KubeScope, estate: ClusterWorkloads) -> Iterator[Record]:
    """Yield nodes, the instances of clouds that they are, and which workloads hold them."""
    ids: dict[str, str] = {}

    def convert(item: Any) -> Iterator[Record]:
        metadata = item["metadata"]
        name = str(metadata["name"])
        me = ids[name] = record_id("kubernetes", "kubernetes-node", str(metadata["uid"]))
        provider = str((item.get("spec") or {}).get("providerID") or "")
        version = str(((item.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion") or "")
        yield Identity(
            id=me,
            **scope.own(),
            surface="automation",
            kind="kubernetes-node",
            native_id=str(metadata["uid"]),
            name=name,
            address=scope.address("", "node", name),
            managed_by="provider",
            tags={
                "platform": "yes",
                **({"provider_id": provider} if provider else {}),
                **({"kubelet": version} if version else {}),
            },
        )

    yield from scope.listed(
        CORE["nodes"], convert, table="identities", kind="kubernetes-node", loses=("links/can_become",)
    )
    yield from _held(scope, estate, ids)


def _held(scope: KubeScope, estate: ClusterWorkloads, ids: dict[str, str]) -> Iterator[Record]:
    told: set[str] = set()
    for workload, (why, places) in sorted(estate.privileged.items()):
        if workload in estate.platform:
            continue
        for name in sorted(places)[:MOST]:
            if name not in ids:
                continue
            yield link(scope, workload, "can_become", ids[name], evidence="node-access", why=why)
            if name in told:
                continue
            told.add(name)
            for account in sorted(estate.nodes.get(name, ())):
                yield link(
                    scope, ids[name], "can_become", account, evidence="node-authorizer",
                    why="the kubelet of a node gets tokens of the service accounts on it",
                )  # fmt: skip
