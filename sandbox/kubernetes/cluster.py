"""The objects of a simulated cluster, and how each is completed as an API server stores it."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

from sandbox.estate import FIRST_NIGHT
from sandbox.kubernetes.resource_types import NEW, ResourceType, served, type_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sandbox.kit.http import Json

_NAMES = uuid.UUID("5b3ef0c4-9d0c-4f43-8a57-0a6d5e1f7c21")


def ago(days: float) -> str:
    """Return a time before the first night, as an API server writes it."""
    return (FIRST_NIGHT - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def uid(name: str) -> str:
    """Return the UID of an object, always the same for one name."""
    return str(uuid.uuid5(_NAMES, name))


class Cluster:
    """Objects by resource, in the order of the server's keys: namespace and name.

    ``custom_groups`` are the groups of the custom resources that are installed, with or without objects.
    """

    def __init__(
        self,
        name: str,
        *,
        version: str = NEW,
        issuer: str = "https://kubernetes.default.svc.cluster.local",
        git_version: str | None = None,
    ) -> None:
        self.name = name
        self.version = version
        self.issuer = issuer
        self.git_version = git_version or f"v{version}.2"
        self.custom_groups: set[str] = set()
        self.resource_version = 48_000_000
        self._objects: dict[str, dict[tuple[str, str], Json]] = {}
        self._sorted: dict[tuple[str, str], list[Json]] = {}

    def types(self) -> tuple[ResourceType, ...]:
        """Return the resources that the server has."""
        return served(self.version, frozenset(self.custom_groups))

    def add(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str = "",
        *,
        created: float = 300,
        labels: dict[str, str] | None = None,
        annotations: dict[str, str] | None = None,
        owner: Json | None = None,
        metadata: Json | None = None,
        **body: object,
    ) -> Json:
        """Store an object, ``created`` days before the first night. One that is there is replaced. Returns it."""
        found = type_of(api_version, kind)
        assert found.namespaced == bool(namespace), f"{kind} {namespace}/{name}"
        if found.custom:
            self.custom_groups.add(found.group)
        self.resource_version += 1
        shown: Json = {
            "name": name,
            **({"namespace": namespace} if namespace else {}),
            "uid": uid(f"{self.name} {found.key} {namespace}/{name}"),
            "resourceVersion": str(self.resource_version),
            "creationTimestamp": ago(created),
        }
        if "spec" in body and found.group != "batch" and kind not in {"Namespace", "Node"}:
            shown["generation"] = 1
        if labels:
            shown["labels"] = labels
        if annotations:
            shown["annotations"] = annotations
        if owner:
            shown["ownerReferences"] = [
                {
                    "apiVersion": owner["apiVersion"],
                    "kind": owner["kind"],
                    "name": owner["metadata"]["name"],
                    "uid": owner["metadata"]["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ]
        shown["managedFields"] = [
            {
                "manager": "kube-controller-manager" if owner else "kubectl-client-side-apply",
                "operation": "Update",
                "apiVersion": api_version,
                "time": ago(created),
                "fieldsType": "FieldsV1",
                "fieldsV1": {"f:metadata": {"f:labels": {".": {}}}, **{f"f:{key}": {} for key in body}},
            }
        ]
        shown.update(metadata or {})
        made: Json = {"apiVersion": api_version, "kind": kind, "metadata": shown, **body}
        self._objects.setdefault(found.key, {})[namespace, name] = made
        self._sorted.clear()
        return made

    def remove(self, key: str, name: str, namespace: str = "") -> None:
        """Delete an object."""
        del self._objects[key][namespace, name]
        self._sorted.clear()

    def apply(self, manifests: Sequence[Json]) -> None:
        """Store manifests as a client would send them. What only controllers write is missing unless it is in them."""
        for one in manifests:
            metadata = dict(one["metadata"])
            name, namespace = metadata.pop("name"), metadata.pop("namespace", "")
            found = type_of(one["apiVersion"], one["kind"])
            body = {key: value for key, value in one.items() if key not in {"apiVersion", "kind", "metadata"}}
            self.add(
                one["apiVersion"],
                one["kind"],
                name,
                (namespace or "default") if found.namespaced else "",
                metadata=metadata,
                **body,
            )

    def copy(self, first: Json, metadata: Iterable[Json]) -> None:
        """Replace an object by copies that differ in their metadata only, and share all else."""
        key = type_of(first["apiVersion"], first["kind"]).key
        rows = self._objects[key]
        del rows[first["metadata"].get("namespace", ""), first["metadata"]["name"]]
        for one in metadata:
            rows[one.get("namespace", ""), one["name"]] = {**first, "metadata": one}
        self._sorted.clear()

    def listed(self, key: str, namespace: str = "") -> list[Json]:
        """Return the objects of a resource, of one namespace or of all."""
        if (key, namespace) not in self._sorted:
            rows = self._objects.get(key, {})
            self._sorted[key, namespace] = [
                rows[place] for place in sorted(rows) if not namespace or place[0] == namespace
            ]
        return self._sorted[key, namespace]

    def named(self, key: str, name: str, namespace: str = "") -> Json | None:
        """Return one object."""
        return self._objects.get(key, {}).get((namespace, name))

    def newest(self, key: str) -> Json:
        """Return the object of a resource that was added last."""
        return next(reversed(self._objects[key].values()))

    def everything(self) -> list[tuple[str, Json]]:
        """Return every object with the key of its resource."""
        return [(key, row) for key in sorted(self._objects) for row in self.listed(key)]
