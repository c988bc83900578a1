"""What an API server makes of an object or a list, by the header ``Accept``: all of it, a table, or its metadata alone.

https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from sandbox.estate import FIRST_NIGHT
from sandbox.kit.http import RefusedError

if TYPE_CHECKING:
    from sandbox.kit.http import Json
    from sandbox.kubernetes.resource_types import ResourceType

Form: TypeAlias = Literal["whole", "Table", "PartialObjectMetadata", "PartialObjectMetadataList"]
META = "meta.k8s.io/v1"
ACCEPTED = (
    "only the following media types are accepted: application/json, application/yaml, "
    "application/vnd.kubernetes.protobuf"
)
_TABLES = {"table": "Table"}


def form(accept: str, *, lists: bool) -> Form:
    """Return the first form of an ``Accept`` that can be given. Raises `RefusedError` 406 if there is none."""
    metadata: Form = "PartialObjectMetadataList" if lists else "PartialObjectMetadata"
    for media in (accept or "*/*").split(","):
        name, *parameters = (part.strip() for part in media.split(";"))
        if name not in {"application/json", "application/*", "*/*"}:
            continue
        given = dict(one.partition("=")[::2] for one in parameters)
        wanted = given.get("as")
        if wanted is None:
            return "whole"
        if given.get("g") != "meta.k8s.io" or given.get("v") not in {"v1", "v1beta1"}:
            continue
        if wanted == "Table":
            return "Table"
        if wanted == metadata:
            return metadata
        if wanted.startswith("PartialObjectMetadata"):
            raise RefusedError(
                406, f"you requested {wanted}, but the requested object is {'' if lists else 'not '}a list"
            )
    raise RefusedError(406, ACCEPTED)


def age(created: str) -> str:
    """Return the time since then as kubectl prints it: ``42d``."""
    days = (FIRST_NIGHT - datetime.fromisoformat(created)).days
    return f"{days // 365}y{days % 365}d" if days >= 730 else f"{max(days, 0)}d"


def _ready(row: Json) -> str:
    states = row.get("status", {}).get("containerStatuses", [])
    return f"{sum(one['ready'] for one in states)}/{len(row['spec']['containers'])}"


_Cell: TypeAlias = Callable[["Json"], object]
_COLUMNS: dict[str, Sequence[tuple[str, str, _Cell]]] = {
    "pods": (
        ("Ready", "string", _ready),
        ("Status", "string", lambda row: row.get("status", {}).get("phase", "Unknown")),
        ("Restarts", "string", lambda row: str(sum(one["restartCount"] for one in row.get("status", {}).get("containerStatuses", [])))),
    ),
    "secrets": (
        ("Type", "string", lambda row: row["type"]),
        ("Data", "string", lambda row: len(row.get("data") or {})),
    ),
    "serviceaccounts": (("Secrets", "string", lambda row: len(row.get("secrets", ()))),),
    "configmaps": (("Data", "string", lambda row: len(row.get("data", ()))),),
    "namespaces": (("Status", "string", lambda row: row["status"]["phase"]),),
    "nodes": (
        ("Status", "string", lambda _: "Ready"),
        ("Version", "string", lambda row: row["status"]["nodeInfo"]["kubeletVersion"]),
    ),
    "deployments.apps": (
        ("Ready", "string", lambda row: f"{row.get('status', {}).get('readyReplicas', 0)}/{row['spec'].get('replicas', 1)}"),
        ("Up-to-date", "integer", lambda row: row.get("status", {}).get("updatedReplicas", 0)),
        ("Available", "integer", lambda row: row.get("status", {}).get("availableReplicas", 0)),
    ),
    "rolebindings.rbac.authorization.k8s.io": (("Role", "string", lambda row: f"{row['roleRef']['kind']}/{row['roleRef']['name']}"),),
    "clusterrolebindings.rbac.authorization.k8s.io": (("Role", "string", lambda row: f"{row['roleRef']['kind']}/{row['roleRef']['name']}"),),
}  # fmt: skip
"""Columns between Name and Age. https://github.com/kubernetes/kubernetes/blob/master/pkg/printers/internalversion/printers.go"""


def table(found: ResourceType, rows: Sequence[Json], include: str, metadata: Json) -> Json:
    """Return rows as a ``Table``. ``include`` is the parameter ``includeObject``: None, Metadata or Object."""
    columns = _COLUMNS.get(found.key, ())
    definitions = [("Name", "string"), *((name, kind) for name, kind, _ in columns), ("Age", "string")]
    made = []
    for row in rows:
        entry: Json = {
            "cells": [
                row["metadata"]["name"],
                *(cell(row) for _, _, cell in columns),
                age(row["metadata"]["creationTimestamp"]),
            ]
        }
        match include:
            case "None":
                pass
            case "Object":
                entry["object"] = row
            case _:
                entry["object"] = partial(row)
        made.append(entry)
    return {
        "kind": "Table",
        "apiVersion": META,
        "metadata": metadata,
        "columnDefinitions": [
            {
                "name": name,
                "type": kind,
                "format": "name" if name == "Name" else "",
                "description": name,
                "priority": 0,
            }
            for name, kind in definitions
        ],
        "rows": made,
    }


def partial(row: Json) -> Json:
    """Return the metadata of an object."""
    return {"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": row["metadata"]}


def item(found: ResourceType, row: Json) -> Any:
    """Return an object as an item of its list: those of built-in resources do not repeat their kind."""
    if found.custom:
        return row
    return {key: value for key, value in row.items() if key not in {"apiVersion", "kind"}}
